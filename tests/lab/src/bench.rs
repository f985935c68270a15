//! Measurements: peers and ours side by side in one boot, so that their ratios mean something.

mod failover;
mod ipvs;
mod probes;

use std::io::{self, Write};
use std::time::Duration;

use lab::Lab;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What all measurements together may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(1800);

/// One thing that can be measured.
struct Measurement {
    name: &'static str,
    /// How often each reading is taken unless the command line says otherwise.
    runs: usize,
    /// What is done on this machine itself, before there is a guest.
    on_host: Option<fn(usize) -> Result<(), String>>,
    /// What is measured in a guest; it is told with what the names of its rows shall begin.
    in_guest: fn(&Lab, usize, &str) -> Result<(), String>,
}

const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        name: "ipvs",
        runs: 5,
        on_host: None,
        in_guest: |lab, runs, _| ipvs::run(lab, runs),
    },
    Measurement {
        name: "failover",
        runs: 10,
        on_host: Some(|_| stay()),
        in_guest: failover::run,
    },
    Measurement {
        name: "probes",
        runs: 3,
        on_host: Some(probes::on_host),
        in_guest: |lab, runs, _| probes::run(lab, runs),
    },
];

/// Measures what is measured without a guest.
pub(crate) fn on_host(args: &[String]) -> Result<(), String> {
    let (measurement, runs, _) = chosen(args)?;
    measurement.on_host.map_or(Ok(()), |measure| measure(runs))
}

pub(crate) fn run(lab: &Lab, args: &[String]) -> Result<(), String> {
    let (measurement, runs, only) = chosen(args)?;
    (measurement.in_guest)(lab, runs, &only)
}

fn chosen(args: &[String]) -> Result<(&'static Measurement, usize, String), String> {
    let (what, runs, only) = match args {
        [what] => (what, None, String::new()),
        [what, runs, only @ ..] => match runs.parse() {
            Ok(runs) if runs > 0 => (what, Some(runs), only.join(" ")),
            Ok(_) | Err(_) => return Err(format!("`{runs}` is no number of runs")),
        },
        [] => return Err(format!("say what to measure: {}", names())),
    };
    match MEASUREMENTS.iter().find(|known| known.name == what) {
        Some(measurement) => Ok((measurement, runs.unwrap_or(measurement.runs), only)),
        None => Err(format!("there is no measurement `{what}`, but {}", names())),
    }
}

fn names() -> String {
    let names: Vec<String> = MEASUREMENTS
        .iter()
        .map(|known| format!("`{}`", known.name))
        .collect();
    names.join(", ")
}

/// Keeps the guest to one processor, which is all that it has: one that is moved about waits behind
/// this machine's own threads, tens of milliseconds where its kernel does not preempt them, while
/// another processor is idle.
fn stay() -> Result<(), String> {
    let allowed =
        sched_getaffinity(None).map_err(|e| format!("which processors there are: {e}"))?;
    let last = (0..CpuSet::MAX_CPU).rfind(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or_default());
    sched_setaffinity(None, &one).map_err(|e| format!("cannot stay on a processor: {e}"))
}

/// The middle one of several readings.
fn median(mut readings: Vec<Duration>) -> Option<Duration> {
    readings.sort_unstable();
    readings.get(readings.len() / 2).copied()
}

/// A duration in the unit that suits it.
fn text(duration: Option<Duration>) -> String {
    let Some(duration) = duration else {
        return "-".to_owned();
    };
    let seconds = duration.as_secs_f64();
    if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{:.1} ms", seconds * 1e3)
    }
}

fn say(line: &str) {
    // Nobody is left to tell if even the console is gone.
    let _ = writeln!(io::stdout(), "{line}");
}
