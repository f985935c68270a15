//! The words and levels of what the cluster machine tells.

use tracing::{error, info, warn};

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
        Event::Config { peer, same: true } => info!(peer, "director runs the same configuration"),
        Event::Config { peer, same: false } => warn!(peer, "director runs another configuration"),
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
