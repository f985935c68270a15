//! The ways that heartbeats take: UDP to each peer, UDP to a group of them, and serial lines.
//!
//! Path `i` of every director is of one kind, and leads to every peer. A path that cannot be used
//! now (an interface or a device that is not there) is tried again and again: the others go on.

mod backlog;
mod frame;
mod group;
mod letter;
mod serial;
mod udp;

pub use letter::Letter;
pub(super) use letter::letters;

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::clock::Time;
use crate::cluster;
use crate::config::model::{Config, HeartbeatPath};

/// Datagrams that one turn reads from one socket, so that a flood on one path starves no other.
const BURST: usize = 64;

/// What a turn of reading found.
#[derive(Debug)]
pub(super) enum Received<'a> {
    /// A datagram came in on a path.
    Datagram {
        /// The path.
        path: usize,
        /// All of it.
        bytes: &'a [u8],
        /// For how long it has been waiting to be read, if it was let wait.
        waited: Duration,
    },
    /// Something came in on a serial line that is no whole frame.
    Damaged {
        /// The path.
        path: usize,
    },
    /// A peer's host said that nobody listens.
    Refused {
        /// The path.
        path: usize,
        /// The peer.
        peer: String,
    },
}

/// What a wait has found out about a descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// There is nothing to read.
    Nothing,
    /// There is something, which ended the wait, or that is taken for so.
    Something,
    /// What there may be was let wait.
    Unasked,
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
        _ => words::of(error),
    }
}

impl OpenError {
    /// Whether a right is missing: ports below 1024 need `CAP_NET_BIND_SERVICE`.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// How long a heartbeat of the director `node` takes on a serial line of `baud` bits a second.
#[must_use]
pub fn frame_time(config: &Config, node: &str, baud: u32) -> Duration {
    let peers = config.directors.len().saturating_sub(1);
    let names = config.cluster.name.len() + node.len();
    let groups = config.groups.len();
    let datagram = cluster::datagram_len(peers, groups, names, cluster::MAX_STATIONS);
    frame::time_on_line(frame::frame_len(datagram), baud)
}

/// All heartbeat paths of this director.
#[derive(Debug)]
pub(super) struct Paths {
    paths: Vec<Way>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Way {
    Unicast(udp::Unicast),
    Group(group::Group),
    Serial(serial::Serial),
}

impl Paths {
    /// Opens the paths of the director `node`.
    ///
    /// An address, an interface or a device that is not there is no error: it may come.
    pub(super) fn open(config: &Config, node: &str, now: Time) -> Result<Self, OpenError> {
        let port = config.heartbeat.port;
        let own = config
            .directors
            .get(node)
            .map(|director| director.paths.as_slice())
            .unwrap_or_default();
        let mut paths = Vec::with_capacity(own.len());
        for (index, path) in own.iter().enumerate() {
            paths.push(match path {
                HeartbeatPath::Udp(ip) => {
                    let local = SocketAddr::new(*ip, port);
                    let peers = config.directors.values().filter(|peer| peer.name != node);
                    let peers = peers.filter_map(|peer| match peer.paths.get(index) {
                        Some(HeartbeatPath::Udp(ip)) => {
                            Some((peer.name.as_str(), SocketAddr::new(*ip, port)))
                        }
                        Some(_) | None => None,
                    });
                    Way::Unicast(udp::Unicast::open(local, peers)?)
                }
                HeartbeatPath::Broadcast { address, interface } => {
                    let to = group::Address::broadcast(*address, interface.as_deref());
                    Way::Group(group::Group::open(to, port, now)?)
                }
                HeartbeatPath::Multicast {
                    group,
                    interface,
                    ttl,
                } => {
                    let to = group::Address::multicast(*group, interface, *ttl);
                    Way::Group(group::Group::open(to, port, now)?)
                }
                HeartbeatPath::Serial { device, baud } => {
                    Way::Serial(serial::Serial::open(device, *baud, now))
                }
            });
        }
        Ok(Self {
            paths,
            buffer: vec![0; backlog::ROOM],
        })
    }

    /// What to poll, each with whether what is to be read there shall end the wait. From peers that
    /// `lets_wait` names it need not, where what shall not wait comes by another descriptor.
    pub(super) fn fds(&self, lets_wait: impl Fn(&str) -> bool) -> Vec<(BorrowedFd<'_>, bool)> {
        let mut fds = Vec::new();
        for path in &self.paths {
            match path {
                Way::Unicast(udp) => fds.extend(udp.fds(&lets_wait)),
                Way::Group(group) => fds.extend(group.fd().map(|fd| (fd, true))),
                Way::Serial(serial) => fds.extend(serial.fd().map(|fd| (fd, true))),
            }
        }
        fds
    }

    /// Sends to every peer on every path what `datagram` makes for the path; such that nobody lets it
    /// wait, if it is `urgent`. Returns how many datagrams left.
    pub(super) fn send(
        &mut self,
        now: Time,
        urgent: bool,
        datagram: impl Fn(usize) -> Vec<u8>,
        mut refused: impl FnMut(usize, &str),
    ) -> u64 {
        let mut sent = 0;
        for (index, path) in self.paths.iter_mut().enumerate() {
            sent += match path {
                Way::Unicast(udp) => {
                    udp.send(&datagram(index), urgent, |peer| refused(index, peer))
                }
                Way::Group(group) => u64::from(group.send(datagram(index))),
                Way::Serial(serial) => u64::from(serial.send(datagram(index), now)),
            };
        }
        sent
    }

    /// Hands over what has come in, a bounded number of datagrams from each socket where there may
    /// be something, as `found` tells in the order of [`Self::fds`]. A socket that hears one peer
    /// only is left alone once `each` breaks, if the next wait tells whether it has more, and costs
    /// no more than a look that finds nothing.
    pub(super) fn receive(
        &mut self,
        now: Time,
        found: impl IntoIterator<Item = Found>,
        mut each: impl FnMut(Received<'_>) -> ControlFlow<()>,
    ) {
        let mut found = found.into_iter();
        let mut next = || found.next().unwrap_or(Found::Something);
        for (path, way) in self.paths.iter_mut().enumerate() {
            match way {
                Way::Unicast(udp) => udp.receive(now, &mut self.buffer, &mut next, |heard| {
                    each(match heard {
                        udp::Heard::Datagram { bytes, waited } => Received::Datagram {
                            path,
                            bytes,
                            waited,
                        },
                        udp::Heard::Refused(peer) => Received::Refused {
                            path,
                            peer: peer.to_owned(),
                        },
                    })
                }),
                Way::Group(group) => {
                    // One descriptor while it is open, else none, and nothing to read.
                    if group.fd().is_some_and(|_| next() != Found::Nothing) {
                        group.receive(&mut self.buffer, |bytes| {
                            let _ = each(Received::Datagram {
                                path,
                                bytes,
                                waited: Duration::ZERO,
                            });
                        });
                    }
                }
                Way::Serial(serial) => {
                    if serial.fd().is_some_and(|_| next() != Found::Nothing) {
                        serial.receive(now, |frame| {
                            let _ = each(match frame {
                                Some(bytes) => Received::Datagram {
                                    path,
                                    bytes,
                                    waited: Duration::ZERO,
                                },
                                None => Received::Damaged { path },
                            });
                        });
                    }
                }
            }
        }
    }

    /// Follows interfaces and devices that come and go, and sends on lines that were busy.
    /// `link` tells the kernel's number of an interface. Returns how many datagrams left.
    pub(super) fn handle_timeout(&mut self, now: Time, link: impl Fn(&str) -> Option<u32>) -> u64 {
        let mut sent = 0;
        for path in &mut self.paths {
            match path {
                Way::Unicast(_) => {}
                Way::Group(group) => group.handle_timeout(now, &link),
                Way::Serial(serial) => sent += u64::from(serial.handle_timeout(now)),
            }
        }
        sent
    }

    /// When [`Self::handle_timeout`] has something to do, but for interfaces that change.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let due = self.paths.iter().filter_map(|path| match path {
            Way::Unicast(_) => None,
            Way::Group(group) => group.poll_timeout(),
            Way::Serial(serial) => serial.poll_timeout(),
        });
        due.min()
    }
}
