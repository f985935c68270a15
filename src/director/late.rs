//! Late heartbeats in few words: a bad night has thousands, and other events must not drown in them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::events::What;
use crate::clock::Time;

/// The first is told at once, the others of a path together after so long.
const PAUSE: Duration = Duration::from_secs(10);

/// Late heartbeats by director and path.
#[derive(Debug, Default)]
pub(super) struct LateLog(BTreeMap<(String, usize), Spell>);

#[derive(Debug)]
struct Spell {
    told: Time,
    heartbeats: u64,
    longest_us: u64,
}

impl LateLog {
    /// Passes on what happened at `at`, unless it is to wait.
    pub(super) fn sift(&mut self, what: What, at: Time) -> Option<What> {
        let What::LateHeartbeats {
            director,
            path,
            heartbeats,
            longest_us,
        } = &what
        else {
            return Some(what);
        };
        let place = (director.clone(), *path);
        if let Some(spell) = self.0.get_mut(&place) {
            spell.heartbeats += heartbeats;
            spell.longest_us = spell.longest_us.max(*longest_us);
            return None;
        }
        let spell = Spell {
            told: at,
            heartbeats: 0,
            longest_us: 0,
        };
        self.0.insert(place, spell);
        Some(what)
    }

    /// What has waited for long enough.
    pub(super) fn due(&mut self, now: Time) -> Vec<What> {
        let mut due = Vec::new();
        self.0.retain(|(director, path), spell| {
            if now < spell.told + PAUSE {
                return true;
            }
            if spell.heartbeats == 0 {
                return false;
            }
            due.push(What::LateHeartbeats {
                director: director.clone(),
                path: *path,
                heartbeats: spell.heartbeats,
                longest_us: spell.longest_us,
            });
            *spell = Spell {
                told: now,
                heartbeats: 0,
                longest_us: 0,
            };
            true
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(path: usize, heartbeats: u64, longest_us: u64) -> What {
        What::LateHeartbeats {
            director: "ha2".to_owned(),
            path,
            heartbeats,
            longest_us,
        }
    }

    fn secs(n: u64) -> Time {
        Duration::from_secs(n)
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_together() {
        let mut log = LateLog::default();
        assert_eq!(log.sift(late(0, 1, 70), secs(1)), Some(late(0, 1, 70)));
        assert_eq!(log.sift(late(0, 1, 90), secs(2)), None);
        assert_eq!(log.sift(late(0, 1, 80), secs(3)), None);
        assert_eq!(log.sift(late(1, 1, 60), secs(3)), Some(late(1, 1, 60)));
        assert_eq!(log.due(secs(10)), []);
        assert_eq!(log.due(secs(11)), [late(0, 2, 90)]);
        assert_eq!(log.due(secs(12)), []);
        // Nothing since: the next one is the first of another spell.
        assert_eq!(log.due(secs(21)), []);
        assert_eq!(log.sift(late(0, 1, 50), secs(22)), Some(late(0, 1, 50)));
    }

    #[test]
    fn everything_else_passes() {
        let mut log = LateLog::default();
        assert_eq!(log.sift(What::Stopping, secs(1)), Some(What::Stopping));
        assert_eq!(log.sift(What::Stopping, secs(1)), Some(What::Stopping));
    }
}
