//! Names the rules that the simulation must be able to miss: a test may break one of them and see
//! that it is noticed.

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rule {
    /// A new session is trusted only when it echoes ours.
    SessionNeedsProof,
    /// A counter is heard once.
    CounterGrows,
    /// A known session that does not echo us is trusted only as long as its clock is right.
    StaleIsDropped,
    /// A session that has been followed by another stays away.
    SessionRetires,
    /// A fresh start waits.
    StartWaits,
    /// Of two that are active, and hear each other, the lower one leaves.
    ConflictIsResolved,
    /// Who is active and not heard by another that is active leaves.
    DeafRivalWins,
    /// Who was not run for deadtime leaves.
    PauseLeaves,
    /// Nobody takes a group from one that is still removing its VIPs.
    ReleaseIsAwaited,
    /// Only who was offered a group takes it from one that still forwards for it.
    OfferIsExclusive,
    /// In a handover the VIPs go only once the new owner has claimed them.
    ClaimIsAwaited,
    /// What nobody claims is taken back.
    UnclaimedIsTakenBack,
    /// Who gave a group away forwards for it until the neighbours know the new owner.
    OldOwnerLingers,
    /// Who stands by takes nothing.
    StandbyTakesNothing,
    /// No failback to whom an operator has handed the group over from.
    DeclineIsHeeded,
    /// Who reaches nothing and hears nobody leaves.
    CutOffLeaves,
    /// A group is handed over only to who is ready.
    HandoverNeedsReady,
    /// Who is unfit does not take over from the silent.
    UnfitStaysAway,
    /// Who hears of an active director through others does not take over.
    HearsayCounts,
    /// Who is active announces the VIPs again when somebody is heard again who may have had them.
    ReturnIsAnnounced,
    /// Each claim has a newer epoch than any before.
    EpochGrows,
    /// A change is said at once.
    ChangesAreUrgent,
    /// What is urgent is read at once, which is for drivers to keep.
    #[cfg(test)]
    UrgentIsRead,
    /// What is said because somebody asked asks for no answer itself.
    AnswersAskNothing,
}

/// Which rules are kept: all of them, outside tests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    #[cfg(test)]
    pub(super) broken: Option<Rule>,
}

impl Rules {
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the same call as in tests")]
    pub(super) const fn keep(self, _: Rule) -> bool {
        true
    }

    #[cfg(test)]
    pub(super) fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}
