//! The neighbours of the directors, who believe whoever has told them last where a VIP is.

use std::time::Duration;

use fastrand::Rng;

use super::checks::name_of;
use super::{Action, GROUPS, World};
use crate::clock::Time;
use crate::cluster::heartbeat::Role;

/// How long after the first of its announcements a director repeats it, within the time that a run
/// looks at.
const REPEATS: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

impl World {
    /// Somebody has forgotten where a group is, and asks: once, or the next answer would put right
    /// what nobody has announced.
    pub(super) fn plan_questions(&mut self, end: Time) {
        // What else happens shall not depend on it.
        let mut rng = Rng::with_seed(self.plan.seed ^ 0x5eed);
        for group in GROUPS {
            let at = end.mul_f64(rng.f64());
            self.at(at, Action::Ask(group));
        }
    }

    /// Announces a group at once and repeatedly, as the director does.
    pub(super) fn announce(&mut self, host: usize, group: &str) {
        let generation = self.hosts[host].generation;
        self.announced(host, generation, group);
        for after in REPEATS
            .into_iter()
            .take_while(|it| *it <= Duration::from_secs(1))
        {
            let group = group.to_owned();
            let action = Action::Announce {
                host,
                generation,
                group,
            };
            self.at(self.now + after, action);
        }
    }

    /// The announcement leaves, if the director still has the group, and arrives, if anything does.
    pub(super) fn announced(&mut self, host: usize, generation: u64, group: &str) {
        let known = &self.hosts[host];
        let active = known.run.as_ref().map(|run| run.groups[group].role) == Some(Role::Active);
        if active && !known.paused && known.generation == generation && known.cut_off.is_none() {
            self.believed.insert(name_of(group), host);
        }
    }

    /// Whoever has the VIPs answers, its daemon running or not; the last answer counts.
    pub(super) fn ask(&mut self, group: &'static str) {
        let answers: Vec<usize> = (0..self.hosts.len())
            .filter(|i| {
                let host = &self.hosts[*i];
                let has = host.holds.contains(group) && host.serves.contains(group);
                has && !host.quiet.contains(group) && host.cut_off.is_none()
            })
            .collect();
        if let Some(last) = self.fate(&[answers.len()]).choice(answers) {
            self.believed.insert(group, last);
        }
    }
}
