//! The IPVS table as it should be: a pure function of configuration and health.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipvs::{
    Destination, DestinationKey, Entry, Granularity, Persistence, Service, ServiceKey, Table,
};

use crate::config::keeps_the_vip;
use crate::config::model::{Config, Match, OnFailure, Server, Virtual};
use crate::health::{Health, Share};

/// Schedulers that choose a server by the packet's addresses, the same on every director.
const ALIKE: [&str; 3] = ["dh", "mh", "sh"];

/// The weight of a sorry server, which never shares with another.
const SORRY_WEIGHT: u32 = 1;

/// Makes the table that `config` asks for.
///
/// `health` tells what is known of the server at an address and port behind a service. A server
/// without a verdict is out, unless `adopted`, the table found at start, has it: then it keeps the
/// weight that it has there until a verdict says otherwise. One that asks for a share of connections
/// gets it.
///
/// `busy` are the addresses of directors that spread packets themselves, so that they would spread
/// once more what they are sent for a VIP. As servers they get no new connections while there is
/// another, except from schedulers that choose as theirs will.
#[must_use]
pub fn desired<H: Into<Share>>(
    config: &Config,
    health: impl Fn(&str, SocketAddr) -> H,
    adopted: &Table,
    busy: &BTreeSet<IpAddr>,
) -> Table {
    let health = |service: &str, at: SocketAddr| -> Share { health(service, at).into() };
    let mut table = Table::new();
    for service in config.virtuals.values() {
        for key in service_keys(service) {
            let found = adopted.get(&key);
            let mut entry = entry(service, key, &health, found);
            if !ALIKE.contains(&&*service.scheduler) {
                withhold(&mut entry, busy);
            }
            table.insert(key, entry);
        }
    }
    table
}

/// Rests servers that are busy, while any other serves.
fn withhold(entry: &mut Entry, busy: &BTreeSet<IpAddr>) {
    let is_busy = |key: &DestinationKey, it: &Destination| {
        busy.contains(&key.address) && keeps_the_vip(it.forwarding)
    };
    let serves = |it: &Destination| it.weight > 0;
    let mut all = entry.destinations.iter();
    if !all.any(|(key, it)| serves(it) && !is_busy(key, it)) {
        return;
    }
    for (key, it) in &mut entry.destinations {
        if serves(it) && is_busy(key, it) {
            it.resting_weight = Some(it.weight);
            it.weight = 0;
        }
    }
}

/// The IPVS services of a virtual service: one for each port, or the one of a firewall mark.
pub fn service_keys(service: &Virtual) -> impl Iterator<Item = ServiceKey> + '_ {
    let (ports, mark) = match &service.matches {
        Match::Address {
            address,
            ports,
            protocol,
        } => (Some((ports, *address, *protocol)), None),
        Match::FwMark { mark, ipv6 } => (None, Some((*mark, *ipv6))),
    };
    let by_port = ports.into_iter().flat_map(|(ports, address, protocol)| {
        ports.iter().map(move |port| ServiceKey::Address {
            protocol,
            address,
            port: *port,
        })
    });
    by_port.chain(mark.map(|(mark, ipv6)| ServiceKey::FwMark { mark, ipv6 }))
}

/// Where an IPVS service sends the packets for a server.
#[must_use]
pub fn destination_key(key: ServiceKey, server: &Server) -> DestinationKey {
    let port = server.port.unwrap_or_else(|| port_of(key));
    DestinationKey {
        address: server.address,
        port,
    }
}

/// Where an IPVS service sends the packets while no server serves.
#[must_use]
pub fn sorry_key(key: ServiceKey, sorry: SocketAddr) -> DestinationKey {
    // Port 0 stands for the service's own.
    let port = if sorry.port() == 0 {
        port_of(key)
    } else {
        sorry.port()
    };
    DestinationKey {
        address: sorry.ip(),
        port,
    }
}

fn port_of(key: ServiceKey) -> u16 {
    match key {
        ServiceKey::Address { port, .. } => port,
        // The packets keep the port that they have.
        ServiceKey::FwMark { .. } => 0,
    }
}

fn entry(
    service: &Virtual,
    key: ServiceKey,
    health: &impl Fn(&str, SocketAddr) -> Share,
    adopted: Option<&Entry>,
) -> Entry {
    let found = |key: &DestinationKey| adopted.and_then(|entry| entry.destinations.get(key));
    let mut destinations = BTreeMap::new();
    let mut serving = false;
    let mut undecided = false;
    for server in &service.servers {
        let place = destination_key(key, server);
        let at = SocketAddr::new(place.address, place.port);
        let share = health(&service.name, at);
        let weight = match share.health {
            Health::Up | Health::Unchecked => Some(
                share
                    .weight
                    .map_or(server.weight, |it| it.of(server.weight)),
            ),
            Health::Down => match service.on_failure {
                OnFailure::Remove => None,
                OnFailure::Quiesce => Some(0),
            },
            Health::Unknown => {
                undecided = true;
                found(&place).map(|destination| destination.weight)
            }
        };
        if let Some(weight) = weight {
            serving |= weight > 0;
            let forwarding = server.forward.unwrap_or(service.forward);
            let destination = Destination {
                // So that all directors build the same table, whatever each has seen.
                resting_weight: (weight == 0).then_some(server.weight),
                ..Destination::new(forwarding, weight)
            };
            destinations.insert(place, destination);
        }
    }
    if let Some(sorry) = service.sorry
        && !serving
    {
        let place = sorry_key(key, sorry);
        // Before the first verdicts nobody knows that it is needed.
        if !undecided || found(&place).is_some() {
            let sorry = Destination::new(service.forward, SORRY_WEIGHT);
            destinations.entry(place).or_insert(sorry);
        }
    }
    Entry {
        service: kernel_service(service, key),
        destinations,
    }
}

fn kernel_service(service: &Virtual, key: ServiceKey) -> Service {
    let persistence = service.persistent.map(|timeout| Persistence {
        timeout: u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX),
        granularity: Granularity::host(key.is_ipv6()),
    });
    Service {
        persistence,
        ..Service::new(service.scheduler.clone())
    }
}

#[cfg(test)]
mod tests;
