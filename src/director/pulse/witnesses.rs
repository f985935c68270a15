//! Who waits for the first packet of a group that has just been taken.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::command::{Command, Teller};
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
    /// Those whose VIPs are being put, or are here.
    called: BTreeSet<String>,
    waiting: Vec<Waiting>,
    usher: Sender<Errand>,
}

#[derive(Debug)]
struct Waiting {
    group: String,
    witness: Witness,
    until: Time,
}

/// What has time, and takes some: the kernel translates a program for a packet socket that is
/// opened, and waits for a grace period before it closes one.
#[derive(Debug)]
enum Errand {
    Open(String, Vec<IpAddr>),
    Close(Witness),
}

impl Witnesses {
    /// Nobody waits. Who opens sockets in a thread of its own has each [admitted](Self::admit) by
    /// `teller`.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub(super) fn new(teller: Teller) -> io::Result<Self> {
        let (usher, errands) = channel();
        std::thread::Builder::new()
            .name("usher".to_owned())
            .spawn(move || errands.into_iter().for_each(|errand| run(errand, &teller)))?;
        Ok(Self {
            called: BTreeSet::new(),
            waiting: Vec::new(),
            usher,
        })
    }

    /// Waits for the first packet to a group's VIPs, as soon as can be.
    pub(super) fn call(&mut self, group: &str, vips: &[Vip]) {
        self.dismiss(group);
        if self.called.len() < MOST {
            self.called.insert(group.to_owned());
            let addresses = vips.iter().map(|vip| vip.address.addr()).collect();
            self.send(Errand::Open(group.to_owned(), addresses));
        }
    }

    /// Takes over the socket that sees a group's first packet, if it is wanted still.
    pub(super) fn admit(&mut self, group: String, witness: Witness, now: Time) {
        if self.called.contains(&group) {
            let until = now + PATIENCE;
            self.waiting.push(Waiting {
                group,
                witness,
                until,
            });
        } else {
            self.send(Errand::Close(witness));
        }
    }

    /// A group is left.
    pub(super) fn dismiss(&mut self, group: &str) {
        self.called.remove(group);
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
        let gone: Vec<Waiting> = gone.collect();
        let close = |waiting: Waiting| {
            self.called.remove(&waiting.group);
            self.send(Errand::Close(waiting.witness));
            waiting.group
        };
        gone.into_iter().map(close).collect()
    }

    fn send(&self, errand: Errand) {
        // Without the usher, nobody waits for first packets.
        let _ = self.usher.send(errand);
    }
}

fn run(errand: Errand, teller: &Teller) {
    match errand {
        Errand::Open(group, vips) => match Witness::open(vips) {
            Ok(witness) => {
                teller.tell(Command::Witness { group, witness });
            }
            Err(error) => {
                tracing::debug!(group, error = %words::of(&error), "first packet not waited for");
            }
        },
        Errand::Close(witness) => drop(witness),
    }
}
