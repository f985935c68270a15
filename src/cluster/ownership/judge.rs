//! Whether to take, keep or leave a group, by the role that a director has in it.

use super::peers::{
    Offer, View, best_candidate, better_candidates, earlier, is_held_by, nobody_is_heard, said_held,
};
use super::{Group, LINGER, Leaving, Me, OFFER_PAUSE, Vacancy, Verdict};
use crate::clock::Time;
use crate::cluster::event::{DeathCause, Left, Taken};
use crate::cluster::heartbeat::Role;
use crate::cluster::rules::Rule;
use crate::config::model::Failback;

impl Group {
    /// Judges, and says when to judge again if nothing else happens before.
    pub(in crate::cluster) fn judge(
        &mut self,
        me: Me<'_>,
        peers: &[View<'_>],
        now: Time,
    ) -> (Verdict, Option<Time>) {
        self.look_for_owner(me, peers);
        if self.owner.is_some() || self.role == Role::Releasing {
            self.held = Some(now);
        }
        self.vacancy = None;
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
                // What has become unfit meanwhile does not claim it.
                let claims = |peer: &View<'_>| {
                    let claim = peer.candidacy();
                    claim.is_some_and(|claim| claim.standing.fitness.is_fit())
                };
                let will_claim = peers.iter().any(|peer| peer.name == to && claims(peer));
                if will_claim && now < until || !me.rules.keep(Rule::UnclaimedIsTakenBack) {
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
        self.vacancy = self.refrains(me);
        if self.vacancy.is_some() {
            self.free = None;
            return (Verdict::Keep, None);
        }
        let offer = self.standing_offer(peers);
        let ours = offer.filter(|offer| offer.to == me.name);
        let told = peers
            .iter()
            .find_map(|peer| Some((peer, said_held(me, *peer, peers)?)));
        if told.is_some() || peers.iter().any(|peer| is_held_by(me, *peer, ours)) {
            self.vacancy = told.map(|(by, owner)| Vacancy::Told {
                by: by.name.to_owned(),
                owner: owner.to_owned(),
            });
            self.held = Some(now);
            self.free = None;
            self.unfit_told = false;
            return (Verdict::Keep, None);
        }
        let until = me.start_ends;
        let unready = self.who_gets_ready(me, peers);
        if !self.settled && now < until && !unready.is_empty() {
            let names = unready.into_iter().map(str::to_owned).collect();
            self.vacancy = Some(Vacancy::Unready { names, until });
            self.free = None;
            return (Verdict::Keep, Some(until));
        }
        let free = *self.free.get_or_insert(now);
        if !self.may_take(me, peers) {
            let silent = peers.iter().filter(|peer| !peer.alive && !peer.is_gone());
            let silent = silent.map(|peer| peer.name.to_owned()).collect();
            self.vacancy = Some(Vacancy::Unfit { silent });
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
        let better: Vec<String> = better_candidates(peers, mine).map(str::to_owned).collect();
        let count = u32::try_from(better.len()).unwrap_or(u32::MAX);
        let at = free + me.deadtime.saturating_mul(count);
        if now < at {
            self.vacancy = Some(Vacancy::Outranked { by: better });
            return (Verdict::Keep, Some(at));
        }
        (Verdict::Take(self.reason(me, peers)), None)
    }

    /// What keeps us from looking for an owner at all.
    fn refrains(&self, me: Me<'_>) -> Option<Vacancy> {
        if self.removed {
            Some(Vacancy::Removed)
        } else if self.standby && me.rules.keep(Rule::StandbyTakesNothing) {
            Some(Vacancy::StandsBy)
        } else if me.stopping {
            Some(Vacancy::Stopping)
        } else {
            (me.waiting && !self.settled).then_some(Vacancy::Unanswered)
        }
    }

    /// The candidates, which may be the best, that have not run their probes yet. At a start that
    /// decides nothing: nobody serves, and whoever is ready first is so by chance.
    fn who_gets_ready<'a>(&self, me: Me<'a>, peers: &[View<'a>]) -> Vec<&'a str> {
        let peers = peers.iter();
        let peers = peers.filter_map(|peer| Some((peer.name, peer.candidacy()?.standing)));
        [(me.name, self.standing(me.priority))]
            .into_iter()
            .chain(peers)
            .filter(|(_, standing)| standing.fitness.is_fit() && !standing.ready)
            .map(|(name, _)| name)
            .collect()
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
}
