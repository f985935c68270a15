//! The configuration as it is written: every value of the right kind, each with its place.

mod ipvs;
pub(super) mod probe;
mod reader;
mod scalars;
mod section;
mod status;
mod text;
mod value;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ::ipvs::{Forwarding, Protocol};
use ipnet::IpNet;
use probes::ProbeSpec;
use toml::de::DeTable;

pub(super) use self::ipvs::{Ipvs, Sync, Sysctls};
use reader::Table;
pub(super) use reader::{At, Field};
pub(super) use text::quote;

use super::diagnostic::{Faults, Span};
use super::model::OnFailure;
use super::schema::{self, Key, Kind, cluster as c, service as s};

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) cluster: Cluster,
    pub(super) heartbeat: Heartbeat,
    pub(super) directors: Field<Vec<Director>>,
    pub(super) targets: Field<Vec<At<IpAddr>>>,
    pub(super) groups: Field<Vec<Group>>,
    pub(super) virtuals: Field<Vec<Virtual>>,
    pub(super) ipvs: Ipvs,
    pub(super) control: Control,
    pub(super) watchdog: Watchdog,
}

#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) name: Field<String>,
    pub(super) keys: Field<Vec<At<String>>>,
}

#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    pub(super) keepalive: Field<Duration>,
    pub(super) deadtime: Field<Duration>,
    pub(super) warntime: Field<Duration>,
    pub(super) initdead: Field<Duration>,
    pub(super) port: Field<u16>,
}

#[derive(Debug, Default)]
pub(super) struct Director {
    pub(super) name: Field<String>,
    pub(super) priority: Field<u16>,
    pub(super) paths: Field<Vec<Path>>,
}

#[derive(Debug, Default)]
pub(super) struct Path {
    pub(super) span: Span,
    pub(super) udp: Field<IpAddr>,
    pub(super) broadcast: Field<Ipv4Addr>,
    pub(super) multicast: Field<IpAddr>,
    pub(super) interface: Field<String>,
    pub(super) ttl: Field<u8>,
    pub(super) serial: Field<String>,
    pub(super) baud: Field<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) name: Field<String>,
    pub(super) vips: Field<Vec<Vip>>,
    pub(super) prefer: Field<String>,
    pub(super) failback: Field<Failback>,
    pub(super) failback_delay: Field<Duration>,
    pub(super) ask_first: Field<Duration>,
    pub(super) monitor_links: Field<Vec<At<String>>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failback {
    Auto,
    Manual,
}

#[derive(Debug, Default)]
pub(super) struct Vip {
    pub(super) address: Field<IpNet>,
    pub(super) interface: Field<String>,
    pub(super) label: Field<String>,
}

#[derive(Debug, Default)]
pub(super) struct Virtual {
    pub(super) span: Span,
    pub(super) name: Field<String>,
    pub(super) group: Field<String>,
    pub(super) address: Field<IpAddr>,
    pub(super) port: Field<u16>,
    pub(super) ports: Field<Vec<At<u16>>>,
    pub(super) protocol: Field<Protocol>,
    pub(super) fwmark: Field<u32>,
    /// Whether it is IPv6.
    pub(super) family: Field<bool>,
    pub(super) scheduler: Field<String>,
    pub(super) forward: Field<Forwarding>,
    pub(super) persistent: Field<Duration>,
    pub(super) sorry: Field<(IpAddr, Option<u16>)>,
    pub(super) on_failure: Field<OnFailure>,
    pub(super) probe: Field<ProbeSpec>,
    pub(super) servers: Field<Vec<Server>>,
}

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) address: Field<IpAddr>,
    pub(super) port: Field<u16>,
    pub(super) weight: Field<u32>,
    pub(super) forward: Field<Forwarding>,
    pub(super) probe: Field<ProbeSpec>,
}

#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) socket: Field<String>,
}

#[derive(Debug, Default)]
pub(super) struct Watchdog {
    pub(super) device: Field<String>,
}

/// Reads a parsed file, and reports what is not as the schema has it.
pub(super) fn read(document: &DeTable<'_>, faults: &mut Faults) -> File {
    let root = Table::new(&schema::ROOT, document, 0..0, faults);
    File {
        cluster: one(&root, &schema::ROOT_CLUSTER, faults, cluster),
        heartbeat: one(&root, &schema::ROOT_HEARTBEAT, faults, heartbeat),
        directors: many(&root, &schema::ROOT_DIRECTOR, faults, director),
        targets: targets(&root, faults),
        groups: many(&root, &schema::ROOT_GROUP, faults, group),
        virtuals: many(&root, &schema::ROOT_VIRTUAL, faults, virtual_service),
        ipvs: one(&root, &schema::ROOT_IPVS, faults, ipvs::read),
        control: one(&root, &schema::ROOT_CONTROL, faults, control),
        watchdog: one(&root, &schema::ROOT_WATCHDOG, faults, watchdog),
    }
}

/// A section that stands at most once. When it is left out, so is each of its keys.
fn one<T: Default>(
    root: &Table<'_>,
    key: &Key,
    faults: &mut Faults,
    read: impl FnOnce(&Table<'_>, &mut Faults) -> T,
) -> T {
    match (root.table(key, faults), &key.kind) {
        (Field::Given(table), _) => read(&table.value, faults),
        (Field::Absent, Kind::Table(section)) => {
            let empty = DeTable::new();
            read(&Table::new(section, &empty, 0..0, faults), faults)
        }
        (Field::Absent | Field::Broken, _) => T::default(),
    }
}

/// The entries of an array of tables; one that is no table is broken in all its keys.
fn many<T: Default>(
    table: &Table<'_>,
    key: &Key,
    faults: &mut Faults,
    read: impl Fn(&Table<'_>, &mut Faults) -> T,
) -> Field<Vec<T>> {
    match table.tables(key, faults) {
        Field::Absent => Field::Absent,
        Field::Broken => Field::Broken,
        Field::Given(At { value, span }) => {
            let mut entry = |table: Option<Table<'_>>| match table {
                Some(table) => read(&table, faults),
                None => T::default(),
            };
            Field::Given(At {
                value: value.into_iter().map(&mut entry).collect(),
                span,
            })
        }
    }
}

/// The one key of a section that may be left out.
fn targets(root: &Table<'_>, faults: &mut Faults) -> Field<Vec<At<IpAddr>>> {
    match root.table(&schema::ROOT_REACHABILITY, faults) {
        Field::Absent => Field::Absent,
        Field::Broken => Field::Broken,
        Field::Given(table) => table.value.addresses(&c::TARGETS, faults),
    }
}

fn cluster(table: &Table<'_>, faults: &mut Faults) -> Cluster {
    Cluster {
        name: table.name(&c::CLUSTER_NAME, faults),
        keys: table.paths(&c::CLUSTER_KEYS, faults),
    }
}

fn heartbeat(table: &Table<'_>, faults: &mut Faults) -> Heartbeat {
    Heartbeat {
        keepalive: table.duration(&c::KEEPALIVE, faults),
        deadtime: table.duration(&c::DEADTIME, faults),
        warntime: table.duration(&c::WARNTIME, faults),
        initdead: table.duration(&c::INITDEAD, faults),
        port: table.integer(&c::HEARTBEAT_PORT, faults),
    }
}

fn director(table: &Table<'_>, faults: &mut Faults) -> Director {
    Director {
        name: table.name(&c::DIRECTOR_NAME, faults),
        priority: table.integer(&c::PRIORITY, faults),
        paths: many(table, &c::PATHS, faults, path),
    }
}

fn path(table: &Table<'_>, faults: &mut Faults) -> Path {
    Path {
        span: table.span().clone(),
        udp: table.address(&c::PATH_UDP, faults),
        broadcast: table.broadcast(&c::PATH_BROADCAST, faults),
        multicast: table.multicast(&c::PATH_MULTICAST, faults),
        interface: table.interface(&c::PATH_INTERFACE, faults),
        ttl: table.integer(&c::PATH_TTL, faults),
        serial: table.path(&c::PATH_SERIAL, faults),
        baud: table.integer(&c::PATH_BAUD, faults),
    }
}

fn group(table: &Table<'_>, faults: &mut Faults) -> Group {
    Group {
        name: table.name(&c::GROUP_NAME, faults),
        vips: many(table, &c::VIPS, faults, vip),
        prefer: table.name(&c::PREFER, faults),
        failback: table.word(&c::FAILBACK, faults, |word| match word {
            "auto" => Some(Failback::Auto),
            "manual" => Some(Failback::Manual),
            _ => None,
        }),
        failback_delay: table.duration(&c::FAILBACK_DELAY, faults),
        ask_first: table.duration(&c::ASK_FIRST, faults),
        monitor_links: table.interfaces(&c::MONITOR_LINKS, faults),
    }
}

fn vip(table: &Table<'_>, faults: &mut Faults) -> Vip {
    Vip {
        address: table.network(&c::VIP_ADDRESS, faults),
        interface: table.interface(&c::VIP_INTERFACE, faults),
        label: table.text(&c::VIP_LABEL, faults),
    }
}

fn virtual_service(table: &Table<'_>, faults: &mut Faults) -> Virtual {
    Virtual {
        span: table.span().clone(),
        name: table.name(&s::VIRTUAL_NAME, faults),
        group: table.name(&s::VIRTUAL_GROUP, faults),
        address: table.address(&s::VIRTUAL_ADDRESS, faults),
        port: table.integer(&s::VIRTUAL_PORT, faults),
        ports: table.ports(&s::PORTS, faults),
        protocol: table.word(&s::PROTOCOL, faults, |word| match word {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            _ => None,
        }),
        fwmark: table.integer(&s::FWMARK, faults),
        family: table.word(&s::FAMILY, faults, |word| match word {
            "ipv4" => Some(false),
            "ipv6" => Some(true),
            _ => None,
        }),
        scheduler: table.word(&s::SCHEDULER, faults, |word| match s::SCHEDULER.kind {
            Kind::Words(known) => known.contains(&word).then(|| word.to_owned()),
            _ => None,
        }),
        forward: table.word(&s::FORWARD, faults, forwarding),
        persistent: table.duration(&s::PERSISTENT, faults),
        sorry: table.address_port(&s::SORRY, faults),
        on_failure: table.word(&s::ON_FAILURE, faults, |word| match word {
            "remove" => Some(OnFailure::Remove),
            "quiesce" => Some(OnFailure::Quiesce),
            _ => None,
        }),
        probe: probe::read(table, &s::VIRTUAL_PROBE, faults),
        servers: many(table, &s::SERVERS, faults, server),
    }
}

fn server(table: &Table<'_>, faults: &mut Faults) -> Server {
    Server {
        address: table.address(&s::SERVER_ADDRESS, faults),
        port: table.integer(&s::SERVER_PORT, faults),
        weight: table.integer(&s::WEIGHT, faults),
        forward: table.word(&s::SERVER_FORWARD, faults, forwarding),
        probe: probe::read(table, &s::SERVER_PROBE, faults),
    }
}

fn forwarding(word: &str) -> Option<Forwarding> {
    match word {
        "direct" => Some(Forwarding::Direct),
        "nat" => Some(Forwarding::Masquerade),
        "tunnel" => Some(Forwarding::Tunnel),
        _ => None,
    }
}

fn control(table: &Table<'_>, faults: &mut Faults) -> Control {
    Control {
        socket: table.path(&c::SOCKET, faults),
    }
}

fn watchdog(table: &Table<'_>, faults: &mut Faults) -> Watchdog {
    Watchdog {
        device: table.path(&c::WATCHDOG_DEVICE, faults),
    }
}
