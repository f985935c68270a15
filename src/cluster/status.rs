//! What the machine knows, for whoever asks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::DeathCause;
use super::heartbeat::{Fitness, Role};
use super::histogram::Histogram;
use super::machine::Machine;
use super::ownership::{Group, Vacancy, waiting};
use super::packet::Dropped;
use super::rhythm::Rhythm;
use crate::clock::Time;

/// The machine at one moment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Since the machine was made.
    pub uptime: Duration,
    /// Every other director, by name.
    pub peers: Vec<PeerStatus>,
    /// Every group, by name; also those that are being left because they are configured no more.
    pub groups: Vec<GroupStatus>,
    /// Since the machine was made.
    pub counters: Counters,
}

/// A peer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// As this director's configuration has it.
    pub priority: u16,
    /// Whether it lives.
    pub liveness: Liveness,
    /// Whether it lives and has shown within deadtime that it hears this director.
    pub hears_us: bool,
    /// Whether it runs the same configuration; `None` until heard.
    pub same_config: Option<bool>,
    /// The sections in which its configuration differs, as far as they can be told.
    pub differing: Vec<String>,
    /// It said that it stops.
    pub stopping: bool,
    /// Whether its host may serve a group still: it said last that it has one, or that it is leaving
    /// one; and it has not been gone for deadtime, though it may be silent.
    pub holds: bool,
    /// To it and back by the fastest paths, as last measured.
    pub round_trip: Option<Duration>,
    /// How regularly its heartbeats come, by whatever path.
    pub rhythm: Rhythm,
    /// Since the last good heartbeat.
    pub silence: Option<Duration>,
    /// Its paths, in configured order.
    pub paths: Vec<PathStatus>,
}

/// A path to a peer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PathStatus {
    /// Whether heartbeats come in on it.
    pub liveness: Liveness,
    /// Since the last good heartbeat on it.
    pub silence: Option<Duration>,
    /// To the peer by its fastest path, and back by this one, as last measured: the time between
    /// a heartbeat of ours and the one of the peer that echoes it, less what the peer says that it
    /// held it for.
    pub round_trip: Option<Duration>,
    /// Between two heartbeats on it, while it was up.
    pub intervals: Histogram,
    /// Intervals longer than warntime.
    pub late: u64,
    /// Heartbeats of the peer that did not come by it, while it was up.
    pub lost: u64,
}

/// Whether a peer lives.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// Never heard.
    Unknown,
    /// Heard within deadtime.
    Alive,
    /// Not any more, and how this is known. A path dies by silence only.
    Dead(DeathCause),
}

/// A group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// This director's part in it.
    pub role: Role,
    /// Who is active, as far as is heard.
    pub owner: Option<String>,
    /// The newest epoch that anybody has claimed.
    pub epoch: u64,
    /// How well this director could serve it.
    pub fitness: Fitness,
    /// Whether its probes have all run and its table is programmed here.
    pub ready: bool,
    /// Whether an operator wants this director to stand by.
    pub standby: bool,
    /// To whom it is being handed over.
    pub handing_to: Option<String>,
    /// How long the role has been held.
    pub since: Duration,
    /// Why this role, in a few words; of a group without an owner, what keeps this director from
    /// taking it.
    pub reason: String,
    /// Others that are active too.
    pub rivals: Vec<String>,
}

/// What the machine has counted.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Heartbeats sent; each goes to every peer on every path.
    pub sent: u64,
    /// Heartbeats trusted, on all paths.
    pub received: u64,
    /// Heartbeats dropped.
    pub dropped: BTreeMap<Dropped, u64>,
    /// Heartbeats that came later than warntime.
    pub late: u64,
    /// Groups taken.
    pub takeovers: u64,
}

impl Machine {
    /// What is known at `now`.
    #[must_use]
    pub fn status(&self, now: Time) -> Status {
        let now = now.max(self.now);
        let since = |at: Time| now.saturating_sub(at);
        let peers = self.peers.iter().map(|(name, peer)| PeerStatus {
            name: name.clone(),
            priority: self
                .settings
                .peers
                .get(name)
                .map_or(0, |peer| peer.priority),
            liveness: match (peer.alive, peer.death) {
                (true, _) => Liveness::Alive,
                (false, Some(cause)) => Liveness::Dead(cause),
                (false, None) => Liveness::Unknown,
            },
            hears_us: self.hears(peer),
            same_config: peer.same_config,
            differing: peer.differing(),
            stopping: peer.stopping,
            holds: peer.holds(self.settings.deadtime(), now),
            round_trip: peer.round_trip,
            rhythm: peer.rhythm.clone(),
            silence: peer.heard.map(since),
            paths: peer
                .paths
                .iter()
                .map(|path| PathStatus {
                    liveness: match (path.up, path.heard) {
                        (true, _) => Liveness::Alive,
                        (false, Some(_)) => Liveness::Dead(DeathCause::Silence),
                        (false, None) => Liveness::Unknown,
                    },
                    silence: path.heard.map(since),
                    round_trip: path.round_trip,
                    intervals: path.intervals.clone(),
                    late: path.late,
                    lost: path.lost,
                })
                .collect(),
        });
        let groups = self.groups.iter().map(|(name, group)| GroupStatus {
            name: name.clone(),
            role: group.role,
            owner: group.owner.clone(),
            epoch: group.seen,
            fitness: group.fitness(),
            standby: group.standby,
            handing_to: group.offer().map(str::to_owned),
            ready: group.ready,
            since: since(group.since),
            reason: self.reason(group, now),
            rivals: group.rivals.iter().cloned().collect(),
        });
        Status {
            uptime: since(self.born),
            peers: peers.collect(),
            groups: groups.collect(),
            counters: self.counters.clone(),
        }
    }

    /// The peers whose hosts may serve a group still ([`PeerStatus::holds`]).
    pub fn holders(&self, now: Time) -> impl Iterator<Item = &str> {
        let deadtime = self.settings.deadtime();
        let holders = self.peers.iter();
        let holders = holders.filter(move |(_, peer)| peer.holds(deadtime, now));
        holders.map(|(name, _)| name.as_str())
    }

    /// Why this director has its role in a group; of one that nobody has, why it does not take it.
    fn reason(&self, group: &Group, now: Time) -> String {
        match (group.role, &group.owner, &group.vacancy) {
            (Role::Active, _, _) if group.standby => {
                "told to stand by, but no peer is fit and ready".to_owned()
            }
            (Role::Active | Role::Releasing, _, _) => group.why.clone(),
            (Role::Standby, Some(_), _) if group.standby => "told to stand by".to_owned(),
            (Role::Standby, Some(owner), _) => format!("{owner} is active"),
            (Role::Standby, None, Some(vacancy)) => match (vacancy, &self.hold) {
                (Vacancy::Unanswered, Some(hold)) => {
                    let names: Vec<String> = hold.awaiting.iter().cloned().collect();
                    waiting("to answer", &names, hold.until, now)
                }
                _ => vacancy.text(now),
            },
            (Role::Standby, None, None) => group.why.clone(),
        }
    }
}
