//! The table as the command lines that make it.

use std::io::{self, Write};

use ipvs::{Encapsulation, Forwarding, ListedDestination, ListedService, Protocol, ServiceKey};

use super::listing::{mask, scheduler_flags};
use super::names::Names;
use super::order;

/// Writes each service, followed by its servers.
pub(super) fn write(
    out: &mut impl Write,
    services: &[ListedService],
    names: &mut Names<'_>,
) -> io::Result<()> {
    for listed in order::sort_services(services, |listed| listed.key) {
        let (name, protocol) = service_name(&listed.key, names);
        write_service(out, &name, listed)?;
        for server in order::sort_destinations(&listed.destinations, |server| server.key) {
            let server_name = names.endpoint(server.key.address, server.key.port, protocol);
            write_server(out, &name, &server_name, server)?;
        }
    }
    Ok(())
}

fn service_name(key: &ServiceKey, names: &mut Names<'_>) -> (String, Option<Protocol>) {
    match *key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            let endpoint = names.endpoint(address, port, Some(protocol));
            (format!("{option} {endpoint}"), Some(protocol))
        }
        ServiceKey::FwMark { mark, ipv6 } => {
            let family = if ipv6 { " -6" } else { "" };
            (format!("-f {mark}{family}"), None)
        }
    }
}

fn write_service(out: &mut impl Write, name: &str, listed: &ListedService) -> io::Result<()> {
    let service = &listed.service;
    write!(out, "-A {name} -s {}", service.scheduler)?;
    if let Some(persistence) = &service.persistence {
        write!(out, " -p {}", persistence.timeout)?;
        if let Some(mask) = mask(persistence.granularity) {
            write!(out, " -M {mask}")?;
        }
    }
    if let Some(engine) = &service.engine {
        write!(out, " --pe {engine}")?;
    }
    if service.flags.one_packet {
        write!(out, " -o")?;
    }
    let mut flags = scheduler_flags(service);
    if matches!(service.scheduler.as_str(), "sh" | "mh") && service.flags.third {
        flags.push("flag-3");
    }
    if !flags.is_empty() {
        write!(out, " -b {}", flags.join(","))?;
    }
    writeln!(out)
}

fn write_server(
    out: &mut impl Write,
    service: &str,
    name: &str,
    server: &ListedDestination,
) -> io::Result<()> {
    let destination = &server.destination;
    let method = match destination.forwarding {
        Forwarding::Masquerade => "-m",
        Forwarding::Tunnel => "-i",
        // What is local is found out by whoever adds it.
        Forwarding::Direct | Forwarding::Local => "-g",
    };
    let weight = destination.weight;
    write!(out, "-a {service} -r {name} {method} -w {weight}")?;
    if destination.forwarding == Forwarding::Tunnel {
        match destination.encapsulation {
            Encapsulation::Ipip => write!(out, " --tun-type ipip")?,
            Encapsulation::Gue { port, flags } => {
                let checksum = checksum(flags);
                write!(out, " --tun-type gue --tun-port {port} {checksum}")?;
            }
            Encapsulation::Gre { flags } => {
                write!(out, " --tun-type gre {}", checksum(flags))?;
            }
        }
    }
    if destination.upper_threshold != 0 {
        write!(out, " -x {}", destination.upper_threshold)?;
    }
    if destination.lower_threshold != 0 {
        write!(out, " -y {}", destination.lower_threshold)?;
    }
    writeln!(out)
}

fn checksum(flags: u16) -> &'static str {
    match flags {
        0 => "--tun-nocsum",
        1 => "--tun-csum",
        _ => "--tun-remcsum",
    }
}
