//! `-R`: command lines from standard input, all of them checked before the first is carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufRead};

use ipvs::fake::Fake;
use ipvs::{Change, Command, DestinationKey, Error, Kernel, ServiceKey, plan};

use super::names::Resolver;
use super::request::{Mistake, Request, parse};
use super::{REFUSED, message};

/// What lines of the input ask for.
#[derive(Debug)]
pub(super) enum Step {
    /// Commands to be sent together.
    Commands(Commands),
    /// Anything else, with the number of its line, from 1.
    Other(usize, Request),
}

/// Commands for the kernel, each with the number of the line that asks for it, if one does.
#[derive(Debug, Default)]
pub(super) struct Commands {
    lines: Vec<Option<usize>>,
    commands: Vec<Command>,
}

impl Commands {
    fn push(&mut self, line: Option<usize>, command: Command) {
        self.lines.push(line);
        self.commands.push(command);
    }
}

/// What cannot be carried out, and the status that tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// The line that asks for it; none where it follows from what no line says.
    pub(super) line: Option<usize>,
    pub(super) text: String,
    pub(super) status: u8,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// Reads all lines. Where any are wrong, all that are wrong are told.
///
/// A line may begin with the program's name. Empty lines, and lines that begin with `#`, count but
/// ask for nothing.
pub(super) fn read(
    program: &str,
    mut input: impl BufRead,
    resolver: &dyn Resolver,
) -> io::Result<Result<Vec<Step>, Vec<Fault>>> {
    let (mut steps, mut faults) = (Vec::new(), Vec::new());
    let mut bytes = Vec::new();
    let mut number = 0;
    while input.read_until(b'\n', &mut bytes)? != 0 {
        number += 1;
        let text = String::from_utf8_lossy(&bytes);
        let args = words(&text);
        if !args.is_empty() {
            match read_line(program, &args, resolver) {
                Ok(request) => append(&mut steps, number, request),
                Err(mistake) => faults.push(Fault {
                    line: Some(number),
                    text: mistake.to_string(),
                    status: mistake.status(),
                }),
            }
        }
        bytes.clear();
    }
    Ok(if faults.is_empty() {
        Ok(steps)
    } else {
        Err(faults)
    })
}

/// Adds what a line asks for, to the commands before it if it is one too.
fn append(steps: &mut Vec<Step>, number: usize, request: Request) {
    let Request::Kernel(command) = request else {
        steps.push(Step::Other(number, request));
        return;
    };
    if let Some(Step::Commands(commands)) = steps.last_mut() {
        commands.push(Some(number), command);
    } else {
        let mut commands = Commands::default();
        commands.push(Some(number), command);
        steps.push(Step::Commands(commands));
    }
}

/// The arguments in a line: none where it is empty or a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = line.split_ascii_whitespace().peekable();
    let _ = words.next_if(|word| matches!(*word, "ipvsadm" | "lvsadm"));
    match words.peek() {
        Some(word) if word.starts_with('#') => Vec::new(),
        Some(_) | None => words.map(str::to_owned).collect(),
    }
}

fn read_line(program: &str, args: &[String], resolver: &dyn Resolver) -> Result<Request, Mistake> {
    let misplaced = |what: &str| Err(Mistake::Wrong(format!("{what} has no place in a restore")));
    match parse(program, args, resolver)? {
        Request::Help => misplaced("help"),
        Request::Version => misplaced("the version"),
        Request::Completions(_) => misplaced("a completion"),
        Request::Restore { .. } => misplaced("another restore"),
        Request::List(listing) if listing.watch.is_some() => misplaced("watching"),
        request @ (Request::List(_) | Request::Save { .. } | Request::Kernel(_)) => Ok(request),
    }
}

/// Sends commands, and tells which were refused.
pub(super) fn execute(kernel: &mut impl Kernel, all: &Commands) -> Result<Vec<Fault>, Error> {
    let outcomes = kernel.execute(&all.commands)?;
    let asked = all.lines.iter().zip(&all.commands);
    Ok(outcomes
        .into_iter()
        .zip(asked)
        .filter_map(|(outcome, (line, command))| {
            let refusal = message::of_refusal(command, &outcome.err()?);
            Some(Fault {
                line: *line,
                text: match line {
                    Some(_) => refusal,
                    None => format!("cannot {command}: {refusal}"),
                },
                status: REFUSED,
            })
        })
        .collect())
}

/// What `--replace` has to do.
#[derive(Debug, Default)]
pub(super) struct Replacement {
    /// A kernel that holds the table which the input makes of an empty one.
    rehearsal: Fake,
    /// The line that said the last of a service or server.
    said_at: BTreeMap<(ServiceKey, Option<DestinationKey>), Option<usize>>,
    /// Commands that are no change of the table, for afterwards.
    others: Commands,
}

impl Replacement {
    /// Carries the lines out on an empty table. Where any are refused, all that are refused are told.
    pub(super) fn rehearse(steps: Vec<Step>) -> Result<Self, Vec<Fault>> {
        let mut replacement = Self::default();
        let mut faults = Vec::new();
        for step in steps {
            match step {
                Step::Commands(Commands { lines, commands }) => {
                    let refused = lines
                        .into_iter()
                        .zip(commands)
                        .filter_map(|(line, command)| replacement.take(line, command).err());
                    faults.extend(refused);
                }
                Step::Other(number, _) => faults.push(Fault {
                    line: Some(number),
                    text: "a listing has no place in a replacement".to_owned(),
                    status: 2,
                }),
            }
        }
        if faults.is_empty() {
            Ok(replacement)
        } else {
            Err(faults)
        }
    }

    fn take(&mut self, line: Option<usize>, command: Command) -> Result<(), Fault> {
        match &command {
            Command::Change(change) => {
                self.said_at.insert(object(change), line);
            }
            Command::Flush => {}
            Command::Zero(_)
            | Command::SetTimeouts(_)
            | Command::StartDaemon(_)
            | Command::StopDaemon(_) => {
                self.others.push(line, command);
                return Ok(());
            }
        }
        let outcome = self.rehearsal.execute(std::slice::from_ref(&command));
        let text = match outcome.map(|mut outcomes| outcomes.pop()) {
            Ok(Some(Err(error))) => message::of_refusal(&command, &error),
            Ok(Some(Ok(())) | None) => return Ok(()),
            Err(error) => message::of_error(&error),
        };
        Err(Fault {
            line,
            text,
            status: REFUSED,
        })
    }

    /// Makes the kernel's table equal, and tells what was refused.
    pub(super) fn carry_out(self, kernel: &mut impl Kernel) -> Result<Vec<Fault>, Error> {
        let actual = kernel.listing()?;
        let all: BTreeSet<ServiceKey> = actual.iter().map(|listed| listed.key).collect();
        let changes = plan(&self.rehearsal.table, &actual, &all);
        let mut all = Commands::default();
        for change in changes {
            let line = self.said_at.get(&object(&change)).copied().flatten();
            all.push(line, Command::Change(change));
        }
        for (line, command) in self.others.lines.into_iter().zip(self.others.commands) {
            all.push(line, command);
        }
        execute(kernel, &all)
    }
}

/// The service or server that a change is about.
fn object(change: &Change) -> (ServiceKey, Option<DestinationKey>) {
    match change {
        Change::AddService { key, .. }
        | Change::EditService { key, .. }
        | Change::RemoveService { key } => (*key, None),
        Change::AddDestination { service, key, .. }
        | Change::EditDestination { service, key, .. }
        | Change::RemoveDestination { service, key } => (*service, Some(*key)),
    }
}
