//! What must hold of what directors say, and of what they believe.

use std::time::Duration;

use super::{MOST_SAID, name_of};
use crate::clock::Time;
use crate::cluster::event::Answer;
use crate::cluster::heartbeat::{Heartbeat, Role};
use crate::cluster::sim::network::Datagram;
use crate::cluster::sim::{DEADTIME, KEEPALIVE, NAMES, World};

impl World {
    /// When a machine has trusted a datagram.
    pub(in crate::cluster::sim) fn check_trusted(
        &mut self,
        d: &Datagram,
        h: &Heartbeat,
    ) -> Result<(), String> {
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
    pub(in crate::cluster::sim) fn check_said(
        &mut self,
        i: usize,
        heartbeat: &Heartbeat,
    ) -> Result<(), String> {
        self.check_talk(i)?;
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
            // Where it had been active long before, this is a conflict, not a pause. How old the
            // words of one are whose clock has leapt ahead nobody can tell.
            if let Some(other) = other
                && !self.checks.leapt.contains(&other)
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

    /// Nobody talks without an end, however much there is to say.
    fn check_talk(&mut self, i: usize) -> Result<(), String> {
        let said = self.checks.said.entry(i).or_default();
        said.push_back(self.now);
        while said.front().is_some_and(|at| *at + KEEPALIVE < self.now) {
            said.pop_front();
        }
        let count = said.len();
        if count > MOST_SAID {
            return Err(format!(
                "{} says {count} heartbeats within a keepalive",
                NAMES[i]
            ));
        }
        Ok(())
    }

    /// Whom `i` has heard `j` name as owner, in a heartbeat sent when.
    pub(super) fn heard_owner(&self, i: usize, j: usize, group: &str) -> Option<(String, Time)> {
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

    /// When an operator is answered.
    pub(in crate::cluster::sim) fn check_answer(
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
}
