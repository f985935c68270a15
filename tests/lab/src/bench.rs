//! Measurements: peers and ours side by side in one boot, so that their ratios mean something.

mod failover;
mod ipvs;

use std::io::{self, Write};
use std::time::Duration;

use lab::Lab;

/// What all measurements together may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(1800);

/// A measurement: its name, how often each thing is measured unless the command line says
/// otherwise, and what measures; that is told with what the names of its rows shall begin.
type Measurement = (
    &'static str,
    usize,
    fn(&Lab, usize, &str) -> Result<(), String>,
);

const MEASUREMENTS: &[Measurement] = &[
    ("ipvs", 5, |lab, runs, _| ipvs::run(lab, runs)),
    ("failover", 10, failover::run),
];

pub(crate) fn run(lab: &Lab, args: &[String]) -> Result<(), String> {
    let (what, runs, only) = match args {
        [what] => (what, None, String::new()),
        [what, runs, only @ ..] => match runs.parse() {
            Ok(runs) if runs > 0 => (what, Some(runs), only.join(" ")),
            Ok(_) | Err(_) => return Err(format!("`{runs}` is no number of runs")),
        },
        [] => return Err(format!("say what to measure: {}", names())),
    };
    match MEASUREMENTS.iter().find(|(name, ..)| name == what) {
        Some((_, usual, run)) => run(lab, runs.unwrap_or(*usual), &only),
        None => Err(format!("there is no measurement `{what}`, but {}", names())),
    }
}

fn names() -> String {
    let names: Vec<String> = MEASUREMENTS
        .iter()
        .map(|(name, ..)| format!("`{name}`"))
        .collect();
    names.join(", ")
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
