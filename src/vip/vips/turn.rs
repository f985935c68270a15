//! One turn: events taken in, changes handed to the kernel, announcements sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipvs::netlink::KernelError;
use rustix::io::Errno;
use tracing::{debug, info, trace, warn};

use super::super::announcer::Notice;
use super::super::duties::{Goal, Place, RETRY};
use super::super::frame::{self, Form};
use super::super::host::Host;
use super::super::message::Change;
use super::super::packet::Envelope;
use super::super::problem::{Action, Problem};
use super::super::table::{DAD_FAILED, Event, Found, Link, MARK, SECONDARY, Table};
use super::{Output, Vips};
use crate::clock::Time;
use crate::config::model::Vip;

/// An IPv6 address that has been put is delivered a moment later, by a worker of the kernel
/// (`addrconf_dad_work`), which tells of the address then; it takes no longer than this on a host
/// that is well. What is announced before draws packets that are lost.
const ARRIVAL: Duration = Duration::from_millis(50);

/// What is left to do: a VIP that could not be made quiet keeps its address.
fn without_failed(mut changes: Vec<Planned>, steps: &[Step]) -> Vec<Planned> {
    changes.retain(|(_, number, _)| {
        steps
            .get(*number)
            .is_none_or(|step| step.problem.is_none() || !matches!(step.goal, Goal::Quiet(_)))
    });
    changes
}

/// Whether removing an address may make the kernel promote others of its network, which costs it a
/// new route for each of them; so their turn comes first, in case they leave too.
fn may_have_secondaries(table: &Table, place: &Place) -> bool {
    place.address.is_ipv4()
        && table
            .at(&place.interface, place.address)
            .any(|found| found.flags & SECONDARY == 0 && found.address.prefix_len() < 32)
}

/// A place that this turn works on.
pub(super) struct Step {
    pub(super) place: Place,
    pub(super) goal: Goal,
    /// The address was there before us.
    found: bool,
    pub(super) problem: Option<Problem>,
}

/// The order of a turn's changes. Removals make room for the same address with another prefix
/// length, secondaries before their primary; the route of a quiet VIP is there before its address
/// leaves, and until it has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rank {
    Deliver,
    RemoveSecondary,
    Remove,
    Add,
    EndDelivery,
}

/// A change with its rank and the number of the step that it is for.
pub(super) type Planned = (Rank, usize, Change);

impl<H: Host> Vips<H> {
    /// Takes one event over, and notes what it means for what is wanted.
    pub(super) fn observe(&mut self, event: Event, now: Time) {
        match event {
            Event::Link(link) => self.observe_link(link, now),
            Event::LinkGone(index) => {
                let name = self.table.link_at(index).map(|link| link.name.clone());
                self.table.handle(Event::LinkGone(index));
                if let Some(name) = name {
                    self.observe_loss_of(&name, now);
                }
            }
            Event::Address(ref found) => {
                let place = self.place(found);
                self.table.handle(event);
                if let Some(vip) = place.and_then(|place| self.settled(&place)) {
                    self.announcer.handle_arrival(&vip, now);
                }
            }
            Event::AddressGone(ref found) => {
                let place = self.place(found);
                self.table.handle(event);
                if let Some(place) = place {
                    self.check(&place, now);
                }
            }
        }
    }

    /// Replaces what is known by a list; what differs counts as if events had told it.
    pub(super) fn read_afresh(&mut self, now: Time) {
        let list = match self.host.list() {
            Ok(list) => list,
            Err(error) => {
                warn!(%error, "links and addresses cannot be read");
                self.resync = Some(now + RETRY);
                return;
            }
        };
        if let Err(error) = self.read_routes(now) {
            warn!(%error, "routes cannot be read");
            self.resync = Some(now + RETRY);
            return;
        }
        self.resync = None;
        self.counts.resyncs += 1;
        let (mut links, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for event in &list {
            match event {
                Event::Link(link) => {
                    links.insert(link.index);
                }
                Event::Address(found) => {
                    addresses.insert((found.index, found.address));
                }
                Event::LinkGone(_) | Event::AddressGone(_) => {}
            }
        }
        let gone: Vec<Event> = self
            .table
            .addresses()
            .filter(|found| !addresses.contains(&(found.index, found.address)))
            .map(|found| Event::AddressGone(found.clone()))
            .chain(
                self.table
                    .links()
                    .filter(|link| !links.contains(&link.index))
                    .map(|link| Event::LinkGone(link.index)),
            )
            .collect();
        for event in gone.into_iter().chain(list) {
            self.observe(event, now);
        }
    }

    /// Works on the places that are due, within the bound of a turn.
    pub(super) fn work(&mut self, now: Time) {
        // While the kernel's state couldn't be read, what seems absent may be there.
        let certain = self.resync.is_none();
        let mut steps = Vec::new();
        let mut changes = Vec::new();
        let (table, portion) = (&self.table, self.portion());
        let due = self.duties.take_due(now, portion, |place, goal| {
            !matches!(goal, Goal::Present(_)) && may_have_secondaries(table, place)
        });
        for (place, goal) in due {
            let number = steps.len();
            let (found, problem) = self.plan(&place, &goal, number, &mut changes);
            steps.push(Step {
                place,
                goal,
                found,
                problem,
            });
        }
        changes.sort_by_key(|(rank, ..)| *rank);
        let silent = self.silenced();
        let later = changes.split_off(changes.partition_point(|(rank, ..)| *rank == Rank::Deliver));
        if !self.apply(&changes, &mut steps, now) {
            return;
        }
        if certain {
            self.silence(&mut steps);
        }
        if !self.apply(&without_failed(later, &steps), &mut steps, now) {
            return;
        }
        self.restore(&silent);
        for step in steps {
            if certain || matches!(step.goal, Goal::Present(_)) {
                self.conclude(step, now);
            }
        }
    }

    /// Sends the announcements that are due, as far as the cards have room.
    pub(super) fn send_burst(&mut self, now: Time) {
        let more = self.duties.next_due().is_some_and(|due| due <= now);
        self.announcer.hurry(more);
        self.announcer.handle_timeout(now);
        let mut routers = BTreeMap::new();
        let (mut notices, mut envelopes) = (Vec::new(), Vec::new());
        while let Some(notice) = self.announcer.poll_output() {
            match self.envelope(&notice, &mut routers) {
                Some(envelope) => {
                    envelopes.push(envelope);
                    notices.push(notice);
                }
                None => self.counts.skipped += 1,
            }
        }
        let mut next = 0;
        while let Some(rest) = envelopes.get(next..).filter(|rest| !rest.is_empty()) {
            match self.host.send(rest) {
                Ok(taken) => {
                    // A host that takes nothing and names no reason must not hold the thread.
                    next += taken.max(1);
                    self.counts.announced += taken as u64;
                }
                Err(Errno::AGAIN | Errno::NOBUFS) => {
                    self.counts.refused += 1;
                    for notice in notices.drain(next..).rev() {
                        self.announcer.handle_refused(notice, now);
                    }
                    break;
                }
                // The interface went down or away; its events say what follows.
                Err(error) => {
                    trace!(%error, "announcement not sent");
                    self.counts.skipped += 1;
                    next += 1;
                }
            }
        }
    }

    fn observe_link(&mut self, link: Link, now: Time) {
        let old = self.table.link_at(link.index).cloned();
        self.table.handle(Event::Link(link.clone()));
        self.carriers.handle_link(&link.name, link.is_up(), now);
        if old.as_ref() == Some(&link) {
            return;
        }
        if let Some(old) = &old
            && old.name != link.name
        {
            self.observe_loss_of(&old.name, now);
        }
        if old.as_ref().is_none_or(|old| old.name != link.name)
            && self
                .configured
                .iter()
                .any(|place| place.interface == link.name && place.address.is_ipv4())
        {
            self.keep_secondaries(&link.name);
        }
        // Back from a loss of carrier, or with another Ethernet address (a bond that failed over):
        // switches and neighbours must learn the way anew.
        let mac = link.announces_as();
        let heard_anew = mac.is_some() && mac != old.as_ref().and_then(Link::announces_as);
        let (mut settled, mut waiting) = (Vec::new(), Vec::new());
        for (place, duty) in self.duties.on(&link.name) {
            match &duty.goal {
                Goal::Present(vip) if duty.is_fulfilled() => settled.push(vip.clone()),
                Goal::Quiet(_) if self.delivers(place, link.index) => {}
                Goal::Present(_) | Goal::Quiet(_) | Goal::Absent => waiting.push(place.clone()),
            }
        }
        if heard_anew {
            for vip in settled {
                self.announcer.announce(&vip, now);
                self.prober.ask(&vip, now);
            }
        }
        for place in waiting {
            self.duties.revive(&place, now);
        }
    }

    /// No interface has this name any more.
    fn observe_loss_of(&mut self, name: &str, now: Time) {
        if self.table.link(name).is_some() {
            return;
        }
        self.carriers.handle_link(name, false, now);
        let places: Vec<Place> = self
            .duties
            .on(name)
            .map(|(place, _)| place.clone())
            .collect();
        for place in places {
            self.check(&place, now);
        }
    }

    /// The VIP of a place, if it is wanted there and has been put.
    fn settled(&self, place: &Place) -> Option<Vip> {
        let duty = self.duties.get(place).filter(|duty| duty.is_fulfilled())?;
        match &duty.goal {
            Goal::Present(vip) => Some(vip.clone()),
            Goal::Quiet(_) | Goal::Absent => None,
        }
    }

    /// Notes that a wanted address is gone, if it is.
    fn check(&mut self, place: &Place, now: Time) {
        let Some(vip) = self.settled(place) else {
            return;
        };
        if self.table.exact(&vip.interface, vip.address).is_some() {
            return;
        }
        warn!(address = %vip.address, interface = vip.interface, "an address of ours is gone and will be put back");
        self.announcer.withdraw(&vip);
        self.duties.revive(place, now);
        self.counts.lost += 1;
        self.outputs.push_back(Output::Lost(vip));
    }

    /// What must change for a goal; returns whether it was reached before, and what is in the way.
    fn plan(
        &self,
        place: &Place,
        goal: &Goal,
        number: usize,
        changes: &mut Vec<Planned>,
    ) -> (bool, Option<Problem>) {
        let there = self.table.at(&place.interface, place.address);
        let remove = |found: &Found| {
            let rank = if found.flags & SECONDARY == 0 {
                Rank::Remove
            } else {
                Rank::RemoveSecondary
            };
            let change = Change::Remove {
                index: found.index,
                address: found.address,
            };
            (rank, number, change)
        };
        let vip = match goal {
            Goal::Absent => {
                changes.extend(there.map(remove));
                changes.extend(self.wake(place, number));
                return (false, None);
            }
            // Until the kernel's state is known again, a name may be another interface's.
            Goal::Quiet(_) if self.resync.is_some() => return (false, None),
            Goal::Quiet(_) => {
                changes.extend(self.hush(place, number));
                changes.extend(there.map(remove));
                return (false, None);
            }
            Goal::Present(vip) => vip,
        };
        changes.extend(self.wake(place, number));
        let Some(link) = self.table.link(&vip.interface) else {
            return (false, Some(Problem::NoInterface(place.clone())));
        };
        if let Some(found) = self.table.exact(&vip.interface, vip.address)
            && found.flags & DAD_FAILED == 0
            && self.resync.is_none()
        {
            if found.proto != MARK {
                info!(address = %vip.address, interface = vip.interface, "adopting an address that somebody else has put");
            }
            return (true, None);
        }
        if self.resync.is_none() {
            changes.extend(there.map(remove));
        }
        let add = Change::Add {
            index: link.index,
            address: vip.address,
            label: vip.label.clone(),
        };
        changes.push((Rank::Add, number, add));
        (false, None)
    }

    /// Has changes carried out, and tells the steps what befell them; false if nobody knows.
    fn apply(&mut self, changes: &[Planned], steps: &mut [Step], now: Time) -> bool {
        if changes.is_empty() {
            return true;
        }
        let list: Vec<Change> = changes.iter().map(|(.., change)| change.clone()).collect();
        let outcomes = match self.host.apply(&list) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                warn!(%error, "addresses cannot be changed");
                self.resync.get_or_insert(now);
                self.routes_uncertain |= list
                    .iter()
                    .any(|change| matches!(change, Change::Deliver(_) | Change::EndDelivery(_)));
                return false;
            }
        };
        for ((_, number, change), outcome) in changes.iter().zip(outcomes) {
            let Some(step) = steps.get_mut(*number) else {
                continue;
            };
            self.note(step, change, outcome, now);
        }
        true
    }

    /// Notes the outcome of one change.
    fn note(
        &mut self,
        step: &mut Step,
        change: &Change,
        outcome: Result<(), KernelError>,
        now: Time,
    ) {
        let refusal = outcome.err();
        let errno = refusal
            .as_ref()
            .map(|refusal| Errno::from_raw_os_error(refusal.errno));
        let (action, event) = match change {
            Change::Add { index, address, .. } => {
                let found = Found {
                    index: *index,
                    address: *address,
                    proto: MARK,
                    flags: 0,
                };
                if errno == Some(Errno::EXIST) {
                    // Somebody was faster; what exactly is there, the list will tell.
                    self.resync.get_or_insert(now);
                    step.found = true;
                }
                let done = matches!(errno, None | Some(Errno::EXIST));
                (Action::Add, done.then_some(Event::Address(found)))
            }
            Change::Remove { index, address } => {
                let found = Found {
                    index: *index,
                    address: *address,
                    proto: 0,
                    flags: 0,
                };
                let gone = [None, Some(Errno::ADDRNOTAVAIL), Some(Errno::NODEV)].contains(&errno);
                (Action::Remove, gone.then_some(Event::AddressGone(found)))
            }
            Change::Deliver(route) | Change::EndDelivery(route) => {
                let deliver = matches!(change, Change::Deliver(_));
                self.note_route(step, route, deliver, refusal);
                return;
            }
        };
        match (event, refusal) {
            (Some(event), _) => self.table.handle(event),
            (None, Some(refusal)) => {
                let problem = Problem::new(&step.place, action, &refusal);
                step.problem.get_or_insert(problem);
            }
            (None, None) => {}
        }
    }

    fn conclude(&mut self, step: Step, now: Time) {
        if let Some(problem) = step.problem {
            if self.duties.fail(&step.place, problem.clone()) {
                warn!(%problem, "address");
                self.outputs.push_back(Output::Failed(problem));
            }
            return;
        }
        match step.goal {
            Goal::Present(vip) => {
                self.duties.fulfil(&step.place);
                if step.found || vip.address.addr().is_ipv4() {
                    self.announcer.announce(&vip, now);
                } else {
                    self.announcer.expect(&vip, now + ARRIVAL);
                }
                self.prober.ask(&vip, now);
                debug!(address = %vip.address, interface = vip.interface, found = step.found, "address put");
                self.outputs.push_back(Output::Put {
                    vip,
                    found: step.found,
                });
            }
            Goal::Quiet(vip) => {
                self.duties.fulfil(&step.place);
                debug!(address = %vip.address, interface = vip.interface, "address quiet");
                self.outputs.push_back(Output::Quieted(vip));
            }
            Goal::Absent => {
                self.duties.end(&step.place);
                debug!(address = %step.place.address, interface = step.place.interface, "address taken");
                self.outputs.push_back(Output::Taken(step.place));
            }
        }
    }

    /// The frame of a notice; `None` where nobody would learn from it.
    fn envelope(&self, notice: &Notice, routers: &mut BTreeMap<u32, bool>) -> Option<Envelope> {
        let Vip {
            address, interface, ..
        } = &notice.vip;
        let link = self.table.link(interface)?;
        let mac = link.announces_as()?;
        let frame = match (address.addr(), notice.form) {
            (IpAddr::V4(ip), Form::Request | Form::Advertisement) => frame::arp(ip, mac, false),
            (IpAddr::V4(ip), Form::Reply) => frame::arp(ip, mac, true),
            (IpAddr::V6(ip), Form::Request | Form::Advertisement | Form::Reply) => {
                let router = *routers
                    .entry(link.index)
                    .or_insert_with(|| self.host.is_router(interface));
                frame::advertisement(ip, mac, router)
            }
        };
        Some(Envelope {
            index: link.index,
            frame,
        })
    }
}
