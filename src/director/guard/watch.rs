//! What the guard decides, and what the daemon tells it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::config::model::Vip;
use crate::director::paths::Letter;

/// What to do when the daemon dies.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Charge {
    /// The VIPs of the configuration; addresses that carry our mark are removed as well.
    pub vips: BTreeSet<Vip>,
    /// How long the daemon's next run may take to appear before they are removed; zero while a peer
    /// lives that is told and takes over.
    pub grace: Duration,
    /// What the peers are told first if there is no grace: that the daemon has died.
    pub last_words: Vec<Letter>,
    /// How long the addresses then stay, so that a peer has announced them before they go.
    pub linger: Duration,
    /// Whether the kernel shall leave packets alone while the director has no group.
    pub stands_aside: bool,
}

/// What the daemon tells its guard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Order {
    /// Replaces the charge.
    Charge(Charge),
    /// The daemon ends in good order, and has removed what is to be removed.
    Farewell,
}

/// What the guard is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Tell the peers, linger, remove these, then end.
    Remove(Removal),
    /// End.
    Leave,
}

/// How addresses are removed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Removal {
    /// The addresses.
    pub(super) vips: BTreeSet<Vip>,
    /// Sent first.
    pub(super) last_words: Vec<Letter>,
    /// Between the two.
    pub(super) linger: Duration,
    /// Whether the kernel shall leave packets alone from then on.
    pub(super) stands_aside: bool,
}

/// The guard's state.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Watch {
    /// Nothing has been told yet.
    #[default]
    Idle,
    /// The daemon lives.
    Charged(Charge),
    /// The daemon is dead; its next run may come until then.
    Waiting { removal: Removal, until: Time },
    /// All is decided.
    Decided(Verdict),
}

impl Watch {
    /// The daemon has said something.
    pub(super) fn handle_order(&mut self, order: Order) {
        *self = match (std::mem::take(self), order) {
            (Self::Idle | Self::Charged(_), Order::Charge(charge)) => Self::Charged(charge),
            (Self::Idle | Self::Charged(_), Order::Farewell) => Self::Decided(Verdict::Leave),
            // Said by nobody: the pipe is closed, or its farewell was read.
            (
                state @ (Self::Waiting { .. } | Self::Decided(_)),
                Order::Charge(_) | Order::Farewell,
            ) => state,
        };
    }

    /// The daemon's end of the pipe is closed.
    pub(super) fn handle_end(&mut self, now: Time) {
        *self = match std::mem::take(self) {
            // It had no VIP yet that we know of.
            Self::Idle => Self::Decided(Verdict::Leave),
            Self::Charged(charge) if charge.grace.is_zero() => {
                Self::Decided(Verdict::Remove(Removal {
                    vips: charge.vips,
                    last_words: charge.last_words,
                    linger: charge.linger,
                    stands_aside: charge.stands_aside,
                }))
            }
            // Nobody lives who could be told.
            Self::Charged(charge) => Self::Waiting {
                removal: Removal {
                    vips: charge.vips,
                    stands_aside: charge.stands_aside,
                    ..Removal::default()
                },
                until: now + charge.grace,
            },
            state @ (Self::Waiting { .. } | Self::Decided(_)) => state,
        };
    }

    /// The daemon's next run is there.
    pub(super) fn handle_successor(&mut self) {
        if let Self::Waiting { .. } = self {
            *self = Self::Decided(Verdict::Leave);
        }
    }

    /// Time has gone by.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        if let Self::Waiting { removal, until } = self
            && now >= *until
        {
            *self = Self::Decided(Verdict::Remove(std::mem::take(removal)));
        }
    }

    /// Whether the daemon's next run is being waited for.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }

    /// What has been decided, once it has.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Decided(verdict) => Some(verdict),
            Self::Idle | Self::Charged(_) | Self::Waiting { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, HostFacts};
    use crate::director::paths::letters;

    const NOW: Time = Duration::from_secs(50);
    const GRACE: Duration = Duration::from_millis(500);
    const LINGER: Duration = Duration::from_millis(75);

    fn vips() -> BTreeSet<Vip> {
        BTreeSet::from([Vip {
            address: "192.0.2.80/24".parse().unwrap(),
            interface: "eth0".to_owned(),
            label: None,
        }])
    }

    fn charged(grace: Duration) -> Watch {
        let mut watch = Watch::default();
        watch.handle_order(Order::Charge(charge(grace)));
        watch
    }

    fn charge(grace: Duration) -> Charge {
        Charge {
            vips: vips(),
            grace,
            last_words: vec![letter()],
            linger: LINGER,
            stands_aside: true,
        }
    }

    fn letter() -> Letter {
        let config = include_str!("../../../examples/web-farm.toml");
        let loaded = config::parse(config, "web-farm.toml", &HostFacts::unchecked()).unwrap();
        letters(&loaded.config, "ha1", |_| vec![1, 2, 3]).remove(0)
    }

    #[test]
    fn a_peer_that_lives_is_told_before_the_vips_leave() {
        let mut watch = charged(Duration::ZERO);
        assert_eq!(watch.verdict(), None);
        watch.handle_end(NOW);
        let removal = Removal {
            vips: vips(),
            last_words: vec![letter()],
            linger: LINGER,
            stands_aside: true,
        };
        assert_eq!(watch.verdict(), Some(&Verdict::Remove(removal)));
    }

    #[test]
    fn alone_they_wait_for_the_next_run_and_leave_if_none_comes() {
        let mut watch = charged(GRACE);
        watch.handle_end(NOW);
        watch.handle_timeout(NOW + GRACE - Duration::from_nanos(1));
        assert!(watch.is_waiting());
        watch.handle_timeout(NOW + GRACE);
        let removal = Removal {
            vips: vips(),
            stands_aside: true,
            ..Removal::default()
        };
        assert_eq!(watch.verdict(), Some(&Verdict::Remove(removal)));
    }

    #[test]
    fn the_next_run_takes_them_over() {
        let mut watch = charged(GRACE);
        watch.handle_successor();
        assert_eq!(watch.verdict(), None, "the daemon itself is no successor");
        watch.handle_end(NOW);
        watch.handle_successor();
        watch.handle_timeout(NOW + GRACE);
        assert_eq!(watch.verdict(), Some(&Verdict::Leave));
    }

    #[test]
    fn the_charge_told_last_counts() {
        let mut watch = charged(GRACE);
        watch.handle_order(Order::Charge(charge(Duration::ZERO)));
        watch.handle_end(NOW);
        assert!(watch.verdict().is_some());
    }

    #[test]
    fn after_a_farewell_or_before_any_charge_nothing_is_touched() {
        for mut watch in [Watch::default(), charged(Duration::ZERO)] {
            if matches!(watch, Watch::Charged(_)) {
                watch.handle_order(Order::Farewell);
            }
            watch.handle_end(NOW);
            assert_eq!(watch.verdict(), Some(&Verdict::Leave));
        }
    }

    #[test]
    fn what_is_written_on_the_pipe_is_read_back() {
        let order = Order::Charge(charge(GRACE));
        let line = serde_json::to_string(&order).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
    }
}
