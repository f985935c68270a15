//! The kernel's links and addresses as last heard, kept true by events.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::frame::Mac;

/// The mark (`IFA_PROTO`) by which our addresses are known as ours, also to a later run.
///
/// A number of its own: the kernel uses 1 to 3 (linux/if_addr.h), and the protocols of
/// iproute2's `rt_protos`, which other daemons copy, leave it free. An `ip address` that knows
/// the attribute shows `proto 0xca`. Kernels before 5.18 ignore it and keep none; there, what an
/// earlier run left is known by the configuration only.
pub const MARK: u8 = 0xca;

/// Linux's `IFA_F_SECONDARY`: the kernel removes it with its primary, unless told to promote.
pub const SECONDARY: u32 = 0x01;
/// Linux's `IFA_F_DADFAILED`: another station has the address; the kernel doesn't use it.
pub const DAD_FAILED: u32 = 0x08;
/// Linux's `IFA_F_TENTATIVE`: not known yet to be free; nothing is heard at it.
const TENTATIVE: u32 = 0x40;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;
const IFF_NOARP: u32 = 0x80;
const IFF_LOWER_UP: u32 = 0x1_0000;
const ARPHRD_ETHER: u16 = 1;

/// One interface.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    /// The kernel's number of it; a re-created interface gets another.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `ARPHRD_*`, linux/if_arp.h.
    pub hardware: u16,
    /// `IFF_*`, linux/if.h.
    pub flags: u32,
    /// Its Ethernet address, where it has one.
    pub mac: Option<Mac>,
}

impl Link {
    /// Whether packets can leave: administratively up, with carrier, and with nothing below it
    /// that is missing (operstate, RFC 2863).
    #[must_use]
    pub fn is_up(&self) -> bool {
        let needed = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
        self.flags & needed == needed
    }

    /// The Ethernet address under which this interface can announce; `None` where nobody would
    /// learn from it (down, loopback, tunnels).
    #[must_use]
    pub fn announces_as(&self) -> Option<Mac> {
        let ethernet =
            self.hardware == ARPHRD_ETHER && self.flags & (IFF_LOOPBACK | IFF_NOARP) == 0;
        self.mac.filter(|_| ethernet && self.is_up())
    }
}

/// One address on an interface.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Found {
    /// The interface's number.
    pub index: u32,
    /// The address with its prefix length.
    pub address: IpNet,
    /// `IFA_PROTO`; 0 where the kernel shows none.
    pub proto: u8,
    /// `IFA_F_*`, linux/if_addr.h.
    pub flags: u32,
}

/// What the kernel tells of links and addresses.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Event {
    /// An interface exists, or has changed.
    Link(Link),
    /// An interface is gone.
    LinkGone(u32),
    /// An address is there, or has changed.
    Address(Found),
    /// An address is gone.
    AddressGone(Found),
}

/// The kernel's links and addresses.
#[derive(Debug, Default)]
pub struct Table {
    links: BTreeMap<u32, Link>,
    names: BTreeMap<String, u32>,
    addresses: BTreeMap<(u32, IpAddr, u8), Found>,
}

impl Table {
    /// Takes one event over.
    pub fn handle(&mut self, event: Event) {
        match event {
            Event::Link(link) => self.put_link(link),
            Event::LinkGone(index) => self.remove_link(index),
            Event::Address(found) => {
                self.addresses.insert(key(&found), found);
            }
            Event::AddressGone(found) => {
                self.addresses.remove(&key(&found));
            }
        }
    }

    /// The interface of a name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.get(self.names.get(name)?)
    }

    /// The interface of a number.
    #[must_use]
    pub fn link_at(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    /// The entry of exactly this address and prefix length on the named interface.
    #[must_use]
    pub fn exact(&self, interface: &str, address: IpNet) -> Option<&Found> {
        let index = *self.names.get(interface)?;
        self.addresses
            .get(&(index, address.addr(), address.prefix_len()))
    }

    /// Every entry of an address on the named interface, whatever its prefix length.
    pub fn at(&self, interface: &str, address: IpAddr) -> impl Iterator<Item = &Found> {
        self.names
            .get(interface)
            .into_iter()
            .flat_map(move |&index| {
                self.addresses
                    .range((index, address, 0)..=(index, address, u8::MAX))
                    .map(|(_, found)| found)
            })
    }

    /// Every interface.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// Every address.
    pub fn addresses(&self) -> impl Iterator<Item = &Found> {
        self.addresses.values()
    }

    /// An interface's own link-local IPv6 address, if it has one that works.
    #[must_use]
    pub fn link_local(&self, index: u32) -> Option<Ipv6Addr> {
        let first = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
        let from = (index, IpAddr::V6(first), 0);
        let there = self.addresses.range(from..).map(|(_, found)| found);
        there
            .take_while(|found| found.index == index)
            .filter(|found| found.proto != MARK && found.flags & (TENTATIVE | DAD_FAILED) == 0)
            .find_map(|found| match found.address.addr() {
                IpAddr::V6(ip) if ip.is_unicast_link_local() => Some(ip),
                IpAddr::V6(_) | IpAddr::V4(_) => None,
            })
    }

    /// How many addresses there are.
    #[must_use]
    pub fn address_count(&self) -> usize {
        self.addresses.len()
    }

    fn put_link(&mut self, link: Link) {
        if let Some(old) = self.links.get(&link.index)
            && old.name != link.name
        {
            self.names.remove(&old.name);
        }
        self.names.insert(link.name.clone(), link.index);
        self.links.insert(link.index, link);
    }

    fn remove_link(&mut self, index: u32) {
        let Some(link) = self.links.remove(&index) else {
            return;
        };
        // The name may have gone to another interface before this event was read.
        if self.names.get(&link.name) == Some(&index) {
            self.names.remove(&link.name);
        }
        self.addresses.retain(|(at, ..), _| *at != index);
    }
}

fn key(found: &Found) -> (u32, IpAddr, u8) {
    (
        found.index,
        found.address.addr(),
        found.address.prefix_len(),
    )
}

#[cfg(test)]
mod tests;
