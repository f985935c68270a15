use proptest::prelude::*;

use super::{
    decode_daemon, decode_destination, decode_family, decode_info, decode_service, decode_timeouts,
    encode, encode_change,
};
use crate::change::Change;
use crate::command::Command;
use crate::model::{
    Destination, DestinationKey, Encapsulation, Forwarding, Granularity, Info, ListedDestination,
    ListedService, Persistence, Protocol, Service, ServiceFlags, ServiceKey, Stats, SyncDaemon,
    SyncRole, Timeouts,
};
use crate::netlink::Writer;

/// Payloads of one kind, as recorded from a kernel.
fn recorded(kind: &str) -> Vec<Vec<u8>> {
    include_str!("recorded.txt")
        .lines()
        .filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))
        .map(|hex| {
            let digit = |index| u8::from_str_radix(&hex[index..index + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(digit).collect()
        })
        .collect()
}

fn tcp(address: &str, port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: address.parse().unwrap(),
        port,
    }
}

fn server(address: &str, port: u16) -> DestinationKey {
    DestinationKey {
        address: address.parse().unwrap(),
        port,
    }
}

fn services() -> Vec<ListedService> {
    let read = |payload: &Vec<u8>| decode_service(payload).unwrap().unwrap();
    recorded("service").iter().map(read).collect()
}

fn destinations() -> Vec<ListedDestination> {
    let ipv6_services = [false, true, false, true];
    recorded("dest")
        .iter()
        .zip(ipv6_services)
        .map(|(payload, ipv6)| decode_destination(payload, ipv6).unwrap())
        .collect()
}

#[test]
fn the_family_and_the_version_are_read_from_a_recording() {
    assert_eq!(decode_family(&recorded("family")[0]), Some(0x1c));
    let info = Info {
        version: (1, 2, 1),
        connection_table_size: 4096,
    };
    assert_eq!(decode_info(&recorded("info")[0]), Some(info));
}

#[test]
fn services_are_read_from_a_recording() {
    let services = services();
    let udp = ServiceKey::Address {
        protocol: Protocol::Udp,
        address: "192.0.2.80".parse().unwrap(),
        port: 53,
    };
    let keys: Vec<_> = services.iter().map(|listed| listed.key).collect();
    let expected = [
        udp,
        tcp("2001:db8::80", 80),
        tcp("192.0.2.80", 80),
        ServiceKey::FwMark {
            mark: 5,
            ipv6: true,
        },
        ServiceKey::FwMark {
            mark: 6,
            ipv6: false,
        },
    ];
    assert_eq!(keys, expected);

    let one_packet = ServiceFlags {
        one_packet: true,
        ..ServiceFlags::default()
    };
    assert_eq!(
        services[0].service,
        Service {
            flags: one_packet,
            ..Service::new("rr")
        }
    );
    let persistent = |timeout, granularity| {
        Some(Persistence {
            timeout,
            granularity,
        })
    };
    assert_eq!(
        services[2].service.persistence,
        persistent(300, Granularity::host(false))
    );
    assert_eq!(
        services[3].service.persistence,
        persistent(60, Granularity::Prefix(64))
    );
    let both = ServiceFlags {
        fallback: true,
        port: true,
        ..ServiceFlags::default()
    };
    assert_eq!(
        services[4].service,
        Service {
            flags: both,
            ..Service::new("mh")
        }
    );
}

#[test]
fn counters_are_read_from_a_recording() {
    let expected = Stats {
        connections: 4,
        packets_in: 22,
        packets_out: 17,
        bytes_in: 1398,
        bytes_out: 2191,
        connection_rate: 0,
        packet_rate_in: 2,
        packet_rate_out: 2,
        byte_rate_in: 131,
        byte_rate_out: 205,
    };
    assert_eq!(services()[2].stats, expected);
    assert_eq!(destinations()[2].stats, expected);
}

#[test]
fn destinations_are_read_from_a_recording() {
    let destinations = destinations();
    let limited = Destination {
        upper_threshold: 1000,
        lower_threshold: 500,
        ..Destination::new(Forwarding::Masquerade, 1)
    };
    let expected = ListedDestination {
        key: server("192.0.2.1", 8000),
        destination: limited,
        active: 1,
        inactive: 3,
        persistent: 1,
        stats: services()[2].stats,
    };
    assert_eq!(destinations[2], expected);
    assert_eq!(
        destinations[0].destination,
        Destination::new(Forwarding::Direct, 1)
    );
    assert_eq!(destinations[1].key, server("2001:db8::1", 8000));
    // An IPv4 server behind an IPv6 service.
    let tunnelled = Destination {
        encapsulation: Encapsulation::Gue {
            port: 6080,
            flags: 1,
        },
        ..Destination::new(Forwarding::Tunnel, 1)
    };
    assert_eq!(destinations[3].key, server("192.0.2.9", 0));
    assert_eq!(destinations[3].destination, tunnelled);
}

#[test]
fn counters_of_32_bits_serve_where_the_kernel_has_no_others() {
    let mut payload = vec![1, 1, 0, 0];
    Writer::new(&mut payload).nested(1, |service| {
        service
            .u16(1, 2)
            .u32(5, 1)
            .str(6, "rr")
            .u32(7, 2)
            .u32(8, 0)
            .bytes(9, &[255; 4]);
        service.nested(10, |stats| {
            stats.u32(1, 7).bytes(4, &9_u64.to_ne_bytes());
        });
    });
    let listed = decode_service(&payload).unwrap().unwrap();
    assert_eq!((listed.stats.connections, listed.stats.bytes_in), (7, 9));
}

#[test]
fn a_service_of_an_unknown_protocol_is_left_out_and_a_torn_one_is_an_error() {
    let known = &recorded("service")[2];
    let protocol = known
        .windows(4)
        .position(|bytes| bytes == [6, 0, 2, 0])
        .unwrap()
        + 4;
    let mut unknown = known.clone();
    unknown[protocol] = 99;
    assert!(decode_service(&unknown).unwrap().is_none());
    assert!(decode_service(&known[..40]).is_err());
    assert!(decode_destination(&recorded("dest")[0][..40], false).is_err());
}

/// The kernel speaks of services and destinations as it is spoken to, so what is written for one
/// can be read as its listing.
fn read_back(change: &Change) -> (Option<ListedService>, Option<ListedDestination>) {
    let mut payload = Vec::new();
    encode_change(&mut Writer::new(&mut payload), change);
    let ipv6 = change.service().is_ipv6();
    (
        decode_service(&payload).ok().flatten(),
        decode_destination(&payload, ipv6).ok(),
    )
}

fn any_address() -> impl Strategy<Value = std::net::IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(std::net::IpAddr::from),
        any::<[u8; 16]>().prop_map(std::net::IpAddr::from)
    ]
}

fn any_service_key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop_oneof![
        Just(Protocol::Tcp),
        Just(Protocol::Udp),
        Just(Protocol::Sctp)
    ];
    prop_oneof![
        (protocol, any_address(), any::<u16>()).prop_map(|(protocol, address, port)| {
            ServiceKey::Address {
                protocol,
                address,
                port,
            }
        }),
        (1_u32.., any::<bool>()).prop_map(|(mark, ipv6)| ServiceKey::FwMark { mark, ipv6 }),
    ]
}

fn any_service(ipv6: bool) -> impl Strategy<Value = Service> {
    let granularity = (0_u8..=128).prop_map(move |prefix| Granularity::network(ipv6, prefix));
    let engine = proptest::option::of("[a-z]{1,15}");
    let persistence = (any::<u32>(), granularity).prop_map(|(timeout, granularity)| Persistence {
        timeout,
        granularity,
    });
    (
        "[a-z]{1,15}",
        any::<[bool; 4]>(),
        proptest::option::of(persistence),
        engine,
    )
        .prop_map(
            |(scheduler, [one_packet, fallback, port, third], persistence, engine)| Service {
                scheduler,
                flags: ServiceFlags {
                    one_packet,
                    fallback,
                    port,
                    third,
                },
                persistence,
                engine,
            },
        )
}

fn any_destination() -> impl Strategy<Value = (DestinationKey, Destination)> {
    let way = prop_oneof![
        Just((Forwarding::Masquerade, Encapsulation::Ipip)),
        Just((Forwarding::Direct, Encapsulation::Ipip)),
        Just((Forwarding::Local, Encapsulation::Ipip)),
        Just((Forwarding::Tunnel, Encapsulation::Ipip)),
        any::<u16>().prop_map(|flags| (Forwarding::Tunnel, Encapsulation::Gre { flags })),
        any::<(u16, u16)>()
            .prop_map(|(port, flags)| (Forwarding::Tunnel, Encapsulation::Gue { port, flags })),
    ];
    (any_address(), any::<u16>(), way, any::<[u32; 3]>()).prop_map(
        |(address, port, (forwarding, encapsulation), [weight, upper, lower])| {
            let destination = Destination {
                forwarding,
                weight,
                resting_weight: None,
                upper_threshold: upper,
                lower_threshold: lower,
                encapsulation,
            };
            (DestinationKey { address, port }, destination)
        },
    )
}

fn any_daemon() -> impl Strategy<Value = SyncDaemon> {
    let role = prop_oneof![Just(SyncRole::Sender), Just(SyncRole::Receiver)];
    let group = proptest::option::of(any_address());
    let numbers = (any::<u32>(), any::<u16>(), any::<u16>(), any::<u8>());
    (role, "[a-z]{1,15}", group, numbers).prop_map(
        |(role, interface, group, (id, max_length, port, ttl))| SyncDaemon {
            role,
            interface,
            id,
            max_length: std::num::NonZero::new(max_length),
            group,
            port: std::num::NonZero::new(port),
            ttl: std::num::NonZero::new(ttl),
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_for_a_service_is_read_as_that_service(
        (key, service) in any_service_key()
            .prop_flat_map(|key| (Just(key), any_service(key.is_ipv6()))),
    ) {
        let (listed, _) = read_back(&Change::AddService { key, service: service.clone() });
        let listed = listed.unwrap();
        prop_assert_eq!((listed.key, listed.service), (key, service));
    }

    #[test]
    fn what_is_written_for_a_destination_is_read_as_that_destination(
        service in any_service_key(),
        (key, destination) in any_destination(),
    ) {
        let (_, listed) = read_back(&Change::EditDestination { service, key, destination });
        let listed = listed.unwrap();
        prop_assert_eq!((listed.key, listed.destination), (key, destination));
    }

    #[test]
    fn what_is_written_for_a_daemon_is_read_as_that_daemon(daemon in any_daemon()) {
        let mut payload = Vec::new();
        encode(&mut Writer::new(&mut payload), &Command::StartDaemon(daemon.clone()));
        prop_assert_eq!(decode_daemon(&payload).unwrap(), daemon);
    }

    #[test]
    fn what_is_written_for_timeouts_is_read_as_those(seconds in any::<[u32; 3]>()) {
        let [tcp, tcp_fin, udp] = seconds;
        let timeouts = Timeouts { tcp, tcp_fin, udp };
        let mut payload = Vec::new();
        encode(&mut Writer::new(&mut payload), &Command::SetTimeouts(timeouts));
        prop_assert_eq!(decode_timeouts(&payload), Some(timeouts));
    }

    #[test]
    fn random_bytes_never_panic_the_decoders(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode_service(&bytes);
        let _ = decode_destination(&bytes, true);
        let _ = decode_family(&bytes);
        let _ = decode_info(&bytes);
        let _ = decode_daemon(&bytes);
        let _ = decode_timeouts(&bytes);
    }

    #[test]
    fn torn_and_altered_listings_never_panic_the_decoders(
        which in 0_usize..5,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        for kind in ["service", "dest", "info", "family"] {
            let payloads = recorded(kind);
            let mut bytes = payloads[which % payloads.len()].clone();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            let _ = decode_service(&bytes);
            let _ = decode_destination(&bytes, false);
            let _ = decode_family(&bytes);
            let _ = decode_info(&bytes);
        }
    }
}
