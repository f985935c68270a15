//! The small file that keeps an operator's wish over a restart.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// Where it is, as hier(7) has it for what a program keeps.
const FOLDER: &str = "/var/lib/caribe";
/// It is a line; what is longer is none of ours.
const MOST: u64 = 64 * 1024;

/// In what a director stands by.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standby {
    /// In all groups, whatever the configuration.
    pub(super) all: bool,
    /// In these.
    pub(super) groups: BTreeSet<String>,
}

/// The file could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}, so a restart forgets what was ordered: {}", path.display(), words::of(source))]
pub struct SaveError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The file; one writer at a time.
#[derive(Clone, Debug)]
pub(super) struct Wishes(Arc<Mutex<PathBuf>>);

impl Wishes {
    /// The file of the director `node`: several may run on one host, each in a network namespace.
    pub(super) fn new(node: &str) -> Self {
        Self::at(Path::new(FOLDER).join(format!("{node}.standby.json")))
    }

    fn at(path: PathBuf) -> Self {
        Self(Arc::new(Mutex::new(path)))
    }

    /// What is kept; nothing if there is no file. Must not be called from async code.
    pub(super) fn load(&self) -> Result<Standby, SaveError> {
        load(&self.0.blocking_lock())
    }

    /// Adds a group, or all, to what is kept, or takes it out.
    pub(super) async fn change(&self, group: Option<String>, on: bool) -> Result<(), SaveError> {
        let path = Arc::clone(&self.0).lock_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let before = load(&path).unwrap_or_else(|error| {
                tracing::warn!(%error, "what was kept is replaced");
                Standby::default()
            });
            let mut standby = before.clone();
            match group {
                None => {
                    standby = Standby {
                        all: on,
                        groups: BTreeSet::new(),
                    }
                }
                Some(group) if on => {
                    standby.groups.insert(group);
                }
                Some(group) => {
                    standby.groups.remove(&group);
                }
            }
            if standby == before {
                return Ok(());
            }
            save(&path, &standby)
        });
        match work.await {
            Ok(saved) => saved,
            // Only a runtime that ends cancels it.
            Err(_) => Ok(()),
        }
    }
}

fn load(path: &Path) -> Result<Standby, SaveError> {
    let failed = |source| SaveError {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let length = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standby::default()),
        Err(error) => return Err(failed(error)),
    };
    if length > MOST {
        return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    let text = fs::read(path).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|error| failed(error.into()))
}

/// Whole or not at all, whenever the power fails (rename(2), fsync(2)).
fn save(path: &Path, standby: &Standby) -> Result<(), SaveError> {
    let failed = |source| SaveError {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let write = || {
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        fs::create_dir_all(folder)?;
        if *standby == Standby::default() {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        } else {
            let new = path.with_extension("new");
            let mut file = File::create(&new)?;
            let mut text = serde_json::to_vec(standby)?;
            text.push(b'\n');
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
        }
        File::open(folder)?.sync_all()
    };
    write().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(wishes: &Wishes, group: Option<&str>, on: bool) -> Result<(), SaveError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(wishes.change(group.map(str::to_owned), on))
    }

    #[test]
    fn what_is_wished_is_there_after_a_restart_until_it_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("caribe/ha1.standby.json");
        let again = || Wishes::at(path.clone());
        assert_eq!(again().load().unwrap(), Standby::default());
        change(&again(), Some("web"), true).unwrap();
        change(&again(), Some("mail"), true).unwrap();
        change(&again(), Some("web"), false).unwrap();
        let groups = ["mail".to_owned()].into();
        assert_eq!(again().load().unwrap(), Standby { all: false, groups });
        change(&again(), None, true).unwrap();
        let groups = BTreeSet::new();
        assert_eq!(again().load().unwrap(), Standby { all: true, groups });
        change(&again(), None, false).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_cannot_be_kept_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("caribe"), "a file").unwrap();
        let path = folder.path().join("caribe/ha1.standby.json");
        let error = change(&Wishes::at(path), None, true).unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
    }

    #[test]
    fn a_broken_file_is_told_and_then_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ha1.standby.json");
        fs::write(&path, "{").unwrap();
        let wishes = Wishes::at(path);
        assert!(
            wishes
                .load()
                .unwrap_err()
                .to_string()
                .starts_with("cannot read ")
        );
        change(&wishes, None, true).unwrap();
        assert!(wishes.load().unwrap().all);
    }
}
