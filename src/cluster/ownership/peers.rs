//! What the peers are to one group, and which of them could take it.

use super::Me;
use crate::clock::Time;
use crate::cluster::event::{DeathCause, Unsuited};
use crate::cluster::heartbeat::{Claim, Rank, Role, Standing};
use crate::cluster::rules::{Rule, Rules};

/// A peer, as far as one group is concerned.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) struct View<'a> {
    pub(in crate::cluster) name: &'a str,
    pub(in crate::cluster) alive: bool,
    pub(in crate::cluster) death: Option<DeathCause>,
    pub(in crate::cluster) stopping: bool,
    pub(in crate::cluster) hears_us: bool,
    pub(in crate::cluster) deaf_at: Time,
    pub(in crate::cluster) claim: Option<&'a Claim>,
}

/// What a peer says that gives a group away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer<'a> {
    pub(super) by: &'a str,
    pub(super) to: &'a str,
    pub(super) epoch: u64,
}

impl<'a> View<'a> {
    /// Known not to run, rather than only not heard.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.death, Some(DeathCause::Refused | DeathCause::Stopped))
    }

    pub(super) fn living_claim(&self) -> Option<&'a Claim> {
        self.claim.filter(|_| self.alive)
    }

    /// The claim of a peer that may take the group.
    pub(super) fn candidacy(&self) -> Option<&'a Claim> {
        self.living_claim().filter(|_| !self.stopping)
    }
}

/// Whether a peer keeps us from taking a group, which we may be offered.
pub(super) fn is_held_by(me: Me<'_>, peer: View<'_>, ours: Option<Offer<'_>>) -> bool {
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
pub(super) fn nobody_is_heard(peers: &[View<'_>]) -> bool {
    let silent = |peer: &View<'_>| peer.death == Some(DeathCause::Silence);
    peers.iter().all(|peer| !peer.alive) && peers.iter().any(silent)
}

/// The best of the peers that could take a group over at once.
pub(in crate::cluster) fn best_candidate<'a>(
    peers: &[View<'a>],
    rules: Rules,
) -> Option<(&'a str, Standing)> {
    peers
        .iter()
        .filter(|peer| unsuited(peer, rules).is_none())
        .filter_map(|peer| Some((peer.name, peer.claim?.standing)))
        .max_by_key(|(name, standing)| standing.rank(name))
}

/// Why a peer could not take a group over at once; `None` if it could.
pub(in crate::cluster) fn unsuited(peer: &View<'_>, rules: Rules) -> Option<Unsuited> {
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

/// Who comes before us.
pub(super) fn better_candidates<'a>(
    peers: &[View<'a>],
    mine: Rank<'_>,
) -> impl Iterator<Item = &'a str> {
    peers
        .iter()
        .filter_map(|peer| Some((peer.name, peer.candidacy()?)))
        .filter(move |(name, claim)| claim.standing.rank(name) > mine)
        .map(|(name, _)| name)
}

/// The third director that a peer says is active and that does not tell us so itself: because we do
/// not hear it, or because the peer has heard a newer claim of it.
pub(super) fn said_held<'a>(me: Me<'_>, peer: View<'_>, peers: &[View<'a>]) -> Option<&'a str> {
    let told = peer
        .living_claim()
        .filter(|_| me.rules.keep(Rule::HearsayCounts))?;
    let owner = told.owner.as_deref();
    let third = peers.iter().find(|third| Some(third.name) == owner)?;
    let believed = match third.living_claim() {
        Some(claim) => claim.epoch < told.epoch,
        None => !third.is_gone(),
    };
    believed.then_some(third.name)
}

/// The earlier of two times, where there are any.
pub(in crate::cluster) fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    a.into_iter().chain(b).min()
}
