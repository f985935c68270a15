//! What a host or a configuration lacks for packets to reach the servers as they should: pure.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::Forwarding;

use crate::config::Config;
use crate::config::model::{Match, Virtual};

/// What of it is missing, as sentences, each about all services that need the same. `read` tells a
/// setting by its path below `/proc/sys`.
///
/// With address translation the servers' answers are routed through the director, so that it must
/// forward packets; and where they leave by the interface that they came in by, the kernel would
/// tell the servers of a shorter way (`ip_forward`, `ip_rt_send_redirect`: net/ipv4).
#[must_use]
pub fn missing_for_nat(config: &Config, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let is = |path: &str, value: &str| read(path).is_some_and(|found| found.trim() == value);
    let translated = |ipv6: bool| {
        let services = config.virtuals.values();
        services.filter(move |service| is_ipv6(service) == ipv6 && translates(service))
    };
    let mut missing = Vec::new();
    for (ipv6, path) in [
        (false, "net/ipv4/ip_forward"),
        (true, "net/ipv6/conf/all/forwarding"),
    ] {
        let names: Vec<&str> = translated(ipv6).map(|it| it.name.as_str()).collect();
        if !names.is_empty() && is(path, "0") {
            missing.push(format!(
                "{}: nat needs a director that forwards packets: `sysctl -w {}=1`",
                virtuals(&names),
                path.replace('/', ".")
            ));
        }
    }
    let mut by_link: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for service in translated(false) {
        if let Some(link) = only_link(config, service) {
            by_link.entry(link).or_default().push(&service.name);
        }
    }
    for (link, names) in by_link {
        let redirects = ["all", link]
            .iter()
            .any(|scope| is(&format!("net/ipv4/conf/{scope}/send_redirects"), "1"));
        if redirects {
            missing.push(format!(
                "{}: nat over {link} alone; servers must not be redirected past the \
                 director: `sysctl -w net/ipv4/conf/all/send_redirects=0 \
                 net/ipv4/conf/{link}/send_redirects=0`",
                virtuals(&names)
            ));
        }
    }
    missing
}

/// The services whose packets a director would spread that stands by, if there are any.
///
/// It does so with what comes to it as to a real server, which only `backup_only` prevents; and that
/// the kernel heeds only beside a daemon of connection sync (`ip_vs_in_hook`,
/// net/netfilter/ipvs/ip_vs_core.c).
#[must_use]
pub fn spread_twice(config: &Config) -> Option<String> {
    if config.ipvs.sync.is_some() {
        return None;
    }
    let served = config.served_by_directors();
    let (_, director) = served.first_key_value()?;
    let names: Vec<&str> = served.keys().copied().collect();
    Some(format!(
        "{}: {director} is a director and a server; standing by, it would spread once more what it \
         is sent: add [ipvs.sync], with which backup_only prevents that",
        virtuals(&names)
    ))
}

/// The interface of a service's addresses, if they have no other.
fn only_link<'c>(config: &'c Config, service: &Virtual) -> Option<&'c str> {
    let vips = &config.groups.get(&service.group)?.vips;
    let links: BTreeSet<&str> = vips.iter().map(|vip| vip.interface.as_str()).collect();
    links.first().copied().filter(|_| links.len() == 1)
}

/// `virtual www`, or `virtuals a, b, c and 97 more`.
fn virtuals(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let first = names.iter().take(SHOWN).copied().collect::<Vec<_>>();
    let first = first.join(", ");
    match names.len() {
        1 => format!("virtual {first}"),
        count if count > SHOWN => format!("virtuals {first} and {} more", count - SHOWN),
        _ => format!("virtuals {first}"),
    }
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
