//! How often a time was how long, in buckets that are fixed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::micros;

/// Buckets to an octave, as a power of two: each is at most a quarter longer than the one before.
const SPLIT: u32 = 2;
/// Shorter times share the first bucket: 64 µs.
const LOWEST: u32 = 6;
/// Longer times share the last bucket: 268 s.
const HIGHEST: u32 = 28;
const BUCKETS: usize = ((HIGHEST - LOWEST) << SPLIT) as usize + 2;

/// Counts of times in logarithmic buckets, four to an octave from 64 µs to 268 s.
///
/// Of a fixed size, and counting is some shifts: it may be done for every packet. Serialised as
/// `{"longest_us": N, "buckets": [[BELOW_US, COUNT], ...]}`, without the buckets in which nothing is;
/// `BELOW_US` is where a bucket ends, and null for the last one, which has no end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Histogram {
    counts: [u64; BUCKETS],
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            longest: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts a time.
    pub fn add(&mut self, time: Duration) {
        if let Some(count) = self.counts.get_mut(bucket(micros::of(time))) {
            *count += 1;
        }
        self.longest = self.longest.max(time);
    }

    /// How many times have been counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The longest of them, exactly.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The buckets in which something is, the longest times first: where each begins and ends, and
    /// its count. None ends beyond the longest time.
    pub fn from_longest(&self) -> impl Iterator<Item = (Duration, Duration, u64)> {
        let counts = self.counts.iter().enumerate().rev();
        counts.filter(|(_, count)| **count > 0).map(|(i, count)| {
            let before = i.checked_sub(1).and_then(end).unwrap_or_default();
            let end = end(i).map_or(self.longest, Duration::from_micros);
            (Duration::from_micros(before), end.min(self.longest), *count)
        })
    }
}

/// Where a time of so many microseconds is counted.
fn bucket(micros: u64) -> usize {
    if micros < 1 << LOWEST {
        return 0;
    }
    let octave = micros.ilog2();
    if octave >= HIGHEST {
        return BUCKETS - 1;
    }
    let quarter = (micros >> (octave - SPLIT)) & ((1 << SPLIT) - 1);
    let index = (u64::from(octave - LOWEST) << SPLIT) + quarter + 1;
    usize::try_from(index).unwrap_or(BUCKETS - 1)
}

/// The first microsecond beyond a bucket; the last one has none.
fn end(bucket: usize) -> Option<u64> {
    let Some(above) = bucket.checked_sub(1) else {
        return Some(1 << LOWEST);
    };
    let octave = LOWEST + u32::try_from(above >> SPLIT).ok()?;
    let quarter = u64::try_from(above & ((1 << SPLIT) - 1)).ok()?;
    (octave < HIGHEST).then(|| ((1 << SPLIT) + quarter + 1) << (octave - SPLIT))
}

/// As it is serialised.
#[derive(Deserialize, Serialize)]
struct Written {
    longest_us: u64,
    buckets: Vec<(Option<u64>, u64)>,
}

impl From<Histogram> for Written {
    fn from(histogram: Histogram) -> Self {
        let counts = histogram.counts.iter().enumerate();
        let buckets = counts.filter(|(_, count)| **count > 0);
        Self {
            longest_us: micros::of(histogram.longest),
            buckets: buckets.map(|(i, count)| (end(i), *count)).collect(),
        }
    }
}

impl TryFrom<Written> for Histogram {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut histogram = Self {
            longest: Duration::from_micros(written.longest_us),
            ..Self::default()
        };
        for (below, count) in written.buckets {
            let index = match below {
                Some(below) => bucket(below.saturating_sub(1)),
                None => BUCKETS - 1,
            };
            match histogram.counts.get_mut(index) {
                Some(place) if end(index) == below => *place = count,
                _ => return Err(format!("no bucket ends at {below:?} us")),
            }
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_below_the_end_of_its_bucket_and_not_below_the_one_before() {
        let mut times: Vec<u64> = (0..30).flat_map(|n| [1 << n, (1 << n) - 1]).collect();
        times.extend([65, 79, 80, 95, 96, 1000, 100_000, 299_999, 200_000_000]);
        for time in times {
            let index = bucket(time);
            assert!(end(index).is_none_or(|end| time < end), "{time}");
            let before = index.checked_sub(1).and_then(end);
            assert!(before.is_none_or(|end| time >= end), "{time}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(end(BUCKETS - 2), Some(1 << HIGHEST));
        assert_eq!(end(BUCKETS - 1), None);
    }

    #[test]
    fn a_bucket_is_at_most_a_quarter_longer_than_it_begins() {
        for index in 1..BUCKETS - 1 {
            let (begin, end) = (end(index - 1).unwrap(), end(index).unwrap());
            assert!(end > begin && end * 4 <= begin * 5, "{begin} to {end}");
        }
    }

    #[test]
    fn what_is_counted_is_told_from_the_longest_on() {
        let mut histogram = Histogram::default();
        for millis in [100, 100, 101, 230] {
            histogram.add(Duration::from_millis(millis));
        }
        assert_eq!(histogram.count(), 4);
        assert_eq!(histogram.longest(), Duration::from_millis(230));
        let micros = |(begin, end, count): (Duration, Duration, u64)| {
            (begin.as_micros(), end.as_micros(), count)
        };
        let told: Vec<_> = histogram.from_longest().map(micros).collect();
        assert_eq!(told, [(229_376, 230_000, 1), (98_304, 114_688, 3)]);
    }

    #[test]
    fn it_is_written_without_its_empty_buckets_and_read_back() {
        let mut histogram = Histogram::default();
        for time in [3, 100_000, 100_000, 400_000_000] {
            histogram.add(Duration::from_micros(time));
        }
        let text = serde_json::to_string(&histogram).unwrap();
        assert_eq!(
            text,
            r#"{"longest_us":400000000,"buckets":[[64,1],[114688,2],[null,1]]}"#
        );
        assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        let odd = r#"{"longest_us":1,"buckets":[[65,1]]}"#;
        assert!(serde_json::from_str::<Histogram>(odd).is_err());
    }
}
