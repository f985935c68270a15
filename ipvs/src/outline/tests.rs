use proptest::prelude::*;

use super::{OutlinedService, join, read};
use crate::model::{
    Destination, DestinationKey, Forwarding, ListedDestination, ListedService, Protocol, Service,
    ServiceKey, Stats,
};

/// As Linux 6.1 wrote it.
const FILE: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  C0000250:0035 mh ops  |
  -> 0A000115:0035      Route   1      0          0         |
TCP  [2001:0db8:0000:0000:0000:0000:0000:0080]:0050 wlc persistent 6000 40000000
  -> [2001:0db8:0000:0000:0000:0000:0000:0021]:1F90      Masq    7      3          12        |
FWM  00000001 rr |
  -> 0A000115:0000      Tunnel  1      0          0         |
FWM  00000001 wlc |
";

fn listed(key: ServiceKey, destinations: Vec<ListedDestination>) -> ListedService {
    ListedService {
        key,
        service: Service::new("wlc"),
        stats: Stats::default(),
        destinations,
    }
}

fn server(at: &str, forwarding: Forwarding, weight: u32) -> ListedDestination {
    ListedDestination {
        key: at.parse::<DestinationKey>().unwrap(),
        destination: Destination::new(forwarding, weight),
        active: 0,
        inactive: 0,
        persistent: 0,
        stats: Stats::default(),
    }
}

fn services() -> Vec<ListedService> {
    let address = |protocol, address: &str, port| ServiceKey::Address {
        protocol,
        address: address.parse().unwrap(),
        port,
    };
    let mark = |ipv6| ServiceKey::FwMark { mark: 1, ipv6 };
    let mut busy = server("[2001:db8::21]:8080", Forwarding::Masquerade, 7);
    (busy.active, busy.inactive) = (3, 12);
    vec![
        listed(
            address(Protocol::Udp, "192.0.2.80", 53),
            vec![server("10.0.1.21:53", Forwarding::Direct, 1)],
        ),
        listed(address(Protocol::Tcp, "2001:db8::80", 80), vec![busy]),
        listed(
            mark(true),
            vec![server("10.0.1.21:0", Forwarding::Tunnel, 1)],
        ),
        listed(mark(false), vec![]),
    ]
}

fn join_with(file: &str, services: &[ListedService]) -> Option<Vec<OutlinedService>> {
    let blocks = read(file.replace('|', "").as_bytes(), "the file").unwrap();
    join(services, blocks)
}

#[test]
fn the_file_and_the_services_make_the_outline_of_the_listing() {
    let expected: Vec<OutlinedService> = services().into_iter().map(Into::into).collect();
    assert_eq!(join_with(FILE, &services()), Some(expected));
}

#[test]
fn a_table_that_changed_in_between_makes_no_outline() {
    let mut fewer = services();
    fewer.remove(1);
    assert_eq!(join_with(FILE, &fewer), None);
    let mut other = services();
    other.swap(0, 1);
    assert_eq!(join_with(FILE, &other), None);
}

#[test]
fn services_of_unknown_protocols_are_left_out_as_from_netlink() {
    let file = format!("{FILE}IP_99  C0000250:0035 rr\n  -> 0A000115:0035      Route   1 0 0\n");
    assert!(join_with(&file, &services()).is_some());
}

#[test]
fn a_line_in_another_form_is_an_error() {
    for line in [
        "  -> 0A000115 Route 1 0 0\n",
        "TCP C0000250\n",
        "  -> 0A000115:0035 Route x 0 0\n",
    ] {
        assert!(
            read(format!("{FILE}{line}").as_bytes(), "the file").is_err(),
            "{line}"
        );
    }
}

proptest! {
    #[test]
    fn random_files_never_panic_the_reader(
        lines in prop::collection::vec("(  -> |TCP |FWM |)([0-9A-F:.]{1,9} ?){0,6}", 0..9),
    ) {
        let _ = read(lines.join("\n").as_bytes(), "the file");
    }
}
