use super::*;

const GOOD: u32 = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;

fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        hardware: ARPHRD_ETHER,
        flags: GOOD,
        mac: Some([2, 0, 0, 0, 0, index as u8]),
    }
}

fn found(index: u32, address: &str) -> Found {
    Found {
        index,
        address: address.parse().unwrap(),
        proto: MARK,
        flags: 0,
    }
}

#[test]
fn a_link_is_up_only_with_everything_below_it() {
    for missing in [IFF_UP, IFF_RUNNING, IFF_LOWER_UP] {
        let mut link = link(1, "eth0");
        assert!(link.is_up());
        link.flags &= !missing;
        assert!(!link.is_up());
        assert_eq!(link.announces_as(), None);
    }
}

#[test]
fn only_ethernet_that_speaks_arp_is_announced_on() {
    let mac = Some([2, 0, 0, 0, 0, 1]);
    let ethernet = link(1, "eth0");
    assert_eq!(ethernet.announces_as(), mac);
    for flag in [IFF_LOOPBACK, IFF_NOARP] {
        let mut link = ethernet.clone();
        link.flags |= flag;
        assert_eq!(link.announces_as(), None);
    }
    let infiniband = Link {
        hardware: 32,
        ..ethernet
    };
    assert_eq!(infiniband.announces_as(), None);
}

#[test]
fn addresses_are_found_by_name_whatever_their_prefix_length() {
    let mut table = Table::default();
    table.handle(Event::Link(link(2, "eth0")));
    table.handle(Event::Link(link(3, "eth1")));
    for (index, address) in [
        (2, "192.0.2.80/24"),
        (2, "192.0.2.80/32"),
        (2, "192.0.2.81/24"),
        (3, "192.0.2.80/24"),
    ] {
        table.handle(Event::Address(found(index, address)));
    }
    let there: Vec<_> = table
        .at("eth0", "192.0.2.80".parse().unwrap())
        .map(|found| found.address.to_string())
        .collect();
    assert_eq!(there, ["192.0.2.80/24", "192.0.2.80/32"]);
    let address = "192.0.2.81/24".parse().unwrap();
    assert!(table.exact("eth0", address).is_some());
    assert!(table.exact("eth1", address).is_none());
    assert!(table.exact("eth2", address).is_none());
    table.handle(Event::AddressGone(found(2, "192.0.2.81/24")));
    assert!(table.exact("eth0", address).is_none());
}

#[test]
fn a_removed_interface_takes_its_addresses_along() {
    let mut table = Table::default();
    table.handle(Event::Link(link(2, "eth0")));
    table.handle(Event::Address(found(2, "192.0.2.80/24")));
    table.handle(Event::LinkGone(2));
    assert!(table.link("eth0").is_none());
    assert_eq!(table.addresses().count(), 0);
    table.handle(Event::LinkGone(2));
}

#[test]
fn a_renamed_interface_is_known_by_its_new_name_only() {
    let mut table = Table::default();
    table.handle(Event::Link(link(2, "eth0")));
    table.handle(Event::Link(link(2, "wan")));
    assert!(table.link("eth0").is_none());
    assert_eq!(table.link("wan").unwrap().index, 2);
}

#[test]
fn a_name_taken_over_survives_the_old_owners_end() {
    let mut table = Table::default();
    table.handle(Event::Link(link(2, "eth0")));
    table.handle(Event::Link(link(9, "eth0")));
    table.handle(Event::LinkGone(2));
    assert_eq!(table.link("eth0").unwrap().index, 9);
}
