//! Who shall have a group: one director's judgement of what it knows.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use super::event::{DeathCause, Left, Taken};
use super::heartbeat::{Claim, Fitness, Rank, Role, Standing};
use super::rules::{Rule, Rules};
use super::settings::GroupSettings;
use crate::clock::Time;
use crate::config::model::Failback;

/// After a handover that nobody took there is no failback for so long, or else the group would be
/// without an owner again and again.
const OFFER_PAUSE: Duration = Duration::from_secs(60);

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
    /// To whom we have left the group, and until when we stay away for it.
    pub(super) offered: Option<(String, Time)>,
    /// That nobody takes the group because of our being unfit has been told.
    pub(super) unfit_told: bool,
    /// Since when nobody is active.
    free: Option<Time>,
    /// Who deserves the group more than we, and since when.
    better: Option<(String, Time)>,
    /// No failback before.
    failback_after: Time,
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
    /// Become standby, and leave the group to somebody if there is one.
    Leave(Left, Option<String>),
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
            offered: None,
            unfit_told: false,
            free: None,
            better: None,
            failback_after: Time::ZERO,
        }
    }

    /// The owner, unless it is `me`: what others are told.
    pub(super) fn heard_owner(&self, me: &str) -> Option<&str> {
        self.owner.as_deref().filter(|owner| *owner != me)
    }

    pub(super) fn standing(&self, priority: u16) -> Standing {
        let preferred = self.settings.preferred;
        Standing {
            fitness: self.fitness,
            ready: self.ready,
            preferred,
            priority,
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
        match self.role {
            Role::Releasing => (Verdict::Keep, None),
            Role::Active => self.judge_active(me, peers, now),
            Role::Standby => self.judge_standby(me, peers, now),
        }
    }

    fn look_for_owner(&mut self, me: Me<'_>, peers: &[View<'_>]) {
        let other = peers
            .iter()
            .filter_map(|peer| Some((peer.living_claim()?, peer.name)))
            .filter(|(claim, _)| claim.role != Role::Standby)
            .max_by_key(|(claim, name)| (claim.role == Role::Active, claim.epoch, *name));
        self.owner = match (self.role, other) {
            (Role::Standby | Role::Releasing, None) => None,
            (Role::Standby | Role::Releasing, Some((_, name))) => Some(name.to_owned()),
            (Role::Active, _) => Some(me.name.to_owned()),
        };
        if self.owner.is_some() {
            self.last_owner.clone_from(&self.owner);
            if self.role == Role::Standby {
                self.offered = None;
            }
        }
    }

    fn judge_active(
        &mut self,
        me: Me<'_>,
        peers: &[View<'_>],
        now: Time,
    ) -> (Verdict, Option<Time>) {
        if self.removed {
            return (Verdict::Leave(Left::Removed, None), None);
        }
        if me.stopping {
            return (Verdict::Leave(Left::Stop, None), None);
        }
        if me.cut_off && !self.fitness.is_fit() && nobody_is_heard(peers) {
            return (Verdict::Leave(Left::CutOff, None), None);
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
                    return (Verdict::Leave(Left::Conflict { rival }, None), None);
                }
            } else if me.rules.keep(Rule::DeafRivalWins) {
                if peer.deaf_at <= now {
                    return (Verdict::Leave(Left::Deaf { rival }, None), None);
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
        let best = peers
            .iter()
            .filter(|peer| peer.hears_us)
            .filter_map(|peer| Some((peer.name, peer.candidacy()?.standing)))
            .filter(|(_, standing)| standing.fitness.is_fit())
            .filter(|(_, standing)| standing.ready || !me.rules.keep(Rule::HandoverNeedsReady))
            .max_by_key(|(name, standing)| standing.rank(name));
        let Some((name, standing)) = best.filter(|(_, other)| other.deserves_over(mine)) else {
            self.better = None;
            return (Verdict::Keep, None);
        };
        let to = name.to_owned();
        if !mine.fitness.is_fit() {
            let offer = Some(to.clone());
            return (Verdict::Leave(Left::Unfit { to }, offer), None);
        }
        debug_assert!(standing.fitness.is_fit());
        let Failback::Auto { delay } = self.settings.failback else {
            self.better = None;
            return (Verdict::Keep, None);
        };
        let since = match &self.better {
            Some((better, since)) if *better == to => *since,
            Some(_) | None => now,
        };
        self.better = Some((to.clone(), since));
        let at = (since + delay).max(self.failback_after);
        if now < at {
            return (Verdict::Keep, Some(at));
        }
        let offer = Some(to.clone());
        (Verdict::Leave(Left::Failback { to }, offer), None)
    }

    fn judge_standby(
        &mut self,
        me: Me<'_>,
        peers: &[View<'_>],
        now: Time,
    ) -> (Verdict, Option<Time>) {
        if self.removed || me.stopping || (me.waiting && !self.settled) {
            self.free = None;
            return (Verdict::Keep, None);
        }
        if peers
            .iter()
            .any(|peer| self.is_held_by(me, *peer) || said_held(me, *peer, peers))
        {
            self.free = None;
            self.unfit_told = false;
            return (Verdict::Keep, None);
        }
        if !self.settled && now < me.start_ends && self.somebody_gets_ready(me, peers) {
            self.free = None;
            return (Verdict::Keep, Some(me.start_ends));
        }
        let free = *self.free.get_or_insert(now);
        if self
            .offered
            .as_ref()
            .is_some_and(|(_, until)| *until <= now)
        {
            self.offered = None;
        }
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
        let offer = self.standing_offer(peers);
        if let Some((by, to)) = offer
            && to == me.name
        {
            return (Verdict::Take(Taken::Offered { by: by.to_owned() }), None);
        }
        let mine = self.standing(me.priority).rank(me.name);
        let better = u32::try_from(self.better_candidates(peers, mine, offer)).unwrap_or(u32::MAX);
        let mut at = free + me.deadtime.saturating_mul(better);
        if let Some((_, until)) = &self.offered {
            at = at.max(*until);
        }
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

    fn is_held_by(&self, me: Me<'_>, peer: View<'_>) -> bool {
        peer.living_claim().is_some_and(|claim| match claim.role {
            Role::Standby => false,
            Role::Active => true,
            Role::Releasing => me.rules.keep(Rule::ReleaseIsAwaited),
        })
    }

    /// The unfit takes a group only if it knows of every other director that it is unfit too, or
    /// does not run. Of a silent one it cannot know: it may be itself that is cut off.
    fn may_take(&self, me: Me<'_>, peers: &[View<'_>]) -> bool {
        if self.fitness.is_fit() || !me.rules.keep(Rule::UnfitStaysAway) {
            return true;
        }
        peers.iter().all(|peer| match peer.candidacy() {
            Some(claim) => !claim.standing.fitness.is_fit(),
            None => peer.alive || peer.is_gone(),
        })
    }

    /// Who left the group last, and to whom; unless the one it was left to is not there.
    fn standing_offer<'a>(&self, peers: &[View<'a>]) -> Option<(&'a str, &'a str)> {
        peers
            .iter()
            .filter_map(|peer| Some((peer.name, peer.living_claim()?)))
            .filter(|(_, claim)| claim.role == Role::Standby && claim.epoch >= self.seen)
            .find_map(|(name, claim)| Some((name, claim.offer.as_deref()?)))
    }

    fn better_candidates(
        &self,
        peers: &[View<'_>],
        mine: Rank<'_>,
        offer: Option<(&str, &str)>,
    ) -> usize {
        peers
            .iter()
            .filter_map(|peer| Some((peer.name, peer.candidacy()?)))
            .filter(|(name, claim)| {
                let invited = offer.is_some_and(|(_, to)| to == *name);
                // Who has just left it does not come back before those who were to take it.
                let left = claim.offer.is_some();
                invited || (!left && claim.standing.rank(name) > mine)
            })
            .count()
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

    /// Becomes active, with an epoch above any that is known.
    pub(super) fn take(&mut self, why: &Taken, rules: Rules, now: Time) {
        self.role = Role::Active;
        self.since = now;
        self.why = why.to_string();
        self.settled = true;
        self.offered = None;
        self.free = None;
        self.better = None;
        if *why == Taken::Unclaimed {
            self.failback_after = now + OFFER_PAUSE;
        }
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
        self.rivals = rivals;
        (came, went)
    }

    /// We are active and stay so: makes our claim newer than every other. Tells whether there were
    /// rivals that hear us and that we have just been found to outrank.
    pub(super) fn prevail(&mut self, peers: &[View<'_>], rules: Rules) -> bool {
        let mut beaten = false;
        let mut undecided = false;
        for peer in peers.iter().filter(|peer| self.rivals.contains(peer.name)) {
            beaten |= peer.hears_us && self.beaten.insert(peer.name.to_owned());
            undecided |= !peer.hears_us;
        }
        if beaten || (self.role == Role::Active && self.seen > self.epoch && !undecided) {
            self.outbid(rules);
        }
        beaten
    }

    /// Starts to leave.
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
        self.better = None;
        self.rivals.clear();
        self.beaten.clear();
        self.offered = offer.map(|to| (to, now + deadtime));
    }

    /// Has left. Whoever was offered the group has its time from here.
    pub(super) fn released(&mut self, deadtime: Duration, now: Time) {
        self.role = Role::Standby;
        self.since = now;
        self.free = None;
        if let Some((_, until)) = &mut self.offered {
            *until = now + deadtime;
        }
    }
}

/// Whether all peers are away, and one at least for no other reason than that it is not heard.
fn nobody_is_heard(peers: &[View<'_>]) -> bool {
    let silent = |peer: &View<'_>| peer.death == Some(DeathCause::Silence);
    peers.iter().all(|peer| !peer.alive) && peers.iter().any(silent)
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
