//! How late a timer is though it does nothing: by the doing of the guest's kernel and of others.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{Pid, gettid};

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
            if !is_urgent() {
                super::super::say("chrt is missing: the bare timer runs without priority");
            }
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

/// Puts this thread under the policy and priority of caribe's heartbeats.
fn is_urgent() -> bool {
    let thread = Pid::as_raw(Some(gettid())).to_string();
    let set = Command::new("chrt")
        .args(["--rr", "--pid", "20", &thread])
        .status();
    set.is_ok_and(|status| status.success())
}
