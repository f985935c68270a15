//! `caribe key`: the secret that the directors of a cluster share.

use super::Exit;
use super::args::KeyGenerateArgs;
use super::output::{complain, print};
use crate::config::keys::{self, KeyError};

pub(super) fn generate(args: &KeyGenerateArgs) -> Exit {
    let file = args.file.display();
    match keys::generate(&args.file) {
        Ok(key) => {
            let text = format!(
                "wrote key {} to {file}, readable by its owner alone\n\
                 copy it to the other directors, and name it in `keys` of [cluster] on all of them\n",
                key.id()
            );
            print(&text).err().unwrap_or(Exit::Done)
        }
        Err(err) => {
            complain(&err);
            if let Some(help) = err.help() {
                complain(&help);
            }
            match &err {
                KeyError::Read { source, .. } | KeyError::Write { source, .. } => source.into(),
                _ => Exit::Failed,
            }
        }
    }
}
