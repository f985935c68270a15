//! A run of the machine as lines, and the same run again to see what is decided differently.
//!
//! Each [`Line`] is one line of JSON in a file. A file may hold several runs, one after another, and
//! may break off anywhere.

use serde::{Deserialize, Serialize};

use super::event::{Input, Output};
use super::machine::Machine;
use super::settings::Settings;
use crate::clock::Time;

/// One line of a recording.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A run begins.
    Start(Box<Start>),
    /// The machine was told something.
    Step(Box<Step>),
    /// So many lines are missing here: they came faster than they could be written.
    Lost(u64),
}

/// What a machine is made of.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Start {
    /// Of the program that recorded.
    pub version: String,
    /// What it was made with.
    pub settings: Settings,
    /// The session of the run.
    pub session: u64,
    /// When it was made.
    pub at: Time,
}

/// An input and the outputs that it caused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// When it was told.
    pub at: Time,
    /// What.
    pub input: Input,
    /// What it asked for then.
    pub outputs: Vec<Output>,
}

/// What this version decides differently.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Since the start of the run.
    pub after: Time,
    /// What the machine was told.
    pub input: Input,
    /// What was done then and is not done by this version.
    pub recorded: Vec<Output>,
    /// What this version does and was not done then.
    pub replayed: Vec<Output>,
}

/// Runs a recording again, line by line.
#[derive(Debug, Default)]
pub struct Replay {
    run: Option<(Machine, Time)>,
    counted: Counted,
}

/// What a replay has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counted {
    /// Runs that began.
    pub runs: u64,
    /// Inputs that were told again.
    pub steps: u64,
    /// Inputs that could not be, for what is missing before them.
    pub skipped: u64,
    /// Lines that are missing.
    pub lost: u64,
}

impl Replay {
    /// Runs one line again. `None` if nothing differs.
    pub fn feed(&mut self, line: Line) -> Option<Difference> {
        match line {
            Line::Start(start) => {
                let Start {
                    settings,
                    session,
                    at,
                    ..
                } = *start;
                self.counted.runs += 1;
                self.run = Some((Machine::new(settings, session, at), at));
                None
            }
            Line::Lost(lines) => {
                // What the machine was not told it cannot know: the rest would differ by that.
                self.counted.lost += lines;
                self.run = None;
                None
            }
            Line::Step(step) => self.step(*step),
        }
    }

    /// What has been seen so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.counted
    }

    fn step(&mut self, step: Step) -> Option<Difference> {
        let Step { at, input, outputs } = step;
        let Some((machine, born)) = &mut self.run else {
            self.counted.skipped += 1;
            return None;
        };
        self.counted.steps += 1;
        machine.handle(input.clone(), at);
        let again: Vec<Output> = std::iter::from_fn(|| machine.poll_output()).collect();
        if again == outputs {
            return None;
        }
        let lacks = |some: &[Output], others: &[Output]| {
            let missing = some.iter().filter(|output| !others.contains(output));
            missing.cloned().collect::<Vec<_>>()
        };
        let (mut recorded, mut replayed) = (lacks(&outputs, &again), lacks(&again, &outputs));
        if recorded.is_empty() && replayed.is_empty() {
            // The same in another order.
            (recorded, replayed) = (outputs, again);
        }
        Some(Difference {
            after: at.saturating_sub(*born),
            input,
            recorded,
            replayed,
        })
    }
}
