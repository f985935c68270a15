use super::*;

const MAC: Mac = [0x02, 0x00, 0x5e, 0x10, 0xaa, 0xbb];

// "Request who-has 192.0.2.80 tell 192.0.2.80, length 28", as tcpdump reads it.
#[test]
fn a_request_asks_everybody_for_its_own_address() {
    let expected = [
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
        &MAC,
        &[0x08, 0x06],
        &[0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01],
        &MAC,
        &[192, 0, 2, 80],
        &[0, 0, 0, 0, 0, 0],
        &[192, 0, 2, 80],
    ]
    .concat();
    assert_eq!(arp(Ipv4Addr::new(192, 0, 2, 80), MAC, false), expected);
}

// "Reply 192.0.2.80 is-at 02:00:5e:10:aa:bb, length 28", as tcpdump reads it.
#[test]
fn a_reply_names_itself_as_sender_and_target() {
    let expected = [
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
        &MAC,
        &[0x08, 0x06],
        &[0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02],
        &MAC,
        &[192, 0, 2, 80],
        &MAC,
        &[192, 0, 2, 80],
    ]
    .concat();
    assert_eq!(arp(Ipv4Addr::new(192, 0, 2, 80), MAC, true), expected);
}

// "2001:db8::80 > ff02::1: [icmp6 sum ok] neighbor advertisement, tgt is 2001:db8::80,
// Flags [override]", as tcpdump reads it; the sums were computed by another program.
#[test]
fn an_advertisement_overrides_at_all_nodes() {
    for (router, flags, sum) in [(false, 0x20, [0xef, 0x61]), (true, 0xa0, [0x6f, 0x61])] {
        let vip = [
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
        ];
        let all_nodes = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let expected = [
            &[0x33, 0x33, 0x00, 0x00, 0x00, 0x01][..],
            &MAC,
            &[0x86, 0xdd],
            &[0x60, 0, 0, 0, 0, 32, 58, 255],
            &vip,
            &all_nodes,
            &[136, 0],
            &sum,
            &[flags, 0, 0, 0],
            &vip,
            &[2, 1],
            &MAC,
        ]
        .concat();
        let address = Ipv6Addr::from(vip);
        assert_eq!(advertisement(address, MAC, router), expected);
    }
}

#[test]
fn every_address_has_forms_of_its_family() {
    assert_eq!(
        Form::of(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        [Form::Request, Form::Reply]
    );
    assert_eq!(
        Form::of(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        [Form::Advertisement]
    );
}
