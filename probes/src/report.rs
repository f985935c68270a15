//! How one probe went.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// How one probe went.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The answer was good, or why it was not.
    pub result: Result<Answer, Failure>,
    /// What it took.
    pub times: Times,
}

/// What a good answer says beyond that it is good.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// The share of connections that the server asks for; `None` if it asks for nothing.
    pub weight: Option<Weight>,
    /// What will be wrong soon, in words: "its certificate expires on 2031-05-06".
    pub warning: Option<String>,
}

impl Answer {
    /// Good, and nothing more.
    #[must_use]
    pub fn good() -> Self {
        Self::default()
    }
}

/// A share of connections that a server asks for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Of the configured weight, in percent; may be above 100.
    Percent(u32),
    /// In place of the configured weight.
    Exactly(u32),
}

impl Weight {
    /// The weight of a server that is configured with `weight`. A share that is not 0 of a weight
    /// that is not 0 is at least 1: 0 would mean that it takes no connections.
    #[must_use]
    pub fn of(self, weight: u32) -> u32 {
        match self {
            Self::Exactly(weight) => weight,
            Self::Percent(percent) => {
                let least = u64::from(percent.min(weight).min(1));
                let share = (u64::from(weight) * u64::from(percent) / 100).max(least);
                u32::try_from(share).unwrap_or(u32::MAX)
            }
        }
    }
}

/// What a probe took, each from its start; `None` for what it did not come to or does not have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Times {
    /// Until the connection was made.
    pub connect: Option<Duration>,
    /// Until TLS was agreed on.
    pub tls: Option<Duration>,
    /// Until the server's first byte came; with TLS, the first one inside.
    pub first_byte: Option<Duration>,
    /// Until the result.
    pub whole: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_weight_is_never_nothing_by_rounding() {
        let table = [
            (Weight::Exactly(7), 100, 7),
            (Weight::Exactly(0), 100, 0),
            (Weight::Percent(100), 3, 3),
            (Weight::Percent(50), 3, 1),
            (Weight::Percent(1), 3, 1),
            (Weight::Percent(0), 3, 0),
            (Weight::Percent(50), 0, 0),
            (Weight::Percent(250), 100, 250),
            (Weight::Percent(u32::MAX), u32::MAX, u32::MAX),
        ];
        for (weight, configured, expected) in table {
            assert_eq!(
                weight.of(configured),
                expected,
                "{weight:?} of {configured}"
            );
        }
    }
}
