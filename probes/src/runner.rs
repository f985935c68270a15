//! The task that owns a schedule and runs the probes it asks for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::probe::probe_from;
use crate::{
    Failure, Limits, Output, ProbeId, Report, Schedule, Shared, Stats, Target, Time, Times, Verdict,
};

/// What falls due within this time starts together: where probes are many, waking up costs more
/// than they do.
const REST: Duration = Duration::from_millis(5);

/// At most one warning of a kind in this time.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A running schedule. Dropping it ends the task and all probes that run.
#[derive(Debug)]
pub struct Runner {
    targets: watch::Sender<BTreeSet<Target>>,
    stats: watch::Receiver<Stats>,
    task: JoinHandle<()>,
    /// Its end is the end of the thread, if there is one.
    thread: Option<oneshot::Sender<()>>,
}

impl Runner {
    /// Starts the task with some targets on a thread of its own, with a runtime that needs no lock and
    /// wakes nobody else. The thread ends with the runner. Otherwise as [`spawn`](Self::spawn).
    ///
    /// # Errors
    ///
    /// When the system has no thread to give, or no descriptors for the runtime.
    pub fn start(
        targets: BTreeSet<Target>,
        limits: Limits,
        now: impl Fn() -> Time + Send + 'static,
    ) -> io::Result<(Self, mpsc::Receiver<Vec<Verdict>>)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // While it is made here it takes memory that the caller has already.
        let mut schedule = Schedule::new(limits);
        schedule.handle_targets(targets, now());
        let (mut runner, verdicts) = Self::spawn_schedule(runtime.handle(), schedule, now);
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name("probes".to_owned())
            .spawn(move || {
                // Nothing is ever sent: it ends when the sender is dropped.
                let _ = runtime.block_on(stopped);
            })?;
        runner.thread = Some(stop);
        Ok((runner, verdicts))
    }

    /// Starts the task on `runtime`, which must have its network and time drivers enabled.
    ///
    /// `now` tells the time of verdicts and due times; it must not go back. Verdicts that are there
    /// at once come together: to wake who waits costs more than they do. A receiver that reads slowly
    /// holds up no probe: it gets the latest verdict of each target, without those between. Dropping
    /// the receiver stops the task when there is a verdict.
    pub fn spawn(
        runtime: &Handle,
        limits: Limits,
        now: impl Fn() -> Time + Send + 'static,
    ) -> (Self, mpsc::Receiver<Vec<Verdict>>) {
        Self::spawn_schedule(runtime, Schedule::new(limits), now)
    }

    fn spawn_schedule(
        runtime: &Handle,
        schedule: Schedule,
        now: impl Fn() -> Time + Send + 'static,
    ) -> (Self, mpsc::Receiver<Vec<Verdict>>) {
        let shared = Shared::default();
        Self::spawn_with(runtime, schedule, now, move |target, start| {
            let shared = shared.clone();
            async move { probe_from(&target, &shared, start).await }
        })
    }

    /// With another way to probe, which is told when it starts.
    fn spawn_with<P, F>(
        runtime: &Handle,
        schedule: Schedule,
        now: impl Fn() -> Time + Send + 'static,
        probe: P,
    ) -> (Self, mpsc::Receiver<Vec<Verdict>>)
    where
        P: Fn(Target, Instant) -> F + Send + 'static,
        F: Future<Output = Report> + Send + 'static,
    {
        let (targets, desired) = watch::channel(BTreeSet::new());
        let (published, stats) = watch::channel(Stats::default());
        // What is found meanwhile waits in the task.
        let (verdicts, receiver) = mpsc::channel(1);
        let task = Task {
            schedule,
            now,
            probe,
            probes: JoinSet::new(),
            running: BTreeMap::new(),
            names: HashMap::new(),
            pending: BTreeMap::new(),
            verdicts,
            stats: published,
            warned: Warned::default(),
        };
        let task = runtime.spawn(task.run(desired));
        (
            Self {
                targets,
                stats,
                task,
                thread: None,
            },
            receiver,
        )
    }

    /// Replaces the set of targets as a whole. Never waits.
    pub fn set_targets(&self, targets: BTreeSet<Target>) {
        self.targets.send_replace(targets);
    }

    /// How the schedule keeps up.
    #[must_use]
    pub fn stats(&self) -> Stats {
        *self.stats.borrow()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task<N, P> {
    schedule: Schedule,
    now: N,
    probe: P,
    probes: JoinSet<Report>,
    /// The probes that run and are still wanted.
    running: BTreeMap<ProbeId, AbortHandle>,
    /// What the schedule calls a task.
    names: HashMap<Id, ProbeId>,
    /// Verdicts that are to be sent, the latest of each target.
    pending: BTreeMap<Target, Verdict>,
    verdicts: mpsc::Sender<Vec<Verdict>>,
    stats: watch::Sender<Stats>,
    warned: Warned,
}

/// The receiver of the verdicts is gone.
struct Unwanted;

impl<N, P, F> Task<N, P>
where
    N: Fn() -> Time,
    P: Fn(Target, Instant) -> F,
    F: Future<Output = Report> + Send + 'static,
{
    async fn run(mut self, mut desired: watch::Receiver<BTreeSet<Target>>) {
        let mut rested = Time::ZERO;
        loop {
            let now = (self.now)();
            if now >= rested {
                self.schedule.handle_timeout(now);
                rested = now + REST;
            }
            if self.carry_out().is_err() {
                return;
            }
            self.publish(now);
            let sleep = self
                .schedule
                .poll_timeout()
                .map(|due| due.max(rested).saturating_sub(now));
            tokio::select! {
                changed = desired.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let targets = desired.borrow_and_update().clone();
                    self.pending.retain(|target, _| targets.contains(target));
                    self.schedule.handle_targets(targets, (self.now)());
                }
                Some(ended) = self.probes.join_next_with_id() => {
                    let now = (self.now)();
                    self.ended(ended, now);
                    while let Some(ended) = self.probes.try_join_next_with_id() {
                        self.ended(ended, now);
                    }
                }
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {}
                () = room(&self.verdicts), if !self.pending.is_empty() => {}
            }
        }
    }

    /// Does what the schedule asks for.
    fn carry_out(&mut self) -> Result<(), Unwanted> {
        let mut start = None;
        while let Some(output) = self.schedule.poll_output() {
            match output {
                Output::Start { probe, target } => {
                    let start = *start.get_or_insert_with(Instant::now);
                    let handle = self.probes.spawn((self.probe)(target, start));
                    self.names.insert(handle.id(), probe);
                    self.running.insert(probe, handle);
                }
                Output::Cancel { probe } => {
                    if let Some(handle) = self.running.remove(&probe) {
                        handle.abort();
                    }
                }
                Output::Verdict(verdict) => {
                    log(&verdict);
                    self.pending.insert(verdict.target.clone(), verdict);
                }
            }
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        match self.verdicts.try_reserve() {
            Ok(place) => {
                let verdicts = std::mem::take(&mut self.pending);
                place.send(verdicts.into_values().collect());
                Ok(())
            }
            Err(TrySendError::Full(())) => Ok(()),
            Err(TrySendError::Closed(())) => Err(Unwanted),
        }
    }

    /// Hands the end of a task to the schedule, which ignores what it has cancelled.
    fn ended(&mut self, ended: Result<(Id, Report), JoinError>, now: Time) {
        let (id, report) = match ended {
            Ok((id, report)) => (id, report),
            Err(error) => (error.id(), broken(&error)),
        };
        let Some(probe) = self.names.remove(&id) else {
            return;
        };
        if self.running.remove(&probe).is_some() {
            tracing::trace!(probe = probe.0, ?report, "probed");
            self.schedule.handle_report(probe, report, now);
        }
    }

    fn publish(&mut self, now: Time) {
        let stats = self.schedule.stats();
        self.warned.tell(&stats, now);
        self.stats.send_if_modified(|published| {
            let modified = *published != stats;
            *published = stats;
            modified
        });
    }
}

/// Waits until the channel takes more verdicts, or never will.
async fn room(verdicts: &mpsc::Sender<Vec<Verdict>>) {
    // The permit goes back at once; this task is the only sender.
    drop(verdicts.reserve().await);
}

/// A probe must not panic; if one does, it says nothing about its server.
fn broken(error: &JoinError) -> Report {
    tracing::error!(%error, "a probe ended without a result");
    let failure = Failure::NotRun("it ended without a result".to_owned());
    Report {
        result: Err(failure),
        times: Times::default(),
    }
}

/// At a low level, since only the caller knows whose servers a target decides.
fn log(verdict: &Verdict) {
    let target = verdict.target.address();
    let probe = &verdict.target.spec().kind;
    let health = verdict.health;
    let reason = verdict.reason.as_ref().map(ToString::to_string);
    let times = verdict.times;
    tracing::debug!(%target, %probe, %health, reason, ?times, "verdict");
}

/// Says at once, and then not too often, that probes are in distress.
#[derive(Default)]
struct Warned {
    late: u64,
    late_at: Option<Time>,
    not_run: u64,
    not_run_at: Option<Time>,
}

impl Warned {
    fn tell(&mut self, stats: &Stats, now: Time) {
        let rested = |at: Option<Time>| at.is_none_or(|at| now.saturating_sub(at) >= WARN_EVERY);
        if stats.late > self.late && rested(self.late_at) {
            let (late, delay, running) = (stats.late - self.late, stats.delay, stats.running);
            tracing::warn!(
                late,
                ?delay,
                running,
                "probes start late: too many run at a time"
            );
            self.late = stats.late;
            self.late_at = Some(now);
        }
        if stats.not_run > self.not_run && rested(self.not_run_at) {
            let count = stats.not_run - self.not_run;
            tracing::warn!(
                count,
                "probes could not run on this host; verdicts stay as they are"
            );
            self.not_run = stats.not_run;
            self.not_run_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
