use ipvs::netlink::Writer;
use proptest::prelude::*;

use super::*;

fn body(change: &Change) -> Vec<u8> {
    let mut out = Vec::new();
    change.write(&mut Writer::new(&mut out));
    out
}

fn add(address: &str, label: Option<&str>) -> Change {
    Change::Add {
        index: 7,
        address: address.parse().unwrap(),
        label: label.map(str::to_owned),
    }
}

#[test]
#[cfg(target_endian = "little")]
fn an_ipv4_address_is_added_with_label_and_mark() {
    let expected = [
        &[2, 24, 0, 0, 7, 0, 0, 0][..], // AF_INET, /24, scope universe, interface 7
        &[8, 0, 2, 0, 192, 0, 2, 80],   // IFA_LOCAL
        &[8, 0, 1, 0, 192, 0, 2, 80],   // IFA_ADDRESS
        &[5, 0, 11, 0, 0xca, 0, 0, 0],  // IFA_PROTO
        &[11, 0, 3, 0],                 // IFA_LABEL
        b"eth0:1\0\0",
    ]
    .concat();
    let change = add("192.0.2.80/24", Some("eth0:1"));
    assert_eq!(body(&change), expected);
    assert_eq!(change.kind(), (20, 0x600));
}

#[test]
#[cfg(target_endian = "little")]
fn an_ipv6_address_is_added_without_detection_and_deprecated() {
    let expected = [
        &[10, 64, 0, 0, 7, 0, 0, 0][..],
        &[20, 0, 1, 0], // IFA_ADDRESS
        &[
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
        ],
        &[5, 0, 11, 0, 0xca, 0, 0, 0], // IFA_PROTO
        &[8, 0, 8, 0, 2, 0, 0, 0],     // IFA_FLAGS: NODAD
        &[20, 0, 6, 0],                // IFA_CACHEINFO: preferred 0, valid for ever
        &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!(body(&add("2001:db8::80/64", None)), expected);
}

#[test]
#[cfg(target_endian = "little")]
fn an_address_is_removed_by_what_identifies_it() {
    let change = Change::Remove {
        index: 7,
        address: "192.0.2.80/24".parse().unwrap(),
    };
    let expected = [
        &[2, 24, 0, 0, 7, 0, 0, 0][..],
        &[8, 0, 2, 0, 192, 0, 2, 80],
        &[8, 0, 1, 0, 192, 0, 2, 80],
    ]
    .concat();
    assert_eq!(body(&change), expected);
    assert_eq!(change.kind(), (21, 0));
}

#[test]
fn what_is_written_is_read_back() {
    for (address, flags) in [("192.0.2.80/24", 0), ("2001:db8::80/64", 2)] {
        assert_eq!(
            decode(libc::RTM_NEWADDR, &body(&add(address, None))),
            Some(Event::Address(Found {
                index: 7,
                address: address.parse().unwrap(),
                proto: MARK,
                flags,
            }))
        );
    }
}

#[test]
fn on_a_point_to_point_link_the_local_end_is_the_address() {
    let mut out = Vec::new();
    Writer::new(&mut out)
        .raw(&[2, 32, 0x80, 0])
        .raw(&3_u32.to_ne_bytes())
        .bytes(libc::IFA_ADDRESS, &[10, 0, 0, 2])
        .bytes(libc::IFA_LOCAL, &[10, 0, 0, 1]);
    let Some(Event::AddressGone(found)) = decode(libc::RTM_DELADDR, &out) else {
        panic!("not read as an address that is gone");
    };
    assert_eq!(found.address.to_string(), "10.0.0.1/32");
    assert_eq!((found.proto, found.flags), (0, 0x80));
}

fn link_body(family: u8) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out)
        .raw(&[family, 0])
        .raw(&1_u16.to_ne_bytes())
        .raw(&4_u32.to_ne_bytes())
        .raw(&0x1_1043_u32.to_ne_bytes())
        .raw(&[0; 4])
        .str(libc::IFLA_IFNAME, "eth0")
        .bytes(libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 4]);
    out
}

#[test]
fn a_link_is_read_with_its_ethernet_address() {
    let link = Link {
        index: 4,
        name: "eth0".to_owned(),
        hardware: 1,
        flags: 0x1_1043,
        mac: Some([2, 0, 0, 0, 0, 4]),
    };
    assert!(link.is_up());
    let body = link_body(0);
    assert_eq!(decode(libc::RTM_NEWLINK, &body), Some(Event::Link(link)));
    assert_eq!(decode(libc::RTM_DELLINK, &body), Some(Event::LinkGone(4)));
}

#[test]
fn a_port_that_leaves_its_bridge_is_no_interface_that_is_gone() {
    let body = link_body(libc::AF_BRIDGE as u8);
    assert_eq!(decode(libc::RTM_DELLINK, &body), None);
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(
        kind in 16_u16..24,
        body in prop::collection::vec(any::<u8>(), 0..128),
    ) {
        let _ = decode(kind, &body);
    }

    #[test]
    fn a_message_cut_off_anywhere_is_read_as_less_or_nothing(end in 0_usize..40) {
        let whole = link_body(0);
        match decode(libc::RTM_NEWLINK, &whole[..end.min(whole.len())]) {
            None => {}
            Some(Event::Link(link)) => prop_assert_eq!(link.name, "eth0"),
            Some(other) => prop_assert!(false, "{:?}", other),
        }
    }
}
