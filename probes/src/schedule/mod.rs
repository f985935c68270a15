//! Which probe runs when, and what its results amount to: a machine without clock or socket.
//!
//! Every target is probed as soon as it is known; of very many, each within the first tenth of its
//! interval. After that it keeps to a grid of its own: the
//! moments that are a multiple of its interval after an offset, which its [`Target`] alone decides.
//! So probes stay spread over their interval whatever the moment of a start or reload, and no
//! reload moves one that stays. A start that was not on the grid is followed by the grid's nearest
//! moment to one interval later: after half of one at least, one and a half at most.

mod judge;
mod lateness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::judge::Health;
use self::judge::Judge;
pub use self::lateness::Lateness;
use crate::spec::ProbeKind;
use crate::{Failure, Report, Target, Time, Times, Weight};

/// A start later than this after its due time counts as late: far above what timers and a busy
/// host add, far below what an operator would call an interval.
const LATE: Duration = Duration::from_millis(100);

/// New targets that are probed together.
const BATCH: usize = 64;

/// Between two batches, if their intervals leave the time.
const BATCH_PAUSE: Duration = Duration::from_millis(5);

/// Probes that start before the answers of others are heard, however many are due: answers that wait
/// behind thousands of starts would seem slow.
const BURST: usize = 64;

/// Shorter intervals are taken as this one.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// What the schedule may use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Limits {
    /// Probes that run at a time, each with a descriptor of its own. What is due beyond it waits,
    /// and [`Stats`] say so.
    pub concurrency: NonZeroUsize,
}

impl Default for Limits {
    /// 512: half of the descriptors that a process has by default (getrlimit(2)).
    fn default() -> Self {
        Self {
            concurrency: NonZeroUsize::new(512).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// A target's name within one schedule; never used again for another.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ProbeId(pub u64);

/// What the schedule asks for or says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Output {
    /// Probe `target` once and report with [`Schedule::handle_report`].
    Start {
        /// What to report with.
        probe: ProbeId,
        /// What to probe.
        target: Target,
    },
    /// The probe that runs is no longer wanted; no report is awaited.
    Cancel {
        /// As it was started.
        probe: ProbeId,
    },
    /// Health or reason of a target have changed, or what it asks for.
    Verdict(Verdict),
}

/// What probes say of a target.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Verdict {
    /// Of what.
    pub target: Target,
    /// After counting.
    pub health: Health,
    /// Why the last probe did not succeed; also of an up target whose failures are too few.
    pub reason: Option<Failure>,
    /// The share of connections that the server asked for in its last good answer.
    pub weight: Option<Weight>,
    /// What will be wrong soon, by its last good answer.
    pub warning: Option<String>,
    /// When the health became what it is.
    pub since: Time,
    /// What the last probe took; `None` if the verdict was inherited at a change of timing.
    pub times: Option<Times>,
}

/// How the schedule keeps up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stats {
    /// Distinct targets.
    pub targets: usize,
    /// Probes that run at the moment.
    pub running: usize,
    /// Probes started so far.
    pub started: u64,
    /// Probes started more than 100 ms after they were due, for want of a free place.
    pub late: u64,
    /// How late the latest start was.
    pub delay: Duration,
    /// How late the latest of all starts was.
    pub delay_max: Duration,
    /// How late all were: see [`delay_within`](Self::delay_within).
    pub lateness: Lateness,
    /// Probes that were still running when they were due again, so that the next one had to wait.
    pub overran: u64,
    /// Probes that this host could not run, for want of descriptors or memory.
    pub not_run: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Schedule {
    concurrency: usize,
    ids: BTreeMap<Target, ProbeId>,
    /// Boxed, since the map leaves many places empty.
    probes: BTreeMap<ProbeId, Box<Probe>>,
    /// Every probe that does not run, by its due time; equal times by hash, so that the silent
    /// servers of one network, due together, don't take all places together.
    due: BTreeSet<(Time, u64, ProbeId)>,
    next_id: u64,
    outputs: VecDeque<Output>,
    stats: Stats,
}

#[derive(Debug)]
struct Probe {
    target: Target,
    hash: u64,
    phase: Phase,
    judge: Judge,
    /// What is asked in between, where not every probe is made in full.
    light: Option<Target>,
    /// How often it has been asked since the last probe in full.
    lights: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Waiting { due: Time },
    Running { since: Time, light: bool },
}

impl Schedule {
    /// An empty schedule.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            concurrency: limits.concurrency.get(),
            ids: BTreeMap::new(),
            probes: BTreeMap::new(),
            due: BTreeSet::new(),
            next_id: 0,
            outputs: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes the whole set of targets in place of the one before.
    ///
    /// One that stays keeps its verdict, its counting and its due time. One that differs from a
    /// target that leaves in nothing but timing inherits that one's verdict.
    pub fn handle_targets(&mut self, targets: BTreeSet<Target>, now: Time) {
        let gone: Vec<Target> = self
            .ids
            .keys()
            .filter(|target| !targets.contains(*target))
            .cloned()
            .collect();
        let mut past = BTreeMap::new();
        for target in gone {
            if let Some(judge) = self.remove(&target) {
                past.insert(place(&target), judge);
            }
        }
        let mut new: Vec<(u64, Target)> = targets
            .into_iter()
            .filter(|target| !self.ids.contains_key(target))
            .map(|target| (target.stable_hash(), target))
            .collect();
        new.sort_unstable();
        let count = new.len();
        for (index, (hash, target)) in new.into_iter().enumerate() {
            let judge = past.get(&place(&target)).map(Judge::inherited);
            let due = now.saturating_add(first_delay(target.spec().interval, index, count));
            self.add(target, hash, judge, now, due);
        }
        self.stats.targets = self.probes.len();
        self.start_due(now, BURST);
    }

    /// Takes the report of a probe that was started; any other is ignored.
    pub fn handle_report(&mut self, probe: ProbeId, report: Report, now: Time) {
        let Some(state) = self.probes.get_mut(&probe) else {
            return;
        };
        let Phase::Running { since, light } = state.phase else {
            return;
        };
        if report
            .result
            .as_ref()
            .is_err_and(|failure| !failure.concerns_server())
        {
            self.stats.not_run += 1;
        }
        let result = match report.result {
            // That it can be connected to does not take back what the server has asked for.
            Ok(_) if light => Ok(state.judge.answer.clone()),
            result => result,
        };
        let news = state.judge.observe(result, state.target.spec(), now);
        let next = state.next_due(since);
        if next < now {
            self.stats.overran += 1;
        }
        let due = next.max(now);
        state.phase = Phase::Waiting { due };
        self.due.insert((due, state.hash, probe));
        let full = self.stats.running >= self.concurrency;
        self.stats.running -= 1;
        if news {
            self.outputs
                .push_back(Output::Verdict(state.verdict(Some(report.times))));
        }
        // A place that is free again, or as many as shall run before answers are heard.
        let free = BURST.saturating_sub(self.stats.running);
        self.start_due(now, free.max(usize::from(full)));
    }

    /// Starts what is due, and of very many as many as shall start together.
    pub fn handle_timeout(&mut self, now: Time) {
        self.start_due(now, BURST);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), in the past if more is due than starts
    /// together; `None` if nothing would come of it before another input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.stats.running >= self.concurrency {
            return None;
        }
        self.due.first().map(|(due, ..)| *due)
    }

    /// The next thing to be done; to be called until there is none after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// How the schedule keeps up.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How late the schedule is: how long the longest waiting probe has been due.
    #[must_use]
    pub fn behind(&self, now: Time) -> Duration {
        self.due
            .first()
            .map_or(Duration::ZERO, |(due, ..)| now.saturating_sub(*due))
    }

    fn add(&mut self, target: Target, hash: u64, inherited: Option<Judge>, now: Time, due: Time) {
        let id = ProbeId(self.next_id);
        self.next_id += 1;
        let probe = Probe {
            hash,
            phase: Phase::Waiting { due },
            judge: inherited.unwrap_or_else(|| Judge::new(now)),
            light: target.light(),
            lights: 0,
            target,
        };
        if probe.judge.health != Health::Unknown {
            self.outputs.push_back(Output::Verdict(probe.verdict(None)));
        }
        self.due.insert((due, probe.hash, id));
        self.ids.insert(probe.target.clone(), id);
        self.probes.insert(id, Box::new(probe));
    }

    fn remove(&mut self, target: &Target) -> Option<Judge> {
        let id = self.ids.remove(target)?;
        let probe = self.probes.remove(&id)?;
        match probe.phase {
            Phase::Waiting { due } => {
                self.due.remove(&(due, probe.hash, id));
            }
            Phase::Running { .. } => {
                self.stats.running -= 1;
                self.outputs.push_back(Output::Cancel { probe: id });
            }
        }
        Some(probe.judge)
    }

    fn start_due(&mut self, now: Time, most: usize) {
        for _ in 0..most {
            if self.stats.running >= self.concurrency {
                return;
            }
            let Some(&(due, hash, id)) = self.due.first() else {
                return;
            };
            if due > now {
                return;
            }
            self.due.remove(&(due, hash, id));
            let Some(probe) = self.probes.get_mut(&id) else {
                continue;
            };
            let light = probe.take_light();
            probe.phase = Phase::Running {
                since: now,
                light: light.is_some(),
            };
            self.outputs.push_back(Output::Start {
                probe: id,
                target: light.unwrap_or_else(|| probe.target.clone()),
            });
            self.stats.count_start(now.saturating_sub(due));
        }
    }
}

impl Probe {
    /// What to ask in place of the whole, if the server is well and the whole is not due.
    fn take_light(&mut self) -> Option<Target> {
        let light = self.light.as_ref()?;
        if self.judge.is_well() && self.lights < self.target.spec().connects {
            self.lights += 1;
            return Some(light.clone());
        }
        self.lights = 0;
        None
    }

    /// The moment of this target's grid that is nearest to one interval after `start`. Another interval
    /// has another grid, on which the target's place is as much its own.
    fn next_due(&self, start: Time) -> Time {
        let interval = nanos(self.judge.interval(self.target.spec()).max(MIN_INTERVAL));
        let offset = self.hash % interval;
        let earliest = nanos(start).saturating_add(interval / 2);
        let rounds = earliest
            .checked_sub(offset)
            .map_or(0, |past| past / interval + 1);
        Duration::from_nanos(offset.saturating_add(interval.saturating_mul(rounds)))
    }

    fn verdict(&self, times: Option<Times>) -> Verdict {
        Verdict {
            target: self.target.clone(),
            health: self.judge.health,
            reason: self.judge.reason.clone(),
            weight: self.judge.answer.weight,
            warning: self.judge.answer.warning.clone(),
            since: self.judge.since,
            times,
        }
    }
}

impl Stats {
    /// A delay that `percent` of all starts, at most 100, have not exceeded: told from above, by
    /// less than twice, where it is more than a quarter of a millisecond. Zero if none was late.
    #[must_use]
    pub fn delay_within(&self, percent: u32) -> Duration {
        let within = self.lateness.within(percent);
        within.map_or(self.delay_max, |end| end.min(self.delay_max))
    }

    fn count_start(&mut self, delay: Duration) {
        self.running += 1;
        self.started += 1;
        self.delay = delay;
        self.delay_max = self.delay_max.max(delay);
        self.lateness.add(delay);
        if delay > LATE {
            self.late += 1;
        }
    }
}

/// How long after it has become known one of `count` new targets is probed first: some at once, all
/// in the first tenth of their interval, and in between no more at a time than a batch.
fn first_delay(interval: Duration, index: usize, count: usize) -> Duration {
    let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    let batches = number(count / BATCH);
    let window = (interval / 10).min(BATCH_PAUSE * batches);
    window * number(index / BATCH) / batches.max(1)
}

/// What two targets have in common whose verdicts mean the same.
fn place(target: &Target) -> (SocketAddr, ProbeKind) {
    (target.address(), target.spec().kind.clone())
}

/// Enough for 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
