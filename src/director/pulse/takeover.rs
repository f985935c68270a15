//! What is known of a takeover while it goes on: who was suspected when, and which phase is over.

use std::collections::BTreeMap;

use crate::clock::Time;
use crate::cluster::{Event, Taken};
use crate::director::snapshot::Takeover;
use crate::director::takeovers::{Claimed, Takeovers};

/// The takeovers of this director, and what may become the next.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    takeovers: Takeovers,
    /// When a peer that is gone was first late, or refused, or found to be gone.
    suspected: BTreeMap<String, Time>,
}

impl Chronicle {
    /// Notes what an event says of who is gone. `heard` tells when a peer was heard last, and
    /// `late` when it is late after that.
    pub(super) fn note(
        &mut self,
        event: &Event,
        heard: impl Fn(&str) -> Option<Time>,
        late: impl Fn(&str) -> Option<Time>,
        now: Time,
    ) {
        match event {
            Event::Refused { peer, .. } | Event::PeerDead { peer, .. } => {
                let known = self.suspected.get(peer).copied();
                // A heartbeat has contradicted what was suspected before it.
                if known.is_none() || known < heard(peer) {
                    let since = late(peer).map_or(now, |late| late.min(now));
                    self.suspected.insert(peer.clone(), since);
                }
            }
            Event::PeerAlive { peer, .. } => {
                self.suspected.remove(peer);
            }
            Event::PathUp { .. }
            | Event::PathDown { .. }
            | Event::Late { .. }
            | Event::Hears { .. }
            | Event::Config { .. }
            | Event::Conflict { .. }
            | Event::ConflictOver { .. }
            | Event::Paused { .. }
            | Event::Unfit { .. } => {}
        }
    }

    /// A group has been claimed. `heard` is as of [`note`](Self::note).
    pub(super) fn claim(
        &mut self,
        group: &str,
        epoch: u64,
        why: &Taken,
        heard: impl Fn(&str) -> Option<Time>,
        now: Time,
    ) {
        let from = match why {
            Taken::Start | Taken::Unclaimed => None,
            Taken::Silence { of: from }
            | Taken::Refused { by: from }
            | Taken::Released { by: from }
            | Taken::Offered { by: from } => Some(from.clone()),
        };
        let heard = from.as_deref().and_then(heard);
        let suspected = match why {
            Taken::Start | Taken::Unclaimed => None,
            // What is heard and believed in one turn.
            Taken::Released { .. } | Taken::Offered { .. } => heard,
            Taken::Silence { of: from } | Taken::Refused { by: from } => {
                self.suspected.get(from).copied()
            }
        };
        self.takeovers.claim(Claimed {
            group: group.to_owned(),
            epoch,
            reason: why.to_string(),
            from,
            heard,
            suspected,
            at: now,
        });
    }

    /// All VIPs of a group are here.
    pub(super) fn raised(&mut self, group: &str, now: Time) {
        self.takeovers.raised(group, now);
    }

    /// Whether a takeover waits for its announcements.
    pub(super) fn is_waiting(&self) -> bool {
        self.takeovers.is_waiting()
    }

    /// No VIP waits for its first announcement any more. Returns what is complete with that.
    pub(super) fn announced(&mut self, now: Time) -> Vec<Takeover> {
        self.takeovers.announced(now)
    }

    /// The first packet to the VIPs of a group has come: microseconds after the claim.
    pub(super) fn first_packet(&mut self, group: &str, now: Time) -> Option<u64> {
        self.takeovers.first_packet(group, now)
    }

    /// The latest ones.
    pub(super) fn takeovers(&self) -> &Takeovers {
        &self.takeovers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::DeathCause;

    fn millis(n: u64) -> Time {
        Time::from_millis(n)
    }

    fn dead(peer: &str) -> Event {
        Event::PeerDead {
            peer: peer.to_owned(),
            silence: millis(300),
            cause: DeathCause::Silence,
        }
    }

    fn silence(of: &str) -> Taken {
        Taken::Silence { of: of.to_owned() }
    }

    fn suspected_before(chronicle: &Chronicle) -> Option<u64> {
        let takeovers = chronicle.takeovers().at(millis(9_999));
        takeovers.last().and_then(|last| last.suspected_before_us)
    }

    #[test]
    fn a_suspicion_counts_from_its_first_sign() {
        let heard = |_: &str| Some(millis(700));
        // Refused before it is late, and late before it is dead.
        for (late, expected) in [(1_010, 30_000), (850, 180_000)] {
            let late = |_: &str| Some(millis(late));
            let mut chronicle = Chronicle::default();
            chronicle.note(&dead("ha1"), heard, late, millis(1_000));
            chronicle.note(&dead("ha1"), heard, late, millis(1_020));
            chronicle.claim("web", 4, &silence("ha1"), heard, millis(1_030));
            assert_eq!(suspected_before(&chronicle), Some(expected));
        }
    }

    #[test]
    fn a_heartbeat_contradicts_what_was_suspected_before_it() {
        let mut chronicle = Chronicle::default();
        let late = |after| move |_: &str| Some(millis(after));
        chronicle.note(
            &dead("ha1"),
            |_| Some(millis(700)),
            late(850),
            millis(1_000),
        );
        let heard = |_: &str| Some(millis(1_010));
        chronicle.note(&dead("ha1"), heard, late(1_160), millis(1_020));
        chronicle.claim("web", 4, &silence("ha1"), heard, millis(1_030));
        assert_eq!(suspected_before(&chronicle), Some(10_000));
    }

    #[test]
    fn what_is_offered_is_suspected_when_it_is_heard() {
        let mut chronicle = Chronicle::default();
        let offered = Taken::Offered {
            by: "ha1".to_owned(),
        };
        chronicle.claim("web", 4, &offered, |_| Some(millis(1_000)), millis(1_001));
        assert_eq!(suspected_before(&chronicle), Some(1_000));
        chronicle.claim("web", 5, &Taken::Start, |_| None, millis(1_001));
        assert_eq!(suspected_before(&chronicle), None);
    }
}
