//! Work that takes the longer the more servers there are, and so is not done for each piece of news.

use std::time::Duration;

use tokio::time::Instant;

/// When the work may be done again. The first piece of news after a while is dealt with at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    next: Instant,
    /// Of this many parts of the time one is for the work, while there is always news.
    share: u32,
    least: Duration,
    most: Duration,
}

impl Pace {
    /// One part in `share` of the time is for the work, but the pause from one end to the next
    /// start is no shorter than `least` and no longer than `most`.
    pub(super) fn new(share: u32, least: Duration, most: Duration) -> Self {
        Self {
            next: Instant::now(),
            share,
            least,
            most,
        }
    }

    /// When it may be done next; in the past if it may be done now.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Does it.
    pub(super) fn work<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        let end = Instant::now();
        let pause = (end - start) * self.share.saturating_sub(1);
        self.next = end + pause.clamp(self.least, self.most);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(20);
    const MOST: Duration = Duration::from_millis(500);

    #[test]
    fn short_work_has_the_least_pause() {
        let mut pace = Pace::new(10, LEAST, MOST);
        let start = Instant::now();
        assert!(pace.next() <= start);
        assert_eq!(pace.work(|| 7), 7);
        assert!(pace.next() >= start + LEAST);
    }

    #[test]
    fn long_work_has_its_share_but_is_never_put_off_for_long() {
        let mut pace = Pace::new(10, LEAST, MOST);
        let busy = |long| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(long) {}
        };
        let start = Instant::now();
        pace.work(|| busy(3));
        assert!(pace.next() - start >= Duration::from_millis(30));
        pace.work(|| busy(60));
        assert!(pace.next() <= Instant::now() + MOST);
    }
}
