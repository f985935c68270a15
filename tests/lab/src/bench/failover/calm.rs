//! Ten minutes in which nothing happens to a pair that has much to do: whoever takes over is wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::{Client, ECHO, Missed, echo};
use super::load::status;
use super::pair::{Daemon, LIMIT, Pair, Peer, Setting, vip};
use lab::{Family, wait};

/// How long nothing happens.
const CALM: Duration = Duration::from_secs(600);
/// What keepalived logs when it takes over.
const TAKES_OVER: &str = "Entering MASTER STATE";

/// What a pair did though nothing happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Night {
    /// How often either took over, after the first had at the start.
    pub(super) takeovers: u64,
    /// What a client missed.
    pub(super) missed: Missed,
}

impl Pair {
    /// Leaves a pair alone while a client asks without a pause and three loops compete for the
    /// processor.
    pub(super) fn calm(&self, peer: Peer, setting: &Setting) -> Result<Night, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let echoes = self
            .directors
            .each_ref()
            .map(|host| echo(host, Arc::clone(&stop)));
        let started = self.start(peer, setting);
        let outcome = started.map(|mut daemons| {
            let night = self.watch_night(&daemons, peer);
            self.end(&mut daemons);
            night
        });
        stop.store(true, Ordering::Relaxed);
        for echo in echoes {
            let _ = echo.join();
        }
        outcome.ok_or_else(|| format!("{peer:?} did not start"))
    }

    fn watch_night(&self, daemons: &[Daemon; 2], peer: Peer) -> Night {
        let client = Client::start(&self.client, SocketAddr::new(vip(Family::V4), ECHO));
        let served = wait::holds_within(LIMIT, &mut || client.answers() > 0);
        let before = takeovers(daemons, peer);
        let loops = [&self.directors[0], &self.directors[1], &self.client]
            .map(|host| host.spawn(&["sh", "-c", "while :; do :; done"]));
        std::thread::sleep(if served { CALM } else { Duration::ZERO });
        for mut busy in loops {
            busy.kill();
        }
        Night {
            takeovers: takeovers(daemons, peer).saturating_sub(before),
            missed: client.stop(),
        }
    }
}

/// How often both have taken over since their start.
fn takeovers(daemons: &[Daemon; 2], peer: Peer) -> u64 {
    let of_one = |daemon: &Daemon| match peer {
        Peer::Caribe => {
            let status = status(daemon.host.pid());
            status["counters"]["takeovers"].as_u64().unwrap_or(0)
        }
        Peer::Keepalived => {
            let log = daemon.process.log();
            u64::try_from(log.matches(TAKES_OVER).count()).unwrap_or(u64::MAX)
        }
    };
    daemons.iter().map(of_one).sum()
}
