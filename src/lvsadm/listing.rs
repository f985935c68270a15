//! The listing of `-L -n`, byte for byte that of ipvsadm 1.31.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs::{Forwarding, Granularity, Info, ListedDestination, ListedService, Service, ServiceKey};

use super::order;

/// Writes the whole listing.
pub(super) fn render(info: Info, services: &[ListedService]) -> String {
    let (major, minor, patch) = info.version;
    let size = info.connection_table_size.cast_signed();
    let mut out = format!(
        "IP Virtual Server version {major}.{minor}.{patch} (size={size})\n\
         Prot LocalAddress:Port Scheduler Flags\n  \
         -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
    );
    for listed in order::sort_services(services, |listed| listed.key) {
        push_line(&mut out, format_args!("{}", service_line(listed)));
        for listed in order::sort_destinations(&listed.destinations, |listed| listed.key) {
            push_destination(&mut out, listed);
        }
    }
    out
}

fn push_line(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

fn service_line(listed: &ListedService) -> String {
    let name = match listed.key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            format!("{protocol:<4} {}", endpoint(address, port))
        }
        // A mark is printed as a signed number.
        ServiceKey::FwMark { mark, ipv6 } => {
            format!(
                "FWM  {}{}",
                mark.cast_signed(),
                if ipv6 { " IPv6" } else { "" }
            )
        }
    };
    let service = &listed.service;
    format!(
        "{name} {}{}{}{}{}",
        service.scheduler,
        scheduler_flags(service),
        persistence(service),
        engine(service),
        if service.flags.one_packet { " ops" } else { "" },
    )
}

fn scheduler_flags(service: &Service) -> String {
    let flags = service.flags;
    let names: &[_] = match service.scheduler.as_str() {
        "sh" => &[(flags.fallback, "sh-fallback"), (flags.port, "sh-port")],
        "mh" => &[(flags.fallback, "mh-fallback"), (flags.port, "mh-port")],
        _ => &[
            (flags.fallback, "flag-1"),
            (flags.port, "flag-2"),
            (flags.third, "flag-3"),
        ],
    };
    if !(flags.fallback || flags.port || flags.third) {
        return String::new();
    }
    let set: Vec<_> = names
        .iter()
        .filter_map(|(set, name)| set.then_some(*name))
        .collect();
    format!(" ({})", set.join(","))
}

fn persistence(service: &Service) -> String {
    let Some(persistence) = &service.persistence else {
        return String::new();
    };
    let mask = match persistence.granularity {
        Granularity::Mask(Ipv4Addr::BROADCAST) | Granularity::Prefix(128) => String::new(),
        Granularity::Mask(mask) => format!(" mask {mask}"),
        Granularity::Prefix(length) => format!(" mask {length}"),
    };
    format!(" persistent {}{mask}", persistence.timeout)
}

fn engine(service: &Service) -> String {
    service
        .engine
        .as_ref()
        .map_or_else(String::new, |engine| format!(" pe {engine}"))
}

fn push_destination(out: &mut String, listed: &ListedDestination) {
    let method = match listed.destination.forwarding {
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel => "Tunnel",
        Forwarding::Direct => "Route",
    };
    push_line(
        out,
        format_args!(
            "  -> {:<28} {method:<7} {:<6} {:<10} {:<10}",
            endpoint(listed.key.address, listed.key.port),
            listed.destination.weight.cast_signed(),
            listed.active,
            listed.inactive,
        ),
    );
}

fn endpoint(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{}]:{port}", ipv6_text(address)),
    }
}

/// As `inet_ntop` writes it, which shows IPv4-compatible addresses with dots.
fn ipv6_text(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            format!(
                "::{}",
                Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
            )
        }
        _ => address.to_string(),
    }
}
