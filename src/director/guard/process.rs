//! The guard's process: orders on standard input, until that closes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Stdin};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::super::realtime;
use super::signals;
use super::watch::{Order, Removal, Verdict, Watch};
use crate::clock::{self, Time};
use crate::config::model::Vip;
use crate::lvs::sync::{self, NoteFile};
use crate::vip;

/// Between two looks for the daemon's next run, and for a lock that another guard has.
const LOOK: Duration = Duration::from_millis(10);
/// Longest wait for orders, and how long an address that can't be removed is tried again.
const LONG: Duration = Duration::from_secs(30);

/// Guards a daemon until it ends; removes its VIPs if it ends without a farewell.
///
/// `daemon_lock` is the file in which a running daemon notes its process number, `daemon` that of
/// this one's. `own_lock` is held as long as this guard lives; `note` is the daemon's of the settings
/// that it has changed. Whether nothing was left undone.
#[must_use]
pub fn run(daemon_lock: &Path, daemon: u32, own_lock: &Path, note: &Path) -> bool {
    // Fails only for the leader of a group, which has its session already.
    let _ = rustix::process::setsid();
    signals::ignore();
    prepare_for_hard_times();
    // Read without its buffer, of whose content poll would know nothing.
    let input = io::stdin();
    let mut watch = Watch::default();
    let mut lock = None;
    let mut unread = Vec::new();
    loop {
        let now = clock::now();
        watch.handle_timeout(now);
        match watch.verdict() {
            Some(Verdict::Leave) => return true,
            Some(Verdict::Remove(removal)) => return carry_out(removal, note),
            None => {}
        }
        if lock.is_none() {
            lock = take(own_lock);
        }
        if watch.is_waiting() {
            wait(&[], LOOK);
            if is_successor(daemon_lock, daemon) {
                tracing::info!("the daemon runs again");
                watch.handle_successor();
            }
            continue;
        }
        let pause = if lock.is_none() { LOOK } else { LONG };
        if wait(&[&input], pause) {
            read(&input, &mut unread, &mut watch);
        }
    }
}

/// Takes in what the daemon has said, or that it has ended.
fn read(input: &Stdin, unread: &mut Vec<u8>, watch: &mut Watch) {
    let mut buffer = [0; 4096];
    match rustix::io::read(input, &mut buffer) {
        Ok(0) => {
            if !matches!(watch, Watch::Idle) {
                tracing::warn!("the daemon has died");
            }
            watch.handle_end(clock::now());
        }
        Ok(length) => unread.extend_from_slice(&buffer[..length]),
        Err(Errno::INTR) => {}
        Err(error) => {
            tracing::error!(error = %words::of(&error.into()), "the daemon cannot be heard");
            watch.handle_end(clock::now());
        }
    }
    while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = unread.drain(..=end).collect();
        match serde_json::from_slice::<Order>(&line) {
            Ok(order) => watch.handle_order(order),
            Err(error) => tracing::error!(%error, "an order of the daemon makes no sense"),
        }
    }
}

/// Tells the peers before it removes anything: whoever takes over has announced the addresses
/// when they go here, and until then the kernel serves.
fn carry_out(removal: &Removal, note: &Path) -> bool {
    for letter in &removal.last_words {
        if let Err(error) = letter.send() {
            let error = words::of(&error);
            tracing::debug!(to = %letter.to, %error, "the daemon's last word was not sent");
        }
    }
    wait(&[], removal.linger);
    if removal.stands_aside {
        let note = NoteFile::load(note.to_owned());
        if let Err(error) = sync::stand_aside(&note, &mut sync::System) {
            tracing::error!(error = %words::of(&error), "the dead daemon's kernel does not stand aside");
        }
    }
    remove(&removal.vips)
}

fn remove(vips: &BTreeSet<Vip>) -> bool {
    let start: Time = clock::now();
    match vip::release(vips, LONG) {
        Ok(released) => {
            let took = clock::now().saturating_sub(start);
            tracing::warn!(
                addresses = released.gone.len(),
                ?took,
                "VIPs of the dead daemon removed"
            );
            for problem in &released.left {
                tracing::error!(%problem, "a VIP of the dead daemon stays");
            }
            released.left.is_empty()
        }
        Err(error) => {
            tracing::error!(%error, "the VIPs of the dead daemon stay");
            false
        }
    }
}

/// Whether the daemon's lock is another's than that of the one that has died. Asking for the lock
/// itself would for that moment keep the next run from it.
fn is_successor(lock: &Path, dead: u32) -> bool {
    let Ok(text) = fs::read_to_string(lock) else {
        return false;
    };
    text.trim()
        .parse()
        .is_ok_and(|process: u32| process != dead)
}

fn take(path: &Path) -> Option<File> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .ok()?;
    file.try_lock().ok()?;
    Some(file)
}

/// Whether any of the descriptors has something, or has been closed by the other end.
fn wait(fds: &[&dyn AsFd], limit: Duration) -> bool {
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    let mut fds: Vec<PollFd<'_>> = fds
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN))
        .collect();
    poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// No paging, and the last choice of the kernel when memory runs out; as far as this may ask for it.
fn prepare_for_hard_times() {
    let score = "/proc/self/oom_score_adj";
    if fs::write(score, "-1000").is_err() {
        tracing::debug!("the guard's oom_score_adj stays that of the daemon");
    }
    if let Err(error) = realtime::lock_memory() {
        tracing::debug!(error = %words::of(&error), "the guard's memory is not locked");
    }
}
