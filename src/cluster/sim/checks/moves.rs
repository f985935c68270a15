//! What must hold when a director takes a group, gives it away or lets go of it.

use std::time::Duration;

use super::{CLAIM, name_of};
use crate::cluster::event::{Left, Taken};
use crate::cluster::ownership::LINGER;
use crate::cluster::sim::hosts::Tongue;
use crate::cluster::sim::{DEADTIME, KEEPALIVE, NAMES, World};

impl World {
    /// When a machine takes a group.
    pub(in crate::cluster::sim) fn check_taken(
        &mut self,
        i: usize,
        group: &str,
        epoch: u64,
        why: &Taken,
    ) -> Result<(), String> {
        if *why == Taken::Start {
            let key = (i, group.to_owned());
            self.checks.began.insert(key, self.now);
        }
        let told = |what: String| {
            Err(format!(
                "{:?}: {} takes {group} ({why:?}) {what}",
                self.now, NAMES[i]
            ))
        };
        self.checks.due.remove(group);
        self.checks.active.insert((i, name_of(group)), self.now);
        // Who waits for one that is never heard waits as long as its own file says, and passes over
        // a better candidate after that: two may do so at one moment. So may one that has waited for
        // so long, and one that has just been started and heard it first.
        let strangers = self.hosts.iter().any(|host| host.tongue != Tongue::Ours);
        if *why == Taken::Start && (strangers || self.has_waited_in_vain(i)) {
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

    /// Whether a start is over without that all have been heard who run.
    fn has_waited_in_vain(&self, i: usize) -> bool {
        let host = &self.hosts[i];
        let initdead = host.settings.timing.initdead;
        let run = host.run.as_ref();
        run.is_some_and(|machine| machine.born + initdead <= self.host_now(i))
            && self
                .peers_of(i)
                .any(|j| self.hosts[j].run.is_some() && !self.machine_hears(i, j))
    }

    /// When a machine leaves a group: there must be a cause.
    pub(in crate::cluster::sim) fn check_left(
        &mut self,
        i: usize,
        group: &str,
        why: &Left,
    ) -> Result<(), String> {
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
                let both = [i, index(rival)];
                if self.is_clean() && self.is_told() && !self.has_crossed(both, group) {
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
    pub(in crate::cluster::sim) fn note_offered(&mut self, i: usize, group: &str, to: &str) {
        let to = NAMES.iter().position(|name| *name == to).unwrap_or(i);
        self.checks.claimed.remove(&(i, name_of(group)));
        if self.is_calm(i, group, 4 * DEADTIME) && self.is_settled(to, group, 4 * DEADTIME) {
            self.checks.due.insert(group.to_owned(), self.now + CLAIM);
        }
    }

    /// When none of a group's VIPs is left: on a good day, after a handover, they are elsewhere.
    pub(in crate::cluster::sim) fn check_released(
        &mut self,
        i: usize,
        group: &str,
    ) -> Result<(), String> {
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
}
