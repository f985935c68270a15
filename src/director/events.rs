//! What has happened to a running director, as far back as is kept.
//!
//! The only source of the event stream and of `caribe events`. A reader asks for what came after a
//! [`Position`], and is told how much of that is kept no longer.

mod stamp;
mod words;

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::snapshot::Takeover;

pub use stamp::rfc3339;

/// So many events are kept.
pub const KEPT: usize = 1000;

/// One thing that has happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// Which one it is.
    pub id: Position,
    /// When it happened, in UTC as RFC 3339 has it, with microseconds:
    /// `2026-11-20T10:31:02.123456Z`. Always as long, so that text sorts as time does.
    pub time: String,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// Names an event, as `RUN-SEQUENCE`: `6a1f0b2c-17`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Position {
    /// The run of the daemon: the second since 1970 in which it started, in hex. `None`, as in a
    /// plain number, is the present one.
    pub run: Option<u64>,
    /// Counts from 1 in each run, without a gap.
    pub sequence: u64,
}

/// A kind of event with what belongs to it. Times are in microseconds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields say it by their names, as in the JSON text"
)]
pub enum What {
    /// The daemon runs.
    Started { version: String, config: String },
    /// The daemon was told to stop.
    Stopping,
    /// A director lives; `silence_us` before that, if it had been heard before.
    DirectorAlive {
        director: String,
        silence_us: Option<u64>,
        restarted: bool,
    },
    /// A director is dead.
    DirectorDead {
        director: String,
        silence_us: u64,
        cause: String,
    },
    /// Nobody listens for heartbeats on a director's host.
    DirectorRefuses { director: String, path: usize },
    /// A director hears us, or no longer does.
    DirectorHears { director: String, hears_us: bool },
    /// A director runs the same configuration, or one that differs in these sections.
    DirectorConfig {
        director: String,
        same: bool,
        differing: Vec<String>,
    },
    /// Heartbeats come in on a path, counted from 0 in the configuration's order.
    PathUp { director: String, path: usize },
    /// A path has been silent for deadtime.
    PathDown { director: String, path: usize },
    /// So many heartbeats came later than warntime, one of them `longest_us` after the one before.
    LateHeartbeats {
        director: String,
        path: usize,
        heartbeats: u64,
        longest_us: u64,
    },
    /// This director was not run for a while.
    Paused { lasted_us: u64 },
    /// This director has become active in a group.
    GroupActive {
        group: String,
        epoch: u64,
        reason: String,
    },
    /// This director gives a group to another, and forwards for it until that one has it.
    GroupOffered {
        group: String,
        to: String,
        reason: String,
    },
    /// This director is leaving a group.
    GroupStandby { group: String, reason: String },
    /// Another director is active in the same group.
    GroupConflict { group: String, rival: String },
    /// The other no longer is.
    GroupConflictOver { group: String, rival: String },
    /// Nobody is active in a group, and this director is unfit to be.
    GroupUnserved { group: String },
    /// How well this director can serve a group has changed.
    Fitness {
        group: String,
        fitness: u16,
        amiss: Vec<String>,
    },
    /// A group has come to this director, with the times of the phases relative to its claim.
    Takeover {
        group: String,
        epoch: u64,
        reason: String,
        from: Option<String>,
        heard_before_us: Option<u64>,
        suspected_before_us: Option<u64>,
        addresses_after_us: Option<u64>,
        announced_after_us: Option<u64>,
    },
    /// The first packet to VIPs of a group that has been taken has come, so long after the claim.
    FirstPacket { group: String, after_us: u64 },
    /// So many of a group's VIPs are on this host; the others cannot be put.
    VipsHere {
        group: String,
        vips: usize,
        of: usize,
    },
    /// So many have left it; the others cannot be removed.
    VipsGone {
        group: String,
        vips: usize,
        of: usize,
    },
    /// Somebody else has removed a VIP; it is put back.
    VipLost { address: String, interface: String },
    /// A host that is no director has a VIP, which is not put until it leaves.
    VipRefused {
        address: String,
        interface: String,
        mac: String,
    },
    /// A host that is no director has a VIP of another director, which would not be put here.
    VipForeseen {
        address: String,
        interface: String,
        mac: String,
    },
    /// Another host, which may be a director, answers for a VIP that is here.
    VipContested {
        address: String,
        interface: String,
        mac: String,
        director: Option<String>,
    },
    /// It no longer does.
    VipYielded { address: String, interface: String },
    /// A VIP is not as it shall be.
    VipFailed { problem: String },
    /// A monitored link is up or down.
    Link { interface: String, up: bool },
    /// A real server serves.
    ServerUp { service: String, server: String },
    /// A real server does not serve.
    ServerDown {
        service: String,
        server: String,
        reason: Option<String>,
    },
    /// Somebody else has changed the kernel's IPVS table; it has been mended.
    TableDrift { changes: u64 },
    /// The kernel's IPVS table cannot be worked on.
    TableFailed { problem: String },
    /// It can again.
    TableWorks,
    /// Events that cannot be told: more than are kept, or more at once than could be passed on.
    Lost { events: u64 },
}

/// The latest events, of which there may be none.
#[derive(Clone, Debug, Default)]
pub struct History {
    run: u64,
    /// Of the newest event, kept or not.
    sequence: u64,
    events: VecDeque<Arc<Event>>,
}

impl History {
    /// Nothing has happened in the run that started at `wall`, a time since 1970.
    #[must_use]
    pub fn new(wall: Duration) -> Self {
        Self {
            run: wall.as_secs(),
            sequence: 0,
            events: VecDeque::new(),
        }
    }

    /// Adds what happened at `wall`, a time since 1970.
    pub fn push(&mut self, what: What, wall: Duration) {
        if self.events.len() >= KEPT {
            self.events.pop_front();
        }
        self.sequence += 1;
        self.events.push_back(Arc::new(Event {
            id: self.position(self.sequence),
            time: rfc3339(wall),
            what,
        }));
    }

    /// What came after `position`, the oldest first; everything, if that is of another run or has
    /// not been yet. Begins with [`What::Lost`] where something in between is kept no longer.
    #[must_use]
    pub fn after(&self, position: Option<Position>) -> Vec<Arc<Event>> {
        let ours = |it: &Position| it.run.is_none_or(|run| run == self.run);
        let from = position
            .filter(|it| ours(it) && it.sequence <= self.sequence)
            .map_or(0, |it| it.sequence);
        let Some(first) = self.events.front() else {
            return Vec::new();
        };
        let lost = (first.id.sequence - 1).saturating_sub(from);
        let gap = (lost > 0).then(|| {
            Arc::new(Event {
                id: self.position(first.id.sequence - 1),
                time: first.time.clone(),
                what: What::Lost { events: lost },
            })
        });
        let newer = self.events.iter().filter(|it| it.id.sequence > from);
        gap.into_iter().chain(newer.cloned()).collect()
    }

    fn position(&self, sequence: u64) -> Position {
        Position {
            run: Some(self.run),
            sequence,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run {
            Some(run) => write!(f, "{run:x}-{}", self.sequence),
            None => write!(f, "{}", self.sequence),
        }
    }
}

/// A text that names no event.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} names no event: expected RUN-SEQUENCE, as in 6a1f0b2c-17, or a number")]
pub struct NoPosition(String);

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || NoPosition(text.chars().take(64).collect());
        let (run, sequence) = match text.split_once('-') {
            Some((run, sequence)) => {
                let run = u64::from_str_radix(run, 16).map_err(|_| error())?;
                (Some(run), sequence)
            }
            None => (None, text),
        };
        let sequence = sequence.parse().map_err(|_| error())?;
        Ok(Self { run, sequence })
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

impl TryFrom<String> for Position {
    type Error = NoPosition;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Takeover> for What {
    fn from(takeover: Takeover) -> Self {
        let Takeover {
            group,
            epoch,
            reason,
            from,
            age: _,
            heard_before_us,
            suspected_before_us,
            addresses_after_us,
            announced_after_us,
            first_packet_after_us: _,
        } = takeover;
        Self::Takeover {
            group,
            epoch,
            reason,
            from,
            heard_before_us,
            suspected_before_us,
            addresses_after_us,
            announced_after_us,
        }
    }
}

#[cfg(test)]
mod tests;
