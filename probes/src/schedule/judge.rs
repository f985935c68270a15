//! Counting: from single results to a verdict that does not flap.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Answer, Failure, ProbeSpec, Time};

/// What probes say of a target.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No probe has had a result yet.
    Unknown,
    /// It works.
    Up,
    /// It does not.
    Down,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// The health of one target, and how near it is to a change.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) health: Health,
    /// Why the last probe did not succeed, as far as it matters: see [`Judge::observe`].
    pub(super) reason: Option<Failure>,
    /// What the last good answer said.
    pub(super) answer: Answer,
    /// When `health` became what it is.
    pub(super) since: Time,
    /// Results in a row that speak against `health`.
    streak: u32,
}

/// A result as far as counting goes.
#[derive(Clone, Copy)]
enum Event {
    Good,
    Bad,
    /// Nothing was learned about the server.
    NotRun,
}

impl Judge {
    pub(super) fn new(now: Time) -> Self {
        Self {
            health: Health::Unknown,
            reason: None,
            answer: Answer::default(),
            since: now,
            streak: 0,
        }
    }

    /// The same health, with counting begun anew: for a target of the same kind at the same place
    /// with other timing.
    pub(super) fn inherited(&self) -> Self {
        Self {
            streak: 0,
            ..self.clone()
        }
    }

    /// Takes a result; whether health, reason or what the server asks for are others than before.
    ///
    /// The reason is that of the last probe, also while it does not yet change the health; only one
    /// success of several needed leaves it, because the target is still down.
    pub(super) fn observe(
        &mut self,
        result: Result<Answer, Failure>,
        spec: &ProbeSpec,
        now: Time,
    ) -> bool {
        let event = match &result {
            Ok(_) => Event::Good,
            Err(failure) if failure.concerns_server() => Event::Bad,
            Err(_) => Event::NotRun,
        };
        let before = (self.health, self.reason.clone(), self.answer.clone());
        match (self.health, event) {
            (Health::Unknown, Event::Good) => self.turn(Health::Up, now),
            (Health::Unknown, Event::Bad) => self.turn(Health::Down, now),
            (Health::Up, Event::Good) | (Health::Down, Event::Bad) => self.streak = 0,
            (Health::Up, Event::Bad) => self.oppose(spec.fall, Health::Down, now),
            (Health::Down, Event::Good) => self.oppose(spec.rise, Health::Up, now),
            (Health::Unknown | Health::Up | Health::Down, Event::NotRun) => {}
        }
        match (self.health, result) {
            (Health::Down, Ok(answer)) => self.answer = answer,
            (Health::Unknown | Health::Up, Ok(answer)) => {
                self.answer = answer;
                self.reason = None;
            }
            (Health::Unknown | Health::Up | Health::Down, Err(reason)) => {
                self.reason = Some(reason);
            }
        }
        before != (self.health, self.reason.clone(), self.answer.clone())
    }

    /// Whether it is up and the last probe said so.
    pub(super) fn is_well(&self) -> bool {
        self.health == Health::Up && self.reason.is_none()
    }

    /// From the start of the last probe to that of the next: a short one while results are being
    /// counted.
    pub(super) fn interval(&self, spec: &ProbeSpec) -> Duration {
        let other = match (self.streak, self.health) {
            (1.., _) => spec.fast_interval,
            (0, Health::Down) => spec.down_interval,
            (0, Health::Unknown | Health::Up) => None,
        };
        other.unwrap_or(spec.interval)
    }

    /// Counts a result that speaks for `other`; `needed` in a row bring it about.
    fn oppose(&mut self, needed: u32, other: Health, now: Time) {
        self.streak += 1;
        if self.streak >= needed {
            self.turn(other, now);
        }
    }

    fn turn(&mut self, health: Health, now: Time) {
        self.health = health;
        self.since = now;
        self.streak = 0;
    }
}

#[cfg(test)]
mod tests {
    use Health::{Down, Unknown, Up};

    use super::*;
    use crate::testing;

    fn result(letter: char) -> Result<Answer, Failure> {
        match letter {
            'g' => Ok(Answer::good()),
            'b' => Err(Failure::Protocol("bad".to_owned())),
            _ => Err(Failure::NotRun("no descriptors".to_owned())),
        }
    }

    /// Health and the kind of reason after each letter of `results`, at times 1, 2, 3...
    fn after(results: &str, fall: u32, rise: u32) -> (Health, Option<Failure>, u64) {
        let spec = ProbeSpec {
            fall,
            rise,
            ..testing::spec()
        };
        let mut judge = Judge::new(Time::ZERO);
        for (letter, second) in results.chars().zip(1..) {
            judge.observe(result(letter), &spec, Time::from_secs(second));
        }
        (judge.health, judge.reason, judge.since.as_secs())
    }

    #[test]
    fn every_state_takes_every_result() {
        let bad = || result('b').err();
        let not_run = || result('n').err();
        // results so far (g good, b bad, n not run), fall, rise -> health, reason, since
        let table = [
            ("", 2, 2, Unknown, None, 0),
            ("n", 1, 1, Unknown, not_run(), 0),
            ("g", 2, 2, Up, None, 1),
            ("b", 2, 2, Down, bad(), 1),
            ("ng", 2, 2, Up, None, 2),
            ("gg", 1, 1, Up, None, 1),
            ("gb", 2, 1, Up, bad(), 1),
            ("gbg", 2, 1, Up, None, 1),
            ("gbgb", 2, 1, Up, bad(), 1),
            ("gbb", 2, 1, Down, bad(), 3),
            ("gb", 1, 1, Down, bad(), 2),
            ("gn", 1, 1, Up, not_run(), 1),
            ("gbnb", 2, 1, Down, bad(), 4),
            ("bb", 1, 1, Down, bad(), 1),
            ("bg", 1, 2, Down, bad(), 1),
            ("bgbg", 1, 2, Down, bad(), 1),
            ("bgg", 1, 2, Up, None, 3),
            ("bg", 1, 1, Up, None, 2),
            ("bgng", 1, 2, Up, None, 4),
            ("bn", 1, 1, Down, not_run(), 1),
        ];
        for (results, fall, rise, health, reason, since) in table {
            assert_eq!(
                after(results, fall, rise),
                (health, reason, since),
                "after {results:?}"
            );
        }
    }

    #[test]
    fn the_interval_follows_the_counting() {
        let spec = ProbeSpec {
            fast_interval: Some(Duration::from_secs(1)),
            down_interval: Some(Duration::from_secs(60)),
            fall: 3,
            rise: 2,
            ..testing::spec()
        };
        // results so far -> seconds to the next probe
        let table = [
            ("", 6),
            ("n", 6),
            ("g", 6),
            ("gb", 1),
            ("gbb", 1),
            ("gbbn", 1),
            ("gbbg", 6),
            ("gbbb", 60),
            ("gbbbg", 1),
            ("gbbbgb", 60),
            ("gbbbgg", 6),
            ("b", 60),
        ];
        for (results, seconds) in table {
            let mut judge = Judge::new(Time::ZERO);
            for letter in results.chars() {
                judge.observe(result(letter), &spec, Time::ZERO);
            }
            let interval = judge.interval(&spec);
            assert_eq!(interval, Duration::from_secs(seconds), "after {results:?}");
            assert_eq!(judge.interval(&testing::spec()), Duration::from_secs(6));
        }
    }

    #[test]
    fn a_count_of_zero_is_as_good_as_one() {
        assert_eq!(after("gb", 0, 0).0, Down);
        assert_eq!(after("bg", 0, 0).0, Up);
    }

    #[test]
    fn what_is_inherited_is_the_verdict_and_not_the_count() {
        let spec = testing::spec();
        let mut judge = Judge::new(Time::ZERO);
        for letter in "gb".chars() {
            judge.observe(result(letter), &spec, Time::ZERO);
        }
        let mut heir = judge.inherited();
        heir.observe(result('b'), &spec, Time::ZERO);
        assert_eq!(heir.health, Up);
        heir.observe(result('b'), &spec, Time::ZERO);
        assert_eq!(heir.health, Down);
    }

    #[test]
    fn only_a_change_of_health_or_reason_is_one() {
        let mut judge = Judge::new(Time::ZERO);
        let spec = testing::spec();
        let changes = "ggbbbgg"
            .chars()
            .map(|it| judge.observe(result(it), &spec, Time::ZERO));
        let expected = [true, false, true, true, false, true, false];
        assert_eq!(changes.collect::<Vec<_>>(), expected);
    }
}
