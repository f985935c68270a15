//! UDP to each peer: one socket for every peer, and one for the rest.
//!
//! A socket that is connected to a peer hears from the kernel when the peer's host says that nobody
//! listens (ICMP port unreachable, udp(7)), which one for all peers could not tell apart. The one
//! for the rest takes datagrams from any other address, so that they are counted, and not answered
//! by our own kernel with a refusal.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Socket, Type};

use super::{BURST, OpenError};

/// Class selector 6, network control (RFC 4594, 3.1): heartbeats pass where switches queue.
const TRAFFIC_CLASS: u32 = 0xc0;

/// What came in.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// A datagram.
    Datagram(&'a [u8]),
    /// This peer's host said that nobody listens.
    Refused(&'a str),
}

/// One path to every peer.
#[derive(Debug)]
pub(super) struct Unicast {
    peers: Vec<ToPeer>,
    rest: UdpSocket,
}

#[derive(Debug)]
struct ToPeer {
    peer: String,
    address: SocketAddr,
    socket: UdpSocket,
    /// Only while there is no route to the peer it is not.
    connected: bool,
}

impl Unicast {
    /// Opens the path from `local` to the peers. An address that no interface has yet is no error:
    /// it may come.
    pub(super) fn open<'a>(
        local: SocketAddr,
        peers: impl Iterator<Item = (&'a str, SocketAddr)>,
    ) -> Result<Self, OpenError> {
        let open = || {
            bind(local).map_err(|source| OpenError {
                address: local,
                source,
            })
        };
        let rest = open()?;
        let mut opened = Vec::new();
        for (peer, address) in peers {
            let mut to_peer = ToPeer {
                peer: peer.to_owned(),
                address,
                socket: open()?,
                connected: false,
            };
            to_peer.connect();
            opened.push(to_peer);
        }
        Ok(Self {
            peers: opened,
            rest,
        })
    }

    /// What to poll.
    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let peers = self.peers.iter().map(|to| to.socket.as_fd());
        peers.chain([self.rest.as_fd()]).collect()
    }

    /// Sends to every peer. Returns how many datagrams left.
    pub(super) fn send(&mut self, bytes: &[u8], mut refused: impl FnMut(&str)) -> u64 {
        let mut sent = 0;
        for to in &mut self.peers {
            if !to.connected && !to.connect() {
                continue;
            }
            match to.socket.send(bytes) {
                Ok(_) => sent += 1,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    // The refusal of an earlier one; this one has not been sent.
                    refused(&to.peer);
                    sent += u64::from(to.socket.send(bytes).is_ok());
                }
                Err(error) => {
                    let error = words::of(&error);
                    tracing::trace!(address = %to.address, peer = to.peer, %error, "heartbeat not sent");
                }
            }
        }
        sent
    }

    /// Hands over what has come in on the sockets that are `readable`, told in the order of
    /// [`Self::fds`], from each until `each` has enough of it.
    pub(super) fn receive(
        &self,
        buffer: &mut [u8],
        mut readable: impl FnMut() -> bool,
        mut each: impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) {
        for to in &self.peers {
            if !readable() {
                continue;
            }
            for _ in 0..BURST {
                let heard = match to.socket.recv(buffer) {
                    Ok(length) => Heard::Datagram(&buffer[..length]),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        Heard::Refused(&to.peer)
                    }
                    Err(_) => break,
                };
                if each(heard).is_break() {
                    break;
                }
            }
        }
        if !readable() {
            return;
        }
        for _ in 0..BURST {
            let Ok(length) = self.rest.recv(buffer) else {
                break;
            };
            if each(Heard::Datagram(&buffer[..length])).is_break() {
                break;
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
    let socket = open(local.ip())?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// A socket with the settings of all heartbeat sockets, of the family of `ip`.
pub(super) fn open(ip: IpAddr) -> io::Result<Socket> {
    let domain = match ip {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), None)?;
    // The sockets of one path share their address; another user's process may not join them.
    socket.set_reuse_port(true)?;
    match ip {
        IpAddr::V4(_) => {
            socket.set_freebind_v4(true)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        }
        IpAddr::V6(_) => {
            socket.set_freebind_v6(true)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        }
    }
    Ok(socket)
}
