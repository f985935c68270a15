//! The changes that lead from the kernel's table to the desired one, in an order that loses nothing.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::change::Change;
use crate::model::{
    Destination, DestinationKey, Entry, Forwarding, Granularity, ServiceKey, Table,
};

/// Plans how `actual` becomes `desired`; empty when it is so already.
///
/// First come new services with their destinations, then edits of services, new destinations,
/// edits of destinations, weights up and weights down, and last removals of destinations and of
/// services. So at no step does a service have fewer destinations than it has before or after.
///
/// Services that are neither desired nor `owned` belong to others and are left alone. A desired
/// service is ours with all its destinations.
///
/// What the kernel or its tools change by themselves is no difference: [`Forwarding::Local`] for
/// a local address, and the service's port for destinations that are not masqueraded. Of desired
/// destinations that so become one, the one with the lowest port counts. New destinations of a
/// service come in the order of their keys, so directors that build a service with scheduler `mh`
/// from nothing build the same lookup table.
pub fn plan(desired: &Table, actual: &Table, owned: &BTreeSet<ServiceKey>) -> Vec<Change> {
    let mut steps = Steps::default();
    for (key, entry) in desired {
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
    removed_destinations: Vec<Change>,
    removed_services: Vec<Change>,
}

impl Steps {
    fn create(&mut self, key: ServiceKey, wanted: &Entry) {
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

    fn adapt(&mut self, key: ServiceKey, wanted: &Entry, found: &Entry) {
        if wanted.service != found.service {
            let service = wanted.service.clone();
            self.edited_services
                .push(Change::EditService { key, service });
        }
        for (server, destination) in &wanted.destinations {
            self.adapt_destination(key, *server, *destination, found.destinations.get(server));
        }
        for server in found.destinations.keys() {
            if !wanted.destinations.contains_key(server) {
                let removal = Change::RemoveDestination {
                    service: key,
                    key: *server,
                };
                self.removed_destinations.push(removal);
            }
        }
    }

    fn adapt_destination(
        &mut self,
        service: ServiceKey,
        key: DestinationKey,
        destination: Destination,
        found: Option<&Destination>,
    ) {
        let Some(found) = found else {
            self.new_destinations.push(Change::AddDestination {
                service,
                key,
                destination,
            });
            return;
        };
        let edit = Change::EditDestination {
            service,
            key,
            destination,
        };
        if !same_but_weight(&destination, found) {
            self.edited_destinations.push(edit);
            return;
        }
        match destination.weight.cmp(&found.weight) {
            Ordering::Greater => self.weights_up.push(edit),
            Ordering::Less => self.weights_down.push(edit),
            Ordering::Equal => {}
        }
    }

    fn in_order(self) -> Vec<Change> {
        [
            self.new_services,
            self.edited_services,
            self.new_destinations,
            self.edited_destinations,
            self.weights_up,
            self.weights_down,
            self.removed_destinations,
            self.removed_services,
        ]
        .concat()
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
