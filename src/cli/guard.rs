//! `caribe guard`: the process that outlives the daemon, and how the daemon starts it.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use super::args::{GuardArgs, LogArgs};
use super::output::complain;
use super::{Exit, logging};
use crate::control::{guard_lock_path, lock_path};
use crate::director::guard;
use crate::lvs::sync::NoteFile;

/// The running program, also if its file has been replaced meanwhile.
const OURSELVES: &str = "/proc/self/exe";

pub(super) fn guard(args: &GuardArgs) -> Exit {
    let _logging = match logging::init(&args.log) {
        Ok(logging) => logging,
        Err(error) => {
            complain(&error);
            return Exit::Failed;
        }
    };
    let well = guard::run(
        &lock_path(&args.socket),
        args.daemon,
        &guard_lock_path(&args.socket),
        &NoteFile::beside(&args.socket),
    );
    if well { Exit::Done } else { Exit::Failed }
}

/// What starts the guard of this process.
pub(super) fn command(socket: &Path, log: &LogArgs) -> Command {
    let mut command = Command::new(OURSELVES);
    command
        .args(["guard", "--socket"])
        .arg(socket)
        .args(["--daemon", &std::process::id().to_string()])
        .args(["--log-level", &log.log_level]);
    if let Some(format) = log.log_format.to_possible_value() {
        command.args(["--log-format", format.get_name()]);
    }
    // It has nothing to tell the service manager.
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    command
}
