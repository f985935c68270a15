//! Who shall have a group: one director's judgement of what it knows.

mod judge;
mod peers;
#[cfg(test)]
mod tests;
mod vacancy;

use std::collections::BTreeSet;
use std::time::Duration;

use peers::said_held;
pub(super) use peers::{View, best_candidate, earlier, unsuited};
pub(super) use vacancy::{Vacancy, waiting};

use super::event::{Ask, Left, Taken};
use super::heartbeat::{Fitness, Role, Standing};
use super::rules::{Rule, Rules};
use super::settings::GroupSettings;
use crate::clock::Time;

/// A peer that did not take what it was offered is offered nothing for so long, unless an operator
/// says so, or else the group would be without an answer to ARP again and again.
const OFFER_PAUSE: Duration = Duration::from_secs(60);

/// How long VIPs forward after their new owner has claimed them: until what neighbours remember of
/// them has been replaced by its announcements, the later ones of the first second included.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Of a group that nobody has held for so long, and for longer than its takeover may take, somebody
/// who is no director may have the VIPs.
const LATELY: Duration = Duration::from_secs(10);

/// What a director knows of one group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) settings: GroupSettings,
    pub(super) role: Role,
    /// Of our own latest claim.
    pub(super) epoch: u64,
    /// The newest epoch that anybody has claimed.
    pub(super) seen: u64,
    pub(super) fitness: Fitness,
    pub(super) ready: bool,
    /// Since when the role is held, and why.
    pub(super) since: Time,
    pub(super) why: String,
    /// Not in the configuration; forgotten when released.
    pub(super) removed: bool,
    /// An active director has been heard: no start to wait for.
    pub(super) settled: bool,
    /// The active director that is heard, ourselves included.
    pub(super) owner: Option<String>,
    /// The last one that was heard, if any was.
    pub(super) last_owner: Option<String>,
    /// Others that are active while we are.
    pub(super) rivals: BTreeSet<String>,
    /// Those of them that we have outbid.
    beaten: BTreeSet<String>,
    /// Others that are not heard, and may have been active for as long as they were not.
    missed: BTreeSet<String>,
    /// How far we are with leaving it; while the role is releasing.
    pub(super) leaving: Option<Leaving>,
    /// Why we have left it last.
    pub(super) left: Left,
    /// An operator wants us to leave it, and to take it not.
    pub(super) standby: bool,
    /// An operator has handed it over: we do not want it back.
    pub(super) declined: bool,
    /// That nobody takes the group because of our being unfit has been told.
    pub(super) unfit_told: bool,
    /// Why we have not taken it; while we stand by and know of no owner.
    pub(super) vacancy: Option<Vacancy>,
    /// The other director that it is watched for, and whether that was late when it was told last.
    watched: Option<(String, bool)>,
    /// Since when nobody is active.
    free: Option<Time>,
    /// When somebody was last known to hold it.
    held: Option<Time>,
    /// We hold it, but somebody who is no director has VIPs of it.
    pub(super) partial: bool,
    /// Whoever held it last said so.
    was_partial: bool,
    /// Who deserves the group more than we, and since when.
    better: Option<(String, Time)>,
    /// Who did not take it when offered, and until when it is offered nothing.
    shunned: Option<(String, Time)>,
}

/// How far a director is with leaving a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Leaving {
    /// The VIPs are quiet, and forward what still comes, until the peer has claimed the group; they
    /// are taken back if it does not in time.
    Offered { to: String, until: Time },
    /// The peer has claimed the group. The VIPs forward until then.
    Lingering { to: String, until: Time },
    /// The VIPs are being removed.
    Removing,
}

/// What a director is, when it judges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Me<'a> {
    pub(super) name: &'a str,
    pub(super) priority: u16,
    pub(super) stopping: bool,
    /// It has not listened for long enough to know that nobody is active.
    pub(super) waiting: bool,
    /// It reaches none of its reachability targets.
    pub(super) cut_off: bool,
    /// Until when a group that nobody has held since our start waits for candidates to be ready.
    pub(super) start_ends: Time,
    pub(super) deadtime: Duration,
    pub(super) rules: Rules,
}

/// What shall become of the group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// What is shall be.
    Keep,
    /// Nobody takes it, though somebody should: we are unfit.
    Unfit,
    /// Become active.
    Take(Taken),
    /// Become standby: remove the VIPs, then say so.
    Leave(Left),
    /// Give the group to a peer, and then become standby.
    Offer(Left, String),
    /// Remove the VIPs, which are quiet.
    Remove,
}

impl Group {
    pub(super) fn new(settings: GroupSettings, now: Time) -> Self {
        Self {
            settings,
            role: Role::Standby,
            epoch: 0,
            seen: 0,
            fitness: Fitness::FULL,
            ready: false,
            since: now,
            why: "started".to_owned(),
            removed: false,
            settled: false,
            owner: None,
            last_owner: None,
            rivals: BTreeSet::new(),
            beaten: BTreeSet::new(),
            missed: BTreeSet::new(),
            leaving: None,
            left: Left::Stop,
            standby: false,
            declined: false,
            unfit_told: false,
            vacancy: None,
            watched: None,
            free: None,
            held: None,
            partial: false,
            was_partial: false,
            better: None,
            shunned: None,
        }
    }

    /// The owner, unless it is `me`: what others are told.
    pub(super) fn heard_owner(&self, me: &str) -> Option<&str> {
        self.owner.as_deref().filter(|owner| *owner != me)
    }

    pub(super) fn standing(&self, priority: u16) -> Standing {
        let preferred = self.settings.preferred;
        Standing {
            fitness: self.fitness(),
            ready: self.ready,
            preferred,
            priority,
            declines: self.declined,
        }
    }

    /// How well we can serve it, and shall.
    pub(super) fn fitness(&self) -> Fitness {
        if self.standby {
            Fitness::UNFIT
        } else {
            self.fitness
        }
    }

    /// To whom we offer the group.
    pub(super) fn offer(&self) -> Option<&str> {
        match &self.leaving {
            Some(Leaving::Offered { to, .. }) => Some(to),
            Some(Leaving::Lingering { .. } | Leaving::Removing) | None => None,
        }
    }

    /// Whether somebody who is no director may have its VIPs, if it is taken now.
    pub(super) fn whom_to_ask(&self, me: Me<'_>, why: &Taken, peers: usize, now: Time) -> Ask {
        let directors = u32::try_from(peers).unwrap_or(u32::MAX).saturating_add(1);
        let lately = LATELY.max(me.deadtime.saturating_mul(directors));
        if self.held.is_none_or(|held| now > held + lately) {
            return Ask::First;
        }
        // Taken back, or offered: until the claim they are quiet, here or there.
        let passed_on = self.role == Role::Releasing || matches!(why, Taken::Offered { .. });
        if passed_on && !self.partial && !self.was_partial {
            Ask::Nobody
        } else {
            Ask::Beside
        }
    }

    /// Whether strangers that answer for its VIPs are to be looked for now: somebody else has it,
    /// who is `late` or not.
    pub(super) fn is_to_be_watched(&mut self, late: impl Fn(&str) -> bool) -> bool {
        let owner = self.owner.as_deref();
        let Some(owner) = owner.filter(|_| self.role == Role::Standby) else {
            if self.role != Role::Standby {
                self.watched = None;
            }
            return false;
        };
        let late = late(owner);
        let told = self.watched.take_if(|(of, _)| of == owner);
        let is_news = told.is_none_or(|(_, was_late)| late && !was_late);
        self.watched = Some((owner.to_owned(), late));
        is_news
    }

    /// Becomes active, with an epoch above any that is known.
    pub(super) fn take(&mut self, why: &Taken, rules: Rules, now: Time) {
        self.role = Role::Active;
        self.partial = false;
        self.since = now;
        self.why = why.to_string();
        self.settled = true;
        self.leaving = None;
        self.declined = false;
        self.free = None;
        self.better = None;
        self.outbid(rules);
    }

    /// Makes our claim the newest.
    pub(super) fn outbid(&mut self, rules: Rules) {
        if rules.keep(Rule::EpochGrows) {
            self.epoch = self.seen.saturating_add(1);
        }
        self.seen = self.seen.max(self.epoch);
    }

    /// Notes who else is active while we are, and says who began to be and who ceased to be.
    pub(super) fn note_rivals(&mut self, peers: &[View<'_>]) -> (Vec<String>, Vec<String>) {
        let rivals: BTreeSet<String> = peers
            .iter()
            .filter(|peer| {
                peer.living_claim()
                    .is_some_and(|claim| claim.role == Role::Active)
            })
            .filter(|_| self.role == Role::Active)
            .map(|peer| peer.name.to_owned())
            .collect();
        let came = rivals.difference(&self.rivals).cloned().collect();
        let went = self.rivals.difference(&rivals).cloned().collect();
        self.beaten.retain(|rival| rivals.contains(rival));
        for peer in peers {
            // One that is known not to run may have been started since, and not been heard.
            if !peer.alive {
                self.missed.insert(peer.name.to_owned());
            } else if self.role != Role::Active || rivals.contains(peer.name) {
                self.missed.remove(peer.name);
            }
        }
        self.rivals = rivals;
        (came, went)
    }

    /// We are active and stay so: makes our claim newer than every other. Tells whether neighbours
    /// may believe in another owner: there were rivals that hear us and that we have just been
    /// found to outrank, a newer claim of somebody who has left before we heard of it, or somebody
    /// who is heard again and has left already what it may have had while it was silent.
    pub(super) fn prevail(&mut self, me: Me<'_>, peers: &[View<'_>]) -> bool {
        let mut beaten = false;
        // Somebody whom only others hear may have the group still, and would outbid us in turn.
        let mut undecided = peers
            .iter()
            .any(|peer| said_held(me, *peer, peers).is_some());
        for peer in peers.iter().filter(|peer| self.rivals.contains(peer.name)) {
            beaten |= peer.hears_us && self.beaten.insert(peer.name.to_owned());
            undecided |= !peer.hears_us;
        }
        let outbid = self.role == Role::Active && self.seen > self.epoch && !undecided;
        if beaten || outbid {
            self.outbid(me.rules);
        }
        let back = peers
            .iter()
            .filter(|peer| peer.alive && self.missed.remove(peer.name))
            .count();
        beaten || outbid || back > 0 && me.rules.keep(Rule::ReturnIsAnnounced)
    }

    /// Starts to leave: at once, or once whom it is offered to has claimed it.
    pub(super) fn leave(
        &mut self,
        why: &Left,
        offer: Option<String>,
        deadtime: Duration,
        now: Time,
    ) {
        self.role = Role::Releasing;
        self.since = now;
        self.why = why.to_string();
        self.left = why.clone();
        self.better = None;
        self.rivals.clear();
        self.beaten.clear();
        self.leaving = Some(match offer {
            Some(to) => Leaving::Offered {
                to,
                until: now + deadtime,
            },
            None => Leaving::Removing,
        });
    }

    /// Has left.
    pub(super) fn released(&mut self, now: Time) {
        self.role = Role::Standby;
        self.was_partial = std::mem::take(&mut self.partial);
        self.leaving = None;
        self.since = now;
        self.free = None;
    }
}
