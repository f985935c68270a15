//! The table as text, byte for byte as ipvsadm 1.31 lists it, and as the commands that make it.

use std::fmt;
use std::io::{self, Write};
use std::net::Ipv4Addr;

use ipvs::{
    DestinationKey, Encapsulation, Forwarding, Granularity, Info, ListedDestination, ListedService,
    OutlinedDestination, OutlinedService, Protocol, Service, ServiceKey, Stats,
};

use super::names::Names;
use super::order;
use super::request::{Format, Listing};

/// Longest text for an address with its port, in bytes, where it may be a name.
const MAX_ENDPOINT: usize = 59;
/// How much of it is shown of an IPv4 server, and of an IPv4 service with its protocol.
const SERVER_WIDTH: usize = 28;
const SERVICE_WIDTH: usize = 33;

/// Writes the kernel's version, titles and all services.
pub(super) fn write_table(
    out: &mut impl Write,
    info: Info,
    services: &[ListedService],
    listing: &Listing,
    names: &mut Names<'_>,
) -> io::Result<()> {
    write_version(out, info)?;
    write_title(out, listing.format)?;
    if listing.sorted {
        order::sort_services(services, |listed| listed.key)
            .into_iter()
            .try_for_each(|service| write_entry(out, service, listing, names))
    } else {
        services
            .iter()
            .try_for_each(|service| write_entry(out, service, listing, names))
    }
}

/// Writes the same in the plain format from what it shows.
pub(super) fn write_outline(
    out: &mut impl Write,
    info: Info,
    services: &[OutlinedService],
    listing: &Listing,
    names: &mut Names<'_>,
) -> io::Result<()> {
    write_version(out, info)?;
    write_title(out, Format::Plain)?;
    if listing.sorted {
        order::sort_services(services, |outlined| outlined.key)
            .into_iter()
            .try_for_each(|service| write_outlined(out, service, listing, names))
    } else {
        services
            .iter()
            .try_for_each(|service| write_outlined(out, service, listing, names))
    }
}

/// Writes titles and one service.
pub(super) fn write_service(
    out: &mut impl Write,
    service: &ListedService,
    listing: &Listing,
    names: &mut Names<'_>,
) -> io::Result<()> {
    write_title(out, listing.format)?;
    write_entry(out, service, listing, names)
}

fn write_version(out: &mut impl Write, info: Info) -> io::Result<()> {
    let (major, minor, patch) = info.version;
    let size = info.connection_table_size.cast_signed();
    writeln!(
        out,
        "IP Virtual Server version {major}.{minor}.{patch} (size={size})"
    )
}

fn write_title(out: &mut impl Write, format: Format) -> io::Result<()> {
    let columns = match format {
        Format::Plain => {
            return out.write_all(
                b"Prot LocalAddress:Port Scheduler Flags\n  \
                  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n",
            );
        }
        Format::TunnelInfo => {
            return out.write_all(
                b"Prot LocalAddress:Port Scheduler Flags\n  \
                  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n",
            );
        }
        Format::Stats => "   Conns   InPkts  OutPkts  InBytes OutBytes",
        Format::Rates => "     CPS    InPPS   OutPPS    InBPS   OutBPS",
        Format::Thresholds => "Uthreshold Lthreshold ActiveConn InActConn ",
        Format::PersistentConnections => "Weight    PersistConn ActiveConn InActConn ",
    };
    writeln!(
        out,
        "{:<SERVICE_WIDTH$} {columns}\n  -> RemoteAddress:Port",
        "Prot LocalAddress:Port"
    )
}

fn write_entry(
    out: &mut impl Write,
    listed: &ListedService,
    listing: &Listing,
    names: &mut Names<'_>,
) -> io::Result<()> {
    let (name, protocol) = service_name(&listed.key, names);
    match listing.format {
        Format::Stats => write_counts(out, &name, counters(&listed.stats), listing.exact)?,
        Format::Rates => write_counts(out, &name, rates(&listed.stats), listing.exact)?,
        Format::Plain | Format::Thresholds | Format::PersistentConnections | Format::TunnelInfo => {
            write_scheduling(out, &name, &listed.service)?;
        }
    }
    let mut write = |server: &ListedDestination| {
        let name = server_name(&server.key, protocol, names);
        write_server(out, &name, server, listing)
    };
    if listing.sorted {
        order::sort_destinations(&listed.destinations, |server| server.key)
            .into_iter()
            .try_for_each(write)
    } else {
        listed.destinations.iter().try_for_each(&mut write)
    }
}

fn write_outlined(
    out: &mut impl Write,
    outlined: &OutlinedService,
    listing: &Listing,
    names: &mut Names<'_>,
) -> io::Result<()> {
    let (name, protocol) = service_name(&outlined.key, names);
    write_scheduling(out, &name, &outlined.service)?;
    let mut write = |server: &OutlinedDestination| {
        let name = server_name(&server.key, protocol, names);
        write!(out, "  -> {name:<SERVER_WIDTH$}")?;
        write_plain(out, server)
    };
    if listing.sorted {
        order::sort_destinations(&outlined.destinations, |server| server.key)
            .into_iter()
            .try_for_each(write)
    } else {
        outlined.destinations.iter().try_for_each(&mut write)
    }
}

fn write_scheduling(out: &mut impl Write, name: &str, service: &Service) -> io::Result<()> {
    writeln!(
        out,
        "{name} {}{}{}{}",
        service.scheduler,
        InParentheses(service),
        persistence(service),
        if service.flags.one_packet { " ops" } else { "" },
    )
}

/// A service's name in listings, and the protocol whose names its ports have.
fn service_name(key: &ServiceKey, names: &mut Names<'_>) -> (String, Option<Protocol>) {
    match *key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let mut endpoint = names.endpoint(address, port, Some(protocol));
            endpoint.truncate(endpoint.floor_char_boundary(MAX_ENDPOINT));
            let mut name = format!("{protocol:<4} {endpoint}");
            if address.is_ipv4() {
                name.truncate(name.floor_char_boundary(SERVICE_WIDTH));
            }
            (name, Some(protocol))
        }
        ServiceKey::FwMark { mark, ipv6 } => {
            let family = if ipv6 { " IPv6" } else { "" };
            (format!("FWM  {mark}{family}"), None)
        }
    }
}

/// A server's name in listings.
fn server_name(key: &DestinationKey, protocol: Option<Protocol>, names: &mut Names<'_>) -> String {
    let mut name = names.endpoint(key.address, key.port, protocol);
    let width = if key.address.is_ipv4() {
        SERVER_WIDTH
    } else {
        MAX_ENDPOINT
    };
    name.truncate(name.floor_char_boundary(width));
    name
}

fn write_server(
    out: &mut impl Write,
    name: &str,
    server: &ListedDestination,
    listing: &Listing,
) -> io::Result<()> {
    let destination = &server.destination;
    let weight = destination.weight.cast_signed();
    let (active, inactive) = (server.active, server.inactive);
    write!(out, "  -> {name:<SERVER_WIDTH$}")?;
    match listing.format {
        Format::Plain => write_plain(out, &OutlinedDestination::from(server)),
        Format::TunnelInfo => {
            let method = method(destination.forwarding);
            let tunnel = tunnel_info(server);
            writeln!(
                out,
                " {method:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}"
            )
        }
        Format::Stats => write_counts(out, "", counters(&server.stats), listing.exact),
        Format::Rates => {
            // Only bytes are shortened here, and numbers of nine digits are told apart by a blank.
            let [connections, packets_in, packets_out, bytes @ ..] = rates(&server.stats);
            write!(out, " {connections:>8} {packets_in:>8} {packets_out:>8}")?;
            write_counts(out, "", bytes, listing.exact)
        }
        Format::Thresholds => writeln!(
            out,
            " {:<10} {:<10} {active:<10} {inactive:<10}",
            destination.upper_threshold, destination.lower_threshold
        ),
        Format::PersistentConnections => writeln!(
            out,
            " {weight:<9} {:<11} {active:<10} {inactive:<10}",
            server.persistent
        ),
    }
}

/// The rest of a server's line in the plain format.
fn write_plain(out: &mut impl Write, server: &OutlinedDestination) -> io::Result<()> {
    writeln!(
        out,
        " {:<7} {:<6} {:<10} {:<10}",
        method(server.forwarding),
        server.weight.cast_signed(),
        server.active,
        server.inactive
    )
}

fn method(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel => "Tunnel",
        Forwarding::Direct => "Route",
    }
}

fn counters(stats: &Stats) -> [u64; 5] {
    [
        stats.connections,
        stats.packets_in,
        stats.packets_out,
        stats.bytes_in,
        stats.bytes_out,
    ]
}

fn rates(stats: &Stats) -> [u64; 5] {
    [
        stats.connection_rate,
        stats.packet_rate_in,
        stats.packet_rate_out,
        stats.byte_rate_in,
        stats.byte_rate_out,
    ]
}

/// A line's name, which is empty where it is written already, and its counters.
fn write_counts<const N: usize>(
    out: &mut impl Write,
    name: &str,
    counts: [u64; N],
    exact: bool,
) -> io::Result<()> {
    if !name.is_empty() {
        write!(out, "{name:<SERVICE_WIDTH$}")?;
    }
    for count in counts {
        match count {
            _ if exact && count >= 100_000_000 => write!(out, " {count}")?,
            _ if exact => write!(out, "{count:>9}")?,
            0..100_000_000 => write!(out, "{count:>9}")?,
            100_000_000..1_000_000_000 => write!(out, "{:>8}K", count / 1_000)?,
            1_000_000_000..100_000_000_000 => write!(out, "{:>8}M", count / 1_000_000)?,
            100_000_000_000..100_000_000_000_000 => {
                write!(out, "{:>8}G", count / 1_000_000_000)?;
            }
            _ => write!(out, "{:>8}T", count / 1_000_000_000_000)?,
        }
    }
    writeln!(out)
}

/// The flags of a service's scheduler by the scheduler's own names, without those that it has none
/// for.
pub(super) fn scheduler_flags(service: &Service) -> Vec<&'static str> {
    let names: &[_] = match service.scheduler.as_str() {
        "sh" => &["sh-fallback", "sh-port"],
        "mh" => &["mh-fallback", "mh-port"],
        _ => &["flag-1", "flag-2", "flag-3"],
    };
    let flags = service.flags;
    let set = [flags.fallback, flags.port, flags.third];
    let pairs = names.iter().zip(set);
    pairs
        .filter_map(|(name, set)| set.then_some(*name))
        .collect()
}

/// ` (flags)` of a service that has any.
struct InParentheses<'a>(&'a Service);

impl fmt::Display for InParentheses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.0.flags;
        if flags.fallback || flags.port || flags.third {
            write!(f, " ({})", scheduler_flags(self.0).join(","))?;
        }
        Ok(())
    }
}

fn persistence(service: &Service) -> String {
    let Some(persistence) = &service.persistence else {
        return String::new();
    };
    let mask = match mask(persistence.granularity) {
        Some(mask) => format!(" mask {mask}"),
        None => String::new(),
    };
    let engine = match &service.engine {
        Some(engine) => format!(" pe {engine}"),
        None => String::new(),
    };
    format!(" persistent {}{mask}{engine}", persistence.timeout)
}

/// The netmask or prefix length under which clients are one, if it isn't each for itself.
pub(super) fn mask(granularity: Granularity) -> Option<String> {
    match granularity {
        Granularity::Mask(Ipv4Addr::BROADCAST) | Granularity::Prefix(128) => None,
        Granularity::Mask(mask) => Some(mask.to_string()),
        Granularity::Prefix(length) => Some(length.to_string()),
    }
}

fn tunnel_info(server: &ListedDestination) -> String {
    let checksum = |flags| match flags {
        0 => "-c",
        1 => "+c",
        _ => "r+c",
    };
    match (
        server.destination.forwarding,
        server.destination.encapsulation,
    ) {
        (Forwarding::Tunnel, Encapsulation::Ipip) => "ipip".to_owned(),
        (Forwarding::Tunnel, Encapsulation::Gue { port, flags }) => {
            format!("gue:{port}:{}", checksum(flags))
        }
        (Forwarding::Tunnel, Encapsulation::Gre { flags }) => format!("gre:{}", checksum(flags)),
        (Forwarding::Direct | Forwarding::Masquerade | Forwarding::Local, _) => "n/a".to_owned(),
    }
}
