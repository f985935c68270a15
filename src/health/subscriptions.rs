//! Which probe decides which server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use probes::spec::Service;
use probes::{ProbeSpec, Target};

use crate::config::model::{Match, Server, Virtual};

/// Which probe decides which server; a server that is not in it has none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subscriptions {
    /// By service and by the server's address and port behind it.
    services: BTreeMap<Arc<str>, BTreeMap<SocketAddr, Target>>,
}

impl Subscriptions {
    /// The subscriptions of some virtual services.
    ///
    /// A server's own probe replaces its service's. A service of several ports has each server
    /// probed at each port, since each is a service of its own to the kernel. Servers that are
    /// asked the same thing at the same place share a target, also across services.
    #[must_use]
    pub fn new<'a>(virtuals: impl IntoIterator<Item = &'a Virtual>) -> Self {
        let mut services = BTreeMap::new();
        for service in virtuals {
            let mut targets = BTreeMap::new();
            for server in &service.servers {
                let Some(spec) = server.probe.as_ref().or(service.probe.as_ref()) else {
                    continue;
                };
                targets.extend(targets_of(server, service, spec));
            }
            services.insert(Arc::from(service.name.as_str()), targets);
        }
        Self { services }
    }

    /// What decides the server at `address` behind `service`; `None` if it has no probe. The port
    /// is the one in the kernel's table: 0 behind a firewall mark.
    #[must_use]
    pub fn target_of(&self, service: &str, address: SocketAddr) -> Option<&Target> {
        self.services.get(service)?.get(&address)
    }

    /// Everything to probe, each once.
    #[must_use]
    pub fn targets(&self) -> BTreeSet<Target> {
        self.iter().map(|(_, _, target)| target.clone()).collect()
    }

    /// The targets that decide the servers of `service`.
    pub fn targets_of_service(&self, service: &str) -> impl Iterator<Item = &Target> {
        self.services
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// The servers of a service that have a probe.
    pub fn servers_of_service(&self, service: &str) -> impl Iterator<Item = SocketAddr> {
        let targets = self.services.get(service).into_iter();
        targets.flat_map(|targets| targets.keys().copied())
    }

    /// Every server that has a probe: its service, its address and port, its target.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, SocketAddr, &Target)> {
        self.services.iter().flat_map(|(service, targets)| {
            targets
                .iter()
                .map(move |(address, target)| (service, *address, target))
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
