//! The ways that heartbeats take: UDP to each peer, UDP to a group of them, and serial lines.
//!
//! Path `i` of every director is of one kind, and leads to every peer. A path that cannot be used
//! now (an interface or a device that is not there) is tried again and again: the others go on.

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
use crate::cluster::{self, MAX_DATAGRAM};
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
        // One byte more than is valid shows that a datagram was too long.
        Ok(Self {
            paths,
            buffer: vec![0; MAX_DATAGRAM + 1],
        })
    }

    /// What to poll.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.paths.iter().flat_map(|path| match path {
            Way::Unicast(udp) => udp.fds(),
            Way::Group(group) => group.fds(),
            Way::Serial(serial) => serial.fds(),
        })
    }

    /// Sends to every peer on every path what `datagram` makes for the path. Returns how many
    /// datagrams left.
    pub(super) fn send(
        &mut self,
        now: Time,
        datagram: impl Fn(usize) -> Vec<u8>,
        mut refused: impl FnMut(usize, &str),
    ) -> u64 {
        let mut sent = 0;
        for (index, path) in self.paths.iter_mut().enumerate() {
            sent += match path {
                Way::Unicast(udp) => udp.send(&datagram(index), |peer| refused(index, peer)),
                Way::Group(group) => u64::from(group.send(datagram(index))),
                Way::Serial(serial) => u64::from(serial.send(datagram(index), now)),
            };
        }
        sent
    }

    /// Hands over what has come in, a bounded number of datagrams from each socket: from those that
    /// are `readable`, told in the order of [`Self::fds`], or from all if that is not known. A socket
    /// that hears one peer only is left alone once `each` breaks: the next wait tells whether it has
    /// more, and costs no more than a look that finds nothing.
    pub(super) fn receive(
        &mut self,
        now: Time,
        readable: Option<&[bool]>,
        mut each: impl FnMut(Received<'_>) -> ControlFlow<()>,
    ) {
        let mut told = readable.map(<[bool]>::iter);
        let mut is_readable = || match &mut told {
            Some(told) => told.next().copied().unwrap_or(true),
            None => true,
        };
        for (path, way) in self.paths.iter_mut().enumerate() {
            match way {
                Way::Unicast(udp) => udp.receive(&mut self.buffer, &mut is_readable, |heard| {
                    each(match heard {
                        udp::Heard::Datagram(bytes) => Received::Datagram { path, bytes },
                        udp::Heard::Refused(peer) => Received::Refused {
                            path,
                            peer: peer.to_owned(),
                        },
                    })
                }),
                Way::Group(group) => {
                    // One descriptor while it is open, else none, and nothing to read.
                    if group.fds().iter().any(|_| is_readable()) {
                        group.receive(&mut self.buffer, |bytes| {
                            let _ = each(Received::Datagram { path, bytes });
                        });
                    }
                }
                Way::Serial(serial) => {
                    if serial.fds().iter().any(|_| is_readable()) {
                        serial.receive(now, |frame| {
                            let _ = each(match frame {
                                Some(bytes) => Received::Datagram { path, bytes },
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
