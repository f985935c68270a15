//! What goes into the machine and what comes out of it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::{Fitness, Heartbeat};
use super::settings::Settings;

/// Everything that the machine can be told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Input {
    /// A heartbeat came in, and [`Codec::decode`](super::Codec::decode) has accepted it.
    Heartbeat {
        /// The path that it came by.
        path: usize,
        /// What it says.
        heartbeat: Heartbeat,
    },
    /// A heartbeat to `peer` was refused: its kernel says that nobody listens.
    Refused {
        /// The path that was tried.
        path: usize,
        /// Who was addressed.
        peer: String,
    },
    /// How well this director can serve a group. Until told, it is fully fit and not ready.
    Local {
        /// The group.
        group: String,
        /// How well.
        fitness: Fitness,
        /// Whether its probes have all run and its table is programmed.
        ready: bool,
    },
    /// Whether this director reaches none of its reachability targets. Until told, it is taken to
    /// reach some.
    CutOff(bool),
    /// What [`Output::Activate`] asked for is done: the group's VIPs are there and announced.
    Raised {
        /// The group.
        group: String,
    },
    /// What [`Output::Deactivate`] asked for is done: none of the group's VIPs is left.
    Released {
        /// The group.
        group: String,
    },
    /// The configuration was reloaded. Name and cluster stay; anything else may change.
    Settings(Box<Settings>),
    /// The daemon shall stop: leave every group, then say [`Output::Stopped`].
    Stop,
    /// Time has gone by.
    Timeout,
}

/// Everything that the machine can ask for, in the order in which it shall be done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Output {
    /// Send this to every peer on every path.
    Send(Heartbeat),
    /// Put the group's VIPs and announce them; then tell [`Input::Raised`].
    Activate {
        /// The group.
        group: String,
        /// Of the claim.
        epoch: u64,
        /// What made it so.
        why: Taken,
    },
    /// Remove the group's VIPs; then tell [`Input::Released`].
    Deactivate {
        /// The group.
        group: String,
        /// What made it so.
        why: Left,
    },
    /// Announce the VIPs of an active group again, at once and repeatedly: others may believe
    /// that they are elsewhere.
    Announce {
        /// The group.
        group: String,
    },
    /// Something that an operator wants to know.
    Event(Event),
    /// All groups have been left and the peers know, or had time to. Nothing follows.
    Stopped,
}

/// Why a group was taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Taken {
    /// No director was active after the wait of a fresh start.
    Start,
    /// The active director was silent for deadtime.
    Silence {
        /// The director.
        of: String,
    },
    /// Nobody listens any more on the active director's host.
    Refused {
        /// The director.
        by: String,
    },
    /// The active director left the group.
    Released {
        /// The director.
        by: String,
    },
    /// The active director left the group to this one.
    Offered {
        /// The director.
        by: String,
    },
    /// This director had left the group, and nobody took it.
    Unclaimed,
}

/// Why a group was left.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Left {
    /// The daemon stops.
    Stop,
    /// This director is unfit, and another is fit and ready.
    Unfit {
        /// The other.
        to: String,
    },
    /// A better director is fit and ready.
    Failback {
        /// The better one.
        to: String,
    },
    /// This director reaches none of its targets and hears nobody: a peer may have taken over.
    CutOff,
    /// Another was active too, and ranks higher.
    Conflict {
        /// The other.
        rival: String,
    },
    /// Another is active too, and cannot hear this director: it cannot know.
    Deaf {
        /// The other.
        rival: String,
    },
    /// This director was not run for longer than deadtime: another may have taken over.
    Paused {
        /// For how long.
        lasted: Duration,
    },
    /// The group is no part of the configuration.
    Removed,
}

/// Something that an operator wants to know.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Event {
    /// A peer lives.
    PeerAlive {
        /// The peer.
        peer: String,
        /// Silence before it; `None` if it was never heard.
        silence: Option<Duration>,
        /// It is another run of its daemon than the one heard before.
        restarted: bool,
    },
    /// A peer is dead.
    PeerDead {
        /// The peer.
        peer: String,
        /// Since its last heartbeat.
        silence: Duration,
        /// How this is known.
        cause: DeathCause,
    },
    /// A peer's heartbeats come in on a path.
    PathUp {
        /// The peer.
        peer: String,
        /// The path.
        path: usize,
    },
    /// A path to a peer has been silent for deadtime.
    PathDown {
        /// The peer.
        peer: String,
        /// The path.
        path: usize,
    },
    /// A heartbeat came later than warntime after the one before.
    Late {
        /// The peer.
        peer: String,
        /// The path.
        path: usize,
        /// Between the two.
        interval: Duration,
    },
    /// Whether a peer hears this director has changed.
    Hears {
        /// The peer.
        peer: String,
        /// Whether it does.
        hears_us: bool,
    },
    /// Whether a peer runs the same configuration has changed, or is known for the first time.
    Config {
        /// The peer.
        peer: String,
        /// Whether it does.
        same: bool,
    },
    /// A peer's kernel said that nobody listens.
    Refused {
        /// The peer.
        peer: String,
        /// The path.
        path: usize,
    },
    /// Another director is active in the same group. Critical.
    Conflict {
        /// The group.
        group: String,
        /// The other.
        rival: String,
    },
    /// The other no longer is.
    ConflictOver {
        /// The group.
        group: String,
        /// The other.
        rival: String,
    },
    /// This director was not run for longer than deadtime.
    Paused {
        /// For how long.
        lasted: Duration,
    },
    /// Nobody is active in a group and this director does not take it, because it is unfit.
    Unfit {
        /// The group.
        group: String,
    },
}

/// How it is known that a peer is dead.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeathCause {
    /// Silent on every path for deadtime.
    Silence,
    /// Its host said on every path that nobody listens.
    Refused,
    /// It said that it stops, and holds nothing.
    Stopped,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "nobody was active"),
            Self::Silence { of } => write!(f, "{of} is silent"),
            Self::Refused { by } => write!(f, "{by} does not run"),
            Self::Released { by } => write!(f, "{by} released it"),
            Self::Offered { by } => write!(f, "handed over by {by}"),
            Self::Unclaimed => write!(f, "nobody else took it"),
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => write!(f, "stopping"),
            Self::Unfit { to } => write!(f, "unfit, {to} is fit"),
            Self::Failback { to } => write!(f, "failback to {to}"),
            Self::CutOff => write!(f, "cut off: no peer and no target is reached"),
            Self::Conflict { rival } => write!(f, "{rival} is active and ranks higher"),
            Self::Deaf { rival } => write!(f, "{rival} is active and does not hear us"),
            Self::Paused { lasted } => write!(f, "was not run for {lasted:?}"),
            Self::Removed => write!(f, "removed from the configuration"),
        }
    }
}

impl fmt::Display for DeathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silence => "silent",
            Self::Refused => "not running",
            Self::Stopped => "stopped",
        })
    }
}
