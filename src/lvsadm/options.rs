//! The command line.

use std::ffi::OsString;

/// What `-h` prints.
pub(super) const HELP: &str = "\
lvsadm: the kernel's IPVS table, as ipvsadm shows it

Usage:
  lvsadm -L -n
  lvsadm -h | -v

Commands:
  -L, -l, --list     list the virtual services and their real servers
  -h, --help         print this and exit
  -v, --version      print the version and exit

Options:
  -n, --numeric      print addresses and ports as numbers; -L needs it

ipvsadm's other commands and options are not available in this version.
";

/// What was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Command {
    List,
    Help,
    Version,
}

/// Why the command line asks for nothing that can be done.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Mistake {
    #[error("a command is needed")]
    NoCommand,
    #[error("`{0}` after another command: one at a time")]
    SecondCommand(String),
    #[error("listing with names is not available in this version; add -n")]
    Names,
    #[error("option `{0}` is not available in this version")]
    Unavailable(String),
    #[error("unexpected argument `{0}`")]
    Unexpected(String),
}

/// Reads the arguments that follow the program's name.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Mistake> {
    let mut command = None;
    let mut numeric = false;
    for arg in args {
        for option in split(&arg.to_string_lossy())? {
            let asked = match option.as_str() {
                "-n" | "--numeric" => {
                    numeric = true;
                    continue;
                }
                "-L" | "-l" | "--list" => Command::List,
                "-h" | "--help" => Command::Help,
                "-v" | "--version" => Command::Version,
                _ => return Err(Mistake::Unavailable(option)),
            };
            if command.replace(asked).is_some() {
                return Err(Mistake::SecondCommand(option));
            }
        }
    }
    match command {
        None => Err(Mistake::NoCommand),
        Some(Command::List) if !numeric => Err(Mistake::Names),
        Some(command) => Ok(command),
    }
}

/// The options in one argument: `-Ln` is `-L` and `-n`.
fn split(arg: &str) -> Result<Vec<String>, Mistake> {
    if arg.starts_with("--") && arg.len() > 2 {
        return Ok(vec![arg.to_owned()]);
    }
    match arg.strip_prefix('-') {
        Some(letters) if !letters.is_empty() && letters != "-" => {
            Ok(letters.chars().map(|letter| format!("-{letter}")).collect())
        }
        Some(_) | None => Err(Mistake::Unexpected(arg.to_owned())),
    }
}
