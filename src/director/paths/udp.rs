//! UDP to each peer: one socket for every peer, and one for the rest.
//!
//! A socket that is connected to a peer hears from the kernel when the peer's host says that nobody
//! listens (ICMP port unreachable, udp(7)), which one for all peers could not tell apart. The one
//! for the rest takes datagrams from any other address, so that they are counted, and not answered
//! by our own kernel with a refusal.
//!
//! What is urgent leaves from another port. So the receiver's kernel gives it to the socket for the
//! rest, and who lets the heartbeats of a peer wait until it speaks itself, which saves one of three
//! wakings, still hears at once what must not wait.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::backlog::Backlog;
use super::{BURST, Found, OpenError};
use crate::clock::Time;

/// Class selector 6, network control (RFC 4594, 3.1): heartbeats pass where switches queue.
const TRAFFIC_CLASS: u32 = 0xc0;

/// What came in.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// A datagram.
    Datagram {
        bytes: &'a [u8],
        /// For how long it has been waiting to be read, if it was let wait.
        waited: Duration,
    },
    /// This peer's host said that nobody listens.
    Refused(&'a str),
}

/// One path to every peer.
#[derive(Debug)]
pub(super) struct Unicast {
    peers: Vec<ToPeer>,
    rest: UdpSocket,
    /// Sends what is urgent; nothing is received on it.
    urgent: UdpSocket,
    backlog: Backlog,
}

#[derive(Debug)]
struct ToPeer {
    peer: String,
    address: SocketAddr,
    socket: UdpSocket,
    /// Only while there is no route to the peer it is not.
    connected: bool,
    /// When there was nothing to read in it last.
    empty: Time,
}

impl Unicast {
    /// Opens the path from `local` to the peers. An address that no interface has yet is no error:
    /// it may come.
    pub(super) fn open<'a>(
        local: SocketAddr,
        peers: impl Iterator<Item = (&'a str, SocketAddr)>,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError {
            address: local,
            source,
        };
        let rest = bind(local).map_err(failed)?;
        let urgent = open(local.ip()).map_err(failed)?;
        bind_elsewhere(&urgent, local.ip()).map_err(failed)?;
        let mut opened = Vec::new();
        for (peer, address) in peers {
            let mut to_peer = ToPeer {
                peer: peer.to_owned(),
                address,
                socket: bind(local).map_err(failed)?,
                connected: false,
                empty: Time::ZERO,
            };
            Backlog::prepare(&to_peer.socket);
            to_peer.connect();
            opened.push(to_peer);
        }
        Ok(Self {
            peers: opened,
            rest,
            urgent: urgent.into(),
            backlog: Backlog::new(),
        })
    }

    /// What to poll, and whether for what there is to read or for errors only.
    pub(super) fn fds(
        &self,
        lets_wait: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (BorrowedFd<'_>, bool)> {
        let peers = self.peers.iter();
        let peers = peers.map(move |to| (to.socket.as_fd(), !lets_wait(&to.peer)));
        std::iter::once((self.rest.as_fd(), true)).chain(peers)
    }

    /// Sends to every peer. Returns how many datagrams left.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        urgent: bool,
        mut refused: impl FnMut(&str),
    ) -> u64 {
        let mut sent = 0;
        for to in &mut self.peers {
            if !to.connected && !to.connect() {
                continue;
            }
            let result = if urgent {
                self.urgent.send_to(bytes, to.address)
            } else {
                to.socket.send(bytes)
            };
            match result {
                Ok(_) => sent += 1,
                Err(error) if is_refusal(&error) => {
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

    /// Hands over what has come in on the sockets where there may be something, as `found` tells in
    /// the order of [`Self::fds`], from each until `each` has enough of it, or until its end if it
    /// was let wait, or if something is there for the rest: that may be a peer's urgent word, and
    /// whoever is handed it must be handed what the peer said before as well.
    pub(super) fn receive(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        mut found: impl FnMut() -> Found,
        mut each: impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) {
        let rest = found();
        for to in &mut self.peers {
            match found() {
                Found::Nothing | Found::Something if rest != Found::Nothing => {
                    to.receive(now, buffer, &mut |heard| {
                        let _ = each(heard);
                        ControlFlow::Continue(())
                    });
                }
                Found::Nothing => to.empty = now,
                Found::Something => to.receive(now, buffer, &mut each),
                Found::Unasked => to.catch_up(now, &mut self.backlog, &mut each),
            }
        }
        if rest == Found::Nothing {
            return;
        }
        for _ in 0..BURST {
            let Ok(length) = self.rest.recv(buffer) else {
                break;
            };
            let heard = Heard::Datagram {
                bytes: &buffer[..length],
                waited: Duration::ZERO,
            };
            if each(heard).is_break() {
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

    /// Reads what has ended the wait, until `each` has enough of it.
    fn receive(
        &mut self,
        now: Time,
        buffer: &mut [u8],
        each: &mut impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) {
        for _ in 0..BURST {
            let heard = match self.socket.recv(buffer) {
                Ok(length) => Heard::Datagram {
                    bytes: &buffer[..length],
                    waited: Duration::ZERO,
                },
                Err(error) if is_refusal(&error) => Heard::Refused(&self.peer),
                Err(_) => {
                    self.empty = now;
                    return;
                }
            };
            if each(heard).is_break() {
                return;
            }
        }
    }

    /// Reads what was let wait, to its end.
    fn catch_up(
        &mut self,
        now: Time,
        backlog: &mut Backlog,
        each: &mut impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) {
        for _ in 0..BURST {
            let read = backlog.read(&self.socket, self.empty, now, |bytes, waited| {
                let _ = each(Heard::Datagram { bytes, waited });
            });
            match read {
                Ok(false) => {}
                Err(error) if is_refusal(&error) => {
                    let _ = each(Heard::Refused(&self.peer));
                }
                Ok(true) | Err(_) => {
                    self.empty = now;
                    return;
                }
            }
        }
    }
}

/// Whether the peer's host has said that nobody listens.
fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn bind(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(local.ip())?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// Gives a socket a port that nobody has: were it the one for heartbeats, which is shared, who sends
/// from it would be taken to listen there, and get some of what others wait for.
pub(super) fn bind_elsewhere(socket: &Socket, ip: IpAddr) -> io::Result<()> {
    socket.set_reuse_port(false)?;
    socket.bind(&SocketAddr::new(ip, 0).into())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A path between two directors.
    fn pair() -> [Unicast; 2] {
        let [one, other]: [IpAddr; 2] = ["127.3.0.1", "127.3.0.2"].map(|ip| ip.parse().unwrap());
        // Not in use, if another program got it a moment ago.
        let probe = UdpSocket::bind((one, 0)).unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let [one, other] = [one, other].map(|ip| SocketAddr::new(ip, port));
        let open = |local, peer: (&'static str, SocketAddr)| {
            Unicast::open(local, [peer].into_iter()).unwrap()
        };
        [open(one, ("other", other)), open(other, ("one", one))]
    }

    /// What comes in where it is looked for, in the socket of the peer and in that for the rest:
    /// datagrams, and who refuses.
    fn read(path: &mut Unicast, found: [Found; 2]) -> (Vec<Vec<u8>>, Vec<String>) {
        let (mut read, mut refused, mut buffer) = (Vec::new(), Vec::new(), [0; 100]);
        let mut found = found.into_iter();
        let now = crate::clock::now();
        path.receive(
            now,
            &mut buffer,
            || found.next().unwrap(),
            |heard| {
                match heard {
                    Heard::Datagram { bytes, .. } => read.push(bytes.to_vec()),
                    Heard::Refused(peer) => refused.push(peer.to_owned()),
                }
                ControlFlow::Continue(())
            },
        );
        (read, refused)
    }

    #[test]
    fn what_is_urgent_does_not_wait_with_the_rest() {
        let [mut one, mut other] = pair();
        let nobody = |_: &str| panic!("refused");
        assert_eq!(one.send(b"first", false, nobody), 1);
        assert_eq!(one.send(b"urgent", true, nobody), 1);
        assert_eq!(one.send(b"second", false, nobody), 1);
        let asked = |path: &Unicast, waits| {
            let fds = path.fds(|peer| waits && peer == "one");
            fds.map(|(_, asked)| asked).collect::<Vec<_>>()
        };
        assert_eq!(asked(&other, true), [true, false]);
        assert_eq!(asked(&other, false), [true, true]);
        // With it comes what was said before.
        let (all, _) = read(&mut other, [Found::Something, Found::Nothing]);
        assert_eq!(all, [&b"first"[..], b"second", b"urgent"]);
        one.send(b"third", false, nobody);
        assert!(read(&mut other, [Found::Nothing; 2]).0.is_empty());
        assert_eq!(
            read(&mut other, [Found::Nothing, Found::Unasked]).0,
            [b"third"]
        );
    }

    #[test]
    fn a_refusal_is_told_whether_or_not_what_comes_may_wait() {
        let [mut one, other] = pair();
        drop(other);
        for found in [Found::Something, Found::Unasked] {
            one.send(b"anybody?", false, |_| {});
            let (_, refused) = read(&mut one, [Found::Nothing, found]);
            assert_eq!(refused, ["other"], "{found:?}");
        }
    }
}
