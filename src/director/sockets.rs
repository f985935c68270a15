//! The UDP sockets that heartbeats go through: for each path one to every peer, and one for the rest.
//!
//! A socket that is connected to a peer hears from the kernel when the peer's host says that nobody
//! listens (ICMP port unreachable, udp(7)), which one for all peers could not tell apart. The one
//! for the rest takes datagrams from any other address, so that they are counted, and not answered
//! by our own kernel with a refusal.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Socket, Type};

use crate::cluster::MAX_DATAGRAM;
use crate::config::model::{Config, HeartbeatPath};

/// Datagrams that one turn reads from one socket, so that a flood on one path starves no other.
const BURST: usize = 64;

/// Class selector 6, network control (RFC 4594, 3.1): heartbeats pass where switches queue.
const TRAFFIC_CLASS: u32 = 0xc0;

/// What a turn of reading found.
#[derive(Debug)]
pub(super) enum Received<'a> {
    /// A datagram came in on a path.
    Datagram {
        /// The path.
        path: usize,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A peer's host said that nobody listens.
    Refused {
        /// The path.
        path: usize,
        /// The peer.
        peer: String,
    },
}

/// A heartbeat socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open UDP {address} for heartbeats: {}", describe(source))]
pub struct OpenError {
    address: SocketAddr,
    source: io::Error,
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrInUse => "another program has it".to_owned(),
        kind => kind.to_string(),
    }
}

impl OpenError {
    /// Whether a right is missing: ports below 1024 need `CAP_NET_BIND_SERVICE`.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// All heartbeat sockets of this director.
#[derive(Debug)]
pub(super) struct Sockets {
    peers: Vec<ToPeer>,
    rest: Vec<(usize, UdpSocket)>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct ToPeer {
    path: usize,
    peer: String,
    address: SocketAddr,
    socket: UdpSocket,
    /// Only while there is no route to the peer it is not.
    connected: bool,
}

impl Sockets {
    /// Opens the sockets of the director `node`.
    ///
    /// An address that no interface has yet is no error: it may come.
    pub(super) fn open(config: &Config, node: &str) -> Result<Self, OpenError> {
        let port = config.heartbeat.port;
        let mut peers = Vec::new();
        let mut rest = Vec::new();
        let own = config
            .directors
            .get(node)
            .map(|d| d.paths.as_slice())
            .unwrap_or_default();
        for (path, HeartbeatPath::Udp(ip)) in own.iter().enumerate() {
            let local = SocketAddr::new(*ip, port);
            let open = || {
                bind(local).map_err(|source| OpenError {
                    address: local,
                    source,
                })
            };
            rest.push((path, open()?));
            for (name, peer) in config.directors.iter().filter(|(name, _)| *name != node) {
                let Some(HeartbeatPath::Udp(ip)) = peer.paths.get(path) else {
                    continue;
                };
                let address = SocketAddr::new(*ip, port);
                let socket = open()?;
                let mut to_peer = ToPeer {
                    path,
                    peer: name.clone(),
                    address,
                    socket,
                    connected: false,
                };
                to_peer.connect();
                peers.push(to_peer);
            }
        }
        // One byte more than is valid shows that a datagram was too long.
        Ok(Self {
            peers,
            rest,
            buffer: vec![0; MAX_DATAGRAM + 1],
        })
    }

    /// What to poll.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let rest = self.rest.iter().map(|(_, socket)| socket.as_fd());
        self.peers.iter().map(|to| to.socket.as_fd()).chain(rest)
    }

    /// Sends to every peer on every path what `datagram` makes for the path. Returns how many
    /// datagrams left.
    pub(super) fn send(
        &mut self,
        datagram: impl Fn(usize) -> Vec<u8>,
        mut refused: impl FnMut(usize, &str),
    ) -> u64 {
        let mut sent = 0;
        let mut last: Option<(usize, Vec<u8>)> = None;
        for to in &mut self.peers {
            if !to.connected && !to.connect() {
                continue;
            }
            let bytes = match &mut last {
                Some((path, bytes)) if *path == to.path => bytes,
                other => &mut other.insert((to.path, datagram(to.path))).1,
            };
            match to.socket.send(bytes) {
                Ok(_) => sent += 1,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    // The refusal of an earlier one; this one has not been sent.
                    refused(to.path, &to.peer);
                    sent += u64::from(to.socket.send(bytes).is_ok());
                }
                Err(error) => {
                    tracing::trace!(path = to.path, peer = to.peer, %error, "heartbeat not sent");
                }
            }
        }
        sent
    }

    /// Hands over what has come in, a bounded number of datagrams from each socket.
    pub(super) fn receive(&mut self, mut each: impl FnMut(Received<'_>)) {
        let buffer = &mut self.buffer;
        for to in &self.peers {
            for _ in 0..BURST {
                match to.socket.recv(buffer) {
                    Ok(length) => {
                        each(Received::Datagram {
                            path: to.path,
                            bytes: &buffer[..length],
                        });
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        each(Received::Refused {
                            path: to.path,
                            peer: to.peer.clone(),
                        });
                    }
                    Err(_) => break,
                }
            }
        }
        for (path, socket) in &self.rest {
            for _ in 0..BURST {
                let Ok(length) = socket.recv(buffer) else {
                    break;
                };
                each(Received::Datagram {
                    path: *path,
                    bytes: &buffer[..length],
                });
            }
        }
    }
}

impl ToPeer {
    fn connect(&mut self) -> bool {
        self.connected = self.socket.connect(self.address).is_ok();
        self.connected
    }
}

fn bind(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM.nonblocking(), None)?;
    // The sockets of one path share their address; another user's process may not join them.
    socket.set_reuse_port(true)?;
    match local.ip() {
        IpAddr::V4(_) => {
            socket.set_freebind_v4(true)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        }
        IpAddr::V6(_) => {
            socket.set_freebind_v6(true)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        }
    }
    socket.bind(&local.into())?;
    Ok(socket.into())
}
