//! What goes out: heartbeats, when they are due or urgent, and the last word of a stop.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Machine, Stop, URGENT_REPEATS, Urgent};
use crate::clock::micros;
use crate::cluster::event::Output;
use crate::cluster::heartbeat::{Claim, Echo, Heartbeat, Role};
use crate::cluster::rules::Rule;

impl Machine {
    /// A peer has been heard as it spoke: who is to speak soon does so now, and is woken once for
    /// both. Those who hear each other come to speak at the same time by that, the first of them at
    /// its own.
    ///
    /// Who has groups lets the others wait, and so cannot join them: they follow it, if need be by a
    /// heartbeat more.
    pub(super) fn join_in(&mut self, peer: &str) {
        let (keepalive, patience) = (self.settings.keepalive(), self.settings.patience());
        if self.next_beat <= self.now + keepalive / 2 {
            self.joins = true;
            return;
        }
        let leads = self.peers.get(peer).is_some_and(|peer| peer.held) && self.holds_none();
        if self.follows || patience.is_zero() || !leads {
            return;
        }
        let just_spoke = self
            .sent
            .last()
            .is_some_and(|sent| self.now <= sent + patience);
        if just_spoke {
            self.follows = true;
            self.next_beat = self.now + keepalive + patience;
        } else {
            self.joins = true;
        }
    }

    fn holds_none(&self) -> bool {
        let mut groups = self.groups.values();
        groups.all(|group| group.role == Role::Standby)
    }

    /// Whether a stop is over.
    pub(super) fn go_on_stopping(&mut self) -> bool {
        match self.stop {
            Stop::No | Stop::Done => false,
            Stop::Leaving if !self.holds_none() => false,
            Stop::Leaving => {
                self.changed = true;
                let until = self.now + self.settings.keepalive();
                self.stop = Stop::Telling { until };
                false
            }
            Stop::Telling { until } => until <= self.now || self.urgent_is_known(),
        }
    }

    fn urgent_is_known(&self) -> bool {
        self.urgent.is_none_or(|urgent| {
            self.peers
                .values()
                .filter(|peer| peer.alive)
                .all(|peer| peer.knows(urgent.counter))
        })
    }

    /// Sends a heartbeat if it is time for one, or if there is something to say at once.
    pub(super) fn speak(&mut self) {
        if self.urgent_is_known() {
            self.urgent = None;
        }
        let urgently = self.changed && self.rules.keep(Rule::ChangesAreUrgent);
        let again = self.urgent.is_some_and(|urgent| urgent.next <= self.now);
        let unasked = urgently || again || self.next_beat <= self.now;
        if !unasked && !self.answer && !self.joins {
            return;
        }
        self.follows = std::mem::take(&mut self.joins) && !unasked;
        self.counter += 1;
        let pause = self.settings.keepalive() / URGENT_REPEATS;
        let next = self.now + pause;
        self.urgent = match self.urgent {
            _ if urgently => Some(Urgent {
                counter: self.counter,
                repeats: URGENT_REPEATS - 1,
                next,
            }),
            Some(urgent) if again => (urgent.repeats > 1).then_some(Urgent {
                repeats: urgent.repeats - 1,
                next,
                ..urgent
            }),
            kept => kept,
        };
        self.changed = false;
        self.answer = false;
        // Who has joined waits a little for the other to be first again.
        let patience = if self.follows {
            self.settings.patience()
        } else {
            Duration::ZERO
        };
        self.next_beat = self.now + self.settings.keepalive() + patience;
        self.sent
            .add(self.counter, self.now, self.settings.deadtime());
        self.counters.sent += 1;
        // An answer to an answer would have one of its own.
        let asks = self.urgent.is_some() && (unasked || !self.rules.keep(Rule::AnswersAskNothing));
        let heartbeat = self.heartbeat(asks);
        self.outputs.push_back(Output::Send(heartbeat));
    }

    fn heartbeat(&self, asks: bool) -> Heartbeat {
        let echoes: BTreeMap<String, Echo> = self
            .peers
            .iter()
            .filter_map(|(name, peer)| Some((name.clone(), peer.echo(self.counter, self.now)?)))
            .collect();
        let claims = self
            .groups
            .iter()
            .map(|(name, group)| {
                let claim = Claim {
                    role: group.role,
                    epoch: if group.role == Role::Standby {
                        group.seen
                    } else {
                        group.epoch
                    },
                    standing: group.standing(self.settings.priority),
                    owner: group.heard_owner(&self.settings.node).map(str::to_owned),
                    offer: group.offer().map(str::to_owned),
                    partial: group.partial && group.role != Role::Standby,
                };
                (name.clone(), claim)
            })
            .collect();
        Heartbeat {
            sender: self.settings.node.clone(),
            session: self.session,
            counter: self.counter,
            clock: Duration::from_micros(micros::of(self.now - self.born)),
            digest: self.settings.digest,
            stopping: self.stop != Stop::No,
            answer: asks,
            echoes,
            claims,
            stations: self.stations.clone(),
        }
    }
}
