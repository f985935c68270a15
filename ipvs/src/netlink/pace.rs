//! How many messages go in one send, so that none holds the processor for long.
//!
//! The kernel carries out a whole send in one system call. Where it does not preempt itself, nothing
//! else runs on that processor meanwhile, however urgent: a heartbeat waits. What a message costs
//! differs a thousandfold: to add a destination takes microseconds, and most of a millisecond while
//! tens of thousands have been deleted within two minutes, which IPVS searches one by one
//! (`ip_vs_trash_get_dest`). So a send is as long as the one before it says.

use std::num::NonZero;
use std::time::Duration;

/// For so long, and hardly longer, a send may hold the processor.
const GOAL: Duration = Duration::from_millis(1);

/// Messages in the first send, when nothing is known yet.
const FIRST: usize = 16;

/// How many messages the next send takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    most: usize,
    next: usize,
}

impl Pace {
    /// Of sends with so many messages at most.
    pub(super) fn up_to(most: NonZero<usize>) -> Self {
        Self {
            most: most.get(),
            next: FIRST.min(most.get()),
        }
    }

    /// How many messages the next send takes; at least one.
    pub(super) fn messages(self) -> usize {
        self.next
    }

    /// Learns how long a send of so many messages took, waiting for a processor included: where
    /// others want it too, short sends are what lets them have it. One that was quick makes the next
    /// twice as long at most: it may have been its messages, and not the times.
    pub(super) fn learn(&mut self, messages: usize, taken: Duration) {
        let each = taken.as_nanos() / messages.max(1) as u128;
        let fit = GOAL.as_nanos().checked_div(each).unwrap_or(u128::MAX);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX);
        let twice = messages.saturating_mul(2).max(self.next);
        self.next = fit.min(twice).clamp(1, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: NonZero<usize> = NonZero::new(256).unwrap();

    fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn sends_grow_while_they_are_cheap_and_shrink_at_once() {
        let mut pace = Pace::up_to(MOST);
        let each = |pace: &mut Pace, cost: u64| {
            let messages = pace.messages();
            pace.learn(messages, micros(cost * messages as u64));
            messages
        };
        let cheap: Vec<_> = (0..5).map(|_| each(&mut pace, 10)).collect();
        assert_eq!(cheap, [16, 32, 64, 100, 100], "10 us each: 1 ms at most");
        let dear: Vec<_> = (0..3).map(|_| each(&mut pace, 600)).collect();
        assert_eq!(dear, [100, 1, 1]);
        let cheap: Vec<_> = (0..9).map(|_| each(&mut pace, 1)).collect();
        assert_eq!(cheap, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
        each(&mut pace, 0);
        assert_eq!(pace.messages(), 256, "never more");
    }

    #[test]
    fn a_short_send_is_no_reason_for_a_short_one() {
        let mut pace = Pace::up_to(MOST);
        for messages in [16, 32, 1, 1, 0] {
            pace.learn(messages, micros(5 * messages as u64));
        }
        assert_eq!(pace.messages(), 64);
        pace.learn(1, micros(2_000));
        assert_eq!(pace.messages(), 1, "but a dear one is");
    }

    #[test]
    fn who_allows_few_gets_few() {
        for most in [1, 3, 1000] {
            let mut pace = Pace::up_to(NonZero::new(most).unwrap());
            for _ in 0..20 {
                assert!((1..=most).contains(&pace.messages()));
                let messages = pace.messages();
                pace.learn(messages, Duration::ZERO);
            }
            assert_eq!(pace.messages(), most);
        }
    }
}
