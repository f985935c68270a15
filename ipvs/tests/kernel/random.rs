//! Services, destinations and commands by chance, from sets so small that they often meet.

use std::net::IpAddr;
use std::num::NonZero;

use fastrand::Rng;
use ipvs::{
    Change, Command, Destination, DestinationKey, Encapsulation, Forwarding, Granularity,
    Persistence, Protocol, Service, ServiceFlags, ServiceKey, SyncDaemon, SyncRole, Timeouts,
};

/// Schedulers of the lab's kernel.
pub(crate) const SCHEDULERS: [&str; 13] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh",
];

/// Hosts' addresses, and others that are none.
const SERVERS: [&str; 16] = [
    "10.0.1.21",
    "10.0.1.22",
    "10.0.1.23",
    "127.0.0.1",
    "192.0.2.1",
    "2001:db8:1::21",
    "2001:db8:1::22",
    "2001:db8::1",
    "::1",
    "fe80::21",
    "ff02::1",
    "::ffff:10.0.1.21",
    "::",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
];

/// One of several.
pub(crate) fn one_of<T: Copy>(rng: &mut Rng, items: &[T]) -> T {
    items[rng.usize(..items.len())]
}

fn address(rng: &mut Rng, items: &[&str]) -> IpAddr {
    one_of(rng, items).parse().expect("an address")
}

/// Whether something of so many in a hundred happens.
pub(crate) fn percent(rng: &mut Rng, chance: u8) -> bool {
    rng.u8(..100) < chance
}

pub(crate) fn service_key(rng: &mut Rng) -> ServiceKey {
    if percent(rng, 30) {
        return ServiceKey::FwMark {
            mark: one_of(rng, &[0, 1, 2, u32::MAX]),
            ipv6: rng.bool(),
        };
    }
    ServiceKey::Address {
        protocol: one_of(rng, &[Protocol::Tcp, Protocol::Udp, Protocol::Sctp]),
        address: address(rng, &["192.0.2.80", "2001:db8::80"]),
        port: one_of(rng, &[0, 80]),
    }
}

pub(crate) fn service(rng: &mut Rng) -> Service {
    let scheduler = match rng.u8(..200) {
        0 => "nonsense",
        1 => "a-name-of-16-byt",
        2..10 => "none",
        _ => one_of(rng, &SCHEDULERS),
    };
    let engine = match rng.u8(..200) {
        0 => Some("nonsense"),
        1 => Some("a-name-of-16-byt"),
        2 => Some("a-name-of-17-byte"),
        3..6 => Some(""),
        6..30 => Some("sip"),
        _ => None,
    };
    let granularity = match rng.u8(..6) {
        0 => Granularity::Prefix(one_of(rng, &[0, 1, 64, 128, 129])),
        1 | 2 => Granularity::network(true, rng.u8(..)),
        _ => Granularity::network(false, rng.u8(..40)),
    };
    Service {
        flags: ServiceFlags {
            one_packet: percent(rng, 20),
            fallback: percent(rng, 20),
            port: percent(rng, 20),
            third: percent(rng, 20),
        },
        persistence: percent(rng, 40).then_some(Persistence {
            timeout: one_of(rng, &[0, 1, 300, 86_400, 2_678_400]),
            granularity,
        }),
        engine: engine.map(str::to_owned),
        ..Service::new(scheduler)
    }
}

pub(crate) fn destination_key(rng: &mut Rng) -> DestinationKey {
    let usable = percent(rng, 85);
    DestinationKey {
        address: address(rng, if usable { &SERVERS[..9] } else { &SERVERS }),
        port: one_of(rng, &[0, 80, 8080]),
    }
}

pub(crate) fn destination(rng: &mut Rng) -> Destination {
    let forwarding = [
        Forwarding::Masquerade,
        Forwarding::Direct,
        Forwarding::Tunnel,
        Forwarding::Tunnel,
        Forwarding::Local,
    ];
    Destination {
        forwarding: one_of(rng, &forwarding),
        weight: one_of(rng, &[0, 1, 2, 5, 65_535, i32::MAX as u32, u32::MAX]),
        resting_weight: None,
        upper_threshold: one_of(rng, &[0, 0, 10, u32::MAX]),
        lower_threshold: one_of(rng, &[0, 0, 5, 10, 11]),
        encapsulation: match rng.u8(..4) {
            0 => Encapsulation::Gue {
                port: one_of(rng, &[0, 1, 6080, u16::MAX]),
                flags: rng.u16(..3),
            },
            1 => Encapsulation::Gre {
                flags: rng.u16(..2),
            },
            _ => Encapsulation::Ipip,
        },
    }
}

fn change(rng: &mut Rng) -> Change {
    let service = service_key(rng);
    let key = destination_key(rng);
    match rng.u8(..16) {
        0..4 => Change::AddService {
            key: service,
            service: self::service(rng),
        },
        4 | 5 => Change::EditService {
            key: service,
            service: self::service(rng),
        },
        6 => Change::RemoveService { key: service },
        7..12 => Change::AddDestination {
            service,
            key,
            destination: destination(rng),
        },
        12 | 13 => Change::EditDestination {
            service,
            key,
            destination: destination(rng),
        },
        _ => Change::RemoveDestination { service, key },
    }
}

fn daemon(rng: &mut Rng, role: SyncRole) -> SyncDaemon {
    let groups = ["224.0.0.81", "239.1.2.3", "192.0.2.1", "2001:db8::1"];
    SyncDaemon {
        max_length: NonZero::new(one_of(rng, &[0, 0, 900, 1400, u16::MAX])),
        group: rng.bool().then(|| address(rng, &groups)),
        port: NonZero::new(one_of(rng, &[0, 0, 8850])),
        ttl: NonZero::new(one_of(rng, &[0, 0, 7])),
        ..SyncDaemon::new(role, one_of(rng, &["eth0", "lo", "eth7"]), rng.u32(..256))
    }
}

pub(crate) fn command(rng: &mut Rng) -> Command {
    let role = one_of(rng, &[SyncRole::Sender, SyncRole::Receiver]);
    match rng.u16(..1000) {
        0..4 => Command::Flush,
        4..10 => Command::Zero(None),
        10..20 => Command::Zero(Some(service_key(rng))),
        20..40 => Command::SetTimeouts(Timeouts {
            tcp: one_of(rng, &[0, 1, 900, 21_474_836, 21_474_837]),
            tcp_fin: one_of(rng, &[0, 1, 120, u32::MAX]),
            udp: one_of(rng, &[0, 1, 300]),
        }),
        40..50 => Command::StartDaemon(daemon(rng, role)),
        50..75 => Command::StopDaemon(role),
        _ => Command::Change(change(rng)),
    }
}
