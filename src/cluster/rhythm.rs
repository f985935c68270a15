//! How regularly a peer's heartbeats come, by whatever path: what a deadtime can be chosen from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use crate::clock::micros;

/// What has been heard of a peer's beat while it lived.
///
/// Copies of a heartbeat on several paths count once, when the first comes: a peer is dead only when
/// all paths are silent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rhythm {
    /// How long all of it took.
    #[serde(rename = "watched_us", with = "micros")]
    pub watched: Duration,
    /// By how much each heartbeat came later than a keepalive, and one more for each that was lost
    /// before it, after the one before; zero for those that came earlier.
    pub delays: Histogram,
    /// Heartbeats that came on no path.
    pub lost: u64,
    /// The most of them in a row.
    pub lost_in_a_row: u64,
    /// How often it was silent for deadtime and then heard again, still the same run of its daemon.
    pub returns: u64,
}

impl Rhythm {
    /// A heartbeat has come, `interval` after the last one, `gap` counters further.
    ///
    /// An interval of deadtime or more is not counted: the peer would be dead if this director had
    /// been listening all the time.
    pub(super) fn add(
        &mut self,
        interval: Duration,
        gap: u64,
        keepalive: Duration,
        deadtime: Duration,
    ) {
        if interval >= deadtime {
            return;
        }
        let lost = gap.saturating_sub(1);
        self.watched += interval;
        self.lost = self.lost.saturating_add(lost);
        self.lost_in_a_row = self.lost_in_a_row.max(lost);
        let due = u32::try_from(gap).map_or(interval, |gap| keepalive.saturating_mul(gap));
        self.delays.add(interval.saturating_sub(due));
    }

    /// Heartbeats that have been heard.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.delays.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPALIVE: Duration = Duration::from_millis(100);
    const DEADTIME: Duration = Duration::from_millis(500);

    #[test]
    fn delays_are_counted_from_when_a_heartbeat_was_due() {
        for (millis, gap, delay, lost) in [
            (100, 1, 0, 0),
            (130, 1, 30, 0),
            (25, 1, 0, 0),
            (200, 2, 0, 1),
            (310, 3, 10, 2),
            (499, 1, 399, 0),
        ] {
            let mut rhythm = Rhythm::default();
            rhythm.add(Duration::from_millis(millis), gap, KEEPALIVE, DEADTIME);
            assert_eq!(rhythm.delays.longest(), Duration::from_millis(delay));
            assert_eq!((rhythm.lost, rhythm.lost_in_a_row), (lost, lost));
            assert_eq!(rhythm.watched, Duration::from_millis(millis));
            assert_eq!(rhythm.heard(), 1);
        }
    }

    #[test]
    fn a_pause_of_ours_is_no_delay_of_a_peer() {
        let mut rhythm = Rhythm::default();
        rhythm.add(DEADTIME, 5, KEEPALIVE, DEADTIME);
        rhythm.add(Duration::from_secs(3600), 1, KEEPALIVE, DEADTIME);
        assert_eq!(rhythm, Rhythm::default());
    }

    #[test]
    fn the_longest_run_of_lost_heartbeats_is_kept() {
        let mut rhythm = Rhythm::default();
        for gap in [1, 3, 2, 1] {
            rhythm.add(gap * KEEPALIVE, gap.into(), KEEPALIVE, DEADTIME);
        }
        assert_eq!((rhythm.lost, rhythm.lost_in_a_row), (3, 2));
    }
}
