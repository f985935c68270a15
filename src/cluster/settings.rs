//! What the machine needs to know of the configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::model::{Config, Digest, Failback, HeartbeatTiming};

/// The part of the configuration that decides about life and ownership.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Settings {
    /// The cluster's name.
    pub cluster: String,
    /// This director's name.
    pub node: String,
    /// This director's priority.
    pub priority: u16,
    /// How many paths there are; path `i` leads to every peer.
    pub paths: usize,
    /// Keepalive and dead times.
    pub timing: HeartbeatTiming,
    /// Every other director, by name.
    pub peers: BTreeMap<String, PeerSettings>,
    /// Every group, by name.
    pub groups: BTreeMap<String, GroupSettings>,
    /// What this director runs.
    pub digest: Digest,
}

/// A peer, as configured.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PeerSettings {
    /// More is preferred. Shown until the peer tells its own.
    pub priority: u16,
}

/// A group, as far as ownership goes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupSettings {
    /// When it goes back to a better director.
    pub failback: Failback,
    /// Whether this director is the preferred one.
    pub preferred: bool,
}

impl Settings {
    /// The settings of the director `node`; `None` when the configuration has no such director.
    #[must_use]
    pub fn new(config: &Config, node: &str) -> Option<Self> {
        let own = config.directors.get(node)?;
        let peers = config
            .directors
            .iter()
            .filter(|(name, _)| *name != node)
            .map(|(name, peer)| {
                (
                    name.clone(),
                    PeerSettings {
                        priority: peer.priority,
                    },
                )
            })
            .collect();
        let groups = config
            .groups
            .iter()
            .map(|(name, group)| {
                let preferred = group.prefer.as_deref() == Some(node);
                (
                    name.clone(),
                    GroupSettings {
                        failback: group.failback,
                        preferred,
                    },
                )
            })
            .collect();
        Some(Self {
            cluster: config.cluster.name.clone(),
            node: node.to_owned(),
            priority: own.priority,
            paths: own.paths.len(),
            timing: config.heartbeat,
            peers,
            groups,
            digest: config.digest,
        })
    }

    pub(super) fn keepalive(&self) -> Duration {
        self.timing.keepalive
    }

    pub(super) fn deadtime(&self) -> Duration {
        self.timing.deadtime
    }

    /// By how much a heartbeat may come later than a keepalive after the one before: an eighth of
    /// it, if nobody warns of that, and no single loss after it looks like death.
    pub(super) fn patience(&self) -> Duration {
        let HeartbeatTiming {
            keepalive,
            warntime,
            deadtime,
            ..
        } = self.timing;
        let until_warned = warntime.saturating_sub(keepalive) / 2;
        let until_dead = deadtime.saturating_sub(keepalive * 2) / 2;
        (keepalive / 8).min(until_warned).min(until_dead)
    }
}
