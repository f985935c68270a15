use std::collections::BTreeMap;

use ipvs::fake::Fake;
use ipvs::{Destination, DestinationKey, Entry, Forwarding, Protocol, Service};

use super::*;

fn key(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: "192.0.2.80".parse().unwrap(),
        port,
    }
}

/// A table with services of these ports, each with one server of this weight.
fn table(ports: &[u16], weight: u32) -> Table {
    let entry = |port| Entry {
        service: Service::new("rr"),
        destinations: BTreeMap::from([(
            DestinationKey {
                address: "10.0.1.21".parse().unwrap(),
                port,
            },
            Destination::new(Forwarding::Direct, weight),
        )]),
    };
    ports
        .iter()
        .map(|port| (key(*port), entry(*port)))
        .collect()
}

fn wanted(generation: u64, table: Table) -> Wanted {
    Wanted {
        generation,
        table,
        sync: sync::Desired::default(),
    }
}

fn work(kernel: Fake) -> (Work<Fake, sync::System>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let owned = Owned::nothing(folder.path().join("services.json"));
    let note = sync::NoteFile::load(folder.path().join("sync.json"));
    let sync = sync::Work::new(sync::System, note, sync::Duty::default());
    (Work::new(kernel, owned, sync), folder)
}

#[test]
fn the_table_becomes_as_wanted_and_foreign_services_stay() {
    let (mut work, folder) = work(Fake::holding(table(&[25], 9)));
    let report = work.round(&wanted(1, table(&[80, 443], 1)), || false);
    assert_eq!(
        (report.generation, report.error, report.drift),
        (1, None, 0)
    );
    assert_eq!(report.listing.len(), 3);
    let mut expected = table(&[80, 443], 1);
    expected.extend(table(&[25], 9));
    assert_eq!(work.kernel.table().unwrap(), expected);
    let noted = Owned::load(folder.path().join("services.json")).unwrap();
    assert_eq!(noted.keys(), &BTreeSet::from([key(80), key(443)]));
}

#[test]
fn a_service_that_an_earlier_run_left_is_removed() {
    let (mut work, _folder) = work(Fake::holding(table(&[25, 80, 8080], 1)));
    work.owned
        .set(BTreeSet::from([key(80), key(8080)]))
        .unwrap();
    work.round(&wanted(1, table(&[80], 1)), || false);
    assert_eq!(work.kernel.table().unwrap(), table(&[25, 80], 1));
    assert_eq!(work.owned.keys(), &BTreeSet::from([key(80)]));
}

#[test]
fn what_others_change_is_mended_and_counted() {
    let (mut work, _folder) = work(Fake::default());
    let all = wanted(1, table(&[80], 1));
    assert_eq!(work.round(&all, || false).drift, 0);
    assert_eq!(work.round(&all, || false).drift, 0);
    work.kernel
        .apply(&[ipvs::Change::RemoveService { key: key(80) }])
        .unwrap()[0]
        .clone()
        .unwrap();
    // The service and its server.
    assert_eq!(work.round(&all, || false).drift, 2);
    assert_eq!(work.kernel.table().unwrap(), all.table);
    // A wish of our own is no drift.
    let report = work.round(&wanted(2, table(&[80], 5)), || false);
    assert_eq!((report.drift, report.changes), (2, 5));
}

#[test]
fn a_clean_end_leaves_only_the_services_of_others() {
    let (mut work, folder) = work(Fake::holding(table(&[25], 9)));
    work.round(&wanted(1, table(&[80], 1)), || false);
    work.round(&wanted(2, Table::new()), || false);
    assert_eq!(work.kernel.table().unwrap(), table(&[25], 9));
    assert!(!folder.path().join("services.json").exists());
}

#[test]
fn what_is_wanted_anew_meanwhile_is_settled_in_the_next_round() {
    let (mut work, _folder) = work(Fake::default());
    let report = work.round(&wanted(1, table(&[80], 1)), || true);
    assert_eq!(work.kernel.table().unwrap(), table(&[80], 1));
    assert_eq!((report.generation, report.listing.len()), (0, 0));
    let report = work.round(&wanted(2, table(&[80, 443], 1)), || false);
    assert_eq!((report.generation, report.listing.len()), (2, 2));
    assert_eq!(report.drift, 0);
    assert_eq!(work.owned.keys(), &BTreeSet::from([key(80), key(443)]));
}

#[test]
fn a_table_that_cannot_be_worked_on_twice_in_turn_is_broken() {
    let (mut work, _folder) = work(Fake::default());
    let wanted = wanted(1, table(&[80], 1));
    let mut round = |fails: bool| {
        work.kernel.fault = fails.then_some(ipvs::Error::NoIpvs);
        let report = work.round(&wanted, || false);
        (report.error.is_some(), report.broken)
    };
    assert_eq!(round(true), (true, false), "it may pass");
    assert_eq!(round(false), (false, false));
    assert_eq!(round(true), (true, false));
    assert_eq!(round(true), (true, true));
    assert_eq!(round(true), (true, true));
    assert_eq!(round(false), (false, false));
}
