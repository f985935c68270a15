use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::plan;
use crate::change::Change;
use crate::fake::Fake;
use crate::kernel::Kernel;
use crate::model::{
    Destination, DestinationKey, Entry, Forwarding, Granularity, ListedService, Persistence,
    Protocol, Service, ServiceKey, Table,
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

/// A listing of the table.
fn listed(table: &Table) -> Vec<ListedService> {
    Fake::holding(table.clone()).listing().unwrap()
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
    let changes = plan(&desired, &listed(&actual), &BTreeSet::from([mark(1)]));
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
fn what_returns_is_added_in_the_reverse_order_of_its_removal() {
    let servers: Vec<_> = (1..4).map(|last| (server(last, 80), nat(1))).collect();
    let full: Table = (1..4).map(|n| (mark(n), entry(&servers))).collect();
    let hollow: Table = (1..4).map(|n| (mark(n), entry(&[]))).collect();
    let place = |change: &Change| match change {
        Change::AddDestination { service, key, .. }
        | Change::RemoveDestination { service, key } => (*service, Some(*key)),
        other => (other.service(), None),
    };
    let places = |desired: &Table, actual: &Table| -> Vec<_> {
        let owned = actual.keys().copied().collect();
        let changes = plan(desired, &listed(actual), &owned);
        changes.iter().map(place).collect()
    };
    let mut removed = places(&hollow, &full);
    removed.reverse();
    assert_eq!((removed.len(), &removed), (9, &places(&full, &hollow)));
    let mut removed = places(&Table::new(), &full);
    removed.reverse();
    let mut added = places(&full, &Table::new());
    added.retain(|(_, destination)| destination.is_none());
    assert_eq!((removed.len(), removed), (3, added));
}

#[test]
fn services_of_others_are_left_alone() {
    let foreign = Table::from([(mark(7), entry(&[(server(1, 0), nat(1))]))]);
    assert_eq!(plan(&Table::new(), &listed(&foreign), &nobody()), []);
    let owned = BTreeSet::from([mark(7), mark(8)]);
    assert_eq!(
        words(&plan(&Table::new(), &listed(&foreign), &owned)),
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
        let changes = plan(&desired, &kernel.listing().unwrap(), &nobody());
        kernel.apply(&changes).unwrap();
        let listed = kernel.table[&web()].destinations[&server(1, 80)];
        assert_eq!(listed.forwarding, Forwarding::Local);
        assert_eq!(plan(&desired, &kernel.listing().unwrap(), &nobody()), []);
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
    let changes = plan(&desired, &[], &nobody());
    let expected = [
        "add service fwmark 1",
        "add destination 10.0.1.1:8080 to fwmark 1",
        "add destination 10.0.1.2:0 to fwmark 1",
        "add destination 10.0.1.3:8080 to fwmark 1",
        "add service TCP 192.0.2.80:80",
        "add destination 10.0.1.1:80 to TCP 192.0.2.80:80",
        "add destination 10.0.1.2:80 to TCP 192.0.2.80:80",
        "add destination 10.0.1.3:8080 to TCP 192.0.2.80:80",
    ];
    assert_eq!(words(&changes), expected);
    let mut kernel = Fake::default();
    kernel.apply(&changes).unwrap();
    assert_eq!(plan(&desired, &kernel.listing().unwrap(), &nobody()), []);
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
        assert_eq!(plan(&desired, &listed(&actual), &nobody()).len(), edits);
    }
}

#[test]
fn a_granularity_of_the_wrong_family_becomes_one_client_each() {
    let mut wanted = entry(&[]);
    wanted.service.persistence = Some(Persistence {
        timeout: 60,
        granularity: Granularity::Prefix(64),
    });
    let desired = Table::from([(web(), wanted)]);
    let mut kernel = Fake::default();
    let changes = plan(&desired, &kernel.listing().unwrap(), &nobody());
    kernel.apply(&changes).unwrap();
    let persistence = kernel.table[&web()].service.persistence.clone().unwrap();
    assert_eq!(persistence.granularity, Granularity::host(false));
    assert_eq!(plan(&desired, &kernel.listing().unwrap(), &nobody()), []);
}

fn mh(destinations: &[(DestinationKey, Destination)]) -> Entry {
    Entry {
        service: Service::new("mh"),
        ..entry(destinations)
    }
}

#[test]
fn a_new_service_with_mh_gets_its_scheduler_last_and_its_servers_in_order() {
    let down = Destination {
        resting_weight: Some(5),
        ..nat(0)
    };
    let desired = Table::from([(web(), mh(&[(server(2, 80), nat(1)), (server(1, 80), down)]))]);
    let changes = plan(&desired, &[], &nobody());
    let expected = [
        "add service TCP 192.0.2.80:80",
        "add destination 10.0.1.1:80 to TCP 192.0.2.80:80",
        "edit destination 10.0.1.1:80 of TCP 192.0.2.80:80",
        "add destination 10.0.1.2:80 to TCP 192.0.2.80:80",
        "edit service TCP 192.0.2.80:80",
    ];
    assert_eq!(words(&changes), expected);
    let mut kernel = Fake::default();
    kernel.apply(&changes).unwrap();
    let weights = vec![(server(2, 80), 1), (server(1, 80), 5)];
    assert_eq!(kernel.weights_of_mh(&web()), weights);
}

#[test]
fn with_mh_only_what_comes_after_a_new_server_is_added_again() {
    let all = [1, 2, 3, 4].map(|last| (server(last, 80), nat(1)));
    for (there, expected) in [
        (&all[..3], &["add 4"][..]),
        (&[all[0], all[1], all[3]], &["add 3", "remove 4", "add 4"]),
        (
            &all[1..],
            &[
                "add 1", "remove 2", "add 2", "remove 3", "add 3", "remove 4", "add 4",
            ],
        ),
    ] {
        let mut kernel = built(&Table::from([(web(), mh(there))]));
        let desired = Table::from([(web(), mh(&all))]);
        let changes = plan(&desired, &kernel.listing().unwrap(), &nobody());
        let short = |change: &Change| match change {
            Change::AddDestination { key, .. } => format!("add {}", last_byte(key)),
            Change::RemoveDestination { key, .. } => format!("remove {}", last_byte(key)),
            other => other.to_string(),
        };
        assert_eq!(changes.iter().map(short).collect::<Vec<_>>(), expected);
    }
}

fn last_byte(key: &DestinationKey) -> String {
    key.address
        .to_string()
        .rsplit('.')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn with_mh_a_server_that_rests_and_returns_moves_no_other() {
    let up = [1, 2, 3].map(|last| (server(last, 80), nat(4)));
    let mut one_down = up;
    one_down[0].1 = Destination {
        resting_weight: Some(4),
        ..nat(0)
    };
    let mut kernel = built(&Table::from([(web(), mh(&up))]));
    let weights = kernel.weights_of_mh(&web());
    for wanted in [&one_down, &up] {
        let desired = Table::from([(web(), mh(wanted))]);
        let changes = plan(&desired, &kernel.listing().unwrap(), &nobody());
        assert_eq!(
            words(&changes),
            ["edit destination 10.0.1.1:80 of TCP 192.0.2.80:80"]
        );
        kernel.apply(&changes).unwrap();
        assert_eq!(kernel.weights_of_mh(&web()), weights);
    }
}

#[test]
fn a_service_becomes_mh_after_its_servers_are_in_order() {
    let wlc = Entry {
        service: Service::new("wlc"),
        ..mh(&[(server(2, 80), nat(1)), (server(3, 80), nat(1))])
    };
    let mut kernel = built(&Table::from([(web(), wlc)]));
    let all = [1, 2, 3].map(|last| (server(last, 80), nat(1)));
    let desired = Table::from([(web(), mh(&all))]);
    let changes = plan(&desired, &kernel.listing().unwrap(), &nobody());
    assert_eq!(changes.len(), 6);
    assert_eq!(changes[5].to_string(), "edit service TCP 192.0.2.80:80");
    kernel.apply(&changes).unwrap();
    assert_eq!(plan(&desired, &kernel.listing().unwrap(), &nobody()), []);
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
            resting_weight: (weight == 0).then_some(2),
            ..Destination::new(forwarding, weight)
        });
    let servers = proptest::collection::btree_map(
        (1_u8..5, 79_u16..82).prop_map(|(last, port)| server(last, port)),
        destination,
        0..6,
    );
    let service =
        ("wlc|rr|mh", proptest::option::of(1_u32..3)).prop_map(|(scheduler, timeout)| Service {
            persistence: timeout.map(|timeout| Persistence {
                timeout,
                granularity: Granularity::host(false),
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
    let changes = plan(table, &[], &nobody());
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

/// What the kernel fills the lookup tables of `mh` from, service by service.
fn lookup_tables(kernel: &Fake) -> Vec<(ServiceKey, Vec<(DestinationKey, u32)>)> {
    kernel
        .table
        .iter()
        .filter(|(_, entry)| entry.service.scheduler == "mh")
        .map(|(key, _)| (*key, kernel.weights_of_mh(key)))
        .collect()
}

proptest! {
    #[test]
    fn a_plan_makes_the_kernels_table_the_desired_one(before in any_table(), after in any_table()) {
        let mut kernel = built(&before);
        let owned = before.keys().copied().collect();
        let changes = plan(&after, &kernel.listing().unwrap(), &owned);
        let outcomes = kernel.apply(&changes).unwrap();
        prop_assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        prop_assert_eq!(&kernel.table, &built(&after).table);
        prop_assert_eq!(lookup_tables(&kernel), lookup_tables(&built(&after)));
        prop_assert_eq!(plan(&after, &kernel.listing().unwrap(), &owned), []);
    }

    #[test]
    fn no_step_of_a_plan_has_fewer_destinations_than_before_and_after(
        before in any_table(),
        after in any_table(),
    ) {
        let mut kernel = built(&before);
        let (first, last) = (sizes(&kernel.table), sizes(&built(&after).table));
        for change in plan(&after, &kernel.listing().unwrap(), &nobody()) {
            kernel.apply(std::slice::from_ref(&change)).unwrap();
            for (key, size) in sizes(&kernel.table) {
                let (Some(first), Some(last)) = (first.get(&key), last.get(&key)) else {
                    continue;
                };
                let least = *first.min(last);
                // One at a time is added again to come in order, and never the only one.
                let ordered = after[&key].service.scheduler == "mh";
                let least = if ordered { least.min(1).max(least.saturating_sub(1)) } else { least };
                prop_assert!(size >= least, "{change}");
            }
        }
    }

    #[test]
    fn what_is_not_owned_is_never_touched(before in any_table(), after in any_table()) {
        let mut kernel = built(&before);
        for change in plan(&after, &kernel.listing().unwrap(), &nobody()) {
            prop_assert!(after.contains_key(&change.service()), "{change}");
        }
    }
}
