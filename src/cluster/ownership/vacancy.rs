//! Why a group that nobody has is not taken here, in an operator's words.

use crate::clock::Time;

/// What keeps a standby from taking a group that it knows no owner of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::cluster) enum Vacancy {
    /// It is no part of the configuration any more.
    Removed,
    /// An operator wants it so.
    StandsBy,
    /// The daemon stops.
    Stopping,
    /// The others have not answered yet; those, and how long they are waited for, are the machine's
    /// to know.
    Unanswered,
    /// `by` is heard and says that `owner` has it, which is not heard.
    Told { by: String, owner: String },
    /// A start waits for these to be ready.
    Unready { names: Vec<String>, until: Time },
    /// This director is unfit, and these are not heard and may be well.
    Unfit { silent: Vec<String> },
    /// These rank higher and have not taken it yet.
    Outranked { by: Vec<String> },
}

impl Vacancy {
    /// In words.
    pub(in crate::cluster) fn text(&self, now: Time) -> String {
        match self {
            Self::Removed => "removed from the configuration".to_owned(),
            Self::StandsBy => "this director is told to stand by".to_owned(),
            Self::Stopping => "this director is stopping".to_owned(),
            Self::Unanswered => "waiting to hear the others".to_owned(),
            Self::Told { by, owner } => {
                format!("{by} says that {owner} has it, which is not heard here")
            }
            Self::Unready { names, until } => waiting("to be ready", names, *until, now),
            Self::Unfit { silent } if silent.is_empty() => {
                "this director is unfit, and whoever is fit has not taken it yet".to_owned()
            }
            Self::Unfit { silent } => format!(
                "this director is unfit; {}, not heard here, may be fit and have it",
                silent.join(", ")
            ),
            Self::Outranked { by } => {
                format!("{} ranks higher and has not taken it yet", by.join(", "))
            }
        }
    }
}

/// `waiting for ha2 to answer, at most 12s`
pub(in crate::cluster) fn waiting(what: &str, names: &[String], until: Time, now: Time) -> String {
    let seconds = until.saturating_sub(now).as_secs() + 1;
    format!(
        "waiting for {} {what}, at most {seconds}s",
        names.join(", ")
    )
}
