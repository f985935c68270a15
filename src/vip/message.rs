//! rtnetlink messages for addresses and links, as bytes (rtnetlink(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ipvs::netlink::{Attribute, Attributes, Writer, flags};
use serde::{Deserialize, Serialize};

use super::route::Route;
use super::table::{Event, Found, Link, MARK};

/// Something to do to one address.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Change {
    /// Puts an address with our mark on an interface.
    Add {
        /// The interface's number.
        index: u32,
        /// Address and prefix length.
        address: IpNet,
        /// IPv4 only: the name that old tools show.
        label: Option<String>,
    },
    /// Removes an address from an interface.
    Remove {
        /// The interface's number.
        index: u32,
        /// Address and prefix length, which must both match.
        address: IpNet,
    },
    /// Has the packets to an address delivered whether it is there or not.
    Deliver(Route),
    /// Ends that.
    EndDelivery(Route),
}

impl Change {
    /// The message's type and the flags that it needs besides request and acknowledgement.
    #[must_use]
    pub fn kind(&self) -> (u16, u16) {
        match self {
            Self::Add { .. } => (libc::RTM_NEWADDR, flags::CREATE | flags::EXCL),
            Self::Remove { .. } => (libc::RTM_DELADDR, 0),
            Self::Deliver(_) => (libc::RTM_NEWROUTE, flags::CREATE | flags::EXCL),
            Self::EndDelivery(_) => (libc::RTM_DELROUTE, 0),
        }
    }

    /// Writes the message behind the netlink header: for an address `struct ifaddrmsg` and its
    /// attributes.
    ///
    /// The prefix length means what it means for any address: a primary brings the route to its
    /// network, a /32 or /128 brings none, and the kernel shares the route with other addresses of
    /// the network and drops it with the last. So `IFA_F_NOPREFIXROUTE` isn't set: a director whose
    /// only address in the servers' network is the VIP that they use as their router needs it.
    ///
    /// IPv6 addresses skip duplicate address detection, since the second that it takes is a second
    /// of outage, and are deprecated from the start, so that the host doesn't choose an address
    /// that will leave it for its own connections (RFC 6724 rule 3); connections to the address,
    /// and sockets bound to it, don't care. IPv4 knows neither.
    pub fn write(&self, message: &mut Writer<'_>) {
        let (index, address) = match self {
            Self::Add { index, address, .. } | Self::Remove { index, address } => (index, address),
            Self::Deliver(route) | Self::EndDelivery(route) => return route.write(message),
        };
        let family = match address {
            IpNet::V4(_) => libc::AF_INET,
            IpNet::V6(_) => libc::AF_INET6,
        };
        message
            .raw(&[family as u8, address.prefix_len(), 0, SCOPE_UNIVERSE])
            .raw(&index.to_ne_bytes());
        match address.addr() {
            IpAddr::V4(ip) => message
                .bytes(libc::IFA_LOCAL, &ip.octets())
                .bytes(libc::IFA_ADDRESS, &ip.octets()),
            IpAddr::V6(ip) => message.bytes(libc::IFA_ADDRESS, &ip.octets()),
        };
        let Self::Add { label, .. } = self else {
            return;
        };
        message.u8(IFA_PROTO, MARK);
        match address {
            IpNet::V4(_) => {
                if let Some(label) = label {
                    message.str(libc::IFA_LABEL, label);
                }
            }
            IpNet::V6(_) => {
                message.u32(libc::IFA_FLAGS, IFA_F_NODAD);
                // struct ifa_cacheinfo: preferred, valid, two stamps.
                let lifetimes = [0, FOREVER, 0, 0].map(u32::to_ne_bytes);
                message.bytes(libc::IFA_CACHEINFO, lifetimes.as_flattened());
            }
        }
    }
}

const SCOPE_UNIVERSE: u8 = 0;
const IFA_F_NODAD: u32 = 0x02;
const FOREVER: u32 = u32::MAX;
/// `IFA_PROTO`, since Linux 5.18; libc has no name for it.
const IFA_PROTO: u16 = 11;

/// Reads a message of the kernel, without its netlink header; `None` for one that tells nothing
/// of links or addresses, or is too short to be one.
#[must_use]
pub fn decode(kind: u16, body: &[u8]) -> Option<Event> {
    match kind {
        libc::RTM_NEWLINK => decode_link(body).map(Event::Link),
        libc::RTM_DELLINK => decode_link(body).map(|link| Event::LinkGone(link.index)),
        libc::RTM_NEWADDR => decode_address(body).map(Event::Address),
        libc::RTM_DELADDR => decode_address(body).map(Event::AddressGone),
        _ => None,
    }
}

/// `struct ifinfomsg`: family, pad, hardware, index, flags, change.
fn decode_link(body: &[u8]) -> Option<Link> {
    let (header, attributes) = body.split_at_checked(16)?;
    // Bridges tell of their ports in messages of family AF_BRIDGE; a port that leaves its bridge
    // looks like an interface that is gone.
    if i32::from(header[0]) != libc::AF_UNSPEC {
        return None;
    }
    let mut link = Link {
        hardware: u16_at(header, 2)?,
        index: u32_at(header, 4)?,
        flags: u32_at(header, 8)?,
        name: String::new(),
        mac: None,
    };
    for attribute in Attributes::new(attributes) {
        match attribute.kind {
            libc::IFLA_IFNAME => attribute.str()?.clone_into(&mut link.name),
            libc::IFLA_ADDRESS => link.mac = attribute.payload.try_into().ok(),
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

/// `struct ifaddrmsg`: family, prefix length, flags, scope, index.
fn decode_address(body: &[u8]) -> Option<Found> {
    let (header, attributes) = body.split_at_checked(8)?;
    let mut flags = u32::from(header[2]);
    let mut proto = 0;
    let (mut local, mut address) = (None, None);
    for attribute in Attributes::new(attributes) {
        match attribute.kind {
            libc::IFA_LOCAL => local = ip(attribute),
            libc::IFA_ADDRESS => address = ip(attribute),
            libc::IFA_FLAGS => flags = attribute.u32()?,
            IFA_PROTO => proto = attribute.u8()?,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end.
    let own = local.or(address)?;
    Some(Found {
        index: u32_at(header, 4)?,
        address: IpNet::new(own, header[1]).ok()?,
        proto,
        flags,
    })
}

pub(super) fn ip(attribute: Attribute<'_>) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(attribute.payload) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(attribute.payload).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
