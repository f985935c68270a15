//! The latest takeovers of this director, with the times of their phases.

use std::collections::VecDeque;

use super::snapshot::Takeover;
use crate::clock::{Time, micros};

/// So many are kept, and of each group the latest.
const KEPT: usize = 16;

/// What is known when a group is claimed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Claimed {
    /// The group.
    pub(super) group: String,
    /// Of the claim.
    pub(super) epoch: u64,
    /// What made it so.
    pub(super) reason: String,
    /// Who had it before, if anybody is known to have.
    pub(super) from: Option<String>,
    /// When that director was heard last.
    pub(super) heard: Option<Time>,
    /// When the other was first late, or known to be gone or leaving.
    pub(super) suspected: Option<Time>,
    /// When the group was claimed.
    pub(super) at: Time,
}

/// The latest takeovers, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Takeovers(VecDeque<Record>);

#[derive(Clone, Debug)]
struct Record {
    claimed: Claimed,
    /// Of its group.
    is_latest: bool,
    addresses: Option<Time>,
    announced: Option<Time>,
    first_packet: Option<Time>,
}

impl Takeovers {
    /// A group has been claimed.
    pub(super) fn claim(&mut self, claimed: Claimed) {
        if let Some(before) = self.latest(&claimed.group) {
            before.is_latest = false;
        }
        if self.0.len() >= KEPT
            && let Some(oldest) = self.0.iter().position(|record| !record.is_latest)
        {
            self.0.remove(oldest);
        }
        self.0.push_back(Record {
            claimed,
            is_latest: true,
            addresses: None,
            announced: None,
            first_packet: None,
        });
    }

    /// All VIPs of a group are here.
    pub(super) fn raised(&mut self, group: &str, now: Time) {
        if let Some(record) = self.latest(group) {
            record.addresses.get_or_insert(now);
        }
    }

    /// No VIP waits for its first announcement any more. Returns what has been completed by that.
    pub(super) fn announced(&mut self, now: Time) -> Vec<Takeover> {
        let mut completed = Vec::new();
        for record in &mut self.0 {
            if record.addresses.is_some() && record.announced.is_none() {
                record.announced = Some(now);
                completed.push(record.takeover(now));
            }
        }
        completed
    }

    /// The first packet to the VIPs of a group has come; how many microseconds after the claim.
    pub(super) fn first_packet(&mut self, group: &str, now: Time) -> Option<u64> {
        let record = self.latest(group)?;
        record.first_packet = Some(now);
        Some(micros::of(now.saturating_sub(record.claimed.at)))
    }

    /// Whether [`announced`](Self::announced) would complete any.
    pub(super) fn is_waiting(&self) -> bool {
        self.0
            .iter()
            .any(|record| record.addresses.is_some() && record.announced.is_none())
    }

    /// All of them as of `now`, the newest last.
    pub(super) fn at(&self, now: Time) -> Vec<Takeover> {
        self.0.iter().map(|record| record.takeover(now)).collect()
    }

    fn latest(&mut self, group: &str) -> Option<&mut Record> {
        self.0
            .iter_mut()
            .rev()
            .find(|record| record.claimed.group == group)
    }
}

impl Record {
    fn takeover(&self, now: Time) -> Takeover {
        let Claimed {
            group,
            epoch,
            reason,
            from,
            heard,
            suspected,
            at,
        } = &self.claimed;
        let before = |time: &Option<Time>| time.map(|time| micros::of(at.saturating_sub(time)));
        let after = |time: Option<Time>| time.map(|time| micros::of(time.saturating_sub(*at)));
        Takeover {
            group: group.clone(),
            epoch: *epoch,
            reason: reason.clone(),
            from: from.clone(),
            age: now.saturating_sub(*at),
            heard_before_us: before(heard),
            suspected_before_us: before(suspected),
            addresses_after_us: after(self.addresses),
            announced_after_us: after(self.announced),
            first_packet_after_us: after(self.first_packet),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn claimed(group: &str, epoch: u64) -> Claimed {
        Claimed {
            group: group.to_owned(),
            epoch,
            reason: "ha1 is silent".to_owned(),
            from: Some("ha1".to_owned()),
            heard: Some(Duration::from_millis(9_700)),
            suspected: Some(Duration::from_millis(9_999)),
            at: Duration::from_secs(10),
        }
    }

    #[test]
    fn phases_are_told_from_the_claim() {
        let mut takeovers = Takeovers::default();
        takeovers.claim(claimed("web", 7));
        let [begun] = &takeovers.at(Duration::from_secs(10))[..] else {
            panic!("one");
        };
        assert_eq!(begun.heard_before_us, Some(300_000));
        assert_eq!(begun.suspected_before_us, Some(1_000));
        assert_eq!(begun.addresses_after_us, None);
        assert!(!takeovers.is_waiting());
        assert_eq!(takeovers.announced(Duration::from_secs(11)), []);
        takeovers.raised("mail", Duration::from_millis(10_001));
        takeovers.raised("web", Duration::from_millis(10_002));
        takeovers.raised("web", Duration::from_millis(10_005));
        assert!(takeovers.is_waiting());
        let [done] = &takeovers.announced(Duration::from_millis(10_003))[..] else {
            panic!("one");
        };
        assert_eq!(done.addresses_after_us, Some(2_000));
        assert_eq!(done.announced_after_us, Some(3_000));
        assert_eq!(takeovers.announced(Duration::from_secs(12)), []);
        assert_eq!(done.first_packet_after_us, None);
        let first = Duration::from_millis(10_004);
        assert_eq!(takeovers.first_packet("mail", first), None);
        assert_eq!(takeovers.first_packet("web", first), Some(4_000));
        let [served] = &takeovers.at(first)[..] else {
            panic!("one");
        };
        assert_eq!(served.first_packet_after_us, Some(4_000));
        assert_eq!(
            takeovers.at(Duration::from_secs(12))[0].age,
            Duration::from_secs(2)
        );
    }

    #[test]
    fn of_each_group_the_latest_is_kept_whatever_comes_after_it() {
        let mut takeovers = Takeovers::default();
        let group = |n: usize| format!("g{n}");
        for n in 0..40 {
            takeovers.claim(claimed(&group(n), 1));
        }
        for n in 0..40 {
            takeovers.raised(&group(n), Duration::from_secs(11));
        }
        assert_eq!(takeovers.announced(Duration::from_secs(12)).len(), 40);
        for epoch in 2..=20 {
            takeovers.claim(claimed("g7", epoch));
        }
        let kept = takeovers.at(Time::MAX);
        let of = |group: &str| kept.iter().filter(|t| t.group == group).count();
        assert!((0..40).all(|n| of(&group(n)) == 1), "{kept:?}");
        assert_eq!(kept.last().map(|t| t.epoch), Some(20));
    }

    #[test]
    fn the_latest_sixteen_are_kept() {
        let mut takeovers = Takeovers::default();
        for epoch in 1..=20 {
            takeovers.claim(claimed("web", epoch));
        }
        let epochs: Vec<u64> = takeovers.at(Time::MAX).iter().map(|t| t.epoch).collect();
        assert_eq!(epochs, (5..=20).collect::<Vec<_>>());
    }
}
