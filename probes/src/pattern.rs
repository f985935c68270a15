//! What must come in a reply, found as it comes.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex::bytes::RegexBuilder;
use serde::{Deserialize, Serialize};

use crate::failure::excerpt;

/// A compiled expression may take so much memory.
const REGEX_SIZE: usize = 1 << 20;

/// What must come in a reply.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Pattern {
    /// Any byte.
    #[default]
    Any,
    /// These bytes at its beginning.
    Prefix(Vec<u8>),
    /// These bytes anywhere; none of them is as good as any.
    Contains(Vec<u8>),
    /// These bytes, and nothing more with them, or soon after.
    Exact(Vec<u8>),
    /// What an expression matches, anywhere.
    Regex(Regex),
}

/// What a reply amounts to so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// It is there, and ends here.
    Until(usize),
    /// More may bring it.
    NotYet,
    /// Nothing that may come brings it.
    Never,
}

impl Pattern {
    /// Looks for it in `input`, of which the first `searched` bytes have been looked at before.
    pub(crate) fn find(&self, input: &[u8], searched: usize) -> Found {
        if input.is_empty() {
            return Found::NotYet;
        }
        match self {
            Self::Any => Found::Until(input.len()),
            Self::Prefix(bytes) if input.starts_with(bytes) => Found::Until(bytes.len()),
            Self::Exact(bytes) if input == bytes => Found::Until(bytes.len()),
            Self::Prefix(bytes) | Self::Exact(bytes) => {
                if bytes.starts_with(input) {
                    Found::NotYet
                } else {
                    Found::Never
                }
            }
            Self::Contains(bytes) if bytes.is_empty() => Found::Until(input.len()),
            Self::Contains(bytes) => {
                let begin = searched.saturating_sub(bytes.len() - 1);
                let mut windows = input[begin..].windows(bytes.len());
                match windows.position(|window| window == bytes) {
                    Some(at) => Found::Until(begin + at + bytes.len()),
                    None => Found::NotYet,
                }
            }
            Self::Regex(regex) => {
                #[cfg(test)]
                SEARCHED.with(|searched| searched.set(searched.get() + input.len()));
                match regex.compiled.find(input) {
                    Some(found) => Found::Until(found.end()),
                    None => Found::NotYet,
                }
            }
        }
    }
}

#[cfg(test)]
thread_local! {
    /// Bytes that expressions were looked for in, by tests of this thread.
    pub(crate) static SEARCHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Pattern {
    /// Whether it looks at all of the input each time.
    pub(crate) fn looks_anew(&self) -> bool {
        match self {
            Self::Regex(_) => true,
            Self::Any | Self::Prefix(_) | Self::Contains(_) | Self::Exact(_) => false,
        }
    }
}

impl Pattern {
    /// Whether more input would undo what was found.
    pub(crate) fn is_all(&self) -> bool {
        match self {
            Self::Exact(_) => true,
            Self::Any | Self::Prefix(_) | Self::Contains(_) | Self::Regex(_) => false,
        }
    }
}

impl fmt::Display for Pattern {
    /// What is expected, for a reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any reply"),
            Self::Contains(bytes) if bytes.is_empty() => f.write_str("any reply"),
            Self::Prefix(bytes) => {
                write!(f, "a reply that begins with {}", excerpt(bytes))
            }
            Self::Contains(bytes) => write!(f, "{} in the reply", excerpt(bytes)),
            Self::Exact(bytes) => write!(f, "the reply {}", excerpt(bytes)),
            Self::Regex(regex) => write!(f, "a match of /{}/ in the reply", regex.source),
        }
    }
}

/// A regular expression over bytes, which takes time in proportion to what it searches, whatever it
/// is. Equal if its text is.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Regex {
    source: Arc<str>,
    compiled: regex::bytes::Regex,
}

/// Why a text is no regular expression, in words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct RegexError(String);

impl Regex {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// What is wrong with it, on one line.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        let compiled = RegexBuilder::new(source)
            .size_limit(REGEX_SIZE)
            .build()
            .map_err(|error| {
                let text = error.to_string();
                // The library draws the place; its last line tells what is wrong.
                let last = text.lines().last().unwrap_or_default();
                RegexError(last.trim_start_matches("error: ").to_owned())
            })?;
        Ok(Self {
            source: source.into(),
            compiled,
        })
    }

    /// Its text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is found in some bytes.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.compiled.is_match(bytes)
    }
}

impl TryFrom<String> for Regex {
    type Error = RegexError;

    fn try_from(source: String) -> Result<Self, RegexError> {
        Self::new(&source)
    }
}

impl From<Regex> for String {
    fn from(regex: Regex) -> Self {
        regex.source.as_ref().to_owned()
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Regex {}

impl PartialOrd for Regex {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Regex {
    fn cmp(&self, other: &Self) -> Ordering {
        self.source.cmp(&other.source)
    }
}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    #[test]
    fn each_pattern_finds_its_own() {
        use Found::{Never, NotYet, Until};
        let regex = |source| Pattern::Regex(Regex::new(source).unwrap());
        let table = [
            (Pattern::Any, "", NotYet),
            (Pattern::Any, "x", Until(1)),
            (Pattern::Prefix(bytes("220")), "22", NotYet),
            (Pattern::Prefix(bytes("220")), "220 ready", Until(3)),
            (Pattern::Prefix(bytes("220")), "421", Never),
            (Pattern::Prefix(bytes("")), "421", Until(0)),
            (Pattern::Contains(bytes("OK")), "+O", NotYet),
            (Pattern::Contains(bytes("OK")), "+OK ready", Until(3)),
            (Pattern::Contains(bytes("")), "x", Until(1)),
            (Pattern::Exact(bytes("pong")), "po", NotYet),
            (Pattern::Exact(bytes("pong")), "pong", Until(4)),
            (Pattern::Exact(bytes("pong")), "pong!", Never),
            (regex("^2[0-9]+ "), "250 fine", Until(4)),
            (regex("^2[0-9]+ "), "250", NotYet),
            (regex(r"(?-u)\xff"), "x", NotYet),
        ];
        for (pattern, input, expected) in table {
            let found = pattern.find(input.as_bytes(), 0);
            assert_eq!(found, expected, "{pattern:?} in {input:?}");
        }
    }

    #[test]
    fn what_is_no_expression_is_said_on_one_line() {
        for wrong in [
            "a(",
            "[z-a]",
            "a{999999999}",
            r"(?=x)",
            &"(a{500}){500}".repeat(9),
        ] {
            let text = Regex::new(wrong).unwrap_err().to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{wrong}: {text}");
        }
    }

    #[test]
    fn an_expression_survives_its_recording() {
        let regex = Regex::new("^a+$").unwrap();
        let text = serde_json::to_string(&regex).unwrap();
        assert_eq!(text, r#""^a+$""#);
        assert_eq!(serde_json::from_str::<Regex>(&text).unwrap(), regex);
        serde_json::from_str::<Regex>(r#""a(""#).unwrap_err();
    }

    proptest! {
        #[test]
        fn the_cuts_between_pieces_do_not_matter(
            reply in prop::collection::vec(prop::sample::select(vec![b'a', b'b']), 0..40),
            expect in prop::collection::vec(prop::sample::select(vec![b'a', b'b']), 1..6),
            cuts in prop::collection::vec(1_usize..6, 40),
        ) {
            let pattern = Pattern::Contains(expect.clone());
            let mut length = 0;
            let mut found = Found::NotYet;
            for cut in cuts {
                let searched = length;
                length = (length + cut).min(reply.len());
                found = pattern.find(&reply[..length], searched);
                if found != Found::NotYet || length == reply.len() {
                    break;
                }
            }
            let anywhere = reply.windows(expect.len()).position(|window| window == expect);
            let expected = anywhere.map_or(Found::NotYet, |at| Found::Until(at + expect.len()));
            prop_assert_eq!(found, expected);
        }
    }
}
