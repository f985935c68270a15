//! What follows from what is known: who has died, and who shall have which group.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Machine, Stop};
use crate::clock::Time;
use crate::cluster::event::{Event, Output};
use crate::cluster::heartbeat::Role;
use crate::cluster::liveness::{Deadlines, Peer};
use crate::cluster::ownership::{Me, Verdict, View, earlier};

impl Machine {
    pub(super) fn expire(&mut self) {
        let timing = self.deadlines();
        let mut events = Vec::new();
        for (name, peer) in &mut self.peers {
            let name = || name.clone();
            let (down, death) = peer.expire(timing, self.now);
            events.extend(
                down.into_iter()
                    .map(|path| Event::PathDown { peer: name(), path }),
            );
            if let Some(cause) = death {
                let silence = peer.heard.map_or(Duration::ZERO, |heard| self.now - heard);
                events.push(Event::PeerDead {
                    peer: name(),
                    silence,
                    cause,
                });
                self.changed = true;
            }
            let hears_us = peer.hears(timing.deadtime, self.now);
            if peer.hears_us != hears_us {
                peer.hears_us = hears_us;
                events.push(Event::Hears {
                    peer: name(),
                    hears_us,
                });
            }
            let digests = peer.digest.map(|theirs| (theirs, self.settings.digest));
            if let Some((theirs, ours)) = digests
                && peer.compared != digests
            {
                let same = theirs == ours;
                if !same || peer.same_config != Some(same) {
                    let differing = theirs.differing(&ours).into_iter().map(str::to_owned);
                    events.push(Event::Config {
                        peer: name(),
                        same,
                        differing: differing.collect(),
                    });
                }
                peer.same_config = Some(same);
                peer.compared = digests;
            }
        }
        events.into_iter().for_each(|event| self.event(event));
    }

    /// Announces what we have: whatever was announced before may have reached nobody.
    pub(super) fn announce_all(&mut self) {
        let active = self.groups.iter().filter(|(_, it)| it.role == Role::Active);
        let announce = |(name, _): (&String, _)| Output::Announce {
            group: name.clone(),
        };
        self.outputs.extend(active.map(announce));
    }

    /// Judges every group. What must not be done before the others are told is returned.
    pub(super) fn judge(&mut self) -> Vec<Output> {
        let me = Me {
            name: &self.settings.node,
            priority: self.settings.priority,
            stopping: self.stop != Stop::No,
            waiting: self.hold.is_some(),
            cut_off: self.cut_off,
            start_ends: self.born + self.settings.timing.initdead,
            deadtime: self.settings.timing.deadtime,
            rules: self.rules,
        };
        let timing = self.deadlines();
        let mut left = Vec::new();
        let mut after = Vec::new();
        self.judge_at = None;
        for (name, group) in &mut self.groups {
            let views = views(&self.peers, name, timing, self.now);
            let heard = group.heard_owner(me.name).map(str::to_owned);
            let (came, went) = group.note_rivals(&views);
            self.changed |= !came.is_empty();
            let event = |event| Output::Event(event);
            let to = |rival: String| (name.clone(), rival);
            for (group, rival) in came.into_iter().map(to) {
                self.outputs
                    .push_back(event(Event::Conflict { group, rival }));
            }
            let mut announce = group.role == Role::Active && !went.is_empty();
            for (group, rival) in went.into_iter().map(to) {
                self.outputs
                    .push_back(event(Event::ConflictOver { group, rival }));
            }
            let (verdict, at) = group.judge(me, &views, self.now);
            self.judge_at = earlier(self.judge_at, at);
            match verdict {
                Verdict::Keep => announce |= group.prevail(me, &views),
                Verdict::Unfit => {
                    self.outputs.push_back(event(Event::Unfit {
                        group: name.clone(),
                    }));
                }
                Verdict::Take(why) => {
                    let ask = group.whom_to_ask(me, &why, views.len(), self.now);
                    group.take(&why, self.rules, self.now);
                    self.counters.takeovers += 1;
                    let (group, epoch) = (name.clone(), group.epoch);
                    after.push(Output::Activate {
                        group,
                        epoch,
                        why,
                        ask,
                    });
                    self.changed = true;
                }
                Verdict::Leave(why) => {
                    announce = false;
                    left.push((name.clone(), why, None));
                }
                Verdict::Offer(why, to) => {
                    announce = false;
                    left.push((name.clone(), why, Some(to)));
                }
                Verdict::Remove => {
                    let why = group.left.clone();
                    left.push((name.clone(), why, None));
                }
            }
            if announce {
                after.push(Output::Announce {
                    group: name.clone(),
                });
                self.changed = true;
            }
            self.changed |= heard.as_deref() != group.heard_owner(me.name);
            let (peers, now) = (&self.peers, self.now);
            let is_late = |owner: &str| {
                let peer = peers.get(owner);
                peer.is_some_and(|peer| peer.is_late(timing, now))
            };
            if group.is_to_be_watched(is_late) {
                let group = name.clone();
                self.outputs.push_back(Output::Watch { group });
            }
        }
        for (name, why, offer) in left {
            self.leave(&name, why, offer);
        }
        after
    }
}

/// The peers as far as one group is concerned.
pub(super) fn views<'a>(
    peers: &'a BTreeMap<String, Peer>,
    group: &str,
    timing: Deadlines,
    now: Time,
) -> Vec<View<'a>> {
    peers
        .iter()
        .map(|(name, peer)| View {
            name,
            alive: peer.alive,
            death: peer.death,
            stopping: peer.stopping,
            hears_us: peer.hears(timing.deadtime, now),
            deaf_at: peer.deaf_at(timing),
            claim: peer.claims.get(group),
        })
        .collect()
}
