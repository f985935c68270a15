//! How late probes have started, in a few numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the first bucket ends; each further one ends at twice the time.
const FIRST: Duration = Duration::from_micros(250);
const BUCKETS: usize = 18;

/// How late probes have started: counts in buckets of a fixed number, whatever there is to count.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lateness {
    /// The last one has no end.
    counts: [u64; BUCKETS],
}

impl Lateness {
    pub(super) fn add(&mut self, delay: Duration) {
        let bucket = (0..BUCKETS - 1).find(|it| delay <= end(*it));
        if let Some(count) = self.counts.get_mut(bucket.unwrap_or(BUCKETS - 1)) {
            *count += 1;
        }
    }

    /// The end of the bucket within which `percent` of all starts are, at most 100; `None` if it has
    /// none.
    pub(super) fn within(&self, percent: u32) -> Option<Duration> {
        let all: u64 = self.counts.iter().sum();
        let wanted = (u128::from(all) * u128::from(percent)).div_ceil(100);
        let mut counted = 0;
        let bucket = self.counts.iter().position(|count| {
            counted += u128::from(*count);
            counted >= wanted
        });
        bucket.filter(|it| *it < BUCKETS - 1).map(end)
    }
}

fn end(bucket: usize) -> Duration {
    FIRST * (1 << bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_by_the_end_of_their_bucket() {
        let mut lateness = Lateness::default();
        let micros = Duration::from_micros;
        assert_eq!(lateness.within(99), Some(micros(250)));
        for _ in 0..98 {
            lateness.add(micros(900));
        }
        lateness.add(micros(3_000));
        lateness.add(Duration::from_secs(3_600));
        for (percent, expected) in [
            (0, Some(micros(250))),
            (50, Some(micros(1_000))),
            (98, Some(micros(1_000))),
            (99, Some(micros(4_000))),
            (100, None),
        ] {
            assert_eq!(lateness.within(percent), expected, "{percent} in 100");
        }
    }

    #[test]
    fn an_end_belongs_to_its_bucket() {
        for bucket in 0..BUCKETS - 1 {
            let mut lateness = Lateness::default();
            lateness.add(end(bucket));
            assert_eq!(lateness.within(100), Some(end(bucket)));
        }
    }
}
