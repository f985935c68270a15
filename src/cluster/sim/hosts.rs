//! Hosts and the configurations that they were given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use super::network::Datagram;
use super::{GROUPS, NAMES, timing};
use crate::clock::Time;
use crate::cluster::{Codec, Fitness, Input, Keys, Machine, Settings};
use crate::config::model::{Digest, Failback, HeartbeatTiming};

/// A configuration.
#[derive(Clone)]
pub(super) struct File {
    pub(super) failback: Failback,
    pub(super) preferred: Vec<Option<usize>>,
    /// What it says of each director.
    pub(super) priorities: Vec<u16>,
    pub(super) timing: HeartbeatTiming,
    pub(super) digest: Digest,
}

impl File {
    pub(super) fn draw(rng: &mut Rng, count: usize) -> Self {
        let failback = if rng.bool() {
            Failback::Auto {
                delay: Duration::from_millis(rng.u64(0..400)),
            }
        } else {
            Failback::Manual
        };
        let preferred = GROUPS
            .iter()
            .map(|_| rng.bool().then(|| rng.usize(0..count)))
            .collect();
        // In another file the directors may be ranked the other way round.
        let priorities = match rng.u8(0..4) {
            0 | 1 => (0..count).map(|_| 100).collect(),
            2 => (100..).step_by(10).take(count).collect(),
            _ => (100..)
                .step_by(10)
                .take(count)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect(),
        };
        Self {
            failback,
            preferred,
            priorities,
            timing: Self::draw_timing(rng),
            digest: Digest {
                whole: rng.u64(..).to_be_bytes(),
                ..Digest::default()
            },
        }
    }

    /// Never slower than [`KEEPALIVE`] and [`DEADTIME`], and such that everybody's deadtime is more
    /// than two keepalives of everybody else.
    pub(super) fn draw_timing(rng: &mut Rng) -> HeartbeatTiming {
        if rng.bool() {
            return timing();
        }
        let millis = |range| Duration::from_millis(range);
        HeartbeatTiming {
            keepalive: millis(rng.u64(50..=100)),
            deadtime: millis(rng.u64(230..=300)),
            initdead: millis(rng.u64(600..=1000)),
            ..timing()
        }
    }
}

/// Who understands whom: nobody trusts a heartbeat of another cluster, or one signed with a key
/// that it does not have.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Tongue {
    Ours,
    OtherKey,
    OtherCluster,
}

impl Tongue {
    pub(super) fn cluster(self) -> &'static str {
        match self {
            Self::Ours | Self::OtherKey => "sim",
            Self::OtherCluster => "simile",
        }
    }

    /// A host may sign with the key that is going or with the one that is coming; all verify both.
    pub(super) fn keys(self, changed: bool) -> Keys {
        match (self, changed) {
            (Self::Ours | Self::OtherCluster, false) => Keys::new("secret", ["next"]),
            (Self::Ours | Self::OtherCluster, true) => Keys::new("next", ["secret"]),
            (Self::OtherKey, _) => Keys::new("other", []),
        }
    }
}

pub(super) struct Host {
    pub(super) settings: Settings,
    pub(super) codec: Codec,
    pub(super) tongue: Tongue,
    pub(super) run: Option<Machine>,
    /// Without power it does not even refuse.
    pub(super) power: bool,
    /// Counts its daemon's runs.
    pub(super) generation: u64,
    pub(super) started: Time,
    pub(super) ended: Time,
    pub(super) paused: bool,
    /// What has come in while it was paused, and when.
    pub(super) inbox: Vec<(Time, Datagram)>,
    /// What has come in and was let wait, and when.
    pub(super) waiting: Vec<(Time, Datagram)>,
    pub(super) lateness: Duration,
    /// Its clock is so far ahead of the world's: since boot, and hosts boot when they like.
    pub(super) ahead: Duration,
    /// Groups whose VIPs it has, or is about to have.
    pub(super) holds: BTreeSet<String>,
    /// Those that it only forwards for.
    pub(super) quiet: BTreeSet<String>,
    /// Those whose VIPs are all there.
    pub(super) serves: BTreeSet<String>,
    /// Groups that an operator wants it to leave to others.
    pub(super) standby: BTreeSet<String>,
    /// Since when it reaches none of its targets.
    pub(super) cut_off: Option<Time>,
    /// What its daemon was last told of that.
    pub(super) told_cut_off: bool,
    pub(super) local: BTreeMap<String, Local>,
}

#[derive(Clone, Copy)]
pub(super) struct Local {
    pub(super) fitness: Fitness,
    pub(super) ready: bool,
    pub(super) since: Time,
}

impl Host {
    /// Whether its daemon may read later what another says.
    pub(super) fn lets_wait(&self, other: usize) -> bool {
        let run = self.run.as_ref();
        run.is_some_and(|machine| machine.lets_wait(NAMES[other]))
    }

    /// What the daemon is told of a group: who reaches nothing is unfit for all.
    pub(super) fn told(&self, group: &str, local: Local) -> Input {
        let reaches = self.cut_off.is_none();
        Input::Local {
            group: group.to_owned(),
            fitness: if reaches {
                local.fitness
            } else {
                Fitness::UNFIT
            },
            ready: local.ready,
        }
    }
}
