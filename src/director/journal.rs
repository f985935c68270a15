//! The words and levels of what the cluster machine tells, and the event that comes of it.

use tracing::{error, info, warn};

use super::events::What;
use crate::clock::micros;
use crate::cluster::Event;

/// Logs an event of the cluster machine.
pub(super) fn event(event: &Event) {
    match event {
        Event::PeerAlive {
            peer,
            silence,
            restarted,
        } => match silence {
            Some(silence) => info!(peer, ?silence, restarted, "director is alive again"),
            None => info!(peer, "director is alive"),
        },
        Event::PeerDead {
            peer,
            silence,
            cause,
        } => {
            warn!(peer, ?silence, %cause, "director is dead");
        }
        Event::PathUp { peer, path } => info!(peer, path, "path is up"),
        Event::PathDown { peer, path } => warn!(peer, path, "path is down"),
        Event::Late {
            peer,
            path,
            interval,
        } => warn!(peer, path, ?interval, "late heartbeat"),
        Event::Hears {
            peer,
            hears_us: true,
        } => info!(peer, "director hears us"),
        Event::Hears {
            peer,
            hears_us: false,
        } => warn!(peer, "director does not hear us"),
        Event::Config {
            peer, same: true, ..
        } => info!(peer, "director runs the same configuration"),
        Event::Config {
            peer,
            same: false,
            differing,
        } => warn!(
            peer,
            differing = differing.join(", "),
            "director runs another configuration"
        ),
        Event::Refused { peer, path } => {
            info!(
                peer,
                path, "nobody listens for heartbeats on the director's host"
            );
        }
        Event::Conflict { group, rival } => {
            error!(group, rival, "another director is active in the same group");
        }
        Event::ConflictOver { group, rival } => {
            info!(
                group,
                rival, "the other director is no longer active in the group"
            );
        }
        Event::Paused { lasted } => warn!(?lasted, "this director was not run for a while"),
        Event::Unfit { group } => {
            warn!(group, "nobody is active, and this director is unfit to be");
        }
    }
}

/// The same as an event for operators.
pub(super) fn what(event: &Event) -> What {
    let named = |name: &String| name.clone();
    match event {
        Event::PeerAlive {
            peer,
            silence,
            restarted,
        } => What::DirectorAlive {
            director: named(peer),
            silence_us: silence.map(micros::of),
            restarted: *restarted,
        },
        Event::PeerDead {
            peer,
            silence,
            cause,
        } => What::DirectorDead {
            director: named(peer),
            silence_us: micros::of(*silence),
            cause: cause.to_string(),
        },
        Event::PathUp { peer, path } => What::PathUp {
            director: named(peer),
            path: *path,
        },
        Event::PathDown { peer, path } => What::PathDown {
            director: named(peer),
            path: *path,
        },
        Event::Late {
            peer,
            path,
            interval,
        } => What::LateHeartbeats {
            director: named(peer),
            path: *path,
            heartbeats: 1,
            longest_us: micros::of(*interval),
        },
        Event::Hears { peer, hears_us } => What::DirectorHears {
            director: named(peer),
            hears_us: *hears_us,
        },
        Event::Config {
            peer,
            same,
            differing,
        } => What::DirectorConfig {
            director: named(peer),
            same: *same,
            differing: differing.clone(),
        },
        Event::Refused { peer, path } => What::DirectorRefuses {
            director: named(peer),
            path: *path,
        },
        Event::Conflict { group, rival } => What::GroupConflict {
            group: named(group),
            rival: named(rival),
        },
        Event::ConflictOver { group, rival } => What::GroupConflictOver {
            group: named(group),
            rival: named(rival),
        },
        Event::Paused { lasted } => What::Paused {
            lasted_us: micros::of(*lasted),
        },
        Event::Unfit { group } => What::GroupUnserved {
            group: named(group),
        },
    }
}
