//! Whether this director reaches what only one that is cut off does not: echo requests (ping) to
//! the configured targets.
//!
//! Each request has a socket of its own, opened anew, so that it takes the routes and addresses
//! that there are now; what has come in on it is read when the next is due. So a task that was
//! held up finds the answers waiting, and counts nobody's silence but the target's.

#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::fitness::Reach;
use crate::config::model::HeartbeatTiming;

/// Between two requests to a target, in keepalives, and its bounds.
const KEEPALIVES: u32 = 5;
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(1);
/// So many requests in a row must stay unanswered.
const MISSES: u32 = 3;
/// Datagrams that are read for one request: more is somebody's flood.
const BURST: usize = 64;
/// Type, code, checksum, identifier and number (RFC 792, RFC 4443).
const HEADER: usize = 8;

/// Asks the targets until the receiver is dropped. `secret` makes answers hard to forge.
///
/// The value is `None` until it is known of each target, and for ever when there is none.
pub(super) fn spawn(
    runtime: &Handle,
    targets: Vec<IpAddr>,
    timing: HeartbeatTiming,
    secret: u64,
) -> watch::Receiver<Option<Reach>> {
    let (sender, receiver) = watch::channel(None);
    runtime.spawn(async move {
        if targets.is_empty() {
            sender.closed().await;
            return;
        }
        ask(&targets, timing, secret, &sender).await;
    });
    receiver
}

async fn ask(
    targets: &[IpAddr],
    timing: HeartbeatTiming,
    secret: u64,
    sender: &watch::Sender<Option<Reach>>,
) {
    let every = period(timing);
    let mut tally = Tally::new(targets.len(), misses(timing));
    let mut requests: Vec<Option<Request>> = Vec::new();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number: u64 = 0;
    while !sender.is_closed() {
        ticks.tick().await;
        for (index, request) in requests.iter().enumerate() {
            let answered = request.as_ref().is_some_and(Request::is_answered);
            let target = targets.get(index);
            match tally.handle(index, answered) {
                Some(true) => tracing::info!(?target, "reachability target answers"),
                Some(false) => tracing::warn!(?target, "reachability target does not answer"),
                None => {}
            }
        }
        let reach = tally.reach();
        sender.send_if_modified(|known| std::mem::replace(known, reach) != reach);
        number += 1;
        requests = targets
            .iter()
            .map(|target| match Request::send(*target, secret, number) {
                Ok(request) => Some(request),
                Err(error) => {
                    let error = words::of(&error);
                    tracing::debug!(%target, %error, "cannot ask reachability target");
                    None
                }
            })
            .collect();
    }
}

/// Between two requests to a target.
fn period(timing: HeartbeatTiming) -> Duration {
    (timing.keepalive * KEEPALIVES).clamp(SHORTEST, LONGEST)
}

/// Requests without an answer that mean a target is not reached: they last for deadtime at least.
fn misses(timing: HeartbeatTiming) -> u32 {
    let periods = timing
        .deadtime
        .as_nanos()
        .div_ceil(period(timing).as_nanos());
    u32::try_from(periods).unwrap_or(u32::MAX).max(MISSES)
}

/// What is known of each target: pure.
#[derive(Debug)]
struct Tally {
    targets: Vec<Target>,
    /// Misses in a row that count.
    misses: u32,
}

#[derive(Clone, Debug, Default)]
struct Target {
    /// `None` until it is known.
    reached: Option<bool>,
    missed: u32,
}

impl Tally {
    fn new(targets: usize, misses: u32) -> Self {
        Self {
            targets: vec![Target::default(); targets],
            misses,
        }
    }

    /// Notes whether a request was answered. Says what the target has become, if that is news.
    fn handle(&mut self, index: usize, answered: bool) -> Option<bool> {
        let target = self.targets.get_mut(index)?;
        target.missed = if answered {
            0
        } else {
            target.missed.saturating_add(1)
        };
        let now = match (answered, target.missed >= self.misses) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => target.reached,
        };
        let news = now != target.reached;
        target.reached = now;
        now.filter(|_| news)
    }

    /// How many are reached; `None` until it is known of each.
    fn reach(&self) -> Option<Reach> {
        let known: Option<Vec<bool>> = self.targets.iter().map(|it| it.reached).collect();
        let reached = known?.into_iter().filter(|reached| *reached).count();
        Some(Reach {
            reached,
            of: self.targets.len(),
        })
    }
}

/// An echo request that has been sent.
#[derive(Debug)]
struct Request {
    socket: Socket,
    ipv6: bool,
    /// What must come back after type, code and checksum.
    body: Vec<u8>,
}

impl Request {
    fn send(target: IpAddr, secret: u64, number: u64) -> io::Result<Self> {
        let (domain, protocol) = match target {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
        // The kernel then hands over only what comes from the target.
        socket.connect(&SocketAddr::new(target, 0).into())?;
        let body = body(secret, number);
        let ipv6 = target.is_ipv6();
        socket.send(&request(ipv6, &body))?;
        Ok(Self { socket, ipv6, body })
    }

    fn is_answered(&self) -> bool {
        let mut buffer = [0; 256];
        for _ in 0..BURST {
            let Ok(length) = (&self.socket).read(&mut buffer) else {
                return false;
            };
            if is_reply(self.ipv6, &buffer[..length], &self.body) {
                return true;
            }
        }
        false
    }
}

/// Identifier, number and data of a request.
fn body(secret: u64, number: u64) -> Vec<u8> {
    let secret = secret.to_be_bytes();
    let number = number.to_be_bytes();
    let mut body = Vec::with_capacity(20);
    body.extend(&secret[..2]);
    body.extend(&number[6..]);
    body.extend(secret);
    body.extend(number);
    body
}

fn request(ipv6: bool, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![if ipv6 { 128 } else { 8 }, 0, 0, 0];
    packet.extend(body);
    // For ICMPv6 the kernel does it, which knows the addresses that are part of it (raw(7)).
    if !ipv6 {
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

/// Whether what a raw socket has brought is the reply with this body. IPv4 comes with its header.
fn is_reply(ipv6: bool, packet: &[u8], body: &[u8]) -> bool {
    let icmp = match packet.first() {
        Some(first) if !ipv6 => packet.get(usize::from(first & 0xf) * 4..),
        Some(_) => Some(packet),
        None => None,
    };
    let kind = if ipv6 { 129 } else { 0 };
    icmp.is_some_and(|icmp| {
        icmp.len() >= HEADER && icmp[..2] == [kind, 0] && icmp.get(4..) == Some(body)
    })
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high, ..] => u32::from(*high) << 8,
        [] => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
