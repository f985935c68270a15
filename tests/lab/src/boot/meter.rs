//! What a guest takes of the machine's processors, told to the guest itself.
//!
//! A guest's own kernel counts ticks of 10 ms, too coarse for a daemon that works for a tenth of a
//! millisecond at a time. The kernel beneath counts nanoseconds of every process that a guest is
//! made of; a file that both see carries them inside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Lab;

/// File among a guest's results with a line for each reading.
const READINGS: &str = "processor.txt";
/// Between two readings.
const PAUSE: Duration = Duration::from_millis(500);

/// What a guest had taken at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reading {
    /// The moment, from the first reading on.
    pub at: Duration,
    /// The processor time, kernel and all processes together.
    pub taken: Duration,
}

impl Reading {
    /// The processor time in each second between an earlier reading and this one.
    #[must_use]
    pub fn each_second_since(&self, earlier: &Self) -> Duration {
        let passed = self.at.saturating_sub(earlier.at).as_secs_f64();
        let taken = self.taken.saturating_sub(earlier.taken);
        if passed > 0.0 {
            taken.div_f64(passed)
        } else {
            Duration::ZERO
        }
    }

    fn text(&self) -> String {
        format!("{} {}\n", self.at.as_nanos(), self.taken.as_nanos())
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, taken) = text.trim().split_once(' ')?;
        let nanos = |text: &str| text.parse().ok().map(Duration::from_nanos);
        Some(Self {
            at: nanos(at)?,
            taken: nanos(taken)?,
        })
    }
}

impl Lab {
    /// What this guest has taken, every half second up to this moment; nothing if nobody meters it.
    #[must_use]
    pub fn processor(&self) -> Vec<Reading> {
        let text = fs::read_to_string(self.out().join(READINGS)).unwrap_or_default();
        text.lines().filter_map(Reading::parse).collect()
    }
}

/// Reads, until it is dropped, what a guest takes.
#[derive(Debug)]
pub(super) struct Meter {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    /// Meters the processes of a group, for the guest that sees `out`.
    pub(super) fn start(group: u32, out: &Path) -> Self {
        let (stop, stopped) = sync_channel(0);
        let file = File::create(out.join(READINGS));
        let thread = std::thread::spawn(move || {
            // Who finds no reading says so.
            let Ok(mut file) = file else {
                return;
            };
            let start = Instant::now();
            let mut taken = BTreeMap::new();
            loop {
                read(Path::new("/proc"), group, &mut taken);
                let reading = Reading {
                    at: start.elapsed(),
                    taken: Duration::from_nanos(taken.values().sum()),
                };
                let _ = file.write_all(reading.text().as_bytes());
                if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Notes the nanoseconds that each thread of a process group has had. What has ended keeps its own.
fn read(proc: &Path, group: u32, taken: &mut BTreeMap<PathBuf, u64>) {
    for process in numbered(proc) {
        if group_of(&process) != Some(group) {
            continue;
        }
        for thread in numbered(&process.join("task")) {
            // Time on the processor comes first (Documentation/scheduler/sched-stats.rst).
            let text = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
            let first = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
            if let Some(nanos) = first {
                taken.insert(thread, nanos);
            }
        }
    }
}

fn group_of(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // Behind the name, which may hold anything: state, parent, group (proc_pid_stat(5)).
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(2)?.parse().ok()
}

/// The entries of a folder whose names are numbers.
fn numbered(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_read_back_as_it_was_written() {
        let reading = Reading {
            at: Duration::from_nanos(12_345_678_901),
            taken: Duration::from_nanos(9_876),
        };
        assert_eq!(Reading::parse(&reading.text()), Some(reading));
        assert_eq!(Reading::parse(""), None);
        assert_eq!(Reading::parse("12"), None);
    }

    #[test]
    fn threads_of_one_group_are_summed_and_kept_when_they_have_ended() {
        let proc = tempfile::tempdir().unwrap();
        let process = |number: &str, group: &str, threads: &[(&str, &str)]| {
            let folder = proc.path().join(number);
            for (thread, nanos) in threads {
                let thread = folder.join("task").join(thread);
                fs::create_dir_all(&thread).unwrap();
                fs::write(thread.join("schedstat"), format!("{nanos} 7 7\n")).unwrap();
            }
            let stat = format!("{number} (a) (name) S 1 {group} 9 9\n");
            fs::write(folder.join("stat"), stat).unwrap();
        };
        process("10", "10", &[("10", "100"), ("11", "20")]);
        process("12", "10", &[("12", "3")]);
        process("13", "13", &[("13", "9000")]);
        fs::create_dir(proc.path().join("net")).unwrap();
        let mut taken = BTreeMap::new();
        read(proc.path(), 10, &mut taken);
        assert_eq!(taken.values().sum::<u64>(), 123);
        fs::remove_dir_all(proc.path().join("12")).unwrap();
        process("10", "10", &[("10", "110")]);
        read(proc.path(), 10, &mut taken);
        assert_eq!(taken.values().sum::<u64>(), 133);
    }
}
