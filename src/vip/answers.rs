//! The sockets that hear who else says to have an address.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketAddrAny, SocketAddrV6, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::bpf::{
    IF_EQUAL, IF_EQUAL_X, LOAD_HALF, LOAD_OCTET, LOAD_WORD, NETWORK, RETURN, TAGGED, TO_X,
};
use super::frame::{self, Mac};
use super::packet::received_by;

/// `ETH_P_ARP` as packet(7) wants it, in network order.
const ARP: i32 = 0x0806_u16.to_be() as i32;
/// What is read of a frame or a message; no answer needs more.
const LONGEST: usize = 128;
/// Most answers of each kind that one look takes in, so that no flood of them holds the thread.
const MOST: usize = 256;

/// That somebody says to have an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The address.
    pub address: IpAddr,
    /// Where it is said to be.
    pub mac: Mac,
    /// The number of the interface that heard it. For IPv6 it is known, and matters, only of
    /// link-local addresses.
    pub index: Option<u32>,
}

/// ARP replies and announcements, and neighbour advertisements, of all interfaces.
///
/// Always open, as closing a packet socket waits for a grace period of the kernel. Filters let
/// little else through to them, so that what matters finds room.
#[derive(Debug)]
pub(super) struct Answers {
    arp: Socket,
    /// `None` where the kernel has no IPv6.
    neighbours: Option<Socket>,
}

impl Answers {
    /// Opens the sockets, which needs CAP_NET_RAW.
    pub(super) fn open() -> io::Result<Self> {
        let kind = Type::RAW.nonblocking();
        let arp = Socket::new(Domain::PACKET, kind, Some(Protocol::from(ARP)))?;
        arp.attach_filter(&ARP_CLAIMS)?;
        let neighbours = Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6)).ok();
        if let Some(socket) = &neighbours {
            socket.attach_filter(&ADVERTISEMENTS)?;
        }
        Ok(Self { arp, neighbours })
    }

    /// What has been heard since the last time.
    pub(super) fn take(&self) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut note = |heard: Option<(IpAddr, Mac)>, index| {
            answers.extend(heard.map(|(address, mac)| Answer {
                address,
                mac,
                index,
            }));
        };
        read(&self.arp, |frame, from| {
            note(frame::decode_arp(frame), from.and_then(received_by));
        });
        if let Some(socket) = &self.neighbours {
            read(socket, |message, from| {
                let from = from.and_then(|from| SocketAddrV6::try_from(from.clone()).ok());
                let scope = from.map(|from| from.scope_id()).filter(|scope| *scope > 0);
                note(frame::decode_advertisement(message), scope);
            });
        }
        answers
    }

    /// Forgets what has been heard so far.
    pub(super) fn discard(&self) {
        for socket in [Some(&self.arp), self.neighbours.as_ref()] {
            socket
                .into_iter()
                .for_each(|socket| read(socket, |_, _| {}));
        }
    }
}

fn read(socket: &Socket, mut with: impl FnMut(&[u8], Option<&SocketAddrAny>)) {
    let mut buffer = [0; LONGEST];
    for _ in 0..MOST {
        match recvfrom(socket.as_fd(), &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((_, length, from)) => with(buffer.get(..length).unwrap_or(&buffer), from.as_ref()),
            // An interface that went down is told once; others go on.
            Err(Errno::NETDOWN | Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// A reply, or a request for the sender's own address, in a network that the host is in.
const ARP_CLAIMS: [SockFilter; 11] = [
    SockFilter::new(LOAD_WORD, 0, 0, TAGGED),
    SockFilter::new(IF_EQUAL, 0, 8, 0),
    SockFilter::new(LOAD_HALF, 0, 0, 20),
    SockFilter::new(IF_EQUAL, 5, 0, 2),
    SockFilter::new(IF_EQUAL, 0, 5, 1),
    SockFilter::new(LOAD_WORD, 0, 0, 28),
    SockFilter::new(TO_X, 0, 0, 0),
    SockFilter::new(LOAD_WORD, 0, 0, 38),
    SockFilter::new(IF_EQUAL_X, 0, 1, 0),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
    SockFilter::new(RETURN, 0, 0, 0),
];

/// A neighbour advertisement that no router has forwarded (RFC 4861 section 7.1.2).
const ADVERTISEMENTS: [SockFilter; 6] = [
    SockFilter::new(LOAD_OCTET, 0, 0, 0),
    SockFilter::new(IF_EQUAL, 0, 3, 136),
    SockFilter::new(LOAD_OCTET, 0, 0, NETWORK + 7),
    SockFilter::new(IF_EQUAL, 0, 1, 255),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
    SockFilter::new(RETURN, 0, 0, 0),
];
