//! What the VIPs need of the host, and the host itself: netlink, a packet socket, sysctls.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use std::{fs, io};

use ipvs::netlink::{self, Batch, Connection, Family, KernelError};
use rustix::io::Errno;

use super::answers::{Answer, Answers};
use super::frame::Mac;
use super::message::{self, Change};
use super::neighbour;
use super::packet::{Envelope, PacketSocket};
use super::route::{self, Route};
use super::table::Event;

/// What the VIPs need of the host. None of it waits: the kernel carries a request out while it is
/// handed over.
pub trait Host {
    /// Carries changes out in their order; one outcome each.
    ///
    /// # Errors
    /// What befell the connection; how many changes were carried out is then unknown.
    fn apply(&mut self, changes: &[Change])
    -> Result<Vec<Result<(), KernelError>>, netlink::Error>;

    /// Every interface, then every address.
    ///
    /// # Errors
    /// What befell the connection.
    fn list(&mut self) -> Result<Vec<Event>, netlink::Error>;

    /// The routes of ours that an earlier run may have left.
    ///
    /// # Errors
    /// What befell the connection.
    fn routes(&mut self) -> Result<Vec<Route>, netlink::Error>;

    /// What has happened since the last call.
    ///
    /// # Errors
    /// Some of it is lost; a list must be taken.
    fn events(&mut self) -> Result<Vec<Event>, netlink::Error>;

    /// Hands frames to interfaces in their order; returns how many were taken.
    ///
    /// # Errors
    /// What befell the first.
    fn send(&mut self, envelopes: &[Envelope]) -> Result<usize, Errno>;

    /// Who has said to have which address since the last call, asked or not.
    fn answers(&mut self) -> Vec<Answer>;

    /// Forgets what has been said so far.
    fn discard_answers(&mut self);

    /// Where the kernel has last found a neighbour of an interface.
    fn neighbour(&mut self, index: u32, address: IpAddr) -> Option<Mac>;

    /// Whether the host forwards IPv6 packets that come in by this interface.
    fn is_router(&self, interface: &str) -> bool;

    /// Makes the kernel keep an interface's other IPv4 addresses when their primary is removed.
    ///
    /// # Errors
    /// What befell the sysctl.
    fn promote_secondaries(&self, interface: &str) -> io::Result<()>;

    /// For which IPv4 addresses an interface answers ARP.
    ///
    /// # Errors
    /// What befell the sysctl.
    fn arp_ignore(&self, interface: &str) -> io::Result<u8>;

    /// Sets [`Self::arp_ignore`].
    ///
    /// # Errors
    /// What befell the sysctl.
    fn set_arp_ignore(&self, interface: &str, value: u8) -> io::Result<()>;
}

/// The host's kernel, in the network namespace of the thread that opened it.
pub struct Kernel {
    requests: Connection,
    events: Connection,
    packets: PacketSocket,
    /// `None` where nobody asks.
    answers: Option<Answers>,
    batch: Batch,
}

/// Multicast groups of linux/rtnetlink.h: link, IPv4 addresses, IPv6 addresses.
const GROUPS: [u32; 3] = [1, 5, 9];
/// The kernel's answers are there when a request returns; this only bounds a fault.
const ANSWER: Duration = Duration::from_millis(200);
/// `struct ifinfomsg` and `struct ifaddrmsg` of family AF_UNSPEC: everything.
const EVERY_LINK: [u8; 16] = [0; 16];
const EVERY_ADDRESS: [u8; 8] = [0; 8];

impl Kernel {
    /// Opens every socket that will be needed.
    ///
    /// # Errors
    /// Which socket the kernel refused, and why.
    pub fn open() -> Result<Self, OpenError> {
        let mut events = Connection::open(Family::Route)?;
        for group in GROUPS {
            events.subscribe(group)?;
        }
        let mut requests = Connection::open(Family::Route)?;
        requests.set_timeout(ANSWER)?;
        let packets = PacketSocket::open().map_err(|errno| match errno {
            Errno::PERM | Errno::ACCESS => OpenError::NotPermitted,
            errno => OpenError::Packet(errno.into()),
        })?;
        Ok(Self {
            requests,
            events,
            packets,
            answers: None,
            batch: Batch::default(),
        })
    }

    /// As [`Self::open`], for one that wants to hear who else has its addresses.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn listening() -> Result<Self, OpenError> {
        let answers = Some(Answers::open().map_err(OpenError::Packet)?);
        Ok(Self {
            answers,
            ..Self::open()?
        })
    }
}

impl AsFd for Kernel {
    /// Readable when there are [`Host::events`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// Why the sockets for addresses and announcements can't be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The netlink sockets.
    #[error("addresses cannot be managed: {0}")]
    Netlink(#[from] netlink::Error),
    /// The packet socket, for want of a right.
    #[error("addresses cannot be announced: a packet socket needs CAP_NET_RAW")]
    NotPermitted,
    /// The packet socket.
    #[error("addresses cannot be announced: no packet socket: {}", words::of(.0))]
    Packet(#[source] io::Error),
}

impl Host for Kernel {
    fn apply(
        &mut self,
        changes: &[Change],
    ) -> Result<Vec<Result<(), KernelError>>, netlink::Error> {
        self.batch.clear();
        for change in changes {
            let (kind, flags) = change.kind();
            self.batch.push(kind, flags, |writer| change.write(writer));
        }
        self.requests.batch(&self.batch)
    }

    fn list(&mut self) -> Result<Vec<Event>, netlink::Error> {
        let links = self.requests.dump(libc::RTM_GETLINK, 0, &EVERY_LINK)?;
        let addresses = self.requests.dump(libc::RTM_GETADDR, 0, &EVERY_ADDRESS)?;
        Ok(links
            .iter()
            .chain(addresses.iter())
            .filter_map(|message| message::decode(message.kind, message.payload))
            .collect())
    }

    fn routes(&mut self) -> Result<Vec<Route>, netlink::Error> {
        // A connection of its own: the requests of the others aren't written for strict checks.
        let mut connection = Connection::open(Family::Route)?;
        connection.filter_dumps();
        let mut routes = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            match connection.dump(libc::RTM_GETROUTE, 0, &route::request(family)) {
                Ok(replies) => {
                    let ours = replies
                        .iter()
                        .filter_map(|message| route::decode(message.kind, message.payload));
                    routes.extend(ours);
                }
                // A kernel without IPv6 has no such table.
                Err(netlink::Error::Kernel(_)) if family == libc::AF_INET6 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(routes)
    }

    fn events(&mut self) -> Result<Vec<Event>, netlink::Error> {
        let replies = self.events.events()?;
        Ok(replies
            .iter()
            .filter_map(|message| message::decode(message.kind, message.payload))
            .collect())
    }

    fn send(&mut self, envelopes: &[Envelope]) -> Result<usize, Errno> {
        self.packets.send(envelopes)
    }

    fn answers(&mut self) -> Vec<Answer> {
        self.answers.as_ref().map_or_else(Vec::new, Answers::take)
    }

    fn discard_answers(&mut self) {
        self.answers.iter().for_each(Answers::discard);
    }

    fn neighbour(&mut self, index: u32, address: IpAddr) -> Option<Mac> {
        let request = neighbour::request(index, address);
        // Kernels before 5.0 know no such question, and one that has never met it no answer.
        let replies = self
            .requests
            .request(libc::RTM_GETNEIGH, 0, &request)
            .ok()?;
        replies
            .iter()
            .find_map(|message| neighbour::decode(message.kind, message.payload))
    }

    fn is_router(&self, interface: &str) -> bool {
        let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
        fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
    }

    fn promote_secondaries(&self, interface: &str) -> io::Result<()> {
        let path = format!("/proc/sys/net/ipv4/conf/{interface}/promote_secondaries");
        if fs::read_to_string(&path)?.trim() == "0" {
            fs::write(&path, "1")?;
        }
        Ok(())
    }

    fn arp_ignore(&self, interface: &str) -> io::Result<u8> {
        let text = fs::read_to_string(arp_ignore_path(interface))?;
        text.trim()
            .parse()
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn set_arp_ignore(&self, interface: &str, value: u8) -> io::Result<()> {
        fs::write(arp_ignore_path(interface), value.to_string())
    }
}

fn arp_ignore_path(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/arp_ignore")
}
