//! Who waits for the first packet of a group that has just been taken.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::clock::Time;
use crate::config::model::Vip;
use crate::vip::Witness;

/// A packet that comes later has nothing to do with the takeover.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many groups at a time are waited for: each costs every packet of the host a look.
const MOST: usize = 8;

/// The groups whose first packet is waited for.
#[derive(Debug)]
pub(super) struct Witnesses {
    waiting: Vec<Waiting>,
    /// To whoever has the time to close a packet socket, which waits for a grace period.
    closer: Sender<Witness>,
}

#[derive(Debug)]
struct Waiting {
    group: String,
    witness: Witness,
    until: Time,
}

impl Witnesses {
    /// Nobody waits.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub(super) fn new() -> io::Result<Self> {
        let (closer, done) = channel::<Witness>();
        std::thread::Builder::new()
            .name("closer".to_owned())
            .spawn(move || done.into_iter().for_each(drop))?;
        Ok(Self {
            waiting: Vec::new(),
            closer,
        })
    }

    /// Waits for the first packet to a group's VIPs.
    pub(super) fn call(&mut self, group: &str, vips: &[Vip], now: Time) {
        self.dismiss(group);
        if self.waiting.len() >= MOST {
            return;
        }
        match Witness::open(vips.iter().map(|vip| vip.address.addr())) {
            Ok(witness) => self.waiting.push(Waiting {
                group: group.to_owned(),
                witness,
                until: now + PATIENCE,
            }),
            Err(error) => {
                tracing::debug!(group, error = %words::of(&error), "first packet not waited for");
            }
        }
    }

    /// A group is left.
    pub(super) fn dismiss(&mut self, group: &str) {
        self.release(|waiting| waiting.group == group);
    }

    /// The groups whose first packet has come, each once. Who has waited for too long goes.
    pub(super) fn take(&mut self, now: Time) -> Vec<String> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let seen = self.release(|waiting| waiting.witness.has_seen());
        self.release(|waiting| waiting.until <= now);
        seen
    }

    /// Readable when a first packet has come.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.waiting.iter().map(|waiting| waiting.witness.as_fd())
    }

    /// When somebody has waited for long enough.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    fn release(&mut self, goes: impl Fn(&Waiting) -> bool) -> Vec<String> {
        let gone = self.waiting.extract_if(.., |waiting| goes(waiting));
        gone.map(|waiting| {
            // If the closer is gone, so is the daemon.
            let _ = self.closer.send(waiting.witness);
            waiting.group
        })
        .collect()
    }
}
