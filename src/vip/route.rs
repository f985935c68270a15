//! The local route that keeps a VIP's packets coming while its address is away.
//!
//! The kernel delivers what a route of type `local` matches as it delivers to an address: IPVS,
//! which sits behind that decision, forwards on. Neighbour discovery answers for addresses only.
//! ARP answers for whatever is local, unless `arp_ignore` of the interface asks for an address on
//! it (ip-sysctl.rst of the kernel). So that one goes up while a VIP is quiet, and the route itself
//! remembers what it was before, as a note of ours would be lost with us: its metric, which orders
//! nothing here, is made of the interface's number and that value.

use std::net::IpAddr;

use ipvs::netlink::{Attributes, Writer};
use serde::{Deserialize, Serialize};

use super::message::{ip, u32_at};
use super::table::MARK;

/// `struct rtmsg` of linux/rtnetlink.h: family, prefix length, source's, TOS, table, protocol, scope,
/// type, flags.
const HEADER: usize = 12;
const RT_TABLE_LOCAL: u8 = 255;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;
/// The loopback interface's number in every network namespace (net/flow.h). As the route is on it
/// and not on the VIP's interface, the kernel doesn't choose the address for requests of its own,
/// and the route outlives the loss of a carrier.
const LOOPBACK: u32 = 1;
/// Bits of the metric for `arp_ignore`, whose largest value is 8.
const ARP_IGNORE_BITS: u32 = 4;

/// What stands in for a VIP's address while it is quiet.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Route {
    /// The VIP.
    pub address: IpAddr,
    /// The number of the interface that the address belongs on, up to 2^28 - 1.
    pub index: u32,
    /// That interface's `arp_ignore` before any VIP on it was quiet, 0 to 8; 0 for IPv6.
    pub before: u8,
}

impl Route {
    /// Whether `arp_ignore` had to be raised for this route, and must be lowered after it.
    #[must_use]
    pub fn has_raised(&self) -> bool {
        self.address.is_ipv4() && answers_without_address(self.before)
    }

    /// Writes the message behind the netlink header.
    pub(super) fn write(&self, message: &mut Writer<'_>) {
        let (family, length, scope) = match self.address {
            IpAddr::V4(_) => (libc::AF_INET, 32, RT_SCOPE_HOST),
            IpAddr::V6(_) => (libc::AF_INET6, 128, 0),
        };
        message
            .raw(&[family as u8, length, 0, 0])
            .raw(&[RT_TABLE_LOCAL, MARK, scope, RTN_LOCAL])
            .raw(&[0; 4]);
        match self.address {
            IpAddr::V4(ip) => message.bytes(libc::RTA_DST, &ip.octets()),
            IpAddr::V6(ip) => message.bytes(libc::RTA_DST, &ip.octets()),
        };
        message
            .u32(libc::RTA_OIF, LOOPBACK)
            .u32(libc::RTA_PRIORITY, self.metric());
    }

    fn metric(&self) -> u32 {
        self.index << ARP_IGNORE_BITS | u32::from(self.before)
    }
}

/// Whether ARP is answered, under this `arp_ignore`, for what is local without an address.
#[must_use]
pub fn answers_without_address(arp_ignore: u8) -> bool {
    !matches!(arp_ignore, 1 | 2 | 3 | 8)
}

/// Asks for our routes of one family, where dumps are filtered.
pub(super) fn request(family: i32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = family as u8;
    header[4] = RT_TABLE_LOCAL;
    header[5] = MARK;
    header[7] = RTN_LOCAL;
    header
}

/// Reads a route of ours; `None` for any other, whatever the kernel lists.
#[must_use]
pub fn decode(kind: u16, body: &[u8]) -> Option<Route> {
    let (header, attributes) = body.split_at_checked(HEADER)?;
    if kind != libc::RTM_NEWROUTE
        || header[4..6] != [RT_TABLE_LOCAL, MARK]
        || header[7] != RTN_LOCAL
    {
        return None;
    }
    let attributes = Attributes::new(attributes);
    let address = ip(attributes.find_kind(libc::RTA_DST)?)?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let metric = u32_at(attributes.find_kind(libc::RTA_PRIORITY)?.payload, 0)?;
    (header[1] == whole).then_some(Route {
        address,
        index: metric >> ARP_IGNORE_BITS,
        before: (metric & ((1 << ARP_IGNORE_BITS) - 1)) as u8,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(route: &Route) -> Vec<u8> {
        let mut out = Vec::new();
        route.write(&mut Writer::new(&mut out));
        out
    }

    fn route(address: &str, before: u8) -> Route {
        Route {
            address: address.parse().unwrap(),
            index: 7,
            before,
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_route_is_local_on_the_loopback_and_carries_our_mark() {
        let expected = [
            &[2, 32, 0, 0, 255, 0xca, 254, 2, 0, 0, 0, 0][..],
            &[8, 0, 1, 0, 192, 0, 2, 80], // RTA_DST
            &[8, 0, 4, 0, 1, 0, 0, 0],    // RTA_OIF
            &[8, 0, 6, 0, 0x72, 0, 0, 0], // RTA_PRIORITY
        ]
        .concat();
        assert_eq!(body(&route("192.0.2.80", 2)), expected);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for route in [route("192.0.2.80", 8), route("2001:db8::80", 0)] {
            assert_eq!(decode(libc::RTM_NEWROUTE, &body(&route)), Some(route));
        }
    }

    #[test]
    fn other_routes_are_not_ours() {
        let ours = body(&route("192.0.2.80", 0));
        for (at, value) in [(1, 24), (4, 254), (5, 2), (7, 1)] {
            let mut other = ours.clone();
            other[at] = value;
            assert_eq!(decode(libc::RTM_NEWROUTE, &other), None, "octet {at}");
        }
        assert_eq!(decode(libc::RTM_DELROUTE, &ours), None);
    }

    #[test]
    fn arp_ignore_is_raised_only_where_it_would_let_answers_out() {
        let raised: Vec<u8> = (0..=8).filter(|n| answers_without_address(*n)).collect();
        assert_eq!(raised, [0, 4, 5, 6, 7]);
        assert!(!route("2001:db8::80", 0).has_raised());
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(body in prop::collection::vec(any::<u8>(), 0..96)) {
            let _ = decode(libc::RTM_NEWROUTE, &body);
        }
    }
}
