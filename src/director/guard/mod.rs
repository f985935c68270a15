//! The guard: a small process beside the daemon that removes the VIPs if the daemon dies.
//!
//! The kernel keeps addresses and table when the daemon is gone, so a peer that takes over would
//! share its VIPs with a host that nobody looks after. The guard holds the other end of a pipe; when
//! that closes and the daemon has not said farewell, the guard acts as it was told last:
//!
//! - Peers were alive: the guard tells them that the daemon has died, by a last word that the daemon
//!   has written and signed before, so that one of them takes over at once; a moment later, when
//!   that one has announced the VIPs, it removes them here.
//! - No peer was alive, or none can be told, as over serial lines: nobody else serves soon, and the
//!   kernel still does. So the guard waits a while for the daemon's next run, which adopts the
//!   addresses and loses no connection; only if none comes are they removed.
//!
//! It is the same program started anew (a fork of a process with threads could do little), in a
//! session of its own, deaf to all signals that can be ignored. The daemon starts another if it dies.

mod keeper;
mod process;
mod signals;
mod watch;

pub use super::paths::Letter;
pub use keeper::Guard;
pub use process::run;
pub use watch::Charge;

use std::time::Duration;

use crate::config::Config;

/// Takes a peer to announce its first addresses, with much to spare.
const LINGER: Duration = Duration::from_millis(200);

/// The charge of a director that has just started: nobody knows yet of a peer that lives.
#[must_use]
pub fn first_charge(config: &Config) -> Charge {
    let groups = config.groups.values();
    Charge {
        vips: groups.flat_map(|group| group.vips.clone()).collect(),
        grace: grace(config, false),
        last_words: Vec::new(),
        linger: linger(config),
        stands_aside: config.ipvs.stands_aside(),
    }
}

/// How long addresses stay behind a daemon that a peer is following.
fn linger(config: &Config) -> Duration {
    LINGER.min(config.heartbeat.deadtime / 4)
}

/// How long the guard may wait for the daemon's next run: not at all if a peer is told, and takes
/// over. Whoever isn't told waits for at least deadtime before it takes a group, so that nobody can
/// have taken it within half of that.
#[must_use]
pub fn grace(config: &Config, peer_told: bool) -> Duration {
    if peer_told {
        Duration::ZERO
    } else {
        config.heartbeat.deadtime / 2
    }
}
