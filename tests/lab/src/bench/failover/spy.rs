//! What others take of the processor, and how late a timer is by their doing.
//!
//! The guest's kernel counts processor time in ticks of 10 ms, which tells nothing of programs that
//! wake for a tenth of a millisecond in step with it. So a loop that gives way to everybody reads
//! the clock without a pause, and what passes between two readings has been taken from it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{Pid, gettid};

/// Readings of the clock that tell how long one takes when nothing comes between.
const GLANCES: usize = 20_000;
/// Shorter than this nobody else works.
const LEAST: Duration = Duration::from_micros(20);
/// Longer than this nobody here works at a stretch: the guest itself was not run.
const ABSENCE: Duration = Duration::from_millis(8);

/// How much of each second others take, watched for so long.
pub(super) fn taken(time: Duration) -> Duration {
    let spy = std::thread::spawn(move || {
        give_way();
        let usual = glance();
        let start = Instant::now();
        let (mut last, mut taken, mut absent) = (start, Duration::ZERO, Duration::ZERO);
        while last.duration_since(start) < time {
            let now = Instant::now();
            let gap = now.duration_since(last);
            if gap > ABSENCE {
                absent += gap;
            } else if gap > usual + LEAST {
                taken += gap - usual;
            }
            last = now;
        }
        let present = last.duration_since(start).saturating_sub(absent);
        taken.div_f64(present.as_secs_f64())
    });
    spy.join().unwrap_or_default()
}

/// A thread that does nothing but wake at fixed times, as urgently as caribe's heartbeats.
pub(super) struct BareTimer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl BareTimer {
    pub(super) fn start(interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let _ = chrt(&["--rr", "--pid", "20"]);
            let mut late = Vec::new();
            let mut due = Instant::now() + interval;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let now = Instant::now();
                late.push(now.saturating_duration_since(due));
                due = (due + interval).max(now);
            }
            late
        });
        Self { stop, thread }
    }

    /// By how much it was late at most, 999 times of 1,000 and ever.
    pub(super) fn end(self) -> [Duration; 2] {
        self.stop.store(true, Ordering::Relaxed);
        let mut late = self.thread.join().unwrap_or_default();
        late.sort_unstable();
        let most = late.get(late.len() * 999 / 1000).copied();
        [most, late.last().copied()].map(Option::unwrap_or_default)
    }
}

/// How long after another the clock is read when nothing comes between.
fn glance() -> Duration {
    let mut last = Instant::now();
    let gaps = std::iter::repeat_with(|| {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut last, now))
    });
    let mut gaps: Vec<Duration> = gaps.take(GLANCES).collect();
    gaps.sort_unstable();
    gaps.get(GLANCES / 2).copied().unwrap_or_default()
}

/// Lets this thread run only while nobody else wants to.
fn give_way() {
    if !chrt(&["--idle", "--pid", "0"]) {
        super::super::say("chrt is missing: what others take is measured too low");
    }
}

/// Sets the policy of this thread.
fn chrt(how: &[&str]) -> bool {
    let thread = Pid::as_raw(Some(gettid())).to_string();
    let set = Command::new("chrt").args(how).arg(thread).status();
    set.is_ok_and(|status| status.success())
}
