//! When input that is looked at as a whole each time is worth another look.
//!
//! Whoever looked at all of it with each byte would work in proportion to its square. So it has to
//! grow by a share between two looks, or to pause, since what is waited for may be there already;
//! and each pause that was worth a look makes the next one longer, so that there are few of them
//! however long a server goes on. All looks together then cost about as much as some thirty at the
//! whole input.

use std::time::Duration;

/// Input that does not come for so long pauses, at first.
const PAUSE: Duration = Duration::from_millis(5);
/// Input that has grown by one part of so many is worth a look.
const PARTS: usize = 8;

/// The looks at one input.
#[derive(Debug)]
pub(crate) struct Looks {
    pause: Duration,
}

impl Default for Looks {
    fn default() -> Self {
        Self { pause: PAUSE }
    }
}

impl Looks {
    /// How long the input has to be for the next look, after one at `length` bytes, if it does not
    /// pause.
    pub(crate) fn enough(&self, length: usize) -> usize {
        length + (length / PARTS).max(1)
    }

    /// For how long nothing must come to make a pause.
    pub(crate) fn pause(&self) -> Duration {
        self.pause
    }

    /// There was a pause, and a look after it.
    pub(crate) fn paused(&mut self) {
        self.pause = self.pause.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// An hour is the longest time that a probe may have.
        #[test]
        fn looks_cost_in_proportion_to_the_input_whatever_pauses_it_makes(
            first in 1_usize..60_000,
            gaps in prop::collection::vec((0_u64..20_000, 1_usize..2_000), 1..400),
        ) {
            let mut looks = Looks::default();
            let (mut length, mut looked, mut cost) = (first, first, first);
            let mut passed = Duration::ZERO;
            for (gap, bytes) in gaps {
                let gap = Duration::from_millis(gap);
                passed += gap;
                if passed > Duration::from_secs(3600) {
                    break;
                }
                if length > looked && gap > looks.pause() {
                    looks.paused();
                    (looked, cost) = (length, cost + length);
                }
                length += bytes;
                if length >= looks.enough(looked) {
                    (looked, cost) = (length, cost + length);
                }
            }
            prop_assert!(cost <= 30 * length, "{cost} for {length}");
        }
    }
}
