//! Who runs a command.
#![expect(
    unsafe_code,
    reason = "the standard library takes a user's further groups away, and has no way to give them"
)]

use std::io;

use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use tokio::process::Command;

use crate::users::User;

/// Has `command` run by `user`, with all groups of that user.
pub(super) fn run_by(command: &mut Command, user: &User) {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    if (uid, gid) == (geteuid(), getegid()) {
        // Who runs this without being root may not even take the groups that are theirs.
        return;
    }
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let become_user = move || {
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok::<(), io::Error>(())
    };
    // SAFETY: between fork and exec there is this thread alone, and another may have held any lock
    // when the process was copied. The closure makes three system calls: it allocates nothing, frees
    // nothing and takes no lock; an error is a number.
    unsafe {
        command.pre_exec(become_user);
    }
}
