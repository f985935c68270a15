//! What must hold, whatever happens.

mod heard;
mod moves;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::hosts::Host;
use super::network::Datagram;
use super::{GROUPS, KEEPALIVE, MAX_DELAY, MAX_LATENESS, MAX_RELEASE, NAMES, World};
use crate::clock::Time;
use crate::cluster::event::{DeathCause, Left};
use crate::cluster::heartbeat::{Heartbeat, Role};

/// Within so long whoever is offered a group claims it, on a good day.
pub(super) const CLAIM: Time = MAX_DELAY.saturating_add(MAX_LATENESS).saturating_mul(2);

/// So many heartbeats a director sends within a keepalive at most. Five that were apart and are
/// together again, each with something to say of two groups to each, with an operator's wish
/// beside, have been seen to need 41; where each answers the others' answers, it is thousands.
const MOST_SAID: usize = 80;

/// What has been seen so far.
#[derive(Default)]
pub(super) struct Checks {
    /// Trusted copies, by receiver's run.
    trusted: BTreeSet<(usize, u64, u64)>,
    /// Newest run of a sender that a receiver's run has trusted.
    generations: BTreeMap<(usize, u64, usize), u64>,
    /// Newest epoch that a run has heard or claimed.
    epochs: BTreeMap<(usize, u64, String), u64>,
    /// Whom a run has last heard another name as owner, and when.
    hearsay: BTreeMap<(usize, u64, usize, String), Hearsay>,
    /// What is being told to a run right now.
    pub(super) hearing: Option<(Datagram, Heartbeat)>,
    /// When a director that had just begun to know its peers took a group.
    pub(super) began: BTreeMap<(usize, String), Time>,
    /// When a director was last active.
    active: BTreeMap<(usize, &'static str), Time>,
    /// Two that are active and hear each other.
    conflicts: BTreeMap<(usize, usize, &'static str), Conflict>,
    /// Since when one that is active hears another that is.
    heard_rival: BTreeMap<(usize, usize, &'static str), (Time, Time)>,
    /// By when somebody must have taken a group that was left in good order.
    due: BTreeMap<String, Time>,
    stopping: BTreeSet<(usize, u64)>,
    /// Runs that have just been resumed and have not spoken yet.
    resumed: BTreeSet<usize>,
    paused: BTreeMap<usize, Time>,
    woken: BTreeMap<usize, Time>,
    /// When somebody's fitness or readiness last changed, or else a reason to wait ended for several
    /// at once.
    local: Time,
    /// What operators wait for: from whom, and about which group.
    asked: BTreeMap<u64, (usize, u64, Option<String>)>,
    /// Whose clock has leapt.
    pub(super) leapt: BTreeSet<usize>,
    /// Of whom a director has been told falsely that it does not run.
    pub(super) slandered: BTreeSet<(usize, usize)>,
    /// When somebody was last killed.
    disorder: Time,
    /// Who has handed a group over by command, has not had it since, and when.
    declined: BTreeMap<(usize, u64, String), Time>,
    /// When another took what each gives away.
    claimed: BTreeMap<(usize, &'static str), Time>,
    /// Since when a run has heard nobody.
    alone: BTreeMap<(usize, u64), Time>,
    /// Why the last one left each group.
    left: BTreeMap<(usize, String), Left>,
    /// What each has said within the last keepalive.
    said: BTreeMap<usize, VecDeque<Time>>,
}

/// The owner that was named, and when.
type Hearsay = (Option<String>, Time);

#[derive(Clone, Copy)]
struct Conflict {
    since: Time,
    /// Whether each has heard since that the other is active.
    told: [bool; 2],
}

/// The name of a group for as long as the program runs, so that what is asked in each step need
/// not be copied.
pub(super) fn name_of(group: &str) -> &'static str {
    let same = |name: &&&str| ***name == *group;
    GROUPS.iter().find(same).copied().unwrap_or_default()
}

impl Checks {
    pub(super) fn paused_at(&self, host: usize) -> Time {
        self.paused.get(&host).copied().unwrap_or_default()
    }

    /// Somebody is killed, who may have been about to take what was left in good order.
    pub(super) fn left_to_the_dead(&mut self, now: Time) {
        self.disorder = now;
        self.due.clear();
    }

    /// Somebody may or can no longer take what was offered to it: whoever has offered it takes it
    /// back, as soon as it hears that.
    fn refused(&mut self, group: &str, now: Time) {
        if let Some(due) = self.due.get_mut(group) {
            *due = (*due).max(now + CLAIM);
        }
    }

    pub(super) fn stopping(&mut self, host: usize, generation: u64) {
        self.stopping.insert((host, generation));
    }
}

impl Host {
    /// Whether it can serve the group, and shall.
    fn is_fit(&self, group: &str) -> bool {
        !self.standby.contains(group) && self.can_serve(group)
    }

    /// Whether it can serve the group.
    fn can_serve(&self, group: &str) -> bool {
        let local = self.local.get(group);
        self.cut_off.is_none() && local.is_some_and(|local| local.fitness.is_fit())
    }

    /// Whether it has been told that it cannot.
    fn knows_unfit(&self, group: &str) -> bool {
        let run = self.run.as_ref();
        run.is_some_and(|machine| !machine.groups[group].fitness.is_fit())
    }
}

impl World {
    fn role(&self, host: usize, group: &str) -> Option<Role> {
        self.hosts[host].run.as_ref().map(|m| m.groups[group].role)
    }

    fn is_active(&self, host: usize, group: &str) -> bool {
        self.role(host, group) == Some(Role::Active)
    }

    /// Whether two have the same cluster and keys.
    fn understand(&self, a: usize, b: usize) -> bool {
        self.hosts[a].tongue == self.hosts[b].tongue
    }

    /// The others that it understands.
    fn peers_of(&self, i: usize) -> impl Iterator<Item = usize> {
        (0..self.hosts.len()).filter(move |j| *j != i && self.understand(i, *j))
    }

    fn machine_hears(&self, host: usize, other: usize) -> bool {
        self.hosts[host].run.as_ref().is_some_and(|m| {
            let peer = &m.peers[NAMES[other]];
            peer.alive
                && peer.hears(
                    self.hosts[host].settings.timing.deadtime,
                    self.host_now(host),
                )
        })
    }

    /// Whether everybody knows how well everybody can serve: two that become better at the same
    /// moment may both take a group that is free.
    fn is_told(&self) -> bool {
        self.checks.local + 2 * MAX_DELAY + MAX_RELEASE < self.now
    }

    /// One that was told that it reaches nothing, and hears nobody, serves beside nobody.
    fn check_cut_off(&mut self, i: usize) -> Result<(), String> {
        let host = &self.hosts[i];
        let Some((machine, cut_off)) = host.run.as_ref().zip(host.cut_off) else {
            return Ok(());
        };
        let key = (i, host.generation);
        let hears = machine.peers.values().any(|peer| peer.alive);
        let silent = machine
            .peers
            .values()
            .any(|peer| peer.death == Some(DeathCause::Silence));
        if hears || !silent || host.paused {
            self.checks.alone.remove(&key);
            return Ok(());
        }
        let alone = *self.checks.alone.entry(key).or_insert(self.now);
        let long = alone.max(cut_off) + KEEPALIVE + 2 * MAX_LATENESS;
        for group in GROUPS {
            let other = |j: &usize| *j != i && self.is_active(*j, group);
            if self.now > long
                && self.is_active(i, group)
                && let Some(other) = (0..self.hosts.len()).find(other)
            {
                return Err(format!(
                    "{} serves {group} cut off, and so does {}",
                    NAMES[i], NAMES[other]
                ));
            }
        }
        Ok(())
    }

    /// After every step.
    pub(super) fn check_always(&mut self) -> Result<(), String> {
        for i in 0..self.hosts.len() {
            self.check_cut_off(i)?;
        }
        for group in GROUPS {
            let holds = |i: &usize| {
                self.hosts[*i].holds.contains(group) && !self.hosts[*i].quiet.contains(group)
            };
            let hosts = 0..self.hosts.len();
            let clash = hosts.clone().find_map(|a| {
                let with = |b: &usize| holds(b) && self.understand(a, *b);
                let b = holds(&a).then(|| (a + 1..hosts.end).find(with))??;
                Some([a, b])
            });
            if let Some(both) = clash
                && self.is_clean()
                && self.is_told()
                && !self.has_crossed(both, group)
            {
                let both = both.map(|i| NAMES[i]);
                return Err(format!("{both:?} hold {group} on a good network"));
            }
            if let Some(due) = self.checks.due.get(group).copied()
                && self.now > due
            {
                self.checks.due.remove(group);
                if self.is_clean() {
                    return Err(format!("nobody took {group}, which was left in good order"));
                }
            }
            for a in 0..self.hosts.len() {
                if self.is_active(a, group) {
                    self.checks.active.insert((a, group), self.now);
                }
                for b in a + 1..self.hosts.len() {
                    self.check_conflict(a, b, group)?;
                }
            }
        }
        Ok(())
    }

    /// Whether one took a group as it began, and the other while that claim was on its way: each
    /// before it could know, and one of them is about to leave it again.
    fn has_crossed(&self, both: [usize; 2], group: &str) -> bool {
        let took = both.map(|i| {
            let mut moves = self.report.moves.iter().rev();
            let last = moves.find(|(_, who, what, takes)| *who == i && what == group && *takes);
            last.map(|(at, ..)| *at)
        });
        let [Some(one), Some(other)] = took else {
            return false;
        };
        let began = both.iter().zip([one, other]).any(|(i, at)| {
            let began = self.checks.began.get(&(*i, group.to_owned()));
            began == Some(&at)
        });
        let travel = MAX_DELAY + MAX_LATENESS;
        let last = one.max(other);
        began && last - one.min(other) <= travel && self.now <= last + travel + MAX_RELEASE
    }

    fn check_conflict(&mut self, a: usize, b: usize, group: &'static str) -> Result<(), String> {
        let key = (a, b, group);
        let both = self.is_active(a, group) && self.is_active(b, group);
        if !both || self.hosts[a].paused || self.hosts[b].paused {
            self.checks.heard_rival.remove(&key);
            self.checks.heard_rival.remove(&(b, a, group));
        }
        if !both || !self.machine_hears(a, b) || !self.machine_hears(b, a) {
            self.checks.conflicts.remove(&key);
            return Ok(());
        }
        let fresh = Conflict {
            since: self.now,
            told: [false; 2],
        };
        let conflict = self.checks.conflicts.entry(key).or_insert(fresh);
        if conflict.told == [true; 2] {
            return Err(format!("{} and {} both keep {group}", NAMES[a], NAMES[b]));
        }
        Ok(())
    }

    /// When an operator has asked for something.
    pub(super) fn note_asked(&mut self, id: u64, host: usize, group: Option<String>) {
        let generation = self.hosts[host].generation;
        self.checks.asked.insert(id, (host, generation, group));
    }

    pub(super) fn note_resumed(&mut self, i: usize) {
        self.checks.resumed.insert(i);
        self.checks.woken.insert(i, self.now);
    }

    pub(super) fn note_paused(&mut self, i: usize) {
        self.checks.paused.insert(i, self.now);
    }

    /// Ranks have changed: what was heard before does not bind.
    pub(super) fn note_local(&mut self, host: usize, group: &str) {
        self.checks.local = self.now;
        if !self.hosts[host].is_fit(group) {
            self.checks.refused(group, self.now);
        }
        self.checks
            .conflicts
            .retain(|(a, b, g), _| *g != group || (*a != host && *b != host));
        self.checks
            .heard_rival
            .retain(|(a, b, g), _| *g != group || (*a != host && *b != host));
    }

    /// When everything has been mended for long enough.
    pub(super) fn check_settled(&self) -> Result<(), String> {
        self.check_believed()?;
        for (host, generation, group) in self.checks.asked.values() {
            if self.hosts[*host].generation == *generation {
                return Err(format!(
                    "at the end {} owes an answer of {group:?}",
                    NAMES[*host]
                ));
            }
        }
        for group in GROUPS {
            for (i, host) in self.hosts.iter().enumerate() {
                let Some(machine) = &host.run else {
                    return Err("not running".to_owned());
                };
                let active: Vec<&str> = (0..self.hosts.len())
                    .filter(|j| self.understand(i, *j))
                    .filter(|j| self.is_active(*j, group) && self.hosts[*j].holds.contains(group))
                    .map(|j| NAMES[j])
                    .collect();
                if active.len() != 1 {
                    return Err(format!("at the end {active:?} are active in {group}"));
                }
                let owner = machine.groups[group].owner.as_deref();
                if owner != active.first().copied() {
                    return Err(format!("at the end {} sees {owner:?} in {group}", NAMES[i]));
                }
                if let Some(deaf) = self
                    .peers_of(i)
                    .find(|j| !machine.peers[NAMES[*j]].hears_us)
                {
                    let (deaf, to) = (NAMES[deaf], NAMES[i]);
                    return Err(format!("at the end {deaf} does not hear {to}"));
                }
            }
        }
        Ok(())
    }

    /// Clients and routers find the owner.
    fn check_believed(&self) -> Result<(), String> {
        for (group, believed) in &self.believed {
            if !self.is_active(*believed, group) {
                let believed = NAMES[*believed];
                return Err(format!(
                    "at the end neighbours believe {group} to be at {believed}"
                ));
            }
        }
        Ok(())
    }
}
