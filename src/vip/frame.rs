//! Frames that tell a network where an address lives: gratuitous ARP and unsolicited
//! neighbour advertisements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An Ethernet address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
/// Where IPv6 multicast to `ff02::1` goes (RFC 2464 section 7).
const ALL_NODES: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const IPPROTO_ICMPV6: u8 = 58;
const ICMPV6_LEN: u8 = 32;

/// The kinds of announcement, in the order in which they matter when many wait.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// ARP request for the address itself: the ARP announcement of RFC 5227 section 2.3.
    Request,
    /// Unsolicited neighbour advertisement to all nodes, RFC 4861 section 7.2.6.
    Advertisement,
    /// ARP reply that nobody asked for; some routers learn from this form only (RFC 5944
    /// section 4.6).
    Reply,
}

impl Form {
    /// The forms in which an address is announced; never empty.
    #[must_use]
    pub fn of(address: IpAddr) -> &'static [Self] {
        match address {
            IpAddr::V4(_) => &[Self::Request, Self::Reply],
            IpAddr::V6(_) => &[Self::Advertisement],
        }
    }
}

/// A gratuitous ARP frame: "`address` is at `mac`", as a request or as a reply.
///
/// 42 octets; drivers pad to Ethernet's minimum themselves.
#[must_use]
pub fn arp(address: Ipv4Addr, mac: Mac, reply: bool) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, ETHERTYPE_ARP, 28);
    // RFC 826: Ethernet (1), IPv4, lengths of the two kinds of address.
    frame.extend_from_slice(&1_u16.to_be_bytes());
    frame.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
    frame.extend_from_slice(&[6, 4]);
    frame.extend_from_slice(&(if reply { 2_u16 } else { 1 }).to_be_bytes());
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&address.octets());
    // A request doesn't know its target; in a reply it is the announced station itself.
    frame.extend_from_slice(&if reply { mac } else { [0; 6] });
    frame.extend_from_slice(&address.octets());
    frame
}

/// An unsolicited neighbour advertisement to all nodes that overrides what they have cached.
///
/// `router` must say what the host's other advertisements say: a neighbour that sees the flag
/// cleared drops the sender from its default routers (RFC 4861 section 7.2.5).
#[must_use]
pub fn advertisement(address: Ipv6Addr, mac: Mac, router: bool) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    const ROUTER: u8 = 0x80;
    let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

    let mut icmp = Vec::with_capacity(usize::from(ICMPV6_LEN));
    icmp.extend_from_slice(&[136, 0, 0, 0]);
    icmp.extend_from_slice(&[if router { OVERRIDE | ROUTER } else { OVERRIDE }, 0, 0, 0]);
    icmp.extend_from_slice(&address.octets());
    // Option: target link-layer address, one unit of eight octets.
    icmp.extend_from_slice(&[2, 1]);
    icmp.extend_from_slice(&mac);
    let sum = icmpv6_checksum(address, to, &icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = ethernet(ALL_NODES, mac, ETHERTYPE_IPV6, 40 + icmp.len());
    // A hop limit of 255 proves to receivers that no router forwarded it (RFC 4861 section 7.1.2).
    frame.extend_from_slice(&[0x60, 0, 0, 0, 0, ICMPV6_LEN, IPPROTO_ICMPV6, 255]);
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&to.octets());
    frame.extend_from_slice(&icmp);
    frame
}

fn ethernet(to: Mac, from: Mac, ethertype: u16, payload: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + payload);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame
}

/// The Internet checksum over the pseudo-header of RFC 8200 section 8.1 and a message whose own
/// checksum field is zero.
fn icmpv6_checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let trailer = [0, 0, 0, ICMPV6_LEN, 0, 0, 0, IPPROTO_ICMPV6];
    let mut sum = 0_u32;
    for part in [&from.octets()[..], &to.octets()[..], &trailer[..], message] {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests;
