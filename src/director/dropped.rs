//! Says once a minute which heartbeats have been dropped, and how many.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Time;
use crate::cluster::Dropped;

/// Between two lines of the log, however much is dropped: somebody may do it on purpose.
const PAUSE: Duration = Duration::from_secs(60);

/// What has been said already.
#[derive(Debug, Default)]
pub(super) struct DroppedLog {
    said: BTreeMap<Dropped, u64>,
    at: Option<Time>,
}

impl DroppedLog {
    /// What to say at `now` of these counters; nothing if nothing is new, or it was said just now.
    pub(super) fn news(&mut self, counted: &BTreeMap<Dropped, u64>, now: Time) -> Option<String> {
        if *counted == self.said || self.at.is_some_and(|at| now < at + PAUSE) {
            return None;
        }
        let new = counted.iter().filter_map(|(why, count)| {
            let said = self.said.get(why).copied().unwrap_or(0);
            (*count > said).then(|| format!("{why} {}", count - said))
        });
        let text = new.collect::<Vec<_>>().join(", ");
        self.said.clone_from(counted);
        self.at = Some(now);
        Some(text)
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
}
