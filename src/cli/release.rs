//! `caribe release`: removes what a daemon that has died has left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Exit;
use super::args::ReleaseArgs;
use super::output::{complain, print, print_report};
use crate::config::model::Vip;
use crate::config::{self, HostFacts};
use crate::control::{self, DEFAULT_SOCKET, Hold};
use crate::lvs::sync::{self, NoteFile};
use crate::vip::{self, Action, Problem, Released};

/// How long an address that the kernel doesn't remove is tried again.
const LIMIT: Duration = Duration::from_secs(3);

pub(super) fn release(args: &ReleaseArgs) -> Exit {
    let loaded = config::load(&args.config, &HostFacts::unchecked());
    if let Err(report) = &loaded {
        print_report(report);
        complain(&"only addresses that carry caribe's mark are removed");
    }
    let exit = loaded.as_ref().map_or(Exit::Failed, |_| Exit::Done);
    let config = loaded.ok().map(|loaded| loaded.config);
    let groups = config.iter().flat_map(|config| config.groups.values());
    let vips = groups.flat_map(|group| group.vips.clone()).collect();
    let socket = config.as_ref().map_or_else(
        || PathBuf::from(DEFAULT_SOCKET),
        |config| config.control.socket.clone(),
    );
    let _hold = match hold(&socket, args.force) {
        Ok(Some(hold)) if hold.is_guarded(&socket) => {
            let told = print("the guard of the daemon that has died looks after its addresses\n");
            return told.err().unwrap_or(exit);
        }
        Ok(hold) => hold,
        Err(error) => {
            complain(&error);
            if let control::Error::AlreadyRunning { .. } = error {
                complain(&"stop it to give its addresses up, or take --force");
            }
            return Exit::from(&error);
        }
    };
    let aside = if config.is_some_and(|config| config.ipvs.stands_aside()) {
        stand_aside(&socket)
    } else {
        Exit::Done
    };
    remove(&vips).and(aside).and(exit)
}

/// Before the addresses go, as whoever takes over sends packets here as to any real server.
fn stand_aside(socket: &Path) -> Exit {
    let note = NoteFile::load(NoteFile::beside(socket));
    match sync::stand_aside(&note, &mut sync::System) {
        Ok(true) => print("set net.ipv4.vs.backup_only to 1\n")
            .err()
            .unwrap_or(Exit::Done),
        Ok(false) => Exit::Done,
        Err(error) => {
            complain(&format!(
                "cannot set net.ipv4.vs.backup_only: {}",
                words::of(&error)
            ));
            Exit::from(&error)
        }
    }
}

fn hold(socket: &Path, force: bool) -> Result<Option<Hold>, control::Error> {
    if force {
        return Ok(None);
    }
    Hold::take(socket).map(Some)
}

fn remove(vips: &BTreeSet<Vip>) -> Exit {
    let released = match vip::release(vips, LIMIT) {
        Ok(released) => released,
        Err(error) => {
            complain(&error);
            return match error {
                vip::OpenError::NotPermitted => Exit::NoRights,
                vip::OpenError::Netlink(_) | vip::OpenError::Packet(_) => Exit::Failed,
            };
        }
    };
    let Released { gone, left } = released;
    let text: String = gone
        .iter()
        .map(|place| format!("removed {} from {}\n", place.address, place.interface))
        .collect();
    if let Err(exit) = print(&text) {
        return exit;
    }
    for problem in &left {
        complain(problem);
    }
    let denied = |problem: &Problem| matches!(problem, Problem::NotPermitted(_, Action::Remove));
    match left.as_slice() {
        [] => Exit::Done,
        left if left.iter().all(denied) => Exit::NoRights,
        _ => Exit::Failed,
    }
}
