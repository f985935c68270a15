//! The changes that lead from the kernel's table to the desired one, in an order that loses nothing.

mod mh;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::change::Change;
use crate::model::{
    Destination, DestinationKey, Entry, Forwarding, Granularity, ListedDestination, ListedService,
    ServiceKey, Table,
};

/// Plans how `actual`, a listing, becomes `desired`; empty when it is so already.
///
/// First come new services with their destinations, then edits of services, new destinations,
/// edits of destinations, weights up and weights down, and last removals of destinations and of
/// services. So at no step does a service have fewer destinations than it has before or after.
///
/// What is removed in one plan is added by a later one in the reverse order. For a minute or two the
/// kernel keeps what was deleted, and searches it for each destination that is added, the latest
/// first (`ip_vs_trash_get_dest`): so it need not look far where thousands return.
///
/// Services that are neither desired nor `owned` belong to others and are left alone. A desired
/// service is ours with all its destinations.
///
/// What the kernel or its tools change by themselves is no difference: [`Forwarding::Local`] for
/// a local address, and the service's port for destinations that are not masqueraded. Of desired
/// destinations that so become one, the one with the lowest port counts.
///
/// # The scheduler `mh`
///
/// The kernel fills the lookup table of `mh` from its list of destinations, in the order in which
/// they were added, and from the last weight other than 0 of each. So that directors agree which
/// client belongs to which server without talking to each other, a plan sees to it that both are
/// the same wherever the same table is desired, whatever happened before:
///
/// - The order is that of the keys. A new service gets its destinations while its scheduler is
///   `none` and `mh` last, which fills the lookup table once. In a service that exists, every
///   destination that is out of order (those that come after a new one, unless the new one is the
///   last) is removed and added again at once. Its connections stay with it, for the kernel gives
///   them back with the destination; a packet that arrives in between, a matter of microseconds,
///   is dropped, and sent again by TCP. Where `net.ipv4.vs.expire_nodest_conn` is set, such a
///   packet ends its connection.
/// - A destination of weight 0 has the last weight that
///   [`resting_weight`](Destination::resting_weight) asks for. It gets that weight for a moment
///   when it is added to a service that exists, when it goes down with another weight, and when
///   the service changes to `mh`.
///
/// So whoever keeps failed servers with weight 0 and their resting weight, rather than removing
/// them, moves no connection of other servers: neither when they fail nor when they return.
pub fn plan(
    desired: &Table,
    actual: &[ListedService],
    owned: &BTreeSet<ServiceKey>,
) -> Vec<Change> {
    let actual: BTreeMap<_, _> = actual.iter().map(|listed| (listed.key, listed)).collect();
    let mut steps = Steps::default();
    for (key, entry) in desired.iter().rev() {
        let wanted = normal(key, entry);
        match actual.get(key) {
            None => steps.create(*key, &wanted),
            Some(found) => steps.adapt(*key, &wanted, found),
        }
    }
    let abandoned = actual
        .keys()
        .filter(|key| owned.contains(key) && !desired.contains_key(key));
    steps
        .removed_services
        .extend(abandoned.map(|key| Change::RemoveService { key: *key }));
    steps.in_order()
}

#[derive(Default)]
struct Steps {
    new_services: Vec<Change>,
    edited_services: Vec<Change>,
    new_destinations: Vec<Change>,
    edited_destinations: Vec<Change>,
    weights_up: Vec<Change>,
    weights_down: Vec<Change>,
    services_that_become_mh: Vec<Change>,
    removed_destinations: Vec<Change>,
    removed_services: Vec<Change>,
}

impl Steps {
    fn create(&mut self, key: ServiceKey, wanted: &Entry) {
        if mh::is_scheduler_of(&wanted.service) {
            self.new_services.extend(mh::creation(key, wanted));
            return;
        }
        self.new_services.push(Change::AddService {
            key,
            service: wanted.service.clone(),
        });
        for (server, destination) in &wanted.destinations {
            self.new_services.push(Change::AddDestination {
                service: key,
                key: *server,
                destination: *destination,
            });
        }
    }

    fn adapt(&mut self, key: ServiceKey, wanted: &Entry, found: &ListedService) {
        let ordered = mh::is_scheduler_of(&wanted.service);
        let becomes_mh = ordered && !mh::is_scheduler_of(&found.service);
        if wanted.service != found.service {
            let edit = Change::EditService {
                key,
                service: wanted.service.clone(),
            };
            if becomes_mh {
                self.services_that_become_mh.push(edit);
            } else {
                self.edited_services.push(edit);
            }
        }
        let misplaced = if ordered {
            mh::misplaced(wanted, found)
        } else {
            BTreeSet::new()
        };
        let destinations: BTreeMap<_, _> = found
            .destinations
            .iter()
            .map(|listed| (listed.key, listed))
            .collect();
        for (server, destination) in &wanted.destinations {
            let place = Place {
                service: key,
                key: *server,
                ordered,
                becomes_mh,
            };
            match destinations.get(server) {
                None => place.add(*destination, &mut self.new_destinations),
                Some(_) if misplaced.contains(server) => {
                    self.new_destinations.push(place.removal());
                    place.add(*destination, &mut self.new_destinations);
                }
                Some(found) => self.adapt_destination(&place, *destination, found),
            }
        }
        for server in destinations.keys() {
            if !wanted.destinations.contains_key(server) {
                self.removed_destinations.push(Change::RemoveDestination {
                    service: key,
                    key: *server,
                });
            }
        }
    }

    fn adapt_destination(
        &mut self,
        place: &Place,
        wanted: Destination,
        listed: &ListedDestination,
    ) {
        let found = &listed.destination;
        let steps = if !same_but_weight(&wanted, found) {
            &mut self.edited_destinations
        } else {
            match wanted.weight.cmp(&found.weight) {
                Ordering::Greater => &mut self.weights_up,
                Ordering::Less => &mut self.weights_down,
                Ordering::Equal if place.becomes_mh && mh::rests(&wanted) => {
                    &mut self.edited_destinations
                }
                Ordering::Equal => return,
            }
        };
        let resting = mh::before_rest(&wanted)
            .filter(|before| place.ordered && (place.becomes_mh || before.weight != found.weight));
        steps.extend(resting.map(|before| place.edit(before)));
        steps.push(place.edit(wanted));
    }

    fn in_order(mut self) -> Vec<Change> {
        self.removed_destinations.reverse();
        let mut all = self.new_services;
        for mut others in [
            self.edited_services,
            self.new_destinations,
            self.edited_destinations,
            self.weights_up,
            self.weights_down,
            self.services_that_become_mh,
            self.removed_destinations,
            self.removed_services,
        ] {
            all.append(&mut others);
        }
        all
    }
}

/// A destination to be changed, and what its service makes of it.
struct Place {
    service: ServiceKey,
    key: DestinationKey,
    /// The service has, or gets, the scheduler `mh`.
    ordered: bool,
    /// It gets it by this plan.
    becomes_mh: bool,
}

impl Place {
    fn add(&self, destination: Destination, steps: &mut Vec<Change>) {
        if self.ordered {
            steps.extend(mh::addition(self.service, self.key, destination));
            return;
        }
        steps.push(Change::AddDestination {
            service: self.service,
            key: self.key,
            destination,
        });
    }

    fn edit(&self, destination: Destination) -> Change {
        Change::EditDestination {
            service: self.service,
            key: self.key,
            destination,
        }
    }

    fn removal(&self) -> Change {
        Change::RemoveDestination {
            service: self.service,
            key: self.key,
        }
    }
}

fn same_but_weight(wanted: &Destination, found: &Destination) -> bool {
    let forwarded_alike =
        found.forwarding == Forwarding::Local || wanted.forwarding == found.forwarding;
    let wrapped_alike =
        found.forwarding != Forwarding::Tunnel || wanted.encapsulation == found.encapsulation;
    forwarded_alike
        && wrapped_alike
        && wanted.upper_threshold == found.upper_threshold
        && wanted.lower_threshold == found.lower_threshold
}

/// The entry as the kernel will have it.
fn normal<'a>(key: &ServiceKey, entry: &'a Entry) -> Cow<'a, Entry> {
    let misplaced = entry
        .destinations
        .iter()
        .any(|(server, destination)| effective_key(key, *server, destination) != *server);
    let mut entry = Cow::Borrowed(entry);
    if misplaced {
        let mut destinations = BTreeMap::new();
        for (server, destination) in &entry.destinations {
            let server = effective_key(key, *server, destination);
            destinations.entry(server).or_insert(*destination);
        }
        entry.to_mut().destinations = destinations;
    }
    if let Some(persistence) = &entry.service.persistence
        && matches!(persistence.granularity, Granularity::Prefix(_)) != key.is_ipv6()
    {
        let mut persistence = persistence.clone();
        persistence.granularity = Granularity::host(key.is_ipv6());
        entry.to_mut().service.persistence = Some(persistence);
    }
    entry
}

/// Packets that are not rewritten keep the port to which they were sent.
fn effective_key(
    service: &ServiceKey,
    key: DestinationKey,
    destination: &Destination,
) -> DestinationKey {
    match (service, destination.forwarding) {
        (ServiceKey::Address { port, .. }, Forwarding::Direct | Forwarding::Tunnel) => {
            DestinationKey { port: *port, ..key }
        }
        (ServiceKey::Address { .. }, Forwarding::Masquerade | Forwarding::Local)
        | (ServiceKey::FwMark { .. }, _) => key,
    }
}
