//! `caribe replay`: runs a recording again, and shows what this version decides differently.

use std::fs::File;
use std::io::{BufRead, BufReader};

use super::Exit;
use super::args::ReplayArgs;
use super::format::{harmless, harmless_lines};
use super::output::{complain, print};
use crate::cluster::{Difference, Input, Line, Output, Replay};

/// So many differences are shown; after the first the machines may go different ways.
const SHOWN: u64 = 20;
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn replay(args: &ReplayArgs) -> Exit {
    let name = args.file.display();
    let file = match File::open(&args.file) {
        Ok(file) => file,
        Err(error) => {
            complain(&format_args!("cannot read {name}: {}", words::of(&error)));
            return Exit::from(&error);
        }
    };
    let mut replay = Replay::default();
    let mut differences: u64 = 0;
    for (number, text) in (1..).zip(BufReader::new(file).split(b'\n')) {
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                complain(&format_args!("cannot read {name}: {}", words::of(&error)));
                return Exit::from(&error);
            }
        };
        let line: Line = match serde_json::from_slice(&text) {
            Ok(line) => line,
            Err(error) if error.is_eof() => {
                complain(&format_args!(
                    "{name}:{number}: the recording breaks off here"
                ));
                continue;
            }
            Err(error) => {
                complain(&format_args!(
                    "{name}:{number}: not a line of a recording: {error}"
                ));
                return Exit::Failed;
            }
        };
        if let Line::Start(start) = &line
            && start.version != VERSION
        {
            complain(&format_args!(
                "{name}:{number}: recorded by caribe {}, replayed by {VERSION}",
                harmless(&start.version)
            ));
        }
        let Some(difference) = replay.feed(line) else {
            continue;
        };
        differences += 1;
        if differences <= SHOWN
            && let Err(exit) = print(&harmless_lines(&format!(
                "line {number}: {}",
                told(&difference)
            )))
        {
            return exit;
        }
    }
    let counted = replay.counted();
    let runs = if counted.runs == 1 { "run" } else { "runs" };
    let mut summary = format!("{name}: {} {runs}, {} inputs", counted.runs, counted.steps);
    if counted.lost > 0 || counted.skipped > 0 {
        summary.push_str(&format!(
            "; {} lines are missing, and {} inputs after them were not run again",
            counted.lost, counted.skipped
        ));
    }
    summary.push_str(&match differences {
        0 => ": no decision differs\n".to_owned(),
        n => format!(": {n} inputs are answered differently\n"),
    });
    let printed = print(&harmless_lines(&summary));
    match printed {
        Err(exit) => exit,
        Ok(()) if differences == 0 && counted.steps > 0 => Exit::Done,
        Ok(()) => Exit::Failed,
    }
}

fn told(difference: &Difference) -> String {
    let Difference {
        after,
        input,
        recorded,
        replayed,
    } = difference;
    let mut text = format!(
        "{:.6} s after the start, {}\n",
        after.as_secs_f64(),
        input_told(input)
    );
    for (sign, outputs) in [('-', recorded), ('+', replayed)] {
        for output in outputs {
            text.push_str(&format!("  {sign} {}\n", output_told(output)));
        }
    }
    text
}

fn input_told(input: &Input) -> String {
    match input {
        Input::Heartbeat {
            path, heartbeat, ..
        } => format!(
            "heartbeat {} of {} on path {path}",
            heartbeat.counter, heartbeat.sender
        ),
        other => format!("{other:?}"),
    }
}

fn output_told(output: &Output) -> String {
    match output {
        Output::Send(heartbeat) => format!("heartbeat: {:?}", heartbeat.claims),
        other => format!("{other:?}"),
    }
}
