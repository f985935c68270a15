//! Names for addresses and ports, each looked up once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

use ipvs::Protocol;

use super::resolver;

/// What knows names.
pub(super) trait Resolver {
    /// The IPv4 address of a host.
    fn address(&self, name: &str) -> Option<Ipv4Addr>;
    /// The port of a service.
    fn port(&self, name: &str, protocol: Protocol) -> Option<u16>;
    /// The name of a host.
    fn host(&self, address: IpAddr) -> Option<String>;
    /// The name of a port's service.
    fn service(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// The system's: files, DNS and whatever else nsswitch.conf(5) says.
pub(super) struct System;

impl Resolver for System {
    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        (name, 0)
            .to_socket_addrs()
            .ok()?
            .find_map(|socket| match socket.ip() {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            })
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        resolver::service_port(name, protocol)
    }

    fn host(&self, address: IpAddr) -> Option<String> {
        resolver::host_name(address)
    }

    fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
        resolver::service_name(port, protocol)
    }
}

/// Writes addresses with their ports, as numbers or as names where there are any.
pub(super) struct Names<'a> {
    /// None writes numbers.
    resolver: Option<&'a dyn Resolver>,
    hosts: BTreeMap<IpAddr, String>,
    services: BTreeMap<(Protocol, u16), String>,
}

impl<'a> Names<'a> {
    /// With `numeric`, nothing is looked up.
    pub(super) fn new(resolver: &'a dyn Resolver, numeric: bool) -> Self {
        Self {
            resolver: (!numeric).then_some(resolver),
            hosts: BTreeMap::new(),
            services: BTreeMap::new(),
        }
    }

    /// `address:port`, with IPv6 in brackets. Ports have names where their protocol is known.
    pub(super) fn endpoint(
        &mut self,
        address: IpAddr,
        port: u16,
        protocol: Option<Protocol>,
    ) -> String {
        let Some(resolver) = self.resolver else {
            return match address {
                IpAddr::V4(address) => format!("{address}:{port}"),
                IpAddr::V6(address) => format!("[{}]:{port}", ipv6_text(address)),
            };
        };
        let host = self.hosts.entry(address).or_insert_with(|| {
            resolver.host(address).unwrap_or_else(|| match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => ipv6_text(address),
            })
        });
        let mut text = match address {
            IpAddr::V4(_) => host.clone(),
            IpAddr::V6(_) => format!("[{host}]"),
        };
        text.push(':');
        match protocol {
            Some(protocol) => {
                let service = self.services.entry((protocol, port)).or_insert_with(|| {
                    resolver
                        .service(port, protocol)
                        .unwrap_or_else(|| port.to_string())
                });
                text.push_str(service);
            }
            None => text.push_str(&port.to_string()),
        }
        text
    }
}

/// As inet_ntop(3) writes it, which shows IPv4-compatible addresses with dots.
pub(super) fn ipv6_text(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let embedded = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
            format!("::{embedded}")
        }
        _ => address.to_string(),
    }
}
