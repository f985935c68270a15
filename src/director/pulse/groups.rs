//! The groups of this director and where their VIPs are on their way to: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Time;
use crate::config::model::{Config, Vip};
use crate::director::fitness::{Assessment, Circumstances, Reach, Services};

#[cfg(test)]
mod tests;

/// Every group of this director.
#[derive(Debug)]
pub(super) struct Groups {
    groups: BTreeMap<String, Group>,
    /// Until when an earlier run's VIPs may wait for a decision.
    adopted_until: Time,
}

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    /// Its VIPs, in configured order.
    pub(super) vips: Vec<Vip>,
    links: Vec<String>,
    phase: Phase,
    /// How long VIPs are asked for that no director has held lately.
    patience: Duration,
    /// So many of its VIPs, in their order, have been found to have arrived.
    arrived: usize,
    ready: bool,
    services: Services,
    /// What makes this director less than fully fit for it.
    amiss: Vec<String>,
}

/// Where a group's VIPs are on their way to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Left by an earlier run, and nobody has been heard yet who might have them.
    Adopted,
    /// Not here.
    Down,
    /// Being put.
    Raising,
    /// Here.
    Up,
    /// Here to forward, but not answered for: another director is taking the group over.
    Quiet,
    /// Being removed.
    Releasing,
}

/// What the kernel has of a VIP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Whereabouts {
    /// It has the address, wanted or not.
    pub(super) here: bool,
    /// It has it as it is wanted.
    pub(super) present: bool,
    /// It refuses it.
    pub(super) failed: bool,
}

/// A group whose VIPs have arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Arrived {
    /// All of them are here, or cannot be.
    Here(String),
    /// None of them is here any more, or they cannot be removed.
    Gone(String),
    /// Those that were found belong to another director, or to nobody: they are to be removed.
    Foreign(String),
}

/// How well a group can be served here.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Assessed {
    pub(super) group: String,
    pub(super) assessment: Assessment,
    pub(super) ready: bool,
    /// Something else is amiss than before.
    pub(super) news: bool,
}

impl Groups {
    /// The configured groups; none of them is here.
    pub(super) fn new(config: &Config, now: Time) -> Self {
        let groups = config.groups.iter().map(|(name, group)| {
            let group = Group {
                vips: group.vips.clone(),
                links: group.monitor_links.clone(),
                phase: Phase::Down,
                patience: group.ask_first,
                arrived: 0,
                ready: false,
                services: Services::default(),
                amiss: Vec::new(),
            };
            (name.clone(), group)
        });
        Self {
            groups: groups.collect(),
            adopted_until: now + config.heartbeat.initdead,
        }
    }

    /// Keeps VIPs that an earlier run has left until it is known whose they are. Returns, of the
    /// groups that have any, which.
    pub(super) fn adopt(
        &mut self,
        is_here: impl Fn(&Vip) -> bool,
    ) -> BTreeMap<String, BTreeSet<Vip>> {
        let mut adopted = BTreeMap::new();
        for (name, group) in &mut self.groups {
            let here = group.vips.iter().filter(|vip| is_here(vip));
            let here: BTreeSet<Vip> = here.cloned().collect();
            if !here.is_empty() {
                group.phase = Phase::Adopted;
                adopted.insert(name.clone(), here);
            }
        }
        adopted
    }

    /// A group is this director's: its VIPs are to be put.
    pub(super) fn raise(&mut self, name: &str) {
        self.enter(name, Phase::Raising);
    }

    /// A group is offered to another director: its VIPs are to be quiet.
    pub(super) fn quiet(&mut self, name: &str) {
        self.enter(name, Phase::Quiet);
    }

    /// A group is left: its VIPs are to be removed.
    pub(super) fn release(&mut self, name: &str) {
        self.enter(name, Phase::Releasing);
    }

    /// The VIPs of a group, in configured order; none if there is no such group.
    pub(super) fn vips(&self, name: &str) -> &[Vip] {
        self.groups
            .get(name)
            .map_or(&[], |group| group.vips.as_slice())
    }

    /// The groups whose VIPs are here or on their way.
    pub(super) fn held(&self) -> impl Iterator<Item = (&String, &Group)> {
        let is_held = |group: &Group| matches!(group.phase, Phase::Raising | Phase::Up);
        self.groups.iter().filter(move |(_, group)| is_held(group))
    }

    /// Whether packets may come here to be spread: for a group that is here, arrives, or is offered.
    /// Not for one that is left: by then another director has announced itself, or nobody serves it.
    pub(super) fn balances(&self) -> bool {
        self.groups.values().any(|group| match group.phase {
            Phase::Adopted | Phase::Raising | Phase::Up | Phase::Quiet => true,
            Phase::Down | Phase::Releasing => false,
        })
    }

    /// How long a group's VIPs are asked for before they are put when no director has held them
    /// lately.
    pub(super) fn patience(&self, name: &str) -> Duration {
        self.groups
            .get(name)
            .map_or(Duration::ZERO, |group| group.patience)
    }

    /// Every group with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.groups.iter()
    }

    /// Whether a group's probes have run and its table is programmed, and what has become of its
    /// services.
    pub(super) fn set_ready(&mut self, name: &str, ready: bool, services: Services) {
        if let Some(group) = self.groups.get_mut(name) {
            group.ready = ready;
            group.services = services;
        }
    }

    /// How well each group can be served here now.
    pub(super) fn assess(
        &mut self,
        reach: Option<Reach>,
        is_up: impl Fn(&str) -> bool,
    ) -> Vec<Assessed> {
        let assess = |(name, group): (&String, &mut Group)| {
            let links = group.links.iter().map(String::as_str);
            let circumstances = Circumstances {
                links_down: links.filter(|link| !is_up(link)).collect(),
                reach,
                services: group.services,
            };
            let assessment = circumstances.assess();
            let news = group.amiss != assessment.amiss;
            group.amiss.clone_from(&assessment.amiss);
            Assessed {
                group: name.clone(),
                assessment,
                ready: group.ready,
                news,
            }
        };
        self.groups.iter_mut().map(assess).collect()
    }

    /// What makes this director less than fully fit, by group.
    pub(super) fn amiss(&self) -> BTreeMap<String, Vec<String>> {
        self.groups
            .iter()
            .map(|(name, group)| (name.clone(), group.amiss.clone()))
            .collect()
    }

    /// Moves groups on whose VIPs have arrived. `whereabouts` is asked about VIPs on their way, and
    /// `owned`, whether some director has a group, while VIPs of an earlier run wait.
    pub(super) fn advance(
        &mut self,
        whereabouts: impl Fn(&Vip) -> Whereabouts,
        owned: impl Fn(&str) -> bool,
        now: Time,
    ) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        for (name, group) in &mut self.groups {
            match group.phase {
                Phase::Raising => {
                    if group.all(|vip| {
                        let vip = whereabouts(vip);
                        vip.present || vip.failed
                    }) {
                        group.phase = Phase::Up;
                        arrived.push(Arrived::Here(name.clone()));
                    }
                }
                Phase::Releasing => {
                    if group.all(|vip| {
                        let vip = whereabouts(vip);
                        !vip.here || vip.failed
                    }) {
                        group.phase = Phase::Down;
                        arrived.push(Arrived::Gone(name.clone()));
                    }
                }
                Phase::Adopted => {
                    if now >= self.adopted_until || owned(name) {
                        group.phase = Phase::Down;
                        arrived.push(Arrived::Foreign(name.clone()));
                    }
                }
                Phase::Down | Phase::Up | Phase::Quiet => {}
            }
        }
        arrived
    }

    /// Whether VIPs of an earlier run wait for a decision.
    pub(super) fn is_adopting(&self) -> bool {
        self.groups
            .values()
            .any(|group| group.phase == Phase::Adopted)
    }

    /// When [`advance`](Self::advance) has something to do though nothing happens.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.is_adopting().then_some(self.adopted_until)
    }

    fn enter(&mut self, name: &str, phase: Phase) {
        if let Some(group) = self.groups.get_mut(name) {
            group.phase = phase;
            group.arrived = 0;
        }
    }
}

impl Group {
    /// Whether all VIPs have arrived. Those that have are looked at again only with the last: there
    /// may be thousands, a few of which arrive with each turn.
    fn all(&mut self, has_arrived: impl Fn(&Vip) -> bool) -> bool {
        let rest = self.vips.iter().skip(self.arrived);
        self.arrived += rest.take_while(|vip| has_arrived(vip)).count();
        if self.arrived < self.vips.len() {
            return false;
        }
        self.arrived = self.vips.iter().take_while(|vip| has_arrived(vip)).count();
        self.arrived == self.vips.len()
    }
}
