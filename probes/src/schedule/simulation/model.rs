//! What a schedule promises each target, told without its due times, its counters and its hash.
//!
//! A [`Model`] is told everything that goes into a schedule and comes out of it, and panics at the
//! first thing that breaks a promise.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use crate::ProbeSpec;

/// Starts are counted in pieces of time of this length, to find herds.
const PIECE: Duration = Duration::from_millis(10);

/// All that is known of a schedule from outside.
pub(super) struct Model {
    pub(super) concurrency: usize,
    wanted: BTreeMap<Target, Wanted>,
    running: BTreeMap<ProbeId, Target>,
    /// Starts that are due in a piece of time if they are spread evenly: of new targets, until
    /// when, and of all.
    rush: (f64, Time),
    steady: f64,
    piece: (u128, u32),
    pub(super) starts: u64,
    pub(super) changes: u64,
}

/// A target that is to be probed.
struct Wanted {
    since: Time,
    /// Start and end of the last probe that ended.
    last: Option<(Time, Time)>,
    running_since: Option<Time>,
    judged: Judged,
    /// The schedule's last word.
    told: Health,
}

/// What results in a row amount to.
struct Judged {
    health: Health,
    /// The last results that were the same, and how many.
    row: Option<(bool, u32)>,
}

impl Judged {
    fn begin(health: Health) -> Self {
        Self { health, row: None }
    }

    /// Takes a result; `None` for a probe that has not run.
    fn take(&mut self, good: Option<bool>, spec: &ProbeSpec) {
        let Some(good) = good else {
            return;
        };
        let length = match self.row {
            Some((same, length)) if same == good => length + 1,
            Some(_) | None => 1,
        };
        self.row = Some((good, length));
        let (health, needed) = match good {
            true => (Health::Up, spec.rise),
            false => (Health::Down, spec.fall),
        };
        if self.health == Health::Unknown || length >= needed {
            self.health = health;
        }
    }

    /// From the start of the last probe to about that of the next.
    fn interval(&self, spec: &ProbeSpec) -> Duration {
        let speaks_for = match self.row {
            Some((true, _)) => Health::Up,
            Some((false, _)) => Health::Down,
            None => self.health,
        };
        let other = match self.health {
            Health::Unknown => None,
            health if health != speaks_for => spec.fast_interval,
            Health::Down => spec.down_interval,
            Health::Up => None,
        };
        other.unwrap_or(spec.interval)
    }
}

impl Wanted {
    /// The earliest and the latest start that is promised, where there are places enough.
    fn next(&self, spec: &ProbeSpec) -> (Time, Time) {
        let Some((start, end)) = self.last else {
            return (self.since, self.since + spec.interval / 10);
        };
        let interval = self.judged.interval(spec);
        let earliest = start + interval / 2;
        let latest = start + interval * 3 / 2;
        (earliest.max(end), latest.max(end))
    }
}

impl Model {
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            concurrency,
            wanted: BTreeMap::new(),
            running: BTreeMap::new(),
            rush: (0.0, Time::ZERO),
            steady: 0.0,
            piece: (0, 0),
            starts: 0,
            changes: 0,
        }
    }

    /// These are wanted from now on; `said` is what the schedule says to that.
    pub(super) fn targets(&mut self, targets: &BTreeSet<Target>, said: &[Output], now: Time) {
        let mut gone: BTreeMap<_, BTreeSet<Health>> = BTreeMap::new();
        self.wanted.retain(|target, wanted| {
            let stays = targets.contains(target);
            if !stays {
                let healths = gone.entry(place(target)).or_default();
                healths.insert(wanted.judged.health);
            }
            stays
        });
        let mut inherited = BTreeMap::new();
        for output in said {
            match output {
                Output::Verdict(verdict) => {
                    inherited.insert(&verdict.target, verdict.health);
                }
                Output::Start { .. } | Output::Cancel { .. } => {}
            }
        }
        let mut rush = 0.0;
        let mut rush_end = now;
        for target in targets {
            if self.wanted.contains_key(target) {
                assert!(!inherited.contains_key(target), "{target} was moved");
                continue;
            }
            let health = inherited.get(target).copied().unwrap_or(Health::Unknown);
            let bequeathed = gone.get(&place(target));
            assert!(
                bequeathed.map_or(health == Health::Unknown, |it| it.contains(&health)),
                "{target} begins as {health}, not as one of {bequeathed:?}"
            );
            let first = target.spec().interval / 10;
            rush += per_piece(first);
            rush_end = rush_end.max(now + first);
            let wanted = Wanted {
                since: now,
                last: None,
                running_since: None,
                judged: Judged::begin(health),
                told: health,
            };
            self.wanted.insert(target.clone(), wanted);
        }
        let rush_before = if self.rush.1 > now { self.rush.0 } else { 0.0 };
        self.rush = (rush_before + rush, rush_end.max(self.rush.1));
        self.steady = targets.iter().map(|it| per_piece(shortest(it))).sum();
        for output in said {
            self.output(output, now);
        }
        let known = |target: &Target| targets.contains(target);
        assert!(self.running.values().all(known), "one was not cancelled");
    }

    /// A probe ended so; `said` is what the schedule says to that.
    pub(super) fn result(
        &mut self,
        probe: ProbeId,
        good: Option<bool>,
        said: &[Output],
        now: Time,
    ) {
        let target = self.running.remove(&probe).expect("it runs");
        let wanted = self.wanted.get_mut(&target).expect("it is wanted");
        let start = wanted.running_since.take().expect("it runs");
        wanted.last = Some((start, now));
        let before = wanted.judged.health;
        wanted.judged.take(good, target.spec());
        self.changes += u64::from(wanted.judged.health != before);
        self.outputs(said, now);
        let wanted = &self.wanted[&target];
        assert_eq!(wanted.told, wanted.judged.health, "{target} at {now:?}");
    }

    pub(super) fn outputs(&mut self, said: &[Output], now: Time) {
        for output in said {
            self.output(output, now);
        }
    }

    fn output(&mut self, output: &Output, now: Time) {
        match output {
            Output::Start { probe, target } => self.start(*probe, target, now),
            Output::Cancel { probe } => {
                let target = self.running.remove(probe).expect("what runs is cancelled");
                assert!(!self.wanted.contains_key(&target), "{target} is wanted");
            }
            Output::Verdict(verdict) => {
                let wanted = self.wanted.get_mut(&verdict.target);
                wanted.expect("who is judged is wanted").told = verdict.health;
            }
        }
    }

    fn start(&mut self, probe: ProbeId, target: &Target, now: Time) {
        let wanted = self.wanted.get_mut(target).expect("who starts is wanted");
        assert_eq!(wanted.running_since, None, "{target} overlaps itself");
        let (earliest, _) = wanted.next(target.spec());
        assert!(now >= earliest, "{target} at {now:?}, before {earliest:?}");
        wanted.running_since = Some(now);
        self.running.insert(probe, target.clone());
        assert!(self.running.len() <= self.concurrency, "too many at a time");
        self.starts += 1;
        self.count(now);
    }

    /// Starts are spread: in a piece of time there are no more than twice those of an even spread, and
    /// the batches of two reloads. That some are due in a piece by chance is in that.
    fn count(&mut self, now: Time) {
        let piece = now.as_nanos() / PIECE.as_nanos();
        if piece != self.piece.0 {
            self.piece = (piece, 0);
        }
        self.piece.1 += 1;
        let (rush, rush_end) = self.rush;
        let rush = if now <= rush_end { rush } else { 0.0 };
        let batches = 2.0 * PIECE.div_duration_f64(BATCH_PAUSE) * BATCH as f64;
        let bound = 2.0 * (rush + self.steady) + batches;
        let count = self.piece.1;
        assert!(f64::from(count) <= bound, "{count} together at {now:?}");
    }

    /// Nobody is waiting for longer than was promised, and `patience` more where places are few.
    pub(super) fn check_nobody_starves(&self, now: Time, patience: Duration) {
        for (target, wanted) in &self.wanted {
            let (_, latest) = wanted.next(target.spec());
            assert!(
                wanted.running_since.is_some() || now <= latest + patience,
                "{target} should have been probed by {latest:?}, at {now:?}"
            );
        }
    }

    pub(super) fn is_wanted(&self, probe: ProbeId) -> bool {
        self.running.contains_key(&probe)
    }

    pub(super) fn running(&self) -> usize {
        self.running.len()
    }
}

fn shortest(target: &Target) -> Duration {
    let spec = target.spec();
    let others = [spec.fast_interval, spec.down_interval];
    others
        .into_iter()
        .flatten()
        .fold(spec.interval, Duration::min)
}

fn per_piece(interval: Duration) -> f64 {
    PIECE.as_secs_f64() / interval.as_secs_f64().max(0.001)
}
