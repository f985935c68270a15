//! Reading a command line by the rules of popt, the library that ipvsadm reads its own with.
//!
//! An argument follows its switch or is joined to it, `-t ADDRESS`, `-tADDRESS`, `-t=ADDRESS` or
//! `--tcp-service=ADDRESS`. Letters may be joined, `-Ln`. Words that belong to no switch may stand
//! anywhere, and everything after `--` is such a word.

use super::table::{Argument, Meaning, SWITCHES, Switch};

/// Reads one command line, switch by switch.
pub(super) struct Reader<'a> {
    args: &'a [String],
    /// The argument to be read next.
    next: usize,
    /// What is left of an argument of joined letters.
    letters: &'a str,
    /// Whether `--` has been read.
    only_words: bool,
    words: Vec<&'a str>,
}

/// A switch that cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    #[error("unknown option")]
    Unknown,
    #[error("missing argument")]
    NoArgument,
    #[error("option does not take an argument")]
    UnwantedArgument,
}

impl<'a> Reader<'a> {
    /// A reader of the arguments that follow the program's name.
    pub(super) fn new(args: &'a [String]) -> Self {
        Self {
            args,
            next: 0,
            letters: "",
            only_words: false,
            words: Vec::new(),
        }
    }

    /// The next switch with its argument; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<(Meaning, Option<&'a str>)>, Fault> {
        if let Some(letter) = self.letters.chars().next() {
            return self.short(letter).map(Some);
        }
        while let Some(arg) = self.args.get(self.next) {
            self.next += 1;
            if self.only_words || !arg.starts_with('-') || arg == "-" {
                self.words.push(arg);
            } else if arg == "--" {
                self.only_words = true;
            } else if let Some(name) = arg.strip_prefix("--") {
                return self.long(name).map(Some);
            } else {
                self.letters = &arg[1..];
                return self
                    .letters
                    .chars()
                    .next()
                    .map_or(Err(Fault::Unknown), |letter| self.short(letter).map(Some));
            }
        }
        Ok(None)
    }

    /// The argument that was read last: the one at fault, if there was a fault.
    pub(super) fn last(&self) -> &'a str {
        let place = self.next.checked_sub(1);
        place
            .and_then(|place| self.args.get(place))
            .map_or("", String::as_str)
    }

    /// The words that belong to no switch, so far.
    pub(super) fn words(&self) -> &[&'a str] {
        &self.words
    }

    fn long(&mut self, text: &'a str) -> Result<(Meaning, Option<&'a str>), Fault> {
        let (name, joined) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let switch = find(|switch| switch.long == name)?;
        self.with_argument(switch, joined)
    }

    fn short(&mut self, letter: char) -> Result<(Meaning, Option<&'a str>), Fault> {
        let switch = find(|switch| switch.short.contains(&letter))?;
        let rest = &self.letters[letter.len_utf8()..];
        if switch.argument == Argument::None {
            self.letters = rest;
            let joined = rest.starts_with('=').then_some(rest);
            return self.with_argument(switch, joined);
        }
        self.letters = "";
        let joined = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest));
        self.with_argument(switch, joined)
    }

    fn with_argument(
        &mut self,
        switch: &Switch,
        joined: Option<&'a str>,
    ) -> Result<(Meaning, Option<&'a str>), Fault> {
        let following = self.args.get(self.next).map(String::as_str);
        let argument = match (switch.argument, joined, following) {
            (Argument::None, Some(_), _) => return Err(Fault::UnwantedArgument),
            (Argument::None, None, _) => None,
            (Argument::Needed(_) | Argument::Optional(_), Some(joined), _) => Some(joined),
            (Argument::Needed(_), None, None) => return Err(Fault::NoArgument),
            (Argument::Optional(_), None, None) => None,
            (Argument::Optional(_), None, Some(other)) if other.starts_with('-') => None,
            (Argument::Needed(_) | Argument::Optional(_), None, Some(following)) => {
                self.next += 1;
                Some(following)
            }
        };
        Ok((switch.meaning, argument))
    }
}

fn find(is_meant: impl Fn(&Switch) -> bool) -> Result<&'static Switch, Fault> {
    SWITCHES
        .iter()
        .find(|switch| is_meant(switch))
        .ok_or(Fault::Unknown)
}
