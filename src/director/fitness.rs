//! How well this director can serve a group, and what is amiss if not fully: pure.
//!
//! Zero is unfit. What makes a group unservable from here makes the director unfit; what only
//! makes it served worse takes a share of the full value away, so that of two directors the one
//! with less amiss is preferred. Two directors compare these numbers, so they mean the same on
//! both: they depend on the configuration and on what is found, and on nothing else.

#[cfg(test)]
mod tests;

use crate::cluster::Fitness;

/// What is known here that bears on one group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Circumstances<'a> {
    /// Monitored interfaces without a carrier.
    pub(super) links_down: Vec<&'a str>,
}

/// How well a group can be served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Assessment {
    /// What the peers are told.
    pub(super) fitness: Fitness,
    /// What is amiss, each in a few words; empty when the fitness is full.
    pub(super) amiss: Vec<String>,
}

impl Circumstances<'_> {
    /// The fitness that these circumstances make, and why.
    pub(super) fn assess(&self) -> Assessment {
        let mut fitness = Fitness::FULL;
        let mut amiss = Vec::new();
        for link in &self.links_down {
            fitness = Fitness::UNFIT;
            amiss.push(format!("{link} has no carrier"));
        }
        Assessment { fitness, amiss }
    }
}
