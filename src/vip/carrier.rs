//! Which of the interfaces that a group depends on can carry packets, with flapping damped.
//!
//! A loss counts once it has lasted [`LOSS`], which skips the blink of a renegotiation that the
//! kernel itself reports as two events; a return counts after [`RETURN`], since a switch port
//! that has just come up often goes down again. The state found first counts at once. The kernel
//! may tell of a loss up to a second late, when another link changed in the second before
//! (net/core/link_watch.c); heartbeats that stay away tell the peer sooner.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::clock::Time;

/// How long an interface must be down before it counts as down.
pub const LOSS: Duration = Duration::from_millis(50);
/// How long an interface must be up again before it counts as up.
pub const RETURN: Duration = Duration::from_secs(1);

/// Damps the carrier of each watched interface.
#[derive(Debug, Default)]
pub struct Carriers {
    watched: BTreeMap<String, Carrier>,
    outputs: VecDeque<(String, bool)>,
}

#[derive(Debug)]
struct Carrier {
    /// As the rest of the daemon sees it.
    shown: bool,
    /// When the opposite, which the kernel tells, will count.
    turns: Option<Time>,
}

impl Carriers {
    /// Watches these interfaces and no others; `up` tells the state of those that are new.
    pub fn watch(&mut self, names: &BTreeSet<String>, up: impl Fn(&str) -> bool) {
        self.watched.retain(|name, _| names.contains(name));
        for name in names {
            self.watched.entry(name.clone()).or_insert_with(|| Carrier {
                shown: up(name),
                turns: None,
            });
        }
    }

    /// Takes over what the kernel tells of an interface: whether it exists and is up.
    pub fn handle_link(&mut self, name: &str, up: bool, now: Time) {
        let Some(carrier) = self.watched.get_mut(name) else {
            return;
        };
        carrier.turns = match (carrier.shown == up, carrier.turns) {
            (true, _) => None,
            (false, Some(due)) => Some(due),
            (false, None) => Some(now + if up { RETURN } else { LOSS }),
        };
    }

    /// Lets changes count that have lasted long enough.
    pub fn handle_timeout(&mut self, now: Time) {
        for (name, carrier) in &mut self.watched {
            if carrier.turns.is_some_and(|due| now >= due) {
                carrier.turns = None;
                carrier.shown = !carrier.shown;
                self.outputs.push_back((name.clone(), carrier.shown));
            }
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.watched.values().filter_map(|c| c.turns).min()
    }

    /// The next change: an interface, and whether it is up.
    pub fn poll_output(&mut self) -> Option<(String, bool)> {
        self.outputs.pop_front()
    }

    /// Whether an interface counts as up; `None` if it isn't watched.
    #[must_use]
    pub fn is_up(&self, name: &str) -> Option<bool> {
        self.watched.get(name).map(|carrier| carrier.shown)
    }

    /// The watched interfaces.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.watched.keys()
    }
}

#[cfg(test)]
mod tests;
