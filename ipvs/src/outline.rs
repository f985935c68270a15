//! A shorter listing, for people who look at the table: from netlink what the kernel tells of all
//! services at once, and from `/proc/net/ip_vs` the destinations of all of them.
//!
//! Netlink lists destinations service by service, at two system calls each. The file has them
//! all, but neither thresholds, tunnels, clients remembered nor counters.

mod file;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::model::{
    DestinationKey, Forwarding, ListedDestination, ListedService, Service, ServiceKey, Stats,
};

pub(crate) use file::{Block, read};

/// A service of the shorter listing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OutlinedService {
    /// Which one.
    pub key: ServiceKey,
    /// How it schedules.
    pub service: Service,
    /// Its counters.
    pub stats: Stats,
    /// Its destinations in the kernel's order.
    pub destinations: Vec<OutlinedDestination>,
}

/// A destination of the shorter listing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OutlinedDestination {
    /// Which one.
    pub key: DestinationKey,
    /// The way of the packets to it.
    pub forwarding: Forwarding,
    /// Its share.
    pub weight: u32,
    /// Connections that are established.
    pub active: u32,
    /// Connections in any other state.
    pub inactive: u32,
}

impl From<ListedService> for OutlinedService {
    fn from(listed: ListedService) -> Self {
        let destinations = listed
            .destinations
            .iter()
            .map(OutlinedDestination::from)
            .collect();
        Self {
            key: listed.key,
            service: listed.service,
            stats: listed.stats,
            destinations,
        }
    }
}

impl From<&ListedDestination> for OutlinedDestination {
    fn from(listed: &ListedDestination) -> Self {
        Self {
            key: listed.key,
            forwarding: listed.destination.forwarding,
            weight: listed.destination.weight,
            active: listed.active,
            inactive: listed.inactive,
        }
    }
}

/// Puts the two halves together; none when the table changed between them.
///
/// Both list services in one order, which tells a mark's IPv4 service from its IPv6 one: the file
/// does not.
pub(crate) fn join(services: &[ListedService], blocks: Vec<Block>) -> Option<Vec<OutlinedService>> {
    if services.len() != blocks.len() {
        return None;
    }
    services
        .iter()
        .zip(blocks)
        .map(|(listed, block)| {
            block.is_of(&listed.key).then(|| OutlinedService {
                key: listed.key,
                service: listed.service.clone(),
                stats: listed.stats,
                destinations: block.destinations,
            })
        })
        .collect()
}
