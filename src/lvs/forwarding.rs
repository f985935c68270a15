//! What a director's kernel needs beside IPVS to forward with address translation: pure.

use std::collections::BTreeSet;

use ipvs::Forwarding;

use crate::config::Config;
use crate::config::model::{Match, Virtual};

/// What of it is missing, as sentences. `read` tells a setting by its path below `/proc/sys`.
///
/// With address translation the servers' answers are routed through the director, so that it must
/// forward packets; and where they leave by the interface that they came in by, the kernel would
/// tell the servers of a shorter way (`ip_forward`, `ip_rt_send_redirect`: net/ipv4).
#[must_use]
pub fn missing_for_nat(config: &Config, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let is = |path: &str, value: &str| read(path).is_some_and(|found| found.trim() == value);
    let translated = |ipv6: bool| {
        let of_family = move |service: &&Virtual| is_ipv6(service) == ipv6 && translates(service);
        config.virtuals.values().find(of_family)
    };
    let mut missing = Vec::new();
    for (ipv6, path) in [
        (false, "net/ipv4/ip_forward"),
        (true, "net/ipv6/conf/all/forwarding"),
    ] {
        if let Some(service) = translated(ipv6)
            && is(path, "0")
        {
            missing.push(format!(
                "virtual {}: nat needs a director that forwards packets: `sysctl -w {}=1`",
                service.name,
                path.replace('/', ".")
            ));
        }
    }
    let services = config.virtuals.values();
    for service in services.filter(|service| translates(service) && !is_ipv6(service)) {
        let Some(group) = config.groups.get(&service.group) else {
            continue;
        };
        let links: BTreeSet<&str> = group
            .vips
            .iter()
            .map(|vip| vip.interface.as_str())
            .collect();
        let Some(link) = links.first().filter(|_| links.len() == 1) else {
            continue;
        };
        let redirects = ["all", link]
            .iter()
            .any(|scope| is(&format!("net/ipv4/conf/{scope}/send_redirects"), "1"));
        if redirects {
            missing.push(format!(
                "virtual {}: nat over {link} alone; servers must not be redirected past the \
                 director: `sysctl -w net/ipv4/conf/all/send_redirects=0 \
                 net/ipv4/conf/{link}/send_redirects=0`",
                service.name
            ));
        }
    }
    missing
}

fn translates(service: &Virtual) -> bool {
    let own = service.servers.iter().map(|server| server.forward);
    own.map(|forward| forward.unwrap_or(service.forward))
        .any(|forward| forward == Forwarding::Masquerade)
}

fn is_ipv6(service: &Virtual) -> bool {
    match &service.matches {
        Match::Address { address, .. } => address.is_ipv6(),
        Match::FwMark { ipv6, .. } => *ipv6,
    }
}

#[cfg(test)]
mod tests;
