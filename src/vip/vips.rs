//! The VIPs of this director: what is wanted, what the kernel has, and the turns that join them.

#[cfg(test)]
mod fake;
mod quiet;
mod rivals;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};

use ipvs::netlink;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::announcer::Announcer;
use super::carrier::Carriers;
use super::duties::{Duties, Goal, Place};
use super::frame::Mac;
use super::host::{Host, Kernel, OpenError};
use super::prober::Prober;
use super::problem::Problem;
use super::table::{Found, Link, MARK, Table};
use crate::clock::Time;
use crate::config::model::Vip;
use quiet::Routes;
use rivals::Directors;

/// Most places that one turn works on.
pub const CHUNK: usize = 32;
/// Fewest, however slow the kernel is at it.
const CHUNK_MIN: usize = 4;
/// The kernel walks the addresses that an interface has for each that it adds or removes, so a turn
/// works on fewer where there are many: this is about how many steps of such walks it may cost, well
/// below a millisecond on hardware.
const WALK: usize = 32_000;

/// What happened to an address or an interface.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Output {
    /// A VIP that was to be put is there, and is being announced.
    Put {
        /// Which.
        vip: Vip,
        /// It was there before: adopted from an earlier run, or put by somebody else.
        found: bool,
    },
    /// A place that was to be emptied is empty.
    Taken(Place),
    /// A VIP that was to be quiet is: its packets are delivered, and nobody answers for it.
    Quieted(Vip),
    /// A wanted VIP has been removed by somebody else, or its interface is gone; it is put back as
    /// soon as can be.
    Lost(Vip),
    /// A VIP that was claimed is not put, as a host that is no director has it. It is asked for
    /// again and again, and put as soon as nobody answers.
    Refused {
        /// Which.
        vip: Vip,
        /// Where the host is.
        mac: Mac,
    },
    /// A host that is no director has a VIP that another director holds. It would be refused if that
    /// director died.
    Foreseen {
        /// Which.
        vip: Vip,
        /// Where the host is.
        mac: Mac,
    },
    /// Another host says to have a VIP that is here, or that is being put. It stays, and is
    /// announced.
    Contested {
        /// Which.
        vip: Vip,
        /// Where the host is.
        mac: Mac,
        /// The director that it is, if it is one.
        director: Option<String>,
    },
    /// Nobody else says to have a VIP any more.
    Yielded(Vip),
    /// Something could not be done; it is tried again until it can be.
    Failed(Problem),
    /// A watched interface came up, or went down.
    Link {
        /// Its name.
        interface: String,
        /// Whether it can carry packets.
        up: bool,
    },
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Announcements sent.
    pub announced: u64,
    /// Announcements not sent, as the interface is down or is no Ethernet.
    pub skipped: u64,
    /// Times that a card had no room for the frames of a burst.
    pub refused: u64,
    /// Wanted VIPs that somebody else removed.
    pub lost: u64,
    /// Times that another host was found to say to have a VIP.
    pub claimed: u64,
    /// Times that a VIP was announced against it.
    pub defended: u64,
    /// Times that the kernel's state was read afresh, as events were lost or could not be read.
    pub resyncs: u64,
}

/// The VIPs of this director. See the [module](super).
///
/// [`put`](Self::put), [`quiet`](Self::quiet), [`take`](Self::take) and the like only note what is wanted;
/// [`handle_timeout`](Self::handle_timeout) does a bounded part of it per call, and
/// [`poll_timeout`](Self::poll_timeout) is past while more is left.
pub struct Vips<H = Kernel> {
    host: H,
    table: Table,
    configured: BTreeSet<Place>,
    duties: Duties,
    announcer: Announcer,
    prober: Prober,
    /// Who else says to have which VIP.
    claimed: BTreeMap<Vip, Problem>,
    directors: Directors,
    /// Somebody cares for who else has a VIP.
    listening: bool,
    carriers: Carriers,
    /// The routes of quiet VIPs that the kernel has.
    routes: Routes,
    /// A change of them may have been carried out or not.
    routes_uncertain: bool,
    /// When the kernel's state must be read afresh.
    resync: Option<Time>,
    outputs: VecDeque<Output>,
    counts: Counts,
}

impl Vips<Kernel> {
    /// Opens the sockets and reads the host's interfaces and addresses.
    ///
    /// # Errors
    /// A socket or the list can't be had, with the right that is missing.
    pub fn open(
        vips: &BTreeSet<Vip>,
        links: &BTreeSet<String>,
        now: Time,
    ) -> Result<Self, OpenError> {
        Ok(Self::new(Kernel::listening()?, vips, links, now)?)
    }
}

impl<H: AsFd> AsFd for Vips<H> {
    /// When it is readable, [`Vips::handle_readable`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.host.as_fd()
    }
}

impl<H: Host> Vips<H> {
    /// Reads the host's interfaces and addresses; touches none.
    ///
    /// # Errors
    /// The list can't be had.
    pub fn new(
        mut host: H,
        vips: &BTreeSet<Vip>,
        links: &BTreeSet<String>,
        now: Time,
    ) -> Result<Self, netlink::Error> {
        let mut table = Table::default();
        for event in host.list()? {
            table.handle(event);
        }
        let routes = quiet::by_place(host.routes()?, &table);
        let mut new = Self {
            host,
            table,
            configured: BTreeSet::new(),
            duties: Duties::default(),
            announcer: Announcer::default(),
            prober: Prober::default(),
            claimed: BTreeMap::new(),
            directors: Directors::default(),
            listening: false,
            carriers: Carriers::default(),
            routes,
            routes_uncertain: false,
            resync: None,
            outputs: VecDeque::new(),
            counts: Counts::default(),
        };
        new.configure(vips, links, now);
        Ok(new)
    }

    /// Takes over the VIPs of every group and the interfaces to watch, at start and at reload.
    ///
    /// Nothing is put by it. VIPs that are here and are no longer configured are removed.
    pub fn configure(&mut self, vips: &BTreeSet<Vip>, links: &BTreeSet<String>, now: Time) {
        let gone: Vec<Vip> = self
            .duties
            .iter()
            .filter_map(|(_, duty)| match &duty.goal {
                Goal::Present(vip) | Goal::Quiet(vip) if !vips.contains(vip) => Some(vip.clone()),
                Goal::Present(_) | Goal::Quiet(_) | Goal::Absent => None,
            })
            .chain(
                self.prober
                    .vips()
                    .filter(|vip| !vips.contains(vip))
                    .cloned(),
            )
            .collect();
        self.take(&gone, now);
        self.configured = vips.iter().map(Place::of).collect();
        let table = &self.table;
        self.carriers
            .watch(links, |name| table.link(name).is_some_and(Link::is_up));
        let interfaces: BTreeSet<String> = vips
            .iter()
            .filter(|vip| vip.address.addr().is_ipv4())
            .map(|vip| vip.interface.clone())
            .collect();
        for interface in interfaces {
            self.keep_secondaries(&interface);
        }
    }

    /// The configured VIPs' places that have their address now, and those of our mark.
    #[must_use]
    pub fn found(&self) -> BTreeSet<Place> {
        self.table
            .addresses()
            .filter_map(|found| {
                let place = self.place(found)?;
                (found.proto == MARK || self.configured.contains(&place)).then_some(place)
            })
            .collect()
    }

    /// Clears up what an earlier run left, as a start must: every address and route of ours that is
    /// not in `keep` is removed, and an `arp_ignore` that was raised for it is restored. Those in it stay as they are, neither wanted nor announced, until
    /// [`put`](Self::put) or [`take`](Self::take) decides about them.
    pub fn remove_stale(&mut self, keep: &BTreeSet<Vip>, now: Time) {
        let kept: BTreeSet<Place> = keep.iter().map(Place::of).collect();
        let mut places = self.found();
        places.extend(self.routes.keys().cloned());
        for place in places {
            if !kept.contains(&place) {
                warn!(address = %place.address, interface = place.interface, "removing an address left behind");
                self.duties.set(place, Goal::Absent, now);
            }
        }
    }

    /// Wants VIPs to be here, whoever else answers for them, which is [told](Output::Contested).
    /// Those that are wanted already are left alone.
    pub fn put(&mut self, vips: &[Vip], now: Time) {
        for vip in vips {
            self.put_one(vip, now);
        }
    }

    /// Wants VIPs to receive packets still, while neither ARP nor neighbour discovery is answered for
    /// them, and stops announcing them at once. No packet is dropped in between.
    ///
    /// While an IPv4 VIP of an interface is quiet, `arp_ignore` of that interface is at least 1: ARP
    /// is answered there for addresses of that interface only.
    pub fn quiet(&mut self, vips: &[Vip], now: Time) {
        for vip in vips {
            self.fall_silent(vip);
            self.duties
                .set(Place::of(vip), Goal::Quiet(vip.clone()), now);
        }
    }

    /// Wants VIPs not to be here, and stops announcing them at once.
    pub fn take(&mut self, vips: &[Vip], now: Time) {
        for vip in vips {
            self.fall_silent(vip);
            self.duties.set(Place::of(vip), Goal::Absent, now);
        }
    }

    /// Announces VIPs anew, for neighbours that may have heard somebody else: those that are here.
    pub fn announce(&mut self, vips: &[Vip], now: Time) {
        for vip in vips {
            if self.is_present(vip) {
                self.announcer.announce(vip, now);
            }
        }
    }

    /// Whether a VIP is wanted and here.
    #[must_use]
    pub fn is_present(&self, vip: &Vip) -> bool {
        self.duties.get(&Place::of(vip)).is_some_and(|duty| {
            duty.is_fulfilled() && matches!(&duty.goal, Goal::Present(wanted) if wanted == vip)
        })
    }

    /// Whether a VIP is wanted quiet and is so.
    #[must_use]
    pub fn is_quiet(&self, vip: &Vip) -> bool {
        self.duties.get(&Place::of(vip)).is_some_and(|duty| {
            duty.is_fulfilled() && matches!(&duty.goal, Goal::Quiet(wanted) if wanted == vip)
        })
    }

    /// Whether the kernel has a VIP's address on its interface, wanted or not.
    #[must_use]
    pub fn is_here(&self, vip: &Vip) -> bool {
        self.table
            .at(&vip.interface, vip.address.addr())
            .next()
            .is_some()
    }

    /// Whether an address waits for its first announcement.
    #[must_use]
    pub fn is_announcing(&self) -> bool {
        self.announcer.is_announcing()
    }

    /// Why a VIP isn't as it is to be, or isn't ours alone.
    #[must_use]
    pub fn problem(&self, vip: &Vip) -> Option<&Problem> {
        let duty = self.duties.get(&Place::of(vip));
        duty.and_then(|duty| duty.problem.as_ref())
            .or_else(|| self.claimed.get(vip))
    }

    /// Whether it is not known yet whose a VIP is that is wanted.
    #[must_use]
    pub fn is_asking(&self, vip: &Vip) -> bool {
        self.prober.is_open(vip)
    }

    /// Whether everything wanted is so.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.duties.next_due().is_none()
            && self.resync.is_none()
            && !self.prober.vips().any(|vip| self.is_asking(vip))
    }

    /// Whether an interface can carry packets: damped if it is watched, else as the kernel says.
    #[must_use]
    pub fn is_up(&self, interface: &str) -> bool {
        self.carriers
            .is_up(interface)
            .unwrap_or_else(|| self.table.link(interface).is_some_and(Link::is_up))
    }

    /// The Ethernet address of an interface, if it has one.
    #[must_use]
    pub fn mac(&self, interface: &str) -> Option<Mac> {
        self.table.link(interface)?.mac
    }

    /// The Ethernet addresses of every interface that may answer for an address of this host, as
    /// Linux does by default for those of other interfaces, in the order of the kernel's numbers.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        self.table.links().filter_map(Link::announces_as)
    }

    /// The kernel's number of an interface, if there is one of that name.
    #[must_use]
    pub fn link_index(&self, interface: &str) -> Option<u32> {
        self.table.link(interface).map(|link| link.index)
    }

    /// What has been counted since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes in what the kernel tells; acts on it in the next turn.
    pub fn handle_readable(&mut self, now: Time) {
        match self.host.events() {
            Ok(events) => {
                for event in events {
                    self.observe(event, now);
                }
            }
            Err(error) => {
                debug!(%error, "reading links and addresses afresh");
                self.resync.get_or_insert(now);
            }
        }
    }

    /// Does one turn: at most [`CHUNK`] places and one burst of announcements.
    pub fn handle_timeout(&mut self, now: Time) {
        // What others did must be known before we act on the same addresses.
        self.handle_readable(now);
        if self.resync.is_some_and(|due| now >= due) {
            self.read_afresh(now);
        }
        self.ask(now);
        self.work(now);
        self.carriers.handle_timeout(now);
        while let Some((interface, up)) = self.carriers.poll_output() {
            self.outputs.push_back(Output::Link { interface, up });
        }
        self.send_burst(now);
    }

    /// Whether [`Self::handle_timeout`] has something to do, now that somebody is awake.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.prober.is_due(now) || self.poll_timeout().is_some_and(|due| due <= now)
    }

    /// When [`Self::handle_timeout`] has something to do at the latest; past if at once.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        [
            self.resync,
            self.duties.next_due(),
            self.carriers.poll_timeout(),
            self.announcer.poll_timeout(),
            self.prober.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing that happened.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// How many places this turn may work on.
    fn portion(&self) -> usize {
        (WALK / self.table.address_count().max(1)).clamp(CHUNK_MIN, CHUNK)
    }

    fn put_one(&mut self, vip: &Vip, now: Time) {
        self.prober.hold(vip, now);
        self.duties
            .set(Place::of(vip), Goal::Present(vip.clone()), now);
    }

    fn place(&self, found: &Found) -> Option<Place> {
        let link = self.table.link_at(found.index)?;
        Some(Place {
            interface: link.name.clone(),
            address: found.address.addr(),
        })
    }

    /// Without this, removing a VIP that is the first address of its network would remove every
    /// other address of that network, the host's own included.
    fn keep_secondaries(&self, interface: &str) {
        if self.table.link(interface).is_none() {
            return;
        }
        if let Err(error) = self.host.promote_secondaries(interface) {
            warn!(
                interface,
                %error,
                "cannot set promote_secondaries: removing a VIP may remove other addresses"
            );
        }
    }
}

#[cfg(test)]
mod tests;
