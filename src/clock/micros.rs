//! Spans of time in microseconds, as they are told in JSON and in logs.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whole microseconds.
pub(crate) fn of(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// For `#[serde(with)]`.
pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    of(*time).serialize(to)
}

/// For `#[serde(with)]`.
pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_micros)
}

/// The same for what may be unknown.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, of};

    /// For `#[serde(with)]`.
    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(of).serialize(to)
    }

    /// For `#[serde(with)]`.
    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let micros = Option::<u64>::deserialize(from)?;
        Ok(micros.map(Duration::from_micros))
    }
}
