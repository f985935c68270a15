//! Frames that tell a network where an address lives, gratuitous ARP and unsolicited neighbour
//! advertisements, and frames that ask for it.

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
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

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

/// An ARP probe, "who has `address`?", of a sender that names no address of its own, so that nobody
/// learns anything from it (RFC 5227 section 2.1.1).
#[must_use]
pub fn arp_probe(address: Ipv4Addr, mac: Mac) -> Vec<u8> {
    let mut frame = arp(address, mac, false);
    // The sender's protocol address.
    frame[28..32].fill(0);
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

    let flags = if router { OVERRIDE | ROUTER } else { OVERRIDE };
    let mut icmp = neighbour_message(NEIGHBOUR_ADVERTISEMENT, flags, address);
    // Option: target link-layer address, one unit of eight octets.
    icmp.extend_from_slice(&[2, 1]);
    icmp.extend_from_slice(&mac);
    icmpv6(ALL_NODES, mac, address, to, icmp)
}

/// A question for whoever has an address, "who has `address`?".
///
/// Who is asked by a host tells that host alone (RFC 4861 section 7.2.4). Without an address to be
/// told at, `from`, the question is that of duplicate address detection, which is answered to all
/// nodes, and overrides what they know of the address (RFC 4862 section 5.4.2).
#[must_use]
pub fn solicitation(address: Ipv6Addr, mac: Mac, from: Option<Ipv6Addr>) -> Vec<u8> {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low);
    let to_mac = [0x33, 0x33, 0xff, a, b, c];
    let mut icmp = neighbour_message(NEIGHBOUR_SOLICITATION, 0, address);
    if from.is_some() {
        // Option: source link-layer address, one unit of eight octets.
        icmp.extend_from_slice(&[1, 1]);
        icmp.extend_from_slice(&mac);
    }
    icmpv6(to_mac, mac, from.unwrap_or(Ipv6Addr::UNSPECIFIED), to, icmp)
}

/// Who claims which address by an ARP frame: the sender of a reply, or of an announcement, which
/// asks for its own address. `None` for any other frame, and for what no host can mean.
#[must_use]
pub fn decode_arp(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    // Ethernet's type, and RFC 826: Ethernet (1), IPv4, lengths of the two kinds of address.
    const HEADER: [u8; 8] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4];
    const REQUEST: [u8; 2] = [0, 1];
    const REPLY: [u8; 2] = [0, 2];
    if frame.get(12..20)? != HEADER {
        return None;
    }
    let mac = station(frame.get(22..28)?)?;
    let sender = <[u8; 4]>::try_from(frame.get(28..32)?).ok()?;
    let target = frame.get(38..42)?;
    let operation = frame.get(20..22)?;
    let claims = operation == REPLY || operation == REQUEST && sender == target;
    claims.then(|| (Ipv4Addr::from(sender).into(), mac))
}

/// Who claims which address by an ICMPv6 message: the target of a neighbour advertisement, at the
/// Ethernet address that it names. `None` for any other message, and for what no host can mean.
#[must_use]
pub fn decode_advertisement(message: &[u8]) -> Option<(IpAddr, Mac)> {
    if message.get(..2)? != [NEIGHBOUR_ADVERTISEMENT, 0] {
        return None;
    }
    let target = Ipv6Addr::from(<[u8; 16]>::try_from(message.get(8..24)?).ok()?);
    let mut options = message.get(24..)?;
    // Type, and length in units of eight octets (RFC 4861 section 4.6).
    while let Some(&[kind, units]) = options.get(..2) {
        let (option, rest) = options.split_at_checked(usize::from(units) * 8)?;
        if kind == 2 {
            let mac = station(option.get(2..8)?)?;
            return (units == 1 && !target.is_multicast()).then_some((target.into(), mac));
        }
        if units == 0 {
            return None;
        }
        options = rest;
    }
    None
}

/// The Ethernet address of one station: not that of several, nor none.
fn station(octets: &[u8]) -> Option<Mac> {
    let mac = Mac::try_from(octets).ok()?;
    (mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

/// A message of neighbour discovery without options, its checksum still zero.
fn neighbour_message(kind: u8, flags: u8, target: Ipv6Addr) -> Vec<u8> {
    let mut icmp = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    icmp.extend_from_slice(&target.octets());
    icmp
}

/// The frame of an ICMPv6 message of at most 255 octets.
fn icmpv6(to_mac: Mac, mac: Mac, from: Ipv6Addr, to: Ipv6Addr, mut icmp: Vec<u8>) -> Vec<u8> {
    let sum = icmpv6_checksum(from, to, &icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ethernet(to_mac, mac, ETHERTYPE_IPV6, 40 + icmp.len());
    // A hop limit of 255 proves to receivers that no router forwarded it (RFC 4861 section 7.1.2).
    let [_, length] = (icmp.len() as u16).to_be_bytes();
    frame.extend_from_slice(&[0x60, 0, 0, 0, 0, length, IPPROTO_ICMPV6, 255]);
    frame.extend_from_slice(&from.octets());
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
    let [high, low] = (message.len() as u16).to_be_bytes();
    let trailer = [0, 0, high, low, 0, 0, 0, IPPROTO_ICMPV6];
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
