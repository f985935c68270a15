//! Which probe decides which server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use probes::spec::Service;
use probes::{ProbeSpec, Target};

use crate::config::model::{Match, Server, Virtual};

/// Which probe decides which server; a server that is not in it has none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subscriptions {
    /// Everything to probe, each once, in order.
    targets: Vec<Target>,
    /// By service and by the server's address and port behind it the place in `targets`.
    services: BTreeMap<Arc<str>, BTreeMap<SocketAddr, usize>>,
}

impl Subscriptions {
    /// The subscriptions of some virtual services.
    ///
    /// A server's own probe replaces its service's. A service of several ports has each server
    /// probed at each port, since each is a service of its own to the kernel. Servers that are
    /// asked the same thing at the same place share a target, also across services.
    #[must_use]
    pub fn new<'a>(virtuals: impl IntoIterator<Item = &'a Virtual>) -> Self {
        let mut wishes = Vec::new();
        for service in virtuals {
            let name = Arc::from(service.name.as_str());
            let mut targets = Vec::with_capacity(service.servers.len());
            for server in &service.servers {
                let Some(spec) = server.probe.as_ref().or(service.probe.as_ref()) else {
                    continue;
                };
                targets.extend(targets_of(server, service, spec));
            }
            wishes.push((name, targets));
        }
        let all = wishes.iter().flat_map(|(_, targets)| targets);
        let mut targets: Vec<Target> = all.map(|(_, target)| target.clone()).collect();
        targets.sort_unstable();
        targets.dedup();
        let services = wishes.into_iter().map(|(name, wished)| {
            let places = wished.into_iter().filter_map(|(address, target)| {
                let place = targets.binary_search(&target).ok()?;
                Some((address, place))
            });
            (name, places.collect())
        });
        Self {
            services: services.collect(),
            targets,
        }
    }

    /// Everything to probe, each once, in order.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Where a target stands among [`targets`](Self::targets).
    #[must_use]
    pub fn place(&self, target: &Target) -> Option<usize> {
        self.targets.binary_search(target).ok()
    }

    /// Where among them that stands which decides the server at `address` behind `service`; `None`
    /// if it has no probe. The port is the one in the kernel's table: 0 behind a firewall mark.
    #[must_use]
    pub fn place_of(&self, service: &str, address: SocketAddr) -> Option<usize> {
        self.services.get(service)?.get(&address).copied()
    }

    /// The places of the targets that decide the servers of `service`.
    pub fn places_of_service(&self, service: &str) -> impl Iterator<Item = usize> {
        let places = self.services.get(service).into_iter();
        places.flat_map(|places| places.values().copied())
    }

    /// The servers of a service that have a probe.
    pub fn servers_of_service(&self, service: &str) -> impl Iterator<Item = SocketAddr> {
        let places = self.services.get(service).into_iter();
        places.flat_map(|places| places.keys().copied())
    }

    /// Every server that has a probe: its service, its address and port, the place of its target.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, SocketAddr, usize)> {
        self.services.iter().flat_map(|(service, places)| {
            places
                .iter()
                .map(move |(address, place)| (service, *address, *place))
        })
    }
}

/// A server's addresses in the kernel's table, each with what decides it there.
fn targets_of(
    server: &Server,
    service: &Virtual,
    spec: &Arc<ProbeSpec>,
) -> impl Iterator<Item = (SocketAddr, Target)> {
    let ports = match (server.port, &service.matches) {
        (Some(port), Match::Address { .. } | Match::FwMark { .. }) => vec![port],
        (None, Match::Address { ports, .. }) => ports.clone(),
        (None, Match::FwMark { .. }) => vec![0],
    };
    ports.into_iter().map(move |port| {
        let address = SocketAddr::new(server.address, port);
        let about = Service {
            name: service.name.clone(),
            address: match &service.matches {
                Match::Address { address, .. } => Some(*address),
                Match::FwMark { .. } => None,
            },
            port: match &service.matches {
                Match::Address { ports, .. } if ports.contains(&port) => Some(port),
                Match::Address { ports, .. } => ports.first().copied(),
                Match::FwMark { .. } => None,
            },
        };
        let spec = match spec.of_service(&about) {
            Some(own) => Arc::new(own),
            None => Arc::clone(spec),
        };
        (address, Target::new(address, spec))
    })
}
