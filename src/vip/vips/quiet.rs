//! Quiet VIPs: their routes, and the `arp_ignore` of their interfaces.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::netlink::{self, KernelError};
use rustix::io::Errno;
use tracing::warn;

use super::super::duties::{Goal, Place};
use super::super::host::Host;
use super::super::message::Change;
use super::super::problem::{Action, Problem};
use super::super::route::Route;
use super::super::table::Table;
use super::Vips;
use super::turn::{Planned, Rank, Step};
use crate::clock::Time;

/// The lowest `arp_ignore` under which nobody answers for a route.
const SILENT: u8 = 1;
/// The largest value with a meaning.
const MOST: u8 = 8;

/// The routes of quiet VIPs by place; more than one only where an interface was made anew.
pub(super) type Routes = BTreeMap<Place, BTreeSet<Route>>;

/// Routes by the place of their VIP; where that interface is gone, by its number.
pub(super) fn by_place(routes: Vec<Route>, table: &Table) -> Routes {
    let mut places = Routes::new();
    for route in routes {
        let interface = match table.link_at(route.index) {
            Some(link) => link.name.clone(),
            None => format!("interface {}", route.index),
        };
        let address = route.address;
        let place = Place { interface, address };
        places.entry(place).or_default().insert(route);
    }
    places
}

impl<H: Host> Vips<H> {
    /// Whether packets to a place are delivered by a route that knows its interface.
    pub(super) fn delivers(&self, place: &Place, index: u32) -> bool {
        let mut routes = self.routes.get(place).into_iter().flatten();
        routes.any(|route| route.index == index)
    }

    /// What gives a place its route; nothing where it has it, or there is no interface to receive.
    pub(super) fn hush(&self, place: &Place, number: usize) -> Vec<Planned> {
        let Some(link) = self.table.link(&place.interface) else {
            return Vec::new();
        };
        let mut changes = self.wake(place, number);
        changes.retain(|(_, _, change)| {
            !matches!(change, Change::EndDelivery(route) if route.index == link.index)
        });
        if self.delivers(place, link.index) {
            return changes;
        }
        let route = Route {
            address: place.address,
            index: link.index,
            before: if place.address.is_ipv4() {
                self.arp_ignore_before(link.index, &link.name)
            } else {
                0
            },
        };
        changes.push((Rank::Deliver, number, Change::Deliver(route)));
        changes
    }

    /// What ends the routes that a place has.
    pub(super) fn wake(&self, place: &Place, number: usize) -> Vec<Planned> {
        let routes = self.routes.get(place).into_iter().flatten();
        routes
            .map(|route| {
                let change = Change::EndDelivery(route.clone());
                (Rank::EndDelivery, number, change)
            })
            .collect()
    }

    /// Notes what became of a route.
    pub(super) fn note_route(
        &mut self,
        step: &mut Step,
        route: &Route,
        deliver: bool,
        refusal: Option<KernelError>,
    ) {
        let errno = refusal
            .as_ref()
            .map(|refusal| Errno::from_raw_os_error(refusal.errno));
        let (action, done) = if deliver {
            (Action::Quiet, matches!(errno, None | Some(Errno::EXIST)))
        } else {
            (Action::Wake, matches!(errno, None | Some(Errno::SRCH)))
        };
        if let (false, Some(refusal)) = (done, refusal) {
            let problem = Problem::new(&step.place, action, &refusal);
            step.problem.get_or_insert(problem);
        } else if deliver {
            let routes = self.routes.entry(step.place.clone()).or_default();
            routes.insert(route.clone());
        } else if let Some(routes) = self.routes.get_mut(&step.place) {
            routes.remove(route);
            if routes.is_empty() {
                self.routes.remove(&step.place);
            }
        }
    }

    /// Replaces what is known of routes by a list, after a change whose outcome is unknown.
    pub(super) fn read_routes(&mut self, now: Time) -> Result<(), netlink::Error> {
        if !self.routes_uncertain {
            return Ok(());
        }
        let routes = self.host.routes()?;
        let silent = self.silenced();
        self.routes = by_place(routes, &self.table);
        self.routes_uncertain = false;
        self.restore(&silent);
        // A route that nobody works on, or beside an address that is thought settled.
        for place in self.routes.keys() {
            if self.duties.get(place).is_none() {
                self.duties.set(place.clone(), Goal::Absent, now);
            } else {
                self.duties.revive(place, now);
            }
        }
        Ok(())
    }

    /// The interfaces whose `arp_ignore` is raised for a route, with what it was before.
    pub(super) fn silenced(&self) -> BTreeMap<u32, u8> {
        self.routes
            .values()
            .flatten()
            .filter(|route| route.has_raised())
            .map(|route| (route.index, route.before))
            .collect()
    }

    /// Raises `arp_ignore` where a VIP is to be quiet. The addresses are still there, so nothing is
    /// answered otherwise than before until they leave.
    pub(super) fn silence(&self, steps: &mut [Step]) {
        let mut failed = BTreeMap::new();
        let mut done = BTreeSet::new();
        for step in steps.iter_mut() {
            let mut routes = self.routes.get(&step.place).into_iter().flatten();
            if !routes.any(Route::has_raised) || !matches!(step.goal, Goal::Quiet(_)) {
                continue;
            }
            let interface = &step.place.interface;
            if done.insert(interface.clone())
                && let Err(error) = self.host.set_arp_ignore(interface, SILENT)
            {
                failed.insert(interface.clone(), words::of(&error));
            }
            if let Some(error) = failed.get(interface) {
                step.problem.get_or_insert_with(|| Problem::Refused {
                    place: step.place.clone(),
                    action: Action::Quiet,
                    reason: format!("sysctl net.ipv4.conf.{interface}.arp_ignore: {error}"),
                });
            }
        }
    }

    /// Restores `arp_ignore` of those interfaces that have no quiet VIP left; what somebody else has
    /// set meanwhile stays.
    pub(super) fn restore(&self, silenced: &BTreeMap<u32, u8>) {
        if silenced.is_empty() {
            return;
        }
        let still = self.silenced();
        for (index, before) in silenced {
            let Some(link) = self.table.link_at(*index) else {
                continue;
            };
            if still.contains_key(index) {
                continue;
            }
            let restored = self.host.arp_ignore(&link.name).and_then(|value| {
                if value == SILENT {
                    self.host.set_arp_ignore(&link.name, *before)?;
                }
                Ok(())
            });
            if let Err(error) = restored {
                let error = words::of(&error);
                warn!(
                    interface = link.name,
                    before, error, "arp_ignore cannot be restored"
                );
            }
        }
    }

    /// `arp_ignore` as it is without us. Where it can't be read, raising it will fail and be told.
    fn arp_ignore_before(&self, index: u32, interface: &str) -> u8 {
        let known = self
            .routes
            .values()
            .flatten()
            .find(|route| route.index == index && route.address.is_ipv4());
        match known {
            Some(route) => route.before,
            None => self.host.arp_ignore(interface).unwrap_or(0).min(MOST),
        }
    }
}
