use proptest::prelude::*;

use super::*;
use crate::cluster::sim::timing;
use crate::cluster::{GroupSettings, PeerSettings};
use crate::config::model::Failback;

fn settings(node: &str, groups: &[&str]) -> Settings {
    let directors = ["ha1", "ha2", "ha3"];
    Settings {
        cluster: "web".to_owned(),
        node: node.to_owned(),
        priority: 100,
        paths: 2,
        timing: timing(),
        peers: directors
            .into_iter()
            .filter(|name| *name != node)
            .map(|name| (name.to_owned(), PeerSettings { priority: 100 }))
            .collect(),
        groups: groups
            .iter()
            .map(|name| {
                let group = GroupSettings {
                    failback: Failback::Manual,
                    preferred: false,
                };
                ((*name).to_owned(), group)
            })
            .collect(),
        digest: digest(),
    }
}

fn digest() -> Digest {
    let section = |n: u8| [0xd0 + n, n];
    Digest {
        whole: [1, 2, 3, 4, 5, 6, 7, 8],
        sections: [0, 1, 2, 3, 4, 5, 6, 7, 8].map(section),
    }
}

fn codec(node: &str) -> Codec {
    let keys = Keys::new("a key of thirty-two bytes, or so.", ["an older key"]);
    Codec::new(&settings(node, &["mail", "web"]), keys).unwrap()
}

fn heartbeat() -> Heartbeat {
    let standing = Standing {
        fitness: Fitness::FULL,
        ready: true,
        preferred: false,
        declines: false,
        priority: 150,
    };
    let mail = Claim {
        role: Role::Standby,
        epoch: 7,
        standing,
        owner: Some("ha3".to_owned()),
        offer: None,
        partial: false,
    };
    let web = Claim {
        role: Role::Active,
        epoch: u64::MAX,
        standing: Standing {
            preferred: true,
            ready: false,
            ..standing
        },
        owner: None,
        offer: Some("ha2".to_owned()),
        partial: true,
    };
    Heartbeat {
        sender: "ha1".to_owned(),
        session: 0x0102_0304_0506_0708,
        counter: 513,
        clock: Duration::from_micros(51_300_000),
        digest: digest(),
        stopping: false,
        answer: true,
        echoes: BTreeMap::from([(
            "ha2".to_owned(),
            Echo {
                session: 42,
                counter: 99,
                held: Duration::from_micros(1234),
            },
        )]),
        claims: BTreeMap::from([("mail".to_owned(), mail), ("web".to_owned(), web)]),
        stations: [[2, 0, 0, 0, 0xaa, 1], [2, 0, 0, 0, 0xaa, 2]].into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A datagram as version 1 has always looked: a change here cuts a running pair in two.
#[test]
fn the_recorded_datagram_is_made_and_understood() {
    let golden = concat!(
        "435242015113d0d80102030405060708000000000000020100000000030ec6a0",
        "0102030405060708d000d101d202d303d404d505d606d707d808010202020377",
        "65620368613174f4164552f85295000000000000002a00000000000000630000",
        "04d207503f28932f30d100000000000000000000000000000000ffffffff00d8",
        "d3f11739d2f3000000000000000703e800960401ff4b5e57f6eb2f42b9ffffff",
        "ffffffffff03e8009629ff000202000000aa0102000000aa026ccd3daace9580",
        "b2342b02c908d00d37b331422c5b5712a8de9e1caa7c888d7d",
    );
    let bytes = codec("ha1").encode(1, &heartbeat());
    assert_eq!(hex(&bytes), golden);
    assert_eq!(codec("ha2").decode(1, &bytes), Ok(heartbeat()));
}

#[test]
fn what_is_not_for_us_is_dropped_with_its_reason() {
    let good = codec("ha1").encode(0, &heartbeat());
    let receiver = codec("ha2");
    let with =
        |settings: Settings, keys| Codec::new(&settings, keys).unwrap().encode(0, &heartbeat());
    let keys = || Keys::new("a key of thirty-two bytes, or so.", []);
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut long = good.clone();
    long.resize(MAX_DATAGRAM + 1, 0);
    let other = Settings {
        cluster: "test".to_owned(),
        ..settings("ha1", &[])
    };
    let stranger = settings("ha9", &["mail", "web"]);
    let cases = [
        ("empty", Vec::new(), Dropped::Length),
        ("short", good[..60].to_vec(), Dropped::Length),
        ("long", long, Dropped::Length),
        (
            "cut off",
            good[..good.len() - 1].to_vec(),
            Dropped::Signature,
        ),
        ("other magic", flipped(0), Dropped::Version),
        ("other version", flipped(3), Dropped::Version),
        ("other key id", flipped(4), Dropped::Key),
        (
            "forged epoch",
            flipped(good.len() - TAG_LEN - 10),
            Dropped::Signature,
        ),
        ("forged tag", flipped(good.len() - 1), Dropped::Signature),
        (
            "wrong key",
            with(settings("ha1", &[]), Keys::new("guess", [])),
            Dropped::Key,
        ),
        ("other cluster", with(other, keys()), Dropped::Cluster),
        (
            "our own",
            codec("ha2").encode(0, &heartbeat()),
            Dropped::Reflected,
        ),
        ("a stranger's", with(stranger, keys()), Dropped::Sender),
        (
            "another path",
            codec("ha1").encode(1, &heartbeat()),
            Dropped::Path,
        ),
    ];
    for (what, bytes, why) in cases {
        assert_eq!(receiver.decode(0, &bytes), Err(why), "{what}");
    }
}

#[test]
fn keys_are_changed_one_director_after_the_other() {
    let with = |keys| {
        Codec::new(&settings("ha1", &[]), keys)
            .unwrap()
            .encode(0, &heartbeat())
    };
    let decode = |bytes: &[u8]| codec("ha2").decode(0, bytes).map(|_| ());
    assert_eq!(
        decode(&with(Keys::new("an older key", ["a newer key"]))),
        Ok(())
    );
    assert_eq!(
        decode(&with(Keys::new("a newer key", ["an older key"]))),
        Err(Dropped::Key)
    );
}

#[test]
fn what_only_the_sender_knows_is_left_out() {
    let wide = settings("ha1", &["dns", "mail", "web"]);
    let keys = Keys::new("an older key", []);
    let mut told = heartbeat();
    let claim = told.claims["mail"].clone();
    told.claims.insert("dns".to_owned(), claim);
    let bytes = Codec::new(&wide, keys).unwrap().encode(0, &told);
    let heard = codec("ha2").decode(0, &bytes).unwrap();
    assert_eq!(heard.claims, heartbeat().claims);
}

#[test]
fn the_largest_cluster_fits_and_a_larger_one_is_refused() {
    let name = |i: usize| format!("{i:0>MAX_NAME$}");
    let mut large = settings(&name(0), &[]);
    large.cluster = name(999);
    large.peers = (1..MAX_DIRECTORS)
        .map(|i| (name(i), PeerSettings { priority: 1 }))
        .collect();
    let group = GroupSettings {
        failback: Failback::Manual,
        preferred: false,
    };
    large.groups = (0..MAX_GROUPS).map(|i| (name(i), group.clone())).collect();
    let keys = || Keys::new("k", []);
    let mut told = heartbeat();
    let claim = told.claims["mail"].clone();
    told.claims = large
        .groups
        .keys()
        .map(|name| (name.clone(), claim.clone()))
        .collect();
    // Stations are left out beyond what there is room for.
    told.stations = (0..20).map(|n| [2, 0, 0, 0, 0, n]).collect();
    let bytes = Codec::new(&large, keys()).unwrap().encode(0, &told);
    assert!(bytes.len() <= MAX_DATAGRAM);
    let names = 2 * MAX_NAME;
    let longest = datagram_len(MAX_DIRECTORS - 1, MAX_GROUPS, names, MAX_STATIONS);
    assert_eq!(bytes.len(), longest);

    let mut more = large.clone();
    more.groups.insert("one more".to_owned(), group);
    assert_eq!(
        Codec::new(&more, keys()).unwrap_err(),
        Limit::Groups(MAX_GROUPS + 1)
    );
    let mut more = large.clone();
    more.peers
        .insert("one more".to_owned(), PeerSettings { priority: 1 });
    assert_eq!(
        Codec::new(&more, keys()).unwrap_err(),
        Limit::Directors(MAX_DIRECTORS + 1)
    );
    let mut more = large;
    more.cluster.push('x');
    assert!(matches!(Codec::new(&more, keys()), Err(Limit::Name(_))));
}

proptest! {
    #[test]
    fn random_bytes_are_dropped(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
        prop_assert!(codec("ha2").decode(0, &bytes).is_err());
    }

    /// Behind the signature the parser must stand alone: a peer may run another version.
    #[test]
    fn well_signed_nonsense_does_no_harm(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        counts in any::<[u8; 2]>(),
    ) {
        let sender = codec("ha1");
        let mut bytes = sender.encode(0, &heartbeat());
        bytes.truncate(HEADER + 2 + 3 + 3);
        bytes[42..44].copy_from_slice(&counts);
        bytes.extend(body);
        let tag = sender.keys.sign(&bytes);
        bytes.extend(tag.as_ref());
        let result = codec("ha2").decode(0, &bytes);
        prop_assert!(matches!(result, Ok(_) | Err(Dropped::Malformed)));
    }

    #[test]
    fn one_flipped_bit_is_noticed(at in 0usize..10_000, bit in 0u8..8) {
        let mut bytes = codec("ha1").encode(0, &heartbeat());
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(codec("ha2").decode(0, &bytes).is_err());
    }

    #[test]
    fn what_is_encoded_is_decoded(
        session: u64, counter: u64, clock: u64, held in 0u32..u32::MAX, epoch: u64,
        fitness: u16, priority: u16, bits: u8,
    ) {
        let mut told = heartbeat();
        let bit = |i: u8| bits & 1 << i != 0;
        (told.session, told.counter) = (session, counter);
        told.clock = Duration::from_micros(clock);
        (told.stopping, told.answer) = (bit(0), bit(1));
        told.echoes.get_mut("ha2").unwrap().held = Duration::from_micros(held.into());
        let claim = told.claims.get_mut("web").unwrap();
        claim.epoch = epoch;
        let (ready, preferred, declines) = (bit(2), bit(3), bit(6));
        let fitness = Fitness(fitness);
        claim.standing = Standing { fitness, ready, preferred, priority, declines };
        claim.role = if bit(4) { Role::Releasing } else { Role::Standby };
        claim.owner = bit(5).then(|| "ha2".to_owned());
        let bytes = codec("ha1").encode(0, &told);
        prop_assert_eq!(codec("ha2").decode(0, &bytes), Ok(told));
    }
}
