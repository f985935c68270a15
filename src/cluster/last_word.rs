//! What is said in the name of a daemon that has died.
//!
//! A daemon that is killed says nothing. What it would have said is written and signed while it
//! lives, kept by a process that outlives it, and sent when it has died: its peers need not wait
//! until they find out by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::heartbeat::Heartbeat;
use super::settings::Settings;

/// The counter of a session's last word: none is greater, so nothing of the session is trusted
/// afterwards, and whoever repeats the datagram repeats what has been heard.
const LAST: u64 = u64::MAX;

impl Heartbeat {
    /// The last word of a session: its daemon runs no more, and holds nothing.
    ///
    /// To be sent only when that has become true. It echoes nobody, since nobody knows when it will
    /// be sent, and is trusted within its session alone.
    #[must_use]
    pub fn last_word(settings: &Settings, session: u64) -> Self {
        Self {
            sender: settings.node.clone(),
            session,
            counter: LAST,
            // However late it is sent, it is not stale.
            clock: Duration::from_micros(u64::MAX),
            digest: settings.digest,
            stopping: true,
            answer: false,
            echoes: BTreeMap::new(),
            claims: BTreeMap::new(),
            stations: BTreeSet::new(),
        }
    }

    /// Whether it is the last word of its session.
    #[must_use]
    pub fn is_last_word(&self) -> bool {
        self.counter == LAST
    }
}

#[cfg(test)]
mod tests;
