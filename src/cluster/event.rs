//! What goes into the machine and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::{Fitness, Heartbeat, Station};
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
        /// For how long it has been waiting to be read, if it was let wait.
        #[serde(default)]
        waited: Duration,
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
    /// Where this director answers for VIPs, or would. Until told, nowhere.
    Stations(BTreeSet<Station>),
    /// Whether somebody who is no director has VIPs of a group that is held here. Until told,
    /// nobody has.
    Partial {
        /// The group.
        group: String,
        /// Whether it is so.
        partial: bool,
    },
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
    /// An operator wants a group that is held here to be handed over.
    Handover {
        /// Comes back with the [`Output::Answer`].
        id: u64,
        /// The group.
        group: String,
        /// The director that shall have it; the best candidate if it is not said.
        to: Option<String>,
    },
    /// An operator wants this director to leave groups to the others and to take none; or, when
    /// `on` is false, no longer wants that.
    Standby {
        /// Comes back with the [`Output::Answer`].
        id: u64,
        /// The group; all of them if it is not said.
        group: Option<String>,
        /// Whether it shall be so.
        on: bool,
    },
    /// The configuration was reloaded. Name and cluster stay; anything else may change.
    Settings(Box<Settings>),
    /// The daemon shall stop: leave every group, then say [`Output::Stopped`].
    Stop,
    /// Time has gone by.
    Timeout,
}

#[cfg(test)]
impl Input {
    /// A heartbeat that did not wait.
    pub(super) fn heard(path: usize, heartbeat: Heartbeat) -> Self {
        let waited = Duration::ZERO;
        Self::Heartbeat {
            path,
            heartbeat,
            waited,
        }
    }
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
        /// Whether the network is to be asked for its VIPs.
        #[serde(default)]
        ask: Ask,
    },
    /// Answer no more for the group's VIPs and announce them no more, but go on to forward what
    /// comes for them. [`Output::Deactivate`] follows, or [`Output::Activate`] if nobody wanted
    /// the group.
    Quiet {
        /// The group.
        group: String,
        /// Who is to take it.
        to: String,
        /// What made it so.
        why: Left,
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
    /// Another director holds the group: find out beside whether strangers answer for its VIPs, so
    /// that it is known when they are taken. Said once the owner is first heard, and again when
    /// nothing has been heard of it for warntime.
    Watch {
        /// The group.
        group: String,
    },
    /// Where a peer answers for VIPs, or would.
    Stations {
        /// The peer.
        peer: String,
        /// There.
        stations: BTreeSet<Station>,
    },
    /// Something that an operator wants to know.
    Event(Event),
    /// What became of what an operator asked for.
    Answer {
        /// Of the [`Input::Handover`] or [`Input::Standby`].
        id: u64,
        /// What became of it.
        answer: Answer,
    },
    /// All groups have been left and the peers know, or had time to. Nothing follows.
    Stopped,
}

/// Whether somebody who is no director may have VIPs of a group that is taken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// No: a director passes them on that has held them until now. Whoever claims them does so in
    /// vain.
    #[default]
    Nobody,
    /// Some: the director that held the group is gone, or did not hold all of them. They are to be
    /// put, but for those that a stranger is known to answer for; if one is found out to, they are
    /// to be removed again.
    Beside,
    /// All: no director has held them lately. The network is to be asked before they are put.
    First,
}

/// What became of what an operator asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Answer {
    /// The group has been claimed by another director.
    HandedOver {
        /// The group.
        group: String,
        /// That director.
        to: String,
    },
    /// The director stands by, or no longer does.
    Standby {
        /// Groups that are being given away, and to whom.
        given: BTreeMap<String, String>,
        /// Groups that are kept until a peer could take them, and why no peer can.
        kept: BTreeMap<String, Refusal>,
    },
    /// It was not done.
    Refused(Refusal),
}

/// Why something that an operator asked for was not done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Refusal {
    /// There is no such group.
    NoGroup,
    /// Another director is active in the group, or nobody is.
    NotActive {
        /// The other.
        owner: Option<String>,
    },
    /// The director that shall have it is this one.
    Itself,
    /// There is no such director.
    NoDirector,
    /// No peer could take it now, and why each could not.
    Unsuited(BTreeMap<String, Unsuited>),
    /// The group is being left already.
    Leaving,
    /// The director that it was offered to did not claim it in time.
    Unclaimed {
        /// That director.
        by: String,
    },
    /// All groups stand by by one order, which cannot be undone for one of them.
    AllStandBy,
    /// The daemon stops.
    Stopping,
}

/// Why a peer could not take a group over at once.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unsuited {
    /// It is not heard.
    Dead,
    /// It stops.
    Stopping,
    /// It does not hear us.
    Deaf,
    /// Its configuration does not have the group.
    NoGroup,
    /// It is unfit, or stands by.
    Unfit,
    /// Its probes have not all run, or its table is not programmed.
    NotReady,
}

impl Refusal {
    /// Whether the same may be done a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unsuited(_) | Self::Leaving | Self::Unclaimed { .. } => true,
            Self::NoGroup
            | Self::NotActive { .. }
            | Self::Itself
            | Self::NoDirector
            | Self::AllStandBy
            | Self::Stopping => false,
        }
    }
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
    /// The active director gives the group to this one.
    Offered {
        /// The director.
        by: String,
    },
    /// This director gave the group away, and it was not claimed.
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
    /// An operator wants this director to stand by, and another is fit and ready.
    Standby {
        /// The other.
        to: String,
    },
    /// An operator wants another to have it.
    Command {
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
        /// The sections in which it differs, as far as they can be told.
        differing: Vec<String>,
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
    /// Its host said on every path that nobody listens, or its guard that it has died.
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
            Self::Standby { to } => write!(f, "told to stand by, {to} is fit"),
            Self::Command { to } => write!(f, "handed over to {to} by command"),
            Self::Failback { to } => write!(f, "failback to {to}"),
            Self::CutOff => write!(f, "cut off: no peer and no target is reached"),
            Self::Conflict { rival } => write!(f, "{rival} is active and ranks higher"),
            Self::Deaf { rival } => write!(f, "{rival} is active and does not hear us"),
            Self::Paused { lasted } => write!(f, "was not run for {lasted:?}"),
            Self::Removed => write!(f, "removed from the configuration"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGroup => write!(f, "there is no such group"),
            Self::NotActive { owner: Some(owner) } => {
                write!(
                    f,
                    "{owner} has it; only the director that has a group can give it"
                )
            }
            Self::NotActive { owner: None } => write!(f, "nobody has it"),
            Self::Itself => write!(f, "this director has it already"),
            Self::NoDirector => write!(f, "there is no such director"),
            Self::Unsuited(peers) if peers.is_empty() => write!(f, "there is no other director"),
            Self::Unsuited(peers) => {
                let told: Vec<String> = peers
                    .iter()
                    .map(|(name, why)| format!("{name} {why}"))
                    .collect();
                f.write_str(&told.join(", "))
            }
            Self::Leaving => write!(f, "it is being left already"),
            Self::Unclaimed { by } => write!(f, "{by} did not claim it in time; it stays here"),
            Self::AllStandBy => {
                write!(f, "all groups stand by together: undo it for all of them")
            }
            Self::Stopping => write!(f, "the daemon is stopping"),
        }
    }
}

impl fmt::Display for Unsuited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dead => "is not heard",
            Self::Stopping => "is stopping",
            Self::Deaf => "does not hear this director",
            Self::NoGroup => "does not have the group in its configuration",
            Self::Unfit => "is unfit, or stands by",
            Self::NotReady => "is not ready",
        })
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
