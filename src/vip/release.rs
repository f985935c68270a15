//! Removing every address of ours from the host, for whoever cleans up behind a director.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Kernel, OpenError, Output, Place, Problem, Vips};
use crate::clock;
use crate::config::model::Vip;

/// What a release has done.
#[derive(Debug, Default)]
pub struct Released {
    /// Addresses, and routes of quiet VIPs, that are gone.
    pub gone: Vec<Place>,
    /// What could not be removed.
    pub left: Vec<Problem>,
}

/// Removes the addresses of `vips`, whoever has put them, and every address and route that carries
/// our mark; restores `arp_ignore` where a quiet VIP had it raised. What fails is tried again within
/// `limit`. Nothing happens where nothing is left.
///
/// # Errors
/// The host's addresses can't be read.
pub fn release(vips: &BTreeSet<Vip>, limit: Duration) -> Result<Released, OpenError> {
    let start = clock::now();
    let mut ours = Vips::new(Kernel::open()?, vips, &BTreeSet::new(), start)?;
    ours.remove_stale(&BTreeSet::new(), start);
    let mut released = Released::default();
    let mut failed = Vec::new();
    while !ours.is_settled() && clock::now() < start + limit {
        ours.handle_timeout(clock::now());
        while let Some(output) = ours.poll_output() {
            match output {
                Output::Taken(place) => released.gone.push(place),
                Output::Failed(problem) => failed.push(problem),
                Output::Put { .. }
                | Output::Quieted(_)
                | Output::Lost(_)
                | Output::Foreseen { .. }
                | Output::Refused { .. }
                | Output::Contested { .. }
                | Output::Yielded(_)
                | Output::Link { .. } => {}
            }
        }
        wait(&ours, start + limit);
    }
    if !ours.is_settled() {
        released.left = failed;
    }
    Ok(released)
}

/// Until the next attempt, or news of the kernel.
fn wait(ours: &Vips, end: clock::Time) {
    let Some(due) = ours.poll_timeout() else {
        return;
    };
    let pause = due.min(end).saturating_sub(clock::now());
    let pause = Timespec {
        tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(pause.subsec_nanos()),
    };
    let mut fds = [PollFd::new(ours, PollFlags::IN)];
    // Interrupted or not: the turn that follows finds out by itself what there is to do.
    let _ = poll(&mut fds, Some(&pause));
}
