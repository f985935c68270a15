//! What directors tell each other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::model::Digest;

/// The Ethernet address of an interface.
pub type Station = [u8; 6];

/// A director's word about itself, sent on every path at every keepalive.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Heartbeat {
    /// The director that speaks.
    pub sender: String,
    /// A random number that it drew when it started.
    pub session: u64,
    /// Grows by one with each heartbeat of the session; the copies on several paths share it.
    pub counter: u64,
    /// Time since the session began, by the sender's clock; whole microseconds.
    pub clock: Duration,
    /// What it runs.
    pub digest: Digest,
    /// It stops, and will not take any group.
    pub stopping: bool,
    /// Whoever hears this shall say so at once, in a heartbeat that does not ask for the same.
    pub answer: bool,
    /// What it has heard last, from each director that it has heard.
    pub echoes: BTreeMap<String, Echo>,
    /// Its part in each group.
    pub claims: BTreeMap<String, Claim>,
    /// Where it answers for VIPs, or would: by that it is known when it does so and should not.
    #[serde(default)]
    pub stations: BTreeSet<Station>,
}

/// The last heartbeat that the sender has heard from a peer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Echo {
    /// The peer's session.
    pub session: u64,
    /// The peer's counter.
    pub counter: u64,
    /// How long ago it was heard; whole microseconds, at most about 71 minutes.
    pub held: Duration,
}

/// The sender's part in one group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Claim {
    /// Whether it holds the group.
    pub role: Role,
    /// Of an active director: the epoch of its claim. Of any other: the newest it knows of.
    pub epoch: u64,
    /// How well it could serve the group.
    pub standing: Standing,
    /// Whom the sender itself hears being active in the group, if not itself.
    pub owner: Option<String>,
    /// To whom the sender, which is releasing the group, gives it: it shall take it at once.
    pub offer: Option<String>,
    /// The sender holds the group, but somebody who is no director has VIPs of it.
    #[serde(default)]
    pub partial: bool,
}

/// A director's part in a group.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Does not hold the VIPs.
    Standby,
    /// Holds the VIPs.
    Active,
    /// Leaves. With an offer: still forwards, but does not answer for the VIPs any more, and whom
    /// it offers the group to shall take it. Without: takes the VIPs off, or is about to, and
    /// another may have the group once it says `Standby`.
    Releasing,
}

/// Whether, and how well, a director can serve a group.
///
/// Zero is unfit. The director computes it from links, reachability and its own services.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Fitness(pub u16);

impl Fitness {
    /// Cannot serve.
    pub const UNFIT: Self = Self(0);
    /// Nothing is amiss.
    pub const FULL: Self = Self(1000);

    /// Whether it can serve at all.
    #[must_use]
    pub fn is_fit(self) -> bool {
        self > Self::UNFIT
    }
}

/// What ranks a director among the candidates for a group. It travels with every claim, so that
/// two directors with unequal files still agree on who is better.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Standing {
    /// How well it can serve.
    pub fitness: Fitness,
    /// Its probes have all run and its table is programmed.
    pub ready: bool,
    /// The group's configuration prefers it.
    pub preferred: bool,
    /// Its configured priority.
    pub priority: u16,
    /// An operator has handed the group over from it: no failback to it.
    pub declines: bool,
}

/// Orders candidates; the greatest is the best. The name makes it total.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rank<'a> {
    fit: bool,
    ready: bool,
    fitness: Fitness,
    preferred: bool,
    priority: u16,
    name: Reverse<&'a str>,
}

impl Standing {
    /// The place of the director `name` with this standing.
    #[must_use]
    pub fn rank(self, name: &str) -> Rank<'_> {
        Rank {
            fit: self.fitness.is_fit(),
            ready: self.ready,
            fitness: self.fitness,
            preferred: self.preferred,
            priority: self.priority,
            name: Reverse(name),
        }
    }

    /// Whether a group should go back from a director of `other` standing to one of this: names
    /// and passing unreadiness are no reason to move.
    #[must_use]
    pub fn deserves_over(self, other: Self) -> bool {
        (self.fitness, self.preferred, self.priority)
            > (other.fitness, other.preferred, other.priority)
    }
}
