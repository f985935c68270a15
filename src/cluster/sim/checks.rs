//! What must hold, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    DEADTIME, Datagram, GROUPS, Host, KEEPALIVE, MAX_DELAY, MAX_LATENESS, MAX_RELEASE, NAMES,
    Tongue, World,
};
use crate::clock::Time;
use crate::cluster::event::{Answer, DeathCause, Left, Taken};
use crate::cluster::heartbeat::{Heartbeat, Role};
use crate::cluster::ownership::LINGER;

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
    pub(super) disorder: Time,
    /// Who has handed a group over by command, has not had it since, and when.
    declined: BTreeMap<(usize, u64, String), Time>,
    /// When another took what each gives away.
    claimed: BTreeMap<(usize, &'static str), Time>,
    /// Since when a run has heard nobody.
    alone: BTreeMap<(usize, u64), Time>,
    /// Why the last one left each group.
    left: BTreeMap<(usize, String), Left>,
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
fn name_of(group: &str) -> &'static str {
    let same = |name: &&&str| ***name == *group;
    GROUPS.iter().find(same).copied().unwrap_or_default()
}

impl Checks {
    pub(super) fn paused_at(&self, host: usize) -> Time {
        self.paused.get(&host).copied().unwrap_or_default()
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
                Some((NAMES[a], NAMES[b]))
            });
            if let Some(both) = clash
                && self.is_clean()
                && self.is_told()
            {
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

    /// When a machine has trusted a datagram.
    pub(super) fn check_trusted(&mut self, d: &Datagram, h: &Heartbeat) -> Result<(), String> {
        let generation = self.hosts[d.to].generation;
        let told = |what: &str| {
            Err(format!(
                "{:?}: {} trusts {} of {what}",
                self.now, NAMES[d.to], NAMES[d.from]
            ))
        };
        if !self.understand(d.from, d.to) {
            return told("another cluster");
        }
        if !self.checks.trusted.insert((d.to, generation, d.id)) {
            return told("a datagram it had before");
        }
        // A heartbeat may be late, and what its lateness is measured by was late itself.
        // After a leap of a clock it lies: a recorded one may look young until the next proof.
        let clocks_run = !self.checks.leapt.contains(&d.from) && !self.checks.leapt.contains(&d.to);
        if d.sent + 2 * DEADTIME + Duration::from_millis(100) < self.now && clocks_run {
            return told("long ago");
        }
        let newest = self
            .checks
            .generations
            .entry((d.to, generation, d.from))
            .or_default();
        if d.generation < *newest {
            return told("a former run");
        }
        *newest = d.generation;
        for (group, claim) in &h.claims {
            let epoch = self
                .checks
                .epochs
                .entry((d.to, generation, group.clone()))
                .or_default();
            *epoch = claim.epoch.max(*epoch);
            let key = (d.to, generation, d.from, group.clone());
            let known = self.checks.hearsay.entry(key).or_default();
            if d.sent >= known.1 {
                *known = (claim.owner.clone(), d.sent);
            }
            let pair = (d.to.min(d.from), d.to.max(d.from), name_of(group));
            if claim.role == Role::Active
                && let Some(conflict) = self.checks.conflicts.get_mut(&pair)
                && d.sent >= conflict.since
            {
                conflict.told[usize::from(d.to > d.from)] = true;
            }
            if claim.role == Role::Active
                && self.is_active(d.to, group)
                && self.is_active(d.from, group)
            {
                let key = (d.to, d.from, name_of(group));
                let rival = self
                    .checks
                    .heard_rival
                    .entry(key)
                    .or_insert((self.now, self.now));
                if self.now > rival.1 + DEADTIME {
                    *rival = (self.now, self.now);
                }
                rival.1 = self.now;
                if self.now > rival.0 + 3 * DEADTIME {
                    return told("its claim for long, and does not leave");
                }
            }
        }
        Ok(())
    }

    /// When a machine speaks.
    pub(super) fn check_said(&mut self, i: usize, heartbeat: &Heartbeat) -> Result<(), String> {
        if !self.checks.resumed.remove(&i) {
            return Ok(());
        }
        for (group, claim) in &heartbeat.claims {
            let recently = self.now.saturating_sub(3 * KEEPALIVE);
            let active_since = |j: usize| {
                let host = &self.hosts[j];
                let group = &host.run.as_ref()?.groups[group];
                (group.role == Role::Active).then(|| group.since.saturating_sub(host.ahead))
            };
            let other = (0..self.hosts.len())
                .find(|j| *j != i && active_since(*j).is_some_and(|since| since < recently));
            // Where it had been active long before, this is a conflict, not a pause.
            if let Some(other) = other
                && claim.role == Role::Active
                && self.checks.paused.get(&i).is_some_and(|at| {
                    active_since(other).is_some_and(|since| since > *at)
                        && self.now.saturating_sub(*at) > DEADTIME + KEEPALIVE
                })
            {
                return Err(format!("{} serves {group} after a pause", NAMES[i]));
            }
        }
        Ok(())
    }

    /// When a machine takes a group.
    pub(super) fn check_taken(
        &mut self,
        i: usize,
        group: &str,
        epoch: u64,
        why: &Taken,
    ) -> Result<(), String> {
        let told = |what: String| {
            Err(format!(
                "{:?}: {} takes {group} ({why:?}) {what}",
                self.now, NAMES[i]
            ))
        };
        self.checks.due.remove(group);
        self.checks.active.insert((i, name_of(group)), self.now);
        // Who waits for one that is never heard waits as long as its own file says, and passes over
        // a better candidate after that: two may do so at one moment.
        let strangers = self.hosts.iter().any(|host| host.tongue != Tongue::Ours);
        if *why == Taken::Start && strangers {
            self.checks.local = self.now;
        }
        for j in self.peers_of(i).collect::<Vec<_>>() {
            if self.hosts[j].quiet.contains(group) {
                let key = (j, name_of(group));
                self.checks.claimed.entry(key).or_insert(self.now);
            }
        }
        let generation = self.hosts[i].generation;
        let key = (i, generation, group.to_owned());
        self.checks.declined.remove(&key);
        let host = &self.hosts[i];
        let newest = self
            .checks
            .epochs
            .entry((i, host.generation, group.to_owned()))
            .or_default();
        if epoch <= *newest {
            return told(format!("with epoch {epoch} after {newest}"));
        }
        *newest = epoch;
        if host.standby.contains(group) && *why != Taken::Unclaimed {
            return told("though it stands by".to_owned());
        }
        // What nobody claims stays where it was, with whoever is there.
        if *why != Taken::Unclaimed && host.knows_unfit(group) {
            let long_ago = self.now.saturating_sub(Duration::from_millis(3500));
            let fit = self.hosts.iter().enumerate().position(|(j, other)| {
                other.run.is_some()
                    && self.understand(i, j)
                    && !self.checks.slandered.contains(&(i, j))
                    && !self.checks.stopping.contains(&(j, other.generation))
                    && !other.paused
                    && other.started < long_ago
                    && other.is_fit(group)
                    && other.local[group].since < long_ago
            });
            if let Some(fit) = fit {
                return told(format!("though unfit, and {} is fit", NAMES[fit]));
            }
        }
        for j in (0..self.hosts.len()).filter(|j| *j != i) {
            if let Some((owner, sent)) = self.heard_owner(i, j, group)
                && let Some(third) = NAMES.iter().position(|name| *name == owner)
                && third != i
                && sent + DEADTIME > self.now
                && self.hosts[i]
                    .run
                    .as_ref()
                    .is_some_and(|m| m.peers[NAMES[j]].alive)
                && self.is_active(third, group)
                && *why == (Taken::Silence { of: owner.clone() })
            {
                return told(format!("though {} hears {owner}", NAMES[j]));
            }
        }
        Ok(())
    }

    /// Whom `i` has heard `j` name as owner, in a heartbeat sent when.
    fn heard_owner(&self, i: usize, j: usize, group: &str) -> Option<(String, Time)> {
        let generation = self.hosts[i].generation;
        let key = (i, generation, j, group.to_owned());
        let (owner, sent) = self.checks.hearsay.get(&key)?;
        if let Some((datagram, heartbeat)) = &self.checks.hearing
            && (datagram.to, datagram.from) == (i, j)
            && datagram.sent > *sent
        {
            return Some((heartbeat.claims.get(group)?.owner.clone()?, datagram.sent));
        }
        Some((owner.clone()?, *sent))
    }

    /// When a machine leaves a group: there must be a cause.
    pub(super) fn check_left(&mut self, i: usize, group: &str, why: &Left) -> Result<(), String> {
        let told = |what: &str| {
            Err(format!(
                "{:?}: {} leaves {group} ({why:?}) {what}",
                self.now, NAMES[i]
            ))
        };
        let index = |name: &String| NAMES.iter().position(|n| n == name).unwrap_or(i);
        self.checks.left.insert((i, group.to_owned()), why.clone());
        match why {
            Left::Stop => {
                if !self
                    .checks
                    .stopping
                    .contains(&(i, self.hosts[i].generation))
                {
                    return told("and was not asked to");
                }
            }
            Left::Unfit { to }
            | Left::Failback { to }
            | Left::Standby { to }
            | Left::Command { to } => {
                let other = self.hosts[index(to)].local[group];
                let woken = self
                    .checks
                    .woken
                    .get(&index(to))
                    .copied()
                    .unwrap_or_default();
                let since = other.since.max(woken);
                let settled = since + 2 * DEADTIME + 2 * KEEPALIVE < self.now;
                if settled && (!other.ready || !self.hosts[index(to)].can_serve(group)) {
                    return told("to one that is not ready");
                }
                let to = index(to);
                if matches!(why, Left::Command { .. }) {
                    let key = (i, self.hosts[i].generation, group.to_owned());
                    self.checks.declined.insert(key, self.now);
                }
                let declined = (to, self.hosts[to].generation, group.to_owned());
                let declined = self.checks.declined.get(&declined);
                let told_long_ago = self.now.saturating_sub(DEADTIME);
                if matches!(why, Left::Failback { .. })
                    && declined.is_some_and(|at| *at < told_long_ago)
                    && self.is_clean()
                {
                    return told("to one that has given it away by command");
                }
                if matches!(why, Left::Unfit { .. }) && self.hosts[i].can_serve(group) {
                    return told("and is fit");
                }
                if matches!(why, Left::Standby { .. }) && !self.hosts[i].standby.contains(group) {
                    return told("and was not told to");
                }
                let asked = |(host, _, asked): &(usize, u64, Option<String>)| {
                    *host == i && asked.as_deref() == Some(group)
                };
                if matches!(why, Left::Command { .. }) && !self.checks.asked.values().any(asked) {
                    return told("and nobody has asked for it");
                }
            }
            Left::Conflict { rival } | Left::Deaf { rival } => {
                if self.is_clean() && self.is_told() {
                    return told("on a good network");
                }
                let active = self.checks.active.get(&(index(rival), name_of(group)));
                if active.is_none_or(|at| *at + 2 * DEADTIME < self.now) {
                    return told("and its rival is not active");
                }
            }
            Left::Paused { lasted } => {
                let paused = self.checks.paused.get(&i);
                let deadtime = self.hosts[i].settings.timing.deadtime;
                if *lasted <= deadtime || paused.is_none() {
                    return told("and was not paused");
                }
            }
            Left::CutOff => {
                if !self.hosts[i].told_cut_off {
                    return told("and was not told that it reaches nothing");
                }
            }
            Left::Removed => return told("and the group is there"),
        }
        Ok(())
    }

    /// When a group is offered: on a good day it is claimed at once.
    pub(super) fn note_offered(&mut self, i: usize, group: &str, to: &str) {
        let to = NAMES.iter().position(|name| *name == to).unwrap_or(i);
        self.checks.claimed.remove(&(i, name_of(group)));
        if self.is_calm(i, group, 4 * DEADTIME) && self.is_settled(to, group, 4 * DEADTIME) {
            let due = self.now + 2 * (MAX_DELAY + MAX_LATENESS);
            self.checks.due.insert(group.to_owned(), due);
        }
    }

    /// When none of a group's VIPs is left: on a good day, after a handover, they are elsewhere.
    pub(super) fn check_released(&mut self, i: usize, group: &str) -> Result<(), String> {
        let orderly = match self.checks.left.get(&(i, group.to_owned())) {
            Some(
                Left::Stop
                | Left::Unfit { .. }
                | Left::Failback { .. }
                | Left::Standby { .. }
                | Left::Command { .. },
            ) => true,
            Some(
                Left::Conflict { .. }
                | Left::Deaf { .. }
                | Left::Paused { .. }
                | Left::Removed
                | Left::CutOff,
            )
            | None => false,
        };
        let (some, long) = (2 * DEADTIME + LINGER, 8 * DEADTIME);
        let others = || self.peers_of(i);
        let served = others().any(|j| self.hosts[j].serves.contains(group));
        if orderly
            && !served
            && self.now > some + self.checks.disorder
            && self.is_calm(i, group, long)
            && others().any(|j| self.is_settled(j, group, long))
        {
            return Err(format!(
                "nobody forwards for {group}, which {} gave",
                NAMES[i]
            ));
        }
        let lasting = self.checks.disorder + long < self.now && self.is_calm(i, group, long);
        let claimed = self.checks.claimed.remove(&(i, name_of(group)));
        if orderly && lasting && claimed.is_some_and(|at| self.now < at + LINGER) {
            return Err(format!(
                "{} lets go of {group} while its neighbours still send to it",
                NAMES[i]
            ));
        }
        Ok(())
    }

    /// Whether nothing has happened for long, but to `i`.
    fn is_calm(&self, i: usize, group: &str, long: Duration) -> bool {
        self.is_clean()
            && self.peers_of(i).all(|j| {
                let gone = self.hosts[j].run.is_none() && self.hosts[j].ended + long < self.now;
                gone || self.is_settled(j, group, long)
            })
    }

    fn is_settled(&self, j: usize, group: &str, long: Duration) -> bool {
        let host = &self.hosts[j];
        host.run.is_some()
            && host.started + long < self.now
            && !self.checks.stopping.contains(&(j, host.generation))
            && host.is_fit(group)
            && host
                .local
                .get(group)
                .is_some_and(|l| l.ready && l.since + long < self.now)
    }

    /// When an operator has asked for something.
    pub(super) fn note_asked(&mut self, id: u64, host: usize, group: Option<String>) {
        let generation = self.hosts[host].generation;
        self.checks.asked.insert(id, (host, generation, group));
    }

    /// When an operator is answered.
    pub(super) fn check_answer(
        &mut self,
        i: usize,
        id: u64,
        answer: &Answer,
    ) -> Result<(), String> {
        let told = |what: &str| Err(format!("{:?}: {} {what}: {answer:?}", self.now, NAMES[i]));
        let Some((host, _, group)) = self.checks.asked.remove(&id) else {
            return told("answers what nobody has asked");
        };
        if host != i {
            return told("answers for another");
        }
        if let (Answer::HandedOver { to, .. }, Some(group)) = (answer, group) {
            let to = NAMES.iter().position(|name| name == to).unwrap_or(i);
            let active = self.checks.active.get(&(to, name_of(&group)));
            if active.is_none_or(|at| *at + DEADTIME < self.now) {
                return told("says that a group is elsewhere");
            }
        }
        Ok(())
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
        self.checks
            .conflicts
            .retain(|(a, b, g), _| *g != group || (*a != host && *b != host));
        self.checks
            .heard_rival
            .retain(|(a, b, g), _| *g != group || (*a != host && *b != host));
    }

    /// When everything has been mended for long enough.
    pub(super) fn check_settled(&self) -> Result<(), String> {
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
}
