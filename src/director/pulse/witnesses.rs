//! Who waits for the first packet of a group that has just been taken.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::command::{Command, Teller};
use crate::clock::Time;
use crate::config::model::Config;
use crate::vip::Witness;

/// A packet that comes later has nothing to do with the takeover.
const PATIENCE: Duration = Duration::from_secs(10);
/// The kernel has more urgent work so soon after a takeover than to drop a socket with its program,
/// and to translate the next one's.
const PAUSE: Duration = Duration::from_secs(1);
/// So many groups at a time are waited for: each costs every packet of the host a look.
const MOST: usize = 64;
/// For so many a socket is ready: each costs the host a grace period when the daemon ends.
const READY: usize = 8;

/// The groups whose first packet is waited for, and what is ready for others.
#[derive(Debug)]
pub(super) struct Witnesses {
    vips: BTreeMap<String, Vec<IpAddr>>,
    ready: BTreeMap<String, Witness>,
    waiting: Vec<Waiting>,
    spent: Vec<Spent>,
    usher: Sender<Errand>,
}

#[derive(Debug)]
struct Waiting {
    group: String,
    /// None until it has been opened.
    witness: Option<Witness>,
    until: Time,
}

impl Waiting {
    fn has_seen(&self) -> bool {
        self.witness.as_ref().is_some_and(Witness::has_seen)
    }
}

/// A group that waits no more.
#[derive(Debug)]
struct Spent {
    group: String,
    witness: Option<Witness>,
    /// When its socket is closed and the next one made ready.
    due: Time,
}

/// What takes time, and has it.
#[derive(Debug)]
enum Errand {
    Open(String, Vec<IpAddr>),
    Close(Witness),
}

impl Witnesses {
    /// The teller is told when a socket is open. What takes time is done by a thread at ordinary
    /// priority.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub(super) fn new(config: &Config, teller: Teller) -> io::Result<Self> {
        let (usher, errands) = channel();
        std::thread::Builder::new()
            .name("usher".to_owned())
            .spawn(move || errands.into_iter().for_each(|errand| run(errand, &teller)))?;
        let vips = config.groups.iter().map(|(name, group)| {
            let vips = group.vips.iter().map(|vip| vip.address.addr());
            (name.clone(), vips.collect())
        });
        let new = Self {
            vips: vips.collect(),
            ready: BTreeMap::new(),
            waiting: Vec::new(),
            spent: Vec::new(),
            usher,
        };
        new.vips
            .keys()
            .take(READY)
            .for_each(|group| new.open(group));
        Ok(new)
    }

    /// Takes over a socket that can see a group's packets.
    pub(super) fn admit(&mut self, group: String, witness: Witness) {
        let mut waiting = self.waiting.iter_mut();
        let wanted = waiting.find(|waiting| waiting.group == group && waiting.witness.is_none());
        if let Some(waiting) = wanted {
            look(&witness, &group);
            waiting.witness = Some(witness);
        } else {
            let old = self.ready.insert(group, witness);
            self.close(old);
        }
    }

    /// Waits for the first packet to a group's VIPs: from now on if a socket is ready, otherwise
    /// as soon as one is open.
    pub(super) fn call(&mut self, group: &str, now: Time) {
        self.dismiss(group, now);
        if self.waiting.len() >= MOST {
            return;
        }
        let witness = self.ready.remove(group);
        match &witness {
            Some(witness) => look(witness, group),
            None => self.open(group),
        }
        self.waiting.push(Waiting {
            group: group.to_owned(),
            witness,
            until: now + PATIENCE,
        });
    }

    /// A group is left.
    pub(super) fn dismiss(&mut self, group: &str, now: Time) {
        self.release(now, |waiting| waiting.group == group);
    }

    /// The groups whose first packet has come, each once. Who has waited for too long goes, and
    /// what the next takeover needs is made ready in its time.
    pub(super) fn take(&mut self, now: Time) -> Vec<String> {
        let due = self.spent.extract_if(.., |spent| spent.due <= now);
        for Spent { group, witness, .. } in due.collect::<Vec<_>>() {
            self.close(witness);
            if self.ready.len() < READY && !self.ready.contains_key(&group) {
                self.open(&group);
            }
        }
        let seen = self.release(now, Waiting::has_seen);
        self.release(now, |waiting| waiting.until <= now);
        seen
    }

    /// Readable when a first packet has come.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let open = self.waiting.iter().filter_map(|it| it.witness.as_ref());
        open.map(Witness::as_fd)
    }

    /// When somebody has waited for long enough, or somebody's socket is to be closed.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let until = self.waiting.iter().map(|waiting| waiting.until);
        until.chain(self.spent.iter().map(|spent| spent.due)).min()
    }

    fn release(&mut self, now: Time, goes: impl Fn(&Waiting) -> bool) -> Vec<String> {
        let gone = self.waiting.extract_if(.., |waiting| goes(waiting));
        let gone: Vec<Waiting> = gone.collect();
        let groups = gone.iter().map(|waiting| waiting.group.clone()).collect();
        let spent = gone.into_iter().map(|waiting| Spent {
            group: waiting.group,
            witness: waiting.witness,
            due: now + PAUSE,
        });
        self.spent.extend(spent);
        groups
    }

    fn open(&self, group: &str) {
        if let Some(vips) = self.vips.get(group) {
            self.send(Errand::Open(group.to_owned(), vips.clone()));
        }
    }

    fn close(&self, witness: Option<Witness>) {
        if let Some(witness) = witness {
            self.send(Errand::Close(witness));
        }
    }

    fn send(&self, errand: Errand) {
        // Without the usher, nobody waits for first packets.
        let _ = self.usher.send(errand);
    }
}

fn look(witness: &Witness, group: &str) {
    if let Err(error) = witness.look() {
        tracing::debug!(group, error = %words::of(&error), "first packet not waited for");
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
