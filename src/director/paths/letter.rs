//! A datagram that is ready to be sent, by a process that has no heartbeat sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::udp;
use crate::config::model::{Config, HeartbeatPath};

/// A datagram and where it goes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Letter {
    /// Where it goes.
    pub(in crate::director) to: SocketAddr,
    /// The sender's address; `None` leaves it to the kernel.
    from: Option<IpAddr>,
    /// The interface that it must leave by, if any.
    interface: Option<String>,
    /// Routers that a multicast may pass, and the link itself.
    ttl: u8,
    bytes: Vec<u8>,
}

/// Letters of the director `node` to every peer on every path but serial lines, which are not left
/// to others; `datagram` makes what goes by a path.
pub(in crate::director) fn letters(
    config: &Config,
    node: &str,
    datagram: impl Fn(usize) -> Vec<u8>,
) -> Vec<Letter> {
    let port = config.heartbeat.port;
    let own = config.directors.get(node).map(|own| own.paths.as_slice());
    let mut letters = Vec::new();
    for (index, path) in own.unwrap_or_default().iter().enumerate() {
        let letter = |to: IpAddr| Letter {
            to: SocketAddr::new(to, port),
            from: None,
            interface: None,
            ttl: 1,
            bytes: datagram(index),
        };
        match path {
            HeartbeatPath::Udp(ip) => {
                let peers = config.directors.values().filter(|peer| peer.name != node);
                letters.extend(peers.filter_map(|peer| match peer.paths.get(index) {
                    Some(HeartbeatPath::Udp(to)) => Some(Letter {
                        from: Some(*ip),
                        ..letter(*to)
                    }),
                    Some(_) | None => None,
                }));
            }
            HeartbeatPath::Broadcast { address, interface } => letters.push(Letter {
                interface: interface.clone(),
                ..letter(IpAddr::V4(*address))
            }),
            HeartbeatPath::Multicast {
                group,
                interface,
                ttl,
            } => letters.push(Letter {
                interface: Some(interface.clone()),
                ttl: *ttl,
                ..letter(*group)
            }),
            HeartbeatPath::Serial { .. } => {}
        }
    }
    letters
}

impl Letter {
    /// Sends it, without waiting.
    pub(in crate::director) fn send(&self) -> io::Result<()> {
        let socket = udp::open(self.to.ip())?;
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        match self.to.ip() {
            IpAddr::V4(ip) if ip.is_multicast() => {
                socket.set_multicast_ttl_v4(self.ttl.into())?;
                socket.set_multicast_loop_v4(false)?;
            }
            IpAddr::V4(_) => socket.set_broadcast(true)?,
            IpAddr::V6(ip) if ip.is_multicast() => {
                socket.set_multicast_hops_v6(self.ttl.into())?;
                socket.set_multicast_loop_v6(false)?;
            }
            IpAddr::V6(_) => {}
        }
        if let Some(from) = self.from {
            udp::bind_elsewhere(&socket, from)?;
        }
        socket.send_to(&self.bytes, &self.to.into()).map(drop)
    }
}
