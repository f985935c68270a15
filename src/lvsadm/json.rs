//! Listings as JSON, one document on one line.
//!
//! Addresses and ports are numbers, whatever else is asked for. Every service and server has all
//! that the kernel tells of it.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use ipvs::connections::ListedConnection;
use ipvs::{
    Encapsulation, Forwarding, Granularity, Info, ListedDestination, ListedService, Protocol,
    ServiceKey, Stats, SyncDaemon, Timeouts,
};
use serde::Serialize;

use super::connections::role_name;
use super::listing::scheduler_flags;

#[derive(Serialize)]
struct TableDocument<'a> {
    version: String,
    size: u32,
    services: Vec<ServiceDocument<'a>>,
}

#[derive(Serialize)]
struct ServiceDocument<'a> {
    #[serde(flatten)]
    key: KeyDocument,
    scheduler: &'a str,
    flags: Vec<&'static str>,
    one_packet: bool,
    persistence: Option<PersistenceDocument>,
    engine: Option<&'a str>,
    stats: StatsDocument,
    servers: Vec<ServerDocument>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum KeyDocument {
    Address {
        protocol: Protocol,
        address: IpAddr,
        port: u16,
    },
    FwMark {
        fwmark: u32,
        ipv6: bool,
    },
}

#[derive(Serialize)]
struct PersistenceDocument {
    timeout: u32,
    #[serde(flatten)]
    granularity: GranularityDocument,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum GranularityDocument {
    Netmask(IpAddr),
    Prefix(u8),
}

#[derive(Serialize)]
struct ServerDocument {
    address: IpAddr,
    port: u16,
    forwarding: &'static str,
    tunnel: Option<TunnelDocument>,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    active: u32,
    inactive: u32,
    persistent: u32,
    stats: StatsDocument,
}

#[derive(Serialize)]
struct TunnelDocument {
    r#type: &'static str,
    port: Option<u16>,
    checksum: Option<&'static str>,
}

#[derive(Serialize)]
struct StatsDocument {
    connections: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    rates: RatesDocument,
}

/// Of each counter, the change in a second.
#[derive(Serialize)]
struct RatesDocument {
    connections: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Serialize)]
struct ConnectionDocument<'a> {
    protocol: &'a str,
    client: EndpointDocument,
    service: EndpointDocument,
    server: EndpointDocument,
    state: &'a str,
    expires: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_data: Option<&'a str>,
}

#[derive(Serialize)]
struct EndpointDocument {
    address: IpAddr,
    port: u16,
}

#[derive(Serialize)]
struct DaemonDocument<'a> {
    state: &'static str,
    interface: &'a str,
    syncid: u32,
    maxlen: Option<u16>,
    group: Option<IpAddr>,
    port: Option<u16>,
    ttl: Option<u8>,
}

/// Writes the table, with its services in the order given.
pub(super) fn write_table(
    out: &mut impl Write,
    info: Info,
    services: &[&ListedService],
) -> io::Result<()> {
    let (major, minor, patch) = info.version;
    let document = TableDocument {
        version: format!("{major}.{minor}.{patch}"),
        size: info.connection_table_size,
        services: services.iter().map(|listed| service(listed)).collect(),
    };
    write_document(out, &document)
}

/// Writes one service.
pub(super) fn write_service(out: &mut impl Write, listed: &ListedService) -> io::Result<()> {
    write_document(out, &service(listed))
}

/// Writes the timeouts in seconds.
pub(super) fn write_timeouts(out: &mut impl Write, timeouts: Timeouts) -> io::Result<()> {
    write_document(out, &timeouts)
}

/// Writes a list of the sync daemons.
pub(super) fn write_daemons(out: &mut impl Write, daemons: &[SyncDaemon]) -> io::Result<()> {
    let documents: Vec<DaemonDocument<'_>> = daemons
        .iter()
        .map(|daemon| DaemonDocument {
            state: role_name(daemon.role),
            interface: &daemon.interface,
            syncid: daemon.id,
            maxlen: daemon.max_length.map(Into::into),
            group: daemon.group,
            port: daemon.port.map(Into::into),
            ttl: daemon.ttl.map(Into::into),
        })
        .collect();
    write_document(out, &documents)
}

/// Writes one item of a list of connections, of which there may be very many.
pub(super) fn write_connection(
    out: &mut impl Write,
    connection: &ListedConnection,
) -> io::Result<()> {
    let data = connection.persistence.as_ref();
    let document = ConnectionDocument {
        protocol: &connection.protocol,
        client: endpoint(connection.client),
        service: endpoint(connection.service),
        server: endpoint(connection.destination),
        state: &connection.state,
        expires: connection.expires,
        engine: data.map(|data| data.engine.as_str()),
        engine_data: data.map(|data| data.data.as_str()),
    };
    serde_json::to_writer(out, &document).map_err(io::Error::from)
}

fn write_document(out: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, document).map_err(io::Error::from)?;
    writeln!(out)
}

fn service(listed: &ListedService) -> ServiceDocument<'_> {
    let persistence = listed.service.persistence.as_ref();
    ServiceDocument {
        key: match listed.key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => KeyDocument::Address {
                protocol,
                address,
                port,
            },
            ServiceKey::FwMark { mark, ipv6 } => KeyDocument::FwMark { fwmark: mark, ipv6 },
        },
        scheduler: &listed.service.scheduler,
        flags: scheduler_flags(&listed.service),
        one_packet: listed.service.flags.one_packet,
        persistence: persistence.map(|persistence| PersistenceDocument {
            timeout: persistence.timeout,
            granularity: match persistence.granularity {
                Granularity::Mask(mask) => GranularityDocument::Netmask(mask.into()),
                Granularity::Prefix(length) => GranularityDocument::Prefix(length),
            },
        }),
        engine: listed.service.engine.as_deref(),
        stats: stats(&listed.stats),
        servers: listed.destinations.iter().map(server).collect(),
    }
}

fn server(listed: &ListedDestination) -> ServerDocument {
    let destination = &listed.destination;
    ServerDocument {
        address: listed.key.address,
        port: listed.key.port,
        forwarding: match destination.forwarding {
            Forwarding::Masquerade => "masquerading",
            Forwarding::Direct => "direct",
            Forwarding::Tunnel => "tunnel",
            Forwarding::Local => "local",
        },
        tunnel: (destination.forwarding == Forwarding::Tunnel)
            .then(|| tunnel(destination.encapsulation)),
        weight: destination.weight,
        upper_threshold: destination.upper_threshold,
        lower_threshold: destination.lower_threshold,
        active: listed.active,
        inactive: listed.inactive,
        persistent: listed.persistent,
        stats: stats(&listed.stats),
    }
}

fn tunnel(encapsulation: Encapsulation) -> TunnelDocument {
    let checksum = |flags| {
        Some(match flags {
            0 => "none",
            1 => "full",
            _ => "remote",
        })
    };
    match encapsulation {
        Encapsulation::Ipip => TunnelDocument {
            r#type: "ipip",
            port: None,
            checksum: None,
        },
        Encapsulation::Gue { port, flags } => TunnelDocument {
            r#type: "gue",
            port: Some(port),
            checksum: checksum(flags),
        },
        Encapsulation::Gre { flags } => TunnelDocument {
            r#type: "gre",
            port: None,
            checksum: checksum(flags),
        },
    }
}

fn stats(stats: &Stats) -> StatsDocument {
    StatsDocument {
        connections: stats.connections,
        packets_in: stats.packets_in,
        packets_out: stats.packets_out,
        bytes_in: stats.bytes_in,
        bytes_out: stats.bytes_out,
        rates: RatesDocument {
            connections: stats.connection_rate,
            packets_in: stats.packet_rate_in,
            packets_out: stats.packet_rate_out,
            bytes_in: stats.byte_rate_in,
            bytes_out: stats.byte_rate_out,
        },
    }
}

fn endpoint(socket: SocketAddr) -> EndpointDocument {
    EndpointDocument {
        address: socket.ip(),
        port: socket.port(),
    }
}
