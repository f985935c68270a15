use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::plan;
use crate::change::Change;
use crate::fake::Fake;
use crate::kernel::Kernel;
use crate::model::{
    Destination, DestinationKey, Entry, Forwarding, Granularity, Persistence, Protocol, Service,
    ServiceKey, Table,
};

fn web() -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: "192.0.2.80".parse().unwrap(),
        port: 80,
    }
}

fn mark(mark: u32) -> ServiceKey {
    ServiceKey::FwMark { mark, ipv6: false }
}

fn server(last: u8, port: u16) -> DestinationKey {
    DestinationKey {
        address: [10, 0, 1, last].into(),
        port,
    }
}

fn nat(weight: u32) -> Destination {
    Destination::new(Forwarding::Masquerade, weight)
}

fn entry(destinations: &[(DestinationKey, Destination)]) -> Entry {
    Entry {
        service: Service::new("wlc"),
        destinations: destinations.iter().copied().collect(),
    }
}

fn nobody() -> BTreeSet<ServiceKey> {
    BTreeSet::new()
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(Change::to_string).collect()
}

#[test]
fn what_adds_capacity_comes_before_what_takes_it() {
    let actual = Table::from([
        (
            web(),
            entry(&[
                (server(1, 80), nat(1)),
                (server(2, 80), nat(5)),
                (server(3, 80), nat(1)),
            ]),
        ),
        (mark(1), entry(&[(server(1, 0), nat(1))])),
    ]);
    let mut wanted = entry(&[
        (server(1, 80), nat(3)),
        (server(2, 80), nat(2)),
        (server(4, 80), nat(1)),
    ]);
    wanted.service = Service::new("wrr");
    let desired = Table::from([
        (web(), wanted),
        (
            mark(2),
            entry(&[(server(9, 0), nat(1)), (server(8, 0), nat(1))]),
        ),
    ]);
    let changes = plan(&desired, &actual, &BTreeSet::from([mark(1)]));
    let expected = [
        "add service fwmark 2",
        "add destination 10.0.1.8:0 to fwmark 2",
        "add destination 10.0.1.9:0 to fwmark 2",
        "edit service TCP 192.0.2.80:80",
        "add destination 10.0.1.4:80 to TCP 192.0.2.80:80",
        "edit destination 10.0.1.1:80 of TCP 192.0.2.80:80",
        "edit destination 10.0.1.2:80 of TCP 192.0.2.80:80",
        "remove destination 10.0.1.3:80 from TCP 192.0.2.80:80",
        "remove service fwmark 1",
    ];
    assert_eq!(words(&changes), expected);
}

#[test]
fn services_of_others_are_left_alone() {
    let foreign = Table::from([(mark(7), entry(&[(server(1, 0), nat(1))]))]);
    assert_eq!(plan(&Table::new(), &foreign, &nobody()), []);
    let owned = BTreeSet::from([mark(7), mark(8)]);
    assert_eq!(
        words(&plan(&Table::new(), &foreign, &owned)),
        ["remove service fwmark 7"]
    );
}

#[test]
fn local_destinations_are_as_desired_whatever_was_asked_for() {
    for forwarding in [
        Forwarding::Masquerade,
        Forwarding::Direct,
        Forwarding::Tunnel,
    ] {
        let destination = Destination::new(forwarding, 1);
        let desired = Table::from([(web(), entry(&[(server(1, 80), destination)]))]);
        let mut kernel = Fake {
            local: [server(1, 80).address].into(),
            ..Fake::default()
        };
        let changes = plan(&desired, &kernel.table, &nobody());
        kernel.apply(&changes).unwrap();
        let listed = kernel.table[&web()].destinations[&server(1, 80)];
        assert_eq!(listed.forwarding, Forwarding::Local);
        assert_eq!(plan(&desired, &kernel.table, &nobody()), []);
    }
}

#[test]
fn destinations_that_are_not_masqueraded_get_the_port_of_their_service() {
    let direct = Destination::new(Forwarding::Direct, 1);
    let tunnel = Destination::new(Forwarding::Tunnel, 1);
    let servers = [
        (server(1, 8080), direct),
        (server(2, 0), tunnel),
        (server(3, 8080), nat(1)),
    ];
    let desired = Table::from([(web(), entry(&servers)), (mark(1), entry(&servers))]);
    let changes = plan(&desired, &Table::new(), &nobody());
    let expected = [
        "add service TCP 192.0.2.80:80",
        "add destination 10.0.1.1:80 to TCP 192.0.2.80:80",
        "add destination 10.0.1.2:80 to TCP 192.0.2.80:80",
        "add destination 10.0.1.3:8080 to TCP 192.0.2.80:80",
        "add service fwmark 1",
        "add destination 10.0.1.1:8080 to fwmark 1",
        "add destination 10.0.1.2:0 to fwmark 1",
        "add destination 10.0.1.3:8080 to fwmark 1",
    ];
    assert_eq!(words(&changes), expected);
    let mut kernel = Fake::default();
    kernel.apply(&changes).unwrap();
    assert_eq!(plan(&desired, &kernel.table, &nobody()), []);
}

#[test]
fn encapsulation_counts_for_tunnels_only() {
    let gre = crate::model::Encapsulation::Gre { flags: 0 };
    for (forwarding, edits) in [(Forwarding::Masquerade, 0), (Forwarding::Tunnel, 1)] {
        let found = Destination::new(forwarding, 1);
        let wanted = Destination {
            encapsulation: gre,
            ..found
        };
        let actual = Table::from([(web(), entry(&[(server(1, 80), found)]))]);
        let desired = Table::from([(web(), entry(&[(server(1, 80), wanted)]))]);
        assert_eq!(plan(&desired, &actual, &nobody()).len(), edits);
    }
}

#[test]
fn a_granularity_of_the_wrong_family_becomes_one_client_each() {
    let mut wanted = entry(&[]);
    wanted.service.persistence = Some(Persistence {
        timeout: 60,
        granularity: Granularity::Prefix(64),
        engine: None,
    });
    let desired = Table::from([(web(), wanted)]);
    let mut kernel = Fake::default();
    let changes = plan(&desired, &kernel.table, &nobody());
    kernel.apply(&changes).unwrap();
    let persistence = kernel.table[&web()].service.persistence.clone().unwrap();
    assert_eq!(persistence.granularity, Granularity::host(false));
    assert_eq!(plan(&desired, &kernel.table, &nobody()), []);
}

fn any_table() -> impl Strategy<Value = Table> {
    let key = prop_oneof![
        (1_u32..4).prop_map(mark),
        (1_u8..4, prop_oneof![Just(0_u16), Just(80), Just(81)]).prop_map(|(last, port)| {
            ServiceKey::Address {
                protocol: Protocol::Udp,
                address: [192, 0, 2, last].into(),
                port,
            }
        }),
    ];
    let forwarding = prop_oneof![
        Just(Forwarding::Masquerade),
        Just(Forwarding::Direct),
        Just(Forwarding::Tunnel)
    ];
    let destination =
        (forwarding, 0_u32..3, 0_u32..2).prop_map(|(forwarding, weight, upper)| Destination {
            upper_threshold: upper,
            ..Destination::new(forwarding, weight)
        });
    let servers = proptest::collection::btree_map(
        (1_u8..5, 79_u16..82).prop_map(|(last, port)| server(last, port)),
        destination,
        0..6,
    );
    let service =
        ("wlc|rr", proptest::option::of(1_u32..3)).prop_map(|(scheduler, timeout)| Service {
            persistence: timeout.map(|timeout| Persistence {
                timeout,
                granularity: Granularity::host(false),
                engine: None,
            }),
            ..Service::new(scheduler)
        });
    let entry = (service, servers).prop_map(|(service, destinations)| Entry {
        service,
        destinations,
    });
    proptest::collection::btree_map(key, entry, 0..6)
}

/// A table as the kernel has it after it was built from nothing.
fn built(table: &Table) -> Fake {
    let mut kernel = Fake::default();
    let changes = plan(table, &Table::new(), &nobody());
    assert!(kernel.apply(&changes).unwrap().iter().all(Result::is_ok));
    kernel
}

/// How many destinations each service has.
fn sizes(table: &Table) -> BTreeMap<ServiceKey, usize> {
    table
        .iter()
        .map(|(key, entry)| (*key, entry.destinations.len()))
        .collect()
}

proptest! {
    #[test]
    fn a_plan_makes_the_kernels_table_the_desired_one(before in any_table(), after in any_table()) {
        let mut kernel = built(&before);
        let owned = before.keys().copied().collect();
        let changes = plan(&after, &kernel.table, &owned);
        let outcomes = kernel.apply(&changes).unwrap();
        prop_assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        prop_assert_eq!(&kernel.table, &built(&after).table);
        prop_assert_eq!(plan(&after, &kernel.table, &owned), []);
    }

    #[test]
    fn no_step_of_a_plan_has_fewer_destinations_than_before_and_after(
        before in any_table(),
        after in any_table(),
    ) {
        let mut kernel = built(&before);
        let (first, last) = (sizes(&kernel.table), sizes(&built(&after).table));
        for change in plan(&after, &kernel.table, &nobody()) {
            kernel.apply(std::slice::from_ref(&change)).unwrap();
            for (key, size) in sizes(&kernel.table) {
                if let (Some(first), Some(last)) = (first.get(&key), last.get(&key)) {
                    prop_assert!(size >= *first.min(last), "{change}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_owned_is_never_touched(before in any_table(), after in any_table()) {
        let kernel = built(&before);
        for change in plan(&after, &kernel.table, &nobody()) {
            prop_assert!(after.contains_key(&change.service()), "{change}");
        }
    }
}
