//! Which services have a director among their real servers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipvs::Forwarding;

use super::Config;
use super::model::Virtual;

impl Config {
    /// The services whose packets come to a director as to a real server and still for the VIP, each
    /// with one such director: its IPVS would take them for a client's. Only addresses of paths are
    /// known to be a director's.
    #[must_use]
    pub fn served_by_directors(&self) -> BTreeMap<&str, &str> {
        let owners: BTreeMap<IpAddr, &str> = self
            .directors
            .values()
            .flat_map(|director| {
                let name = director.name.as_str();
                director.addresses().map(move |address| (address, name))
            })
            .collect();
        let served = self.virtuals.values().filter_map(|service| {
            let mut addresses = keeping_the_vip(service);
            let director = addresses.find_map(|address| owners.get(&address))?;
            Some((service.name.as_str(), *director))
        });
        served.collect()
    }
}

/// Whether packets come to a server with the VIP as their destination.
#[must_use]
pub fn keeps_the_vip(forwarding: Forwarding) -> bool {
    match forwarding {
        Forwarding::Direct | Forwarding::Tunnel => true,
        Forwarding::Masquerade | Forwarding::Local => false,
    }
}

/// The servers to which they do.
fn keeping_the_vip(service: &Virtual) -> impl Iterator<Item = IpAddr> {
    let servers = service.servers.iter();
    let servers = servers.map(|server| (server.address, server.forward.unwrap_or(service.forward)));
    let sorry = service.sorry.iter().map(|it| (it.ip(), service.forward));
    let all = servers.chain(sorry);
    all.filter_map(|(address, forward)| keeps_the_vip(forward).then_some(address))
}
