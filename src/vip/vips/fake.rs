//! A kernel of links and addresses for tests, with the real one's rules as far as they matter here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;
use ipvs::netlink::{self, KernelError};
use rustix::io::Errno;

use super::super::answers::Answer;
use super::super::frame::Mac;
use super::super::host::Host;
use super::super::message::Change;
use super::super::packet::Envelope;
use super::super::route::Route;
use super::super::table::{Event, Found, Link, MARK};

pub(super) const UP: u32 = 0x1_1043;

/// What the fake kernel has, and how it misbehaves.
#[derive(Default)]
pub(super) struct World {
    pub(super) links: BTreeMap<String, Link>,
    pub(super) addresses: BTreeMap<(u32, IpNet), Found>,
    pub(super) events: VecDeque<Event>,
    /// The next reading of events fails, and what they told is lost.
    pub(super) overrun: bool,
    /// Addresses that it refuses to change, and why.
    pub(super) refuses: BTreeMap<IpAddr, Errno>,
    /// It carries changes out, but the answer is lost.
    pub(super) mute: bool,
    /// Frames that it has room for; `None` is no limit.
    pub(super) room: Option<usize>,
    pub(super) sent: Vec<Envelope>,
    /// Questions for addresses.
    pub(super) asked: Vec<Envelope>,
    /// What is heard next.
    pub(super) answers: Vec<Answer>,
    /// Where neighbours have been found.
    pub(super) neighbours: BTreeMap<(u32, IpAddr), Mac>,
    /// How many changes each call asked for.
    pub(super) batches: Vec<usize>,
    pub(super) routes: BTreeSet<Route>,
    /// `arp_ignore` of the interfaces where it isn't 0, and whether it can be set.
    pub(super) arp_ignore: RefCell<BTreeMap<String, u8>>,
    pub(super) sysctls_read_only: bool,
    /// Changes and sysctls in their order, in words.
    pub(super) story: RefCell<Vec<String>>,
    pub(super) promoted: RefCell<BTreeSet<String>>,
    next_index: u32,
}

impl World {
    pub(super) fn add_link(&mut self, name: &str) {
        self.next_index += 1;
        let link = Link {
            index: self.next_index,
            name: name.to_owned(),
            hardware: 1,
            flags: UP,
            mac: Some([2, 0, 0, 0, 0, self.next_index as u8]),
        };
        self.links.insert(name.to_owned(), link.clone());
        self.events.push_back(Event::Link(link));
    }

    pub(super) fn remove_link(&mut self, name: &str) {
        let Some(link) = self.links.remove(name) else {
            return;
        };
        self.flush(link.index, |_| true);
        self.arp_ignore.borrow_mut().remove(name);
        self.events.push_back(Event::LinkGone(link.index));
    }

    /// Changes an interface's flags; one that goes down loses its IPv6 addresses.
    pub(super) fn set_flags(&mut self, name: &str, flags: u32) {
        let Some(link) = self.links.get_mut(name) else {
            return;
        };
        link.flags = flags;
        let link = link.clone();
        if flags & 1 == 0 {
            self.flush(link.index, |address| matches!(address, IpNet::V6(_)));
        }
        self.events.push_back(Event::Link(link));
    }

    pub(super) fn set_mac(&mut self, name: &str, last: u8) {
        if let Some(link) = self.links.get_mut(name) {
            link.mac = Some([2, 0, 0, 0, 1, last]);
            self.events.push_back(Event::Link(link.clone()));
        }
    }

    /// Somebody else adds an address.
    pub(super) fn add_foreign(&mut self, name: &str, address: &str, proto: u8) {
        if let Some(link) = self.links.get(name) {
            let _ = self.add(link.index, address.parse().unwrap(), proto);
        }
    }

    /// Somebody else removes an address.
    pub(super) fn remove_foreign(&mut self, name: &str, address: &str) {
        if let Some(link) = self.links.get(name) {
            let _ = self.remove(link.index, address.parse().unwrap());
        }
    }

    /// Whether ARP or neighbour discovery is answered for an address.
    pub(super) fn answers(&self, name: &str, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        let there = self.links.get(name).is_some_and(|link| {
            let mut addresses = self.addresses.keys();
            addresses.any(|(index, net)| *index == link.index && net.addr() == address)
        });
        there || address.is_ipv4() && self.delivers(address) && self.arp_ignore_of(name) == 0
    }

    /// Whether packets to an address are delivered.
    pub(super) fn delivers(&self, address: IpAddr) -> bool {
        self.addresses.keys().any(|(_, net)| net.addr() == address)
            || self.routes.iter().any(|route| route.address == address)
    }

    pub(super) fn arp_ignore_of(&self, name: &str) -> u8 {
        self.arp_ignore.borrow().get(name).copied().unwrap_or(0)
    }

    /// The addresses of an interface, as text.
    pub(super) fn on(&self, name: &str) -> BTreeSet<String> {
        let Some(link) = self.links.get(name) else {
            return BTreeSet::new();
        };
        self.addresses
            .keys()
            .filter(|(index, _)| *index == link.index)
            .map(|(_, address)| address.to_string())
            .collect()
    }

    fn flush(&mut self, index: u32, which: impl Fn(&IpNet) -> bool) {
        let gone: Vec<IpNet> = self
            .addresses
            .keys()
            .filter(|(at, address)| *at == index && which(address))
            .map(|(_, address)| *address)
            .collect();
        for address in gone {
            let _ = self.remove(index, address);
        }
    }

    fn add(&mut self, index: u32, address: IpNet, proto: u8) -> Result<(), Errno> {
        if !self.links.values().any(|link| link.index == index) {
            return Err(Errno::NODEV);
        }
        let taken = self.addresses.keys().any(|(at, other)| {
            *at == index
                && match address {
                    IpNet::V4(_) => *other == address,
                    IpNet::V6(_) => other.addr() == address.addr(),
                }
        });
        if taken {
            return Err(Errno::EXIST);
        }
        let found = Found {
            index,
            address,
            proto,
            flags: 0,
        };
        self.addresses.insert((index, address), found.clone());
        self.events.push_back(Event::Address(found));
        Ok(())
    }

    fn remove(&mut self, index: u32, address: IpNet) -> Result<(), Errno> {
        let found = self
            .addresses
            .remove(&(index, address))
            .ok_or(Errno::ADDRNOTAVAIL)?;
        self.events.push_back(Event::AddressGone(found));
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<(), Errno> {
        let (word, ip) = match change {
            Change::Add { address, .. } => ("add", address.addr()),
            Change::Remove { address, .. } => ("remove", address.addr()),
            Change::Deliver(route) => ("deliver", route.address),
            Change::EndDelivery(route) => ("end delivery", route.address),
        };
        if let Some(errno) = self.refuses.get(&ip) {
            return Err(*errno);
        }
        self.story.borrow_mut().push(format!("{word} {ip}"));
        let delivered = self.delivers(ip);
        match change {
            Change::Add { index, address, .. } => self.add(*index, *address, MARK),
            Change::Remove { index, address } => self.remove(*index, *address),
            Change::Deliver(route) => self
                .routes
                .insert(route.clone())
                .then_some(())
                .ok_or(Errno::EXIST),
            Change::EndDelivery(route) => {
                self.routes.remove(route).then_some(()).ok_or(Errno::SRCH)
            }
        }?;
        if delivered && !self.delivers(ip) {
            self.story.borrow_mut().push(format!("{ip} is dropped"));
        }
        Ok(())
    }
}

/// A handle to a world that the test holds another of.
#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Rc<RefCell<World>>);

impl Host for Fake {
    fn apply(
        &mut self,
        changes: &[Change],
    ) -> Result<Vec<Result<(), KernelError>>, netlink::Error> {
        let mut world = self.0.borrow_mut();
        world.batches.push(changes.len());
        let outcomes = changes
            .iter()
            .map(|change| {
                world.change(change).map_err(|errno| KernelError {
                    errno: errno.raw_os_error(),
                    text: None,
                })
            })
            .collect();
        if world.mute {
            return Err(netlink::Error::Timeout);
        }
        Ok(outcomes)
    }

    fn list(&mut self) -> Result<Vec<Event>, netlink::Error> {
        let world = self.0.borrow();
        if world.mute {
            return Err(netlink::Error::Timeout);
        }
        let links = world.links.values().cloned().map(Event::Link);
        let addresses = world.addresses.values().cloned().map(Event::Address);
        Ok(links.chain(addresses).collect())
    }

    fn routes(&mut self) -> Result<Vec<Route>, netlink::Error> {
        let world = self.0.borrow();
        if world.mute {
            return Err(netlink::Error::Timeout);
        }
        Ok(world.routes.iter().cloned().collect())
    }

    fn events(&mut self) -> Result<Vec<Event>, netlink::Error> {
        let mut world = self.0.borrow_mut();
        let events = world.events.drain(..).collect();
        if std::mem::take(&mut world.overrun) {
            return Err(netlink::Error::Overrun);
        }
        Ok(events)
    }

    fn send(&mut self, envelopes: &[Envelope]) -> Result<usize, Errno> {
        let mut world = self.0.borrow_mut();
        let room = world.room.unwrap_or(usize::MAX).min(envelopes.len());
        if room == 0 {
            return Err(Errno::NOBUFS);
        }
        world.room = world.room.map(|left| left - room);
        for envelope in &envelopes[..room] {
            if is_question(envelope) {
                world.asked.push(envelope.clone());
            } else {
                world.sent.push(envelope.clone());
            }
        }
        Ok(room)
    }

    fn answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.0.borrow_mut().answers)
    }

    fn discard_answers(&mut self) {
        self.0.borrow_mut().answers.clear();
    }

    fn neighbour(&mut self, index: u32, address: IpAddr) -> Option<Mac> {
        self.0.borrow().neighbours.get(&(index, address)).copied()
    }

    fn is_router(&self, _: &str) -> bool {
        false
    }

    fn promote_secondaries(&self, interface: &str) -> io::Result<()> {
        let world = self.0.borrow();
        world.promoted.borrow_mut().insert(interface.to_owned());
        Ok(())
    }

    fn arp_ignore(&self, interface: &str) -> io::Result<u8> {
        Ok(self.0.borrow().arp_ignore_of(interface))
    }

    fn set_arp_ignore(&self, interface: &str, value: u8) -> io::Result<()> {
        let world = self.0.borrow();
        if world.sysctls_read_only {
            return Err(Errno::ROFS.into());
        }
        let told = format!("arp_ignore of {interface} is {value}");
        world.story.borrow_mut().push(told);
        let mut all = world.arp_ignore.borrow_mut();
        all.insert(interface.to_owned(), value);
        Ok(())
    }
}

/// An ARP probe, whose sender is nobody, or a neighbour solicitation.
fn is_question(envelope: &Envelope) -> bool {
    let frame = &envelope.frame;
    if frame[12..14] == [0x08, 0x06] {
        frame[28..32] == [0; 4]
    } else {
        frame[54] == 135
    }
}
