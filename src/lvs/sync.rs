//! Connection sync: the daemons and settings that the kernel's IPVS shall have beside its table.

mod duty;
mod host;
mod note;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZero;

use ipvs::{SyncDaemon, SyncRole};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::model::stands_aside;

pub use duty::{Duty, stand_aside};
pub use host::{Host, System};
pub use note::NoteFile;
pub use work::{Report, Work};

/// Settings that a daemon heeds only when it starts (`start_sync_thread`, `make_send_sock`,
/// net/netfilter/ipvs/ip_vs_sync.c).
const AT_START: [&str; 2] = ["sync_ports", "sync_sock_size"];

/// The shortest message that a receiver can be limited to (`start_sync_thread`, as above).
const LEAST_RECEIVED: NonZero<u16> = match NonZero::new(1024) {
    Some(least) => least,
    None => NonZero::<u16>::MIN,
};

/// What shall hold beside the table. Empty when nothing is configured.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Desired {
    /// A sender and a receiver, or none.
    pub daemons: Vec<SyncDaemon>,
    /// Settings below `net.ipv4.vs`.
    pub sysctls: BTreeMap<String, String>,
}

/// What holds now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Actual {
    /// The daemons that run.
    pub daemons: Vec<SyncDaemon>,
    /// The index of the interface that is desired; `None` while there is no such interface.
    pub link: Option<u32>,
    /// The settings that are desired or noted, without those that the kernel does not have.
    pub sysctls: BTreeMap<String, String>,
}

/// What has been done here, so that it can be undone by this run or by one after a crash.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Note {
    /// The daemons that are ours.
    pub daemons: BTreeMap<SyncRole, Started>,
    /// What each setting was before it was ours.
    pub sysctls: BTreeMap<String, String>,
}

/// A daemon that is ours.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Started {
    /// As it was asked for.
    pub daemon: SyncDaemon,
    /// The index of its interface then: one that has come back under the same name is another,
    /// and a daemon does not follow it.
    pub link: Option<u32>,
}

/// Something to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Stop the daemon of a role.
    Stop(SyncRole),
    /// Give a setting a value.
    Set {
        /// Its name below `net.ipv4.vs`.
        name: String,
        /// As the kernel reads it.
        value: String,
    },
    /// Start a daemon.
    Start(SyncDaemon),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop(role) => write!(f, "stop the sync {role}"),
            Self::Set { name, value } => write!(f, "set net.ipv4.vs.{name} to {value:?}"),
            Self::Start(daemon) => {
                write!(f, "start the sync {} on {}", daemon.role, daemon.interface)
            }
        }
    }
}

impl Desired {
    /// Whether there is nothing to do beside the table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.daemons.is_empty() && self.sysctls.is_empty()
    }

    /// Whether the kernel shall leave packets alone while this director has no group.
    #[must_use]
    pub fn stands_aside(&self) -> bool {
        stands_aside(&self.sysctls)
    }

    /// The interface that connections are told on.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.daemons.first().map(|daemon| daemon.interface.as_str())
    }
}

/// What a configuration asks for.
///
/// Both daemons run on every director, whoever is active, so that a takeover starts nothing.
#[must_use]
pub fn desired(config: &Config) -> Desired {
    let daemons = config.ipvs.sync.iter().flat_map(|sync| {
        [SyncRole::Sender, SyncRole::Receiver].map(|role| SyncDaemon {
            // What comes in may be longer than what goes out, and the kernel takes no less.
            max_length: sync.maxlen.map(|most| match role {
                SyncRole::Sender => most,
                SyncRole::Receiver => most.max(LEAST_RECEIVED),
            }),
            group: Some(sync.group),
            port: Some(sync.port),
            ttl: Some(sync.ttl),
            ..SyncDaemon::new(role, sync.interface.clone(), sync.id.into())
        })
    });
    Desired {
        daemons: daemons.collect(),
        sysctls: config.ipvs.sysctls.clone(),
    }
}

/// The way from what holds to what shall: daemons stop before settings change, and start after.
///
/// A daemon that runs as desired is left alone, whoever has started it; so is any other that is
/// neither desired nor ours. Settings that are noted and not desired get back what they were.
#[must_use]
pub fn plan(desired: &Desired, actual: &Actual, note: &Note) -> Vec<Step> {
    let sets = sets(desired, actual, note);
    let renewed = sets.iter().any(|(name, _)| AT_START.contains(name));
    let mut stops = BTreeSet::new();
    let mut starts = Vec::new();
    for role in [SyncRole::Sender, SyncRole::Receiver] {
        let running = actual.daemons.iter().find(|daemon| daemon.role == role);
        let ours = note.daemons.get(&role);
        let wanted = desired.daemons.iter().find(|daemon| daemon.role == role);
        match (wanted, running) {
            (None, None) => {}
            (None, Some(_)) => {
                if ours.is_some() {
                    stops.insert(role);
                }
            }
            (Some(wanted), None) => starts.push(wanted.clone()),
            (Some(wanted), Some(running)) => {
                let as_asked = ours.is_none_or(|ours| ours.daemon == *wanted);
                let moved = ours.is_some_and(|ours| has_moved(ours.link, actual.link));
                if renewed || moved || !as_asked || !is_as(wanted, running) {
                    stops.insert(role);
                    starts.push(wanted.clone());
                }
            }
        }
    }
    let sets = sets.into_iter().map(|(name, value)| Step::Set {
        name: name.to_owned(),
        value: value.to_owned(),
    });
    let stops = stops.into_iter().map(Step::Stop);
    stops
        .chain(sets)
        .chain(starts.into_iter().map(Step::Start))
        .collect()
}

/// The settings that are not as they shall be, and what they shall be.
fn sets<'a>(desired: &'a Desired, actual: &Actual, note: &'a Note) -> Vec<(&'a str, &'a str)> {
    let before = note
        .sysctls
        .iter()
        .filter(|(name, _)| !desired.sysctls.contains_key(*name));
    let all = desired.sysctls.iter().chain(before);
    all.filter(|(name, value)| {
        let there = actual.sysctls.get(*name);
        there.is_some_and(|there| !same(there, value))
    })
    .map(|(name, value)| (name.as_str(), value.as_str()))
    .collect()
}

/// Whether two texts are one value: the kernel separates the parts of a setting by tabs.
fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// Whether an interface is another one than a daemon was started on. While it is away, its daemon
/// may as well stay: none can be started.
fn has_moved(then: Option<u32>, now: Option<u32>) -> bool {
    matches!((then, now), (Some(then), Some(now)) if then != now)
}

/// Whether a daemon runs as it is wanted. What an old kernel does not list, and what is left to the
/// kernel, cannot differ.
fn is_as(wanted: &SyncDaemon, running: &SyncDaemon) -> bool {
    fn fits<T: PartialEq>(wanted: Option<T>, running: Option<T>) -> bool {
        wanted.is_none() || running.is_none() || wanted == running
    }
    wanted.interface == running.interface
        && wanted.id == running.id
        && fits(wanted.group, running.group)
        && fits(wanted.port, running.port)
        && fits(wanted.ttl, running.ttl)
        && fits(wanted.max_length, running.max_length)
}

#[cfg(test)]
mod tests;
