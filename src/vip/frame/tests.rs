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

#[test]
fn a_probe_asks_without_telling_anybody_an_address() {
    let frame = arp_probe([192, 0, 2, 80].into(), MAC);
    assert_eq!(frame.len(), 42);
    assert_eq!(frame[20..22], [0, 1], "a request");
    assert_eq!(frame[22..28], MAC);
    assert_eq!(frame[28..32], [0; 4]);
    assert_eq!(frame[38..42], [192, 0, 2, 80]);
}

#[test]
fn a_solicitation_goes_to_the_solicited_nodes_and_says_whom_to_tell() {
    let address: Ipv6Addr = "2001:db8::12:3456".parse().unwrap();
    let own: Ipv6Addr = "fe80::11".parse().unwrap();
    let to: Ipv6Addr = "ff02::1:ff12:3456".parse().unwrap();
    for (from, length) in [(None, 24), (Some(own), 32)] {
        let frame = solicitation(address, MAC, from);
        let source = from.unwrap_or(Ipv6Addr::UNSPECIFIED);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!(frame[18..20], [0, length], "the payload's length");
        assert_eq!(frame[21], 255, "hop limit");
        assert_eq!(frame[22..38], source.octets());
        assert_eq!(frame[38..54], to.octets());
        assert_eq!(frame[54], 135);
        assert_eq!(frame[62..78], address.octets());
        // With its own checksum in place a message sums up to nothing.
        assert_eq!(icmpv6_checksum(source, to, &frame[54..]), 0);
    }
    let frame = solicitation(address, MAC, Some(own));
    assert_eq!(frame[78..80], [1, 1], "source link-layer address");
    assert_eq!(frame[80..], MAC);
}

#[test]
fn replies_and_announcements_claim_an_address_and_questions_do_not() {
    let address = Ipv4Addr::new(192, 0, 2, 80);
    let claimed = Some((address.into(), MAC));
    let [request, reply] = [false, true].map(|reply| arp(address, MAC, reply));
    assert_eq!(decode_arp(&request), claimed);
    assert_eq!(decode_arp(&reply), claimed);
    assert_eq!(decode_arp(&arp_probe(address, MAC)), None);
    let mut question = request.clone();
    question[41] = 1;
    assert_eq!(decode_arp(&question), None, "it asks for somebody else");
    for (at, octet) in [(12, 0x86), (15, 6), (17, 0x86), (18, 8), (19, 16), (21, 3)] {
        let mut other = reply.clone();
        other[at] = octet;
        assert_eq!(decode_arp(&other), None, "octet {at}");
    }
    for mac in [[0; 6], BROADCAST, [0x01, 0, 0x5e, 0, 0, 1]] {
        let mut nobody = reply.clone();
        nobody[22..28].copy_from_slice(&mac);
        assert_eq!(decode_arp(&nobody), None, "{mac:?}");
    }
    for end in 0..42 {
        assert_eq!(decode_arp(&reply[..end]), None, "{end}");
    }
}

#[test]
fn an_advertisement_claims_its_target_for_the_station_that_it_names() {
    let address: Ipv6Addr = "2001:db8::80".parse().unwrap();
    let frame = advertisement(address, MAC, false);
    let message = &frame[54..];
    let claimed = Some((address.into(), MAC));
    assert_eq!(decode_advertisement(message), claimed);
    for end in 0..message.len() {
        assert_eq!(decode_advertisement(&message[..end]), None, "{end}");
    }
    // An option that is not known stands before it.
    let (fields, option) = message.split_at(24);
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    assert_eq!(
        decode_advertisement(&[fields, &nonce, option].concat()),
        claimed
    );
    for (at, octet) in [
        (0, 135),
        (1, 1),
        (8, 0xff),
        (24, 1),
        (25, 0),
        (25, 2),
        (26, 3),
    ] {
        let mut other = message.to_vec();
        other[at] = octet;
        assert_eq!(decode_advertisement(&other), None, "octet {at}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_from_the_network_is_read_without_a_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..160),
        at in 0_usize..64,
        octet in proptest::prelude::any::<u8>(),
    ) {
        let _ = decode_arp(&bytes);
        let _ = decode_advertisement(&bytes);
        let mut reply = arp([192, 0, 2, 80].into(), MAC, true);
        let mut frame = advertisement("2001:db8::80".parse().unwrap(), MAC, true);
        for spoilt in [&mut reply, &mut frame] {
            if let Some(place) = spoilt.get_mut(at) {
                *place = octet;
            }
        }
        let _ = decode_arp(&reply);
        let _ = decode_advertisement(&frame[54..]);
        // Whatever is read names a station.
        for (_, mac) in [decode_arp(&bytes), decode_arp(&reply), decode_advertisement(&bytes)].into_iter().flatten() {
            proptest::prop_assert!(mac[0] & 1 == 0 && mac != [0; 6]);
        }
    }
}
