//! What the heartbeat thread has to tell, in order, until it can be told.

use super::events::What;
use crate::clock::Time;

/// More than so many at once are only counted.
const MOST: usize = 512;

/// Events on their way from the heartbeat thread to the core.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    events: Vec<(Time, What)>,
    lost: u64,
}

impl Pending {
    /// Adds what happened at `at`.
    pub(super) fn push(&mut self, what: What, at: Time) {
        if self.events.len() < MOST {
            self.events.push((at, what));
        } else {
            self.lost += 1;
        }
    }

    /// All of it, the oldest first; the number of those that found no room last, if there are any.
    pub(super) fn into_events(self, now: Time) -> impl Iterator<Item = (Time, What)> {
        let lost = (self.lost > 0).then_some((now, What::Lost { events: self.lost }));
        self.events.into_iter().chain(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut pending = Pending::default();
        for n in 0..MOST as u64 + 3 {
            pending.push(What::TableDrift { changes: n }, Time::from_millis(n));
        }
        let events: Vec<_> = pending.into_events(Time::from_secs(9)).collect();
        assert_eq!(events.len(), MOST + 1);
        assert_eq!(events[1].1, What::TableDrift { changes: 1 });
        assert_eq!(events[MOST].1, What::Lost { events: 3 });
    }
}
