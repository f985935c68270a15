//! What comes in: heartbeats, refusals, and the silence of a pause.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Doubt, Hold, Machine};
use crate::cluster::event::{DeathCause, Event, Left, Output};
use crate::cluster::heartbeat::{Heartbeat, Role};
use crate::cluster::liveness::{Accepted, Own};
use crate::cluster::ownership::Leaving;
use crate::cluster::packet::Dropped;
use crate::cluster::rules::Rule;

impl Machine {
    /// A director that has not sent for longer than deadtime may have been taken for dead.
    pub(super) fn notice_pause(&mut self) {
        let deadtime = self.settings.deadtime();
        let Some(last) = self.sent.last().filter(|_| self.doubt.is_none()) else {
            return;
        };
        if self.now <= last + deadtime || self.peers.is_empty() {
            return;
        }
        let lasted = self.now - last;
        self.event(Event::Paused { lasted });
        let alive: BTreeSet<String> = self
            .peers
            .iter()
            .filter(|(_, p)| p.alive)
            .map(|(name, _)| name.clone())
            .collect();
        let awaiting = if alive.is_empty() {
            self.peers.keys().cloned().collect()
        } else {
            alive
        };
        // Silence that was not listened to is no silence.
        self.listening = self.now;
        self.changed = true;
        let until = self
            .hold
            .as_ref()
            .map_or(self.now, |hold| hold.until)
            .max(self.now + deadtime);
        self.hold = Some(Hold {
            since: self.now,
            until,
            awaiting,
        });
        self.doubt = Some(Doubt {
            lasted,
            heard: BTreeSet::new(),
        });
        if self.rules.keep(Rule::PauseLeaves) {
            self.groups
                .values_mut()
                .for_each(|group| group.settled = false);
        }
    }

    /// Leaves every group that somebody may have taken during a pause.
    pub(super) fn end_doubt(&mut self) {
        let Some(doubt) = self.doubt.take() else {
            return;
        };
        if !self.rules.keep(Rule::PauseLeaves) {
            self.hold = None;
            return;
        }
        // A peer that was dead may have come and taken over, and the others need not know yet.
        let all_heard = self.peers.keys().all(|peer| doubt.heard.contains(peer));
        let node = &self.settings.node;
        let mut left = Vec::new();
        for (name, group) in self.groups.iter_mut().filter(|(_, g)| match g.role {
            Role::Active => true,
            // Whoever was to claim it has, or has waited in vain.
            Role::Releasing => g.leaving != Some(Leaving::Removing),
            Role::Standby => false,
        }) {
            let mut claims = self.peers.values().filter_map(|peer| peer.claims.get(name));
            let untouched = claims.all(|claim| {
                claim.role == Role::Standby
                    && claim.epoch <= group.epoch
                    && claim.owner.as_ref().is_none_or(|owner| owner == node)
            });
            if all_heard && untouched && group.role == Role::Active {
                group.settled = true;
            } else {
                left.push(name.clone());
            }
        }
        for name in left {
            self.leave(
                &name,
                Left::Paused {
                    lasted: doubt.lasted,
                },
                None,
            );
        }
    }

    pub(super) fn hear(&mut self, path: usize, heartbeat: &Heartbeat, waited: Duration) {
        let arrived = self.now.saturating_sub(waited);
        let own = Own {
            name: &self.settings.node,
            session: self.session,
            sent: &self.sent,
            keepalive: self.settings.keepalive(),
            warntime: self.settings.timing.warntime,
            deadtime: self.settings.deadtime(),
            rules: self.rules,
        };
        let result = match self.peers.get_mut(&heartbeat.sender) {
            Some(peer) => peer.accept(path, heartbeat, own, arrived, self.now),
            None => Err(Dropped::Sender),
        };
        match result {
            Ok(accepted) => {
                self.heard(path, heartbeat, accepted);
                if accepted.newest && waited.is_zero() {
                    self.join_in(&heartbeat.sender);
                }
            }
            Err(why) => self.count_dropped(why),
        }
    }

    fn heard(&mut self, path: usize, heartbeat: &Heartbeat, accepted: Accepted) {
        let sender = || heartbeat.sender.clone();
        self.counters.received += 1;
        if accepted.awoke || accepted.restarted {
            let (silence, restarted) = (accepted.silence, accepted.restarted);
            self.event(Event::PeerAlive {
                peer: sender(),
                silence,
                restarted,
            });
            self.changed = true;
        }
        if accepted.path_up {
            self.event(Event::PathUp {
                peer: sender(),
                path,
            });
        }
        let warntime = self.settings.timing.warntime;
        if let Some(interval) = accepted.interval.filter(|interval| *interval > warntime) {
            self.counters.late += 1;
            self.event(Event::Late {
                peer: sender(),
                path,
                interval,
            });
        }
        if let Some(hold) = &mut self.hold
            && accepted.echoed.is_some_and(|sent| sent >= hold.since)
        {
            hold.awaiting.remove(&heartbeat.sender);
        }
        if let Some(doubt) = &mut self.doubt
            && accepted.age <= 2 * self.settings.timing.keepalive
        {
            doubt.heard.insert(sender());
        }
        if accepted.newest {
            self.learn(heartbeat);
        }
    }

    fn learn(&mut self, heartbeat: &Heartbeat) {
        self.answer |= heartbeat.answer;
        for (name, claim) in &heartbeat.claims {
            let Some(group) = self.groups.get_mut(name) else {
                continue;
            };
            group.seen = group.seen.max(claim.epoch);
            group.settled |= claim.role == Role::Active;
        }
        let holds_none = heartbeat
            .claims
            .values()
            .all(|claim| claim.role == Role::Standby);
        let Some(peer) = self.peers.get_mut(&heartbeat.sender) else {
            return;
        };
        // Whoever speaks in its name does not know them, and they stay what they were.
        if peer.stations != heartbeat.stations && !heartbeat.is_last_word() {
            peer.stations.clone_from(&heartbeat.stations);
            self.outputs.push_back(Output::Stations {
                peer: heartbeat.sender.clone(),
                stations: heartbeat.stations.clone(),
            });
        }
        if peer.alive && heartbeat.stopping && holds_none {
            let cause = if heartbeat.is_last_word() {
                DeathCause::Refused
            } else {
                DeathCause::Stopped
            };
            peer.die(cause, self.now);
            let (peer, silence) = (heartbeat.sender.clone(), Duration::ZERO);
            self.event(Event::PeerDead {
                peer,
                silence,
                cause,
            });
            self.changed = true;
        }
    }

    pub(super) fn refused(&mut self, path: usize, name: String) {
        let Some(peer) = self.peers.get_mut(&name) else {
            return;
        };
        if peer.refuse(path, self.now) {
            self.event(Event::Refused { peer: name, path });
            // Whoever is there after all shall say so at once.
            self.changed = true;
        }
    }
}
