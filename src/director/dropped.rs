//! Says once a minute which heartbeats have been dropped, and how many.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Time;
use crate::cluster::Dropped;

/// Between two lines of the log, however much is dropped: somebody may do it on purpose.
const PAUSE: Duration = Duration::from_secs(60);

/// So many of a session that has proved nothing yet come with the start of any director, before its
/// proof. Alone, they are no news.
const FIRST_WORDS: u64 = 16;

/// What has been said already.
#[derive(Debug, Default)]
pub(super) struct DroppedLog {
    said: BTreeMap<Dropped, u64>,
    at: Option<Time>,
    /// Since when there is something that may be no more than first words.
    since: Option<Time>,
}

impl DroppedLog {
    /// What to say at `now` of these counters; nothing if nothing is new, or it was said just now.
    pub(super) fn news(&mut self, counted: &BTreeMap<Dropped, u64>, now: Time) -> Option<String> {
        if *counted == self.said || self.at.is_some_and(|at| now < at + PAUSE) {
            return None;
        }
        let new: Vec<(Dropped, u64)> = counted
            .iter()
            .map(|(why, count)| (*why, count - self.said.get(why).copied().unwrap_or(0)))
            .filter(|(_, count)| *count > 0)
            .collect();
        if matches!(new[..], [(Dropped::Unproven, count)] if count <= FIRST_WORDS) {
            if now >= *self.since.get_or_insert(now) + PAUSE {
                self.said.clone_from(counted);
                self.since = None;
            }
            return None;
        }
        self.said.clone_from(counted);
        self.at = Some(now);
        self.since = None;
        let new = new.iter().map(|(why, count)| format!("{why} {count}"));
        Some(new.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_said_at_once_and_then_once_a_minute() {
        let mut log = DroppedLog::default();
        let mut counted = BTreeMap::new();
        let at = |seconds| Duration::from_secs(seconds);
        assert_eq!(log.news(&counted, at(1)), None);
        counted.insert(Dropped::Key, 3);
        assert_eq!(log.news(&counted, at(2)).as_deref(), Some("key 3"));
        counted.insert(Dropped::Key, 1003);
        counted.insert(Dropped::Length, 1);
        assert_eq!(log.news(&counted, at(61)), None);
        assert_eq!(
            log.news(&counted, at(62)).as_deref(),
            Some("length 1, key 1000")
        );
        assert_eq!(log.news(&counted, at(200)), None);
    }

    #[test]
    fn the_first_words_of_a_director_that_starts_are_no_news_and_more_are() {
        let mut log = DroppedLog::default();
        let at = |seconds| Duration::from_secs(seconds);
        let unproven = |count| BTreeMap::from([(Dropped::Unproven, count)]);
        assert_eq!(log.news(&unproven(2), at(1)), None);
        assert_eq!(log.news(&unproven(16), at(60)), None);
        assert_eq!(
            log.news(&unproven(17), at(60)).as_deref(),
            Some("unproven 17")
        );
        // Another start a day, and somebody who replays in between.
        for day in 1..100 {
            let now = at(day * 86_400);
            assert_eq!(log.news(&unproven(17 + day), now), None);
            assert_eq!(log.news(&unproven(17 + day), now + PAUSE), None);
        }
        let text = log.news(&unproven(1000), at(100 * 86_400));
        assert_eq!(text.as_deref(), Some("unproven 884"));
    }
}
