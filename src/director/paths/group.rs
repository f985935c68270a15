//! UDP to all peers at once: broadcast and multicast.
//!
//! One socket sends and one receives. Both are bound to the interface, so that what comes in by
//! another one is another path; they are opened again when the interface is another than before,
//! which its number shows, and a group that was joined is then joined anew.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{InterfaceIndexOrAddress, Socket};

use super::{BURST, OpenError, udp};
use crate::clock::Time;

/// Between two attempts to open what could not be opened.
const RETRY: Duration = Duration::from_secs(1);

/// Datagrams of ours that the kernel may still have to bring back to us. A broadcast always comes
/// back to its sender (`__mkroute_output`, net/ipv4/route.c).
const OWN: usize = 16;

/// Where a path of this kind leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    ip: IpAddr,
    interface: Option<String>,
    /// Routers that a multicast may pass, and the link itself.
    ttl: u8,
}

/// One path to every peer.
#[derive(Debug)]
pub(super) struct Group {
    address: Address,
    port: u16,
    /// The interface's number, as long as there is one.
    link: Option<u32>,
    sockets: Option<Sockets>,
    retry: Option<Time>,
    told: bool,
    own: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
struct Sockets {
    out: UdpSocket,
    to: SocketAddr,
    incoming: UdpSocket,
}

impl Address {
    /// A network's broadcast address, or 255.255.255.255 for the network on an interface.
    pub(super) fn broadcast(address: Ipv4Addr, interface: Option<&str>) -> Self {
        Self {
            ip: IpAddr::V4(address),
            interface: interface.map(str::to_owned),
            ttl: 1,
        }
    }

    /// A multicast group on an interface.
    pub(super) fn multicast(group: IpAddr, interface: &str, ttl: u8) -> Self {
        Self {
            ip: group,
            interface: Some(interface.to_owned()),
            ttl,
        }
    }
}

impl Group {
    /// Opens the path, as far as it can be opened now.
    ///
    /// # Errors
    ///
    /// When the port is another program's or may not be used.
    pub(super) fn open(address: Address, port: u16, now: Time) -> Result<Self, OpenError> {
        let mut group = Self {
            link: None,
            sockets: None,
            retry: None,
            told: false,
            own: VecDeque::new(),
            address,
            port,
        };
        if group.address.interface.is_none() {
            group.reopen(now);
        }
        // An interface may come; a port that another program has stays that program's.
        let local = SocketAddr::new(group.address.ip, port);
        let tried = udp::open(local.ip()).and_then(|socket| socket.bind(&local.into()));
        match tried {
            Err(source)
                if matches!(
                    source.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::AddrInUse
                ) =>
            {
                Err(OpenError {
                    address: local,
                    source,
                })
            }
            Ok(()) | Err(_) => Ok(group),
        }
    }

    /// What to poll.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        let sockets = self.sockets.as_ref();
        sockets.map(|sockets| sockets.incoming.as_fd())
    }

    /// Sends to all. Whether it left.
    pub(super) fn send(&mut self, bytes: Vec<u8>) -> bool {
        let Some(sockets) = &self.sockets else {
            return false;
        };
        match sockets.out.send_to(&bytes, sockets.to) {
            Ok(_) => {
                // The kernel is told not to bring multicasts back.
                if !self.address.ip.is_multicast() {
                    self.own.truncate(OWN - 1);
                    self.own.push_front(bytes);
                }
                true
            }
            Err(error) => {
                tracing::trace!(to = %sockets.to, error = %words::of(&error), "heartbeat not sent");
                false
            }
        }
    }

    /// Hands over what has come in from others.
    pub(super) fn receive(&mut self, buffer: &mut [u8], mut each: impl FnMut(&[u8])) {
        let Some(sockets) = &self.sockets else {
            return;
        };
        for _ in 0..BURST {
            let Ok(length) = sockets.incoming.recv(buffer) else {
                break;
            };
            let bytes = &buffer[..length];
            match self.own.iter().position(|own| own == bytes) {
                Some(at) => drop(self.own.remove(at)),
                None => each(bytes),
            }
        }
    }

    /// Follows the interface, whose number `link` tells.
    pub(super) fn handle_timeout(&mut self, now: Time, link: impl Fn(&str) -> Option<u32>) {
        if let Some(interface) = &self.address.interface {
            let found = link(interface);
            if found != self.link {
                self.link = found;
                self.sockets = None;
                self.retry = None;
                if found.is_some() {
                    self.reopen(now);
                }
            }
        }
        if self.retry.is_some_and(|due| due <= now) {
            self.reopen(now);
        }
    }

    /// When an attempt to open is due.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.retry
    }

    fn reopen(&mut self, now: Time) {
        match self.address.open(self.port, self.link) {
            Ok(sockets) => {
                self.sockets = Some(sockets);
                self.retry = None;
                self.told = false;
            }
            Err(error) => {
                if !self.told {
                    let address = self.address.ip;
                    let interface = self.address.interface.as_deref();
                    let error = words::of(&error);
                    tracing::warn!(%address, interface, error, "cannot open heartbeat path");
                    self.told = true;
                }
                self.retry = Some(now + RETRY);
            }
        }
    }
}

impl Address {
    fn open(&self, port: u16, link: Option<u32>) -> io::Result<Sockets> {
        let out = udp::open(self.ip)?;
        let incoming = udp::open(self.ip)?;
        if let Some(interface) = &self.interface {
            out.bind_device(Some(interface.as_bytes()))?;
            incoming.bind_device(Some(interface.as_bytes()))?;
        }
        let to = match self.ip {
            IpAddr::V4(ip) => {
                if ip.is_multicast() {
                    self.join_v4(ip, &out, &incoming, link)?;
                } else {
                    out.set_broadcast(true)?;
                }
                SocketAddr::new(self.ip, port)
            }
            IpAddr::V6(ip) => {
                let link = link.unwrap_or(0);
                self.join_v6(ip, &out, &incoming, link)?;
                SocketAddr::V6(SocketAddrV6::new(ip, port, 0, link))
            }
        };
        incoming.bind(&to.into())?;
        Ok(Sockets {
            out: out.into(),
            to,
            incoming: incoming.into(),
        })
    }

    fn join_v4(
        &self,
        group: Ipv4Addr,
        out: &Socket,
        incoming: &Socket,
        link: Option<u32>,
    ) -> io::Result<()> {
        out.set_multicast_ttl_v4(self.ttl.into())?;
        out.set_multicast_loop_v4(false)?;
        let interface = InterfaceIndexOrAddress::Index(link.unwrap_or(0));
        incoming.join_multicast_v4_n(&group, &interface)
    }

    fn join_v6(
        &self,
        group: Ipv6Addr,
        out: &Socket,
        incoming: &Socket,
        link: u32,
    ) -> io::Result<()> {
        out.set_multicast_hops_v6(self.ttl.into())?;
        out.set_multicast_loop_v6(false)?;
        incoming.set_only_v6(true)?;
        incoming.join_multicast_v6(&group, link)
    }
}
