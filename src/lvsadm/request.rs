//! What a command line asks for.

mod draft;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ipvs::ServiceKey;

use super::names::Resolver;
use super::popt::Reader;
use super::table::{Command, Meaning, Rule, Topic};
use draft::Draft;

/// The longest timeout that is taken, 31 days, in seconds.
const MAX_TIMEOUT: i64 = 31 * 24 * 60 * 60;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    Help,
    Version,
    Completions(Shell),
    List(Listing),
    Save {
        numeric: bool,
    },
    Restore {
        replace: bool,
    },
    /// A command for the kernel.
    Kernel(ipvs::Command),
}

/// What is to be listed, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Listing {
    pub(super) what: What,
    pub(super) format: Format,
    pub(super) numeric: bool,
    pub(super) exact: bool,
    pub(super) sorted: bool,
    pub(super) json: bool,
    /// How long between two listings.
    pub(super) watch: Option<Duration>,
}

/// What is to be listed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    Table,
    Service(ServiceKey),
    Connections,
    Timeouts,
    Daemons,
}

/// What is told of each server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Format {
    #[default]
    Plain,
    Stats,
    Rates,
    Thresholds,
    PersistentConnections,
    TunnelInfo,
}

/// A shell that has completions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Default for Listing {
    /// What a command line without arguments lists.
    fn default() -> Self {
        Self {
            what: What::Table,
            format: Format::Plain,
            numeric: false,
            exact: false,
            sorted: true,
            json: false,
            watch: None,
        }
    }
}

/// Why a command line asks for nothing that can be done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Mistake {
    /// There is no command, or none that can be read.
    #[error("Try `{program} -h' or '{program} --help' for more information.")]
    NoCommand {
        /// The name that the program was called by.
        program: String,
    },
    /// A switch cannot be read.
    #[error("{argument}: {fault}")]
    Unreadable {
        /// The argument that it stands in.
        argument: String,
        /// What is wrong with it.
        fault: super::popt::Fault,
    },
    /// What was read is wrong.
    #[error("{0}")]
    Wrong(String),
}

impl Mistake {
    /// The exit status that tells it.
    pub(super) fn status(&self) -> u8 {
        match self {
            Self::NoCommand { .. } | Self::Unreadable { .. } => 255,
            Self::Wrong(_) => 2,
        }
    }
}

/// A mistake told by a text.
fn wrong<T>(text: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake::Wrong(text.into()))
}

/// Reads the arguments that follow the program's name.
pub(super) fn parse(
    program: &str,
    args: &[String],
    resolver: &dyn Resolver,
) -> Result<Request, Mistake> {
    let mut reader = Reader::new(args);
    let no_command = || Mistake::NoCommand {
        program: program.to_owned(),
    };
    let (command, argument) = match reader.next() {
        Ok(Some((Meaning::Command(command), argument))) => (command, argument.unwrap_or("")),
        Ok(Some((Meaning::Option(_), _)) | None) | Err(_) => return Err(no_command()),
    };
    let mut draft = match command {
        Command::Help => return Ok(Request::Help),
        Command::Version => return Ok(Request::Version),
        _ => Draft::new(command, argument)?,
    };
    loop {
        match reader.next() {
            Ok(None) => break,
            Ok(Some((Meaning::Option(option), argument))) => {
                draft.set(option, argument, resolver)?;
            }
            Ok(Some((Meaning::Command(_), _))) => {
                return wrong(format!("invalid option `{}'", reader.last()));
            }
            Err(fault) => {
                return Err(Mistake::Unreadable {
                    argument: reader.last().to_owned(),
                    fault,
                });
            }
        }
    }
    let unused = draft.set_words(reader.words())?;
    if let Some(word) = unused.first() {
        return wrong(format!("unexpected argument {word}"));
    }
    draft.finish()
}

/// Checks the topics of a command line against what its command needs and allows.
fn check(command: Command, given: &[Topic]) -> Result<(), Mistake> {
    let mut exclusive: Option<Topic> = None;
    for topic in Topic::ALL {
        let is_given = given.contains(&topic);
        match (command.rule(topic), is_given) {
            (Rule::Needed, false) => {
                return wrong(format!(
                    "You need to supply the '{}' option for the '{}' command",
                    topic.name(),
                    command.name()
                ));
            }
            (Rule::Illegal, true) => {
                return wrong(format!(
                    "Illegal '{}' option with the '{}' command",
                    topic.name(),
                    command.name()
                ));
            }
            (Rule::Exclusive, true) => {
                if let Some(other) = exclusive.replace(topic) {
                    return wrong(format!(
                        "The option '{}' conflicts with the '{}' option in the '{}' command",
                        topic.name(),
                        other.name(),
                        command.name()
                    ));
                }
            }
            (Rule::Needed | Rule::Allowed, true)
            | (Rule::Exclusive | Rule::Allowed | Rule::Illegal, false) => {}
        }
    }
    Ok(())
}
