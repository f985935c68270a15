//! Who shall have a group: one director's judgement of what it knows.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use super::event::{Ask, DeathCause, Left, Taken, Unsuited};
use super::heartbeat::{Claim, Fitness, Rank, Role, Standing};
use super::rules::{Rule, Rules};
use super::settings::GroupSettings;
use crate::clock::Time;
use crate::config::model::Failback;

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
    /// Others that fell silent, and may have been active for as long as they were.
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

/// A peer, as far as one group is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) alive: bool,
    pub(super) death: Option<DeathCause>,
    pub(super) stopping: bool,
    pub(super) hears_us: bool,
    pub(super) deaf_at: Time,
    pub(super) claim: Option<&'a Claim>,
}

/// What a peer says that gives a group away.
#[derive(Clone, Copy, Debug)]
struct Offer<'a> {
    by: &'a str,
    to: &'a str,
    epoch: u64,
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

impl<'a> View<'a> {
    /// Known not to run, rather than only not heard.
    fn is_gone(&self) -> bool {
        matches!(self.death, Some(DeathCause::Refused | DeathCause::Stopped))
    }

    fn living_claim(&self) -> Option<&'a Claim> {
        self.claim.filter(|_| self.alive)
    }

    /// The claim of a peer that may take the group.
    fn candidacy(&self) -> Option<&'a Claim> {
        self.living_claim().filter(|_| !self.stopping)
    }
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

    /// Judges, and says when to judge again if nothing else happens before.
    pub(super) fn judge(
        &mut self,
        me: Me<'_>,
        peers: &[View<'_>],
        now: Time,
    ) -> (Verdict, Option<Time>) {
        self.look_for_owner(me, peers);
        if self.owner.is_some() || self.role == Role::Releasing {
            self.held = Some(now);
        }
        match self.role {
            Role::Releasing => self.judge_releasing(me, peers, now),
            Role::Active => self.judge_active(me, peers, now),
            Role::Standby => self.judge_standby(me, peers, now),
        }
    }

    fn look_for_owner(&mut self, me: Me<'_>, peers: &[View<'_>]) {
        let other = peers
            .iter()
            .filter_map(|peer| Some((peer.living_claim()?, peer.name)))
            .filter(|(claim, _)| match claim.role {
                Role::Standby => false,
                Role::Active => true,
                // Whoever still lets go of what it had before us has nothing any more.
                Role::Releasing => self.role != Role::Releasing || claim.epoch > self.epoch,
            })
            .max_by_key(|(claim, name)| (claim.role == Role::Active, claim.epoch, *name));
        if let (Role::Standby | Role::Releasing, Some((claim, _))) = (self.role, other) {
            self.was_partial = claim.partial;
        }
        self.owner = match (self.role, other) {
            (Role::Standby | Role::Releasing, None) => None,
            (Role::Standby | Role::Releasing, Some((_, name))) => Some(name.to_owned()),
            (Role::Active, _) => Some(me.name.to_owned()),
        };
        if self.owner.is_some() {
            self.last_owner.clone_from(&self.owner);
        }
    }

    fn judge_active(
        &mut self,
        me: Me<'_>,
        peers: &[View<'_>],
        now: Time,
    ) -> (Verdict, Option<Time>) {
        if self.removed {
            return (Verdict::Leave(Left::Removed), None);
        }
        if me.stopping {
            let verdict = match best_candidate(peers, me.rules) {
                Some((to, _)) => Verdict::Offer(Left::Stop, to.to_owned()),
                None => Verdict::Leave(Left::Stop),
            };
            return (verdict, None);
        }
        let leaves = me.cut_off && me.rules.keep(Rule::CutOffLeaves);
        if leaves && !self.fitness.is_fit() && nobody_is_heard(peers) {
            return (Verdict::Leave(Left::CutOff), None);
        }
        let mine = self.standing(me.priority).rank(me.name);
        let mut wake = None;
        for peer in peers {
            let Some(claim) = peer.living_claim().filter(|c| c.role == Role::Active) else {
                continue;
            };
            let rival = peer.name.to_owned();
            if peer.hears_us {
                let outranked = claim.standing.rank(peer.name) > mine;
                if outranked && me.rules.keep(Rule::ConflictIsResolved) {
                    return (Verdict::Leave(Left::Conflict { rival }), None);
                }
            } else if me.rules.keep(Rule::DeafRivalWins) {
                if peer.deaf_at <= now {
                    return (Verdict::Leave(Left::Deaf { rival }), None);
                }
                wake = earlier(wake, Some(peer.deaf_at));
            }
        }
        let (verdict, failback) = self.judge_handover(me, peers, now);
        (verdict, earlier(wake, failback))
    }

    /// Whether a peer shall have the group that we hold.
    fn judge_handover(
        &mut self,
        me: Me<'_>,
        peers: &[View<'_>],
        now: Time,
    ) -> (Verdict, Option<Time>) {
        let mine = self.standing(me.priority);
        self.shunned.take_if(|(_, until)| *until <= now);
        let others: Vec<View<'_>> = peers
            .iter()
            .filter(|peer| {
                self.shunned
                    .as_ref()
                    .is_none_or(|(name, _)| name != peer.name)
            })
            .copied()
            .collect();
        let retry = self.shunned.as_ref().map(|(_, until)| *until);
        let best = best_candidate(&others, me.rules);
        let Some((name, standing)) = best.filter(|(_, other)| other.deserves_over(mine)) else {
            self.better = None;
            return (Verdict::Keep, retry);
        };
        let to = name.to_owned();
        if !mine.fitness.is_fit() {
            let why = if self.standby {
                Left::Standby { to: to.clone() }
            } else {
                Left::Unfit { to: to.clone() }
            };
            return (Verdict::Offer(why, to), None);
        }
        debug_assert!(standing.fitness.is_fit());
        // Who still forwards for what it gave to us is in no hurry to have it back.
        let at_rest = others.iter().any(|peer| {
            peer.name == name && peer.claim.is_some_and(|claim| claim.role == Role::Standby)
        });
        let declines = standing.declines && me.rules.keep(Rule::DeclineIsHeeded);
        if declines || !at_rest {
            self.better = None;
            return (Verdict::Keep, retry);
        }
        let Failback::Auto { delay } = self.settings.failback else {
            self.better = None;
            return (Verdict::Keep, retry);
        };
        let since = match &self.better {
            Some((better, since)) if *better == to => *since,
            Some(_) | None => now,
        };
        self.better = Some((to.clone(), since));
        let at = since + delay;
        if now < at {
            return (Verdict::Keep, earlier(retry, Some(at)));
        }
        (Verdict::Offer(Left::Failback { to: to.clone() }, to), None)
    }

    /// How the leaving goes on.
    fn judge_releasing(
        &mut self,
        me: Me<'_>,
        peers: &[View<'_>],
        now: Time,
    ) -> (Verdict, Option<Time>) {
        // Whoever has claimed it since, and has it still; or is about to leave it, too.
        let newer = |leaves: bool| {
            peers.iter().find(|peer| {
                let claim = peer.living_claim().filter(|c| c.epoch > self.epoch);
                claim.is_some_and(|claim| match claim.role {
                    Role::Standby => false,
                    Role::Active => true,
                    Role::Releasing => leaves,
                })
            })
        };
        match &self.leaving {
            None | Some(Leaving::Removing) => (Verdict::Keep, None),
            Some(Leaving::Offered { to, until }) => {
                let (to, until) = (to.clone(), *until);
                if !me.rules.keep(Rule::ClaimIsAwaited) {
                    return (Verdict::Remove, None);
                }
                if let Some(owner) = newer(false) {
                    let to = owner.name.to_owned();
                    let until = now + LINGER;
                    self.leaving = Some(Leaving::Lingering { to, until });
                    return (Verdict::Keep, Some(until));
                }
                let there = peers
                    .iter()
                    .any(|peer| peer.name == to && peer.candidacy().is_some());
                if there && now < until || !me.rules.keep(Rule::UnclaimedIsTakenBack) {
                    return (Verdict::Keep, Some(until).filter(|until| now < *until));
                }
                self.shunned = Some((to, now + OFFER_PAUSE));
                let verdict = if me.stopping || self.removed {
                    Verdict::Remove
                } else {
                    Verdict::Take(Taken::Unclaimed)
                };
                (verdict, None)
            }
            Some(Leaving::Lingering { until, .. }) => {
                let until = *until;
                let may_take = !(me.stopping || self.removed || self.standby);
                match self.standing_offer(peers) {
                    Some(offer) if offer.to == me.name && may_take => {
                        let by = offer.by.to_owned();
                        (Verdict::Take(Taken::Offered { by }), None)
                    }
                    _ if newer(true).is_some()
                        && now < until
                        && me.rules.keep(Rule::OldOwnerLingers) =>
                    {
                        (Verdict::Keep, Some(until))
                    }
                    _ => (Verdict::Remove, None),
                }
            }
        }
    }

    fn judge_standby(
        &mut self,
        me: Me<'_>,
        peers: &[View<'_>],
        now: Time,
    ) -> (Verdict, Option<Time>) {
        let stands_by = self.standby && me.rules.keep(Rule::StandbyTakesNothing);
        if self.removed || stands_by || me.stopping || (me.waiting && !self.settled) {
            self.free = None;
            return (Verdict::Keep, None);
        }
        let offer = self.standing_offer(peers);
        let ours = offer.filter(|offer| offer.to == me.name);
        if peers
            .iter()
            .any(|peer| is_held_by(me, *peer, ours) || said_held(me, *peer, peers))
        {
            self.held = Some(now);
            self.free = None;
            self.unfit_told = false;
            return (Verdict::Keep, None);
        }
        if !self.settled && now < me.start_ends && self.somebody_gets_ready(me, peers) {
            self.free = None;
            return (Verdict::Keep, Some(me.start_ends));
        }
        let free = *self.free.get_or_insert(now);
        if !self.may_take(me, peers) {
            let verdict = if self.unfit_told {
                Verdict::Keep
            } else {
                Verdict::Unfit
            };
            self.unfit_told = true;
            return (verdict, None);
        }
        self.unfit_told = false;
        if let Some(offer) = ours {
            let by = offer.by.to_owned();
            return (Verdict::Take(Taken::Offered { by }), None);
        }
        let mine = self.standing(me.priority).rank(me.name);
        let better = u32::try_from(better_candidates(peers, mine)).unwrap_or(u32::MAX);
        let at = free + me.deadtime.saturating_mul(better);
        if now < at {
            return (Verdict::Keep, Some(at));
        }
        (Verdict::Take(self.reason(me, peers)), None)
    }

    /// Whether a candidate that may be the best has not run its probes yet. At a start that decides
    /// nothing: nobody serves, and whoever is ready first is so by chance.
    fn somebody_gets_ready(&self, me: Me<'_>, peers: &[View<'_>]) -> bool {
        let gets_ready = |standing: Standing| standing.fitness.is_fit() && !standing.ready;
        gets_ready(self.standing(me.priority))
            || peers
                .iter()
                .filter_map(|p| p.candidacy())
                .any(|c| gets_ready(c.standing))
    }

    /// The unfit takes a group only if it knows of every other director that it is unfit too, or
    /// does not run. Of a silent one it cannot know: it may be itself that is cut off.
    fn may_take(&self, me: Me<'_>, peers: &[View<'_>]) -> bool {
        if self.fitness().is_fit() || !me.rules.keep(Rule::UnfitStaysAway) {
            return true;
        }
        peers.iter().all(|peer| match peer.candidacy() {
            Some(claim) => !claim.standing.fitness.is_fit(),
            None => peer.alive || peer.is_gone(),
        })
    }

    /// Who gives the group away, and to whom.
    fn standing_offer<'a>(&self, peers: &[View<'a>]) -> Option<Offer<'a>> {
        peers
            .iter()
            .filter_map(|peer| Some((peer.name, peer.living_claim()?)))
            .filter(|(_, claim)| claim.role == Role::Releasing && claim.epoch >= self.seen)
            .find_map(|(by, claim)| {
                Some(Offer {
                    by,
                    to: claim.offer.as_deref()?,
                    epoch: claim.epoch,
                })
            })
    }

    fn reason(&self, me: Me<'_>, peers: &[View<'_>]) -> Taken {
        let Some(last) = self.last_owner.clone() else {
            return Taken::Start;
        };
        if last == me.name {
            return Taken::Unclaimed;
        }
        let peer = peers.iter().find(|peer| peer.name == last);
        match peer.filter(|peer| !peer.alive).and_then(|peer| peer.death) {
            Some(DeathCause::Silence) => Taken::Silence { of: last },
            Some(DeathCause::Refused) => Taken::Refused { by: last },
            Some(DeathCause::Stopped) | None => Taken::Released { by: last },
        }
    }

    /// Whether somebody who is no director may have its VIPs, if it is taken now.
    pub(super) fn whom_to_ask(&self, me: Me<'_>, peers: usize, now: Time) -> Ask {
        let directors = u32::try_from(peers).unwrap_or(u32::MAX).saturating_add(1);
        let lately = LATELY.max(me.deadtime.saturating_mul(directors));
        match self.held {
            Some(held) if now <= held + lately => {
                if self.partial || self.was_partial {
                    Ask::Beside
                } else {
                    Ask::Nobody
                }
            }
            Some(_) | None => Ask::First,
        }
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
            if !peer.alive && !peer.is_gone() {
                self.missed.insert(peer.name.to_owned());
            } else if peer.alive && (self.role != Role::Active || rivals.contains(peer.name)) {
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
    pub(super) fn prevail(&mut self, peers: &[View<'_>], rules: Rules) -> bool {
        let mut beaten = false;
        let mut undecided = false;
        for peer in peers.iter().filter(|peer| self.rivals.contains(peer.name)) {
            beaten |= peer.hears_us && self.beaten.insert(peer.name.to_owned());
            undecided |= !peer.hears_us;
        }
        let outbid = self.role == Role::Active && self.seen > self.epoch && !undecided;
        if beaten || outbid {
            self.outbid(rules);
        }
        let back = peers
            .iter()
            .filter(|peer| peer.alive && self.missed.remove(peer.name))
            .count();
        beaten || outbid || back > 0 && rules.keep(Rule::ReturnIsAnnounced)
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

/// Whether a peer keeps us from taking a group, which we may be offered.
fn is_held_by(me: Me<'_>, peer: View<'_>, ours: Option<Offer<'_>>) -> bool {
    peer.living_claim().is_some_and(|claim| match claim.role {
        Role::Standby => false,
        Role::Active => true,
        Role::Releasing => match &claim.offer {
            Some(_) => {
                let ours = ours.is_some_and(|offer| claim.epoch <= offer.epoch);
                !ours && me.rules.keep(Rule::OfferIsExclusive)
            }
            // One that has left before the offer was made does not answer for the VIPs any more.
            None => {
                let before = ours.is_some_and(|offer| claim.epoch < offer.epoch);
                !before && me.rules.keep(Rule::ReleaseIsAwaited)
            }
        },
    })
}

/// Whether all peers are away, and one at least for no other reason than that it is not heard.
fn nobody_is_heard(peers: &[View<'_>]) -> bool {
    let silent = |peer: &View<'_>| peer.death == Some(DeathCause::Silence);
    peers.iter().all(|peer| !peer.alive) && peers.iter().any(silent)
}

/// The best of the peers that could take a group over at once.
pub(super) fn best_candidate<'a>(peers: &[View<'a>], rules: Rules) -> Option<(&'a str, Standing)> {
    peers
        .iter()
        .filter(|peer| unsuited(peer, rules).is_none())
        .filter_map(|peer| Some((peer.name, peer.claim?.standing)))
        .max_by_key(|(name, standing)| standing.rank(name))
}

/// Why a peer could not take a group over at once; `None` if it could.
pub(super) fn unsuited(peer: &View<'_>, rules: Rules) -> Option<Unsuited> {
    if !peer.alive {
        return Some(Unsuited::Dead);
    }
    if peer.stopping {
        return Some(Unsuited::Stopping);
    }
    if !peer.hears_us {
        return Some(Unsuited::Deaf);
    }
    let Some(claim) = peer.claim else {
        return Some(Unsuited::NoGroup);
    };
    if !claim.standing.fitness.is_fit() {
        return Some(Unsuited::Unfit);
    }
    (!claim.standing.ready && rules.keep(Rule::HandoverNeedsReady)).then_some(Unsuited::NotReady)
}

/// How many come before us.
fn better_candidates(peers: &[View<'_>], mine: Rank<'_>) -> usize {
    peers
        .iter()
        .filter_map(|peer| Some((peer.name, peer.candidacy()?)))
        .filter(|(name, claim)| claim.standing.rank(name) > mine)
        .count()
}

/// Whether a peer says that a third director is active which does not tell us so itself: because
/// we do not hear it, or because the peer has heard a newer claim of it.
fn said_held(me: Me<'_>, peer: View<'_>, peers: &[View<'_>]) -> bool {
    let Some(told) = peer
        .living_claim()
        .filter(|_| me.rules.keep(Rule::HearsayCounts))
    else {
        return false;
    };
    let owner = told.owner.as_deref();
    let Some(third) = peers.iter().find(|third| Some(third.name) == owner) else {
        return false;
    };
    match third.living_claim() {
        Some(claim) => claim.epoch < told.epoch,
        None => !third.is_gone(),
    }
}

/// The earlier of two times, where there are any.
pub(super) fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    a.into_iter().chain(b).min()
}
