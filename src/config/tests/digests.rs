use super::{GOOD, check};
use crate::config::model::Digest;

fn digest(text: &str) -> Digest {
    check(text).unwrap().config.digest
}

/// The good file, with one piece of it replaced.
fn with(old: &str, new: &str) -> Digest {
    assert!(GOOD.contains(old), "{old}");
    digest(&GOOD.replacen(old, new, 1))
}

#[test]
fn comments_order_and_other_words_for_the_same_make_no_difference() {
    let good = digest(GOOD);
    let blocks: Vec<_> = GOOD.split("\n\n").collect();
    assert_eq!(digest(&format!("# a comment\n{GOOD}\n# another\n")), good);
    assert_eq!(
        with(
            "name = \"ha1\"\npriority = 150",
            "priority = 150\nname = \"ha1\""
        ),
        good
    );
    assert_eq!(
        with("\"5m\"", "300"),
        good,
        "another way to write a duration"
    );
    assert_eq!(
        with("failback = \"auto\"\n", ""),
        good,
        "a default left out"
    );
    assert_eq!(with("[\"eth0\", \"eth1\"]", "[\"eth1\", \"eth0\"]"), good);
    assert_eq!(
        with("\"2001:db8::80/64\"", "\"2001:0DB8:0:0::80/64\""),
        good
    );

    let mut turned = blocks.clone();
    turned.swap(2, 3);
    assert_eq!(
        digest(&turned.join("\n\n")),
        good,
        "directors in another order"
    );
    let mut turned = blocks;
    turned.swap(7, 8);
    assert_ne!(turned.join("\n\n"), GOOD);
    assert_eq!(
        digest(&turned.join("\n\n")),
        good,
        "servers in another order"
    );
}

#[test]
fn every_setting_makes_a_difference() {
    let good = digest(GOOD);
    for (old, new) in [
        ("name = \"web\"\nkeys", "name = \"wob\"\nkeys"),
        ("cluster.key", "other.key"),
        ("\"200ms\"", "\"201ms\""),
        ("\"1s\"", "\"2s\""),
        ("priority = 150", "priority = 151"),
        ("192.0.2.11", "192.0.2.13"),
        ("failback = \"auto\"", "failback = \"manual\""),
        ("failback = \"auto\"", "failback_delay = 5"),
        ("failback = \"auto\"", "prefer = \"ha2\""),
        ("failback = \"auto\"", "ask_first = \"0s\""),
        ("192.0.2.80/24", "192.0.2.80/25"),
        ("eth0:1", "eth0:2"),
        ("[\"eth0\", \"eth1\"]", "[\"eth0\"]"),
        ("port = 80\n", "port = 80\nprotocol = \"udp\"\n"),
        ("forward = \"direct\"", "forward = \"nat\""),
        ("forward = \"direct\"", "scheduler = \"rr\""),
        ("forward = \"direct\"", "on_failure = \"quiesce\""),
        ("10.0.1.99", "10.0.1.98"),
        ("\"5m\"", "\"6m\""),
        ("http = \"/\"", "http = \"/a\""),
        ("http = \"/\"", "tcp = true"),
        ("timeout = \"2s\"", "timeout = \"3s\""),
        ("weight = 3", "weight = 4"),
        ("10.0.1.22", "10.0.1.23"),
        (
            "[[group]]",
            "[reachability]\ntargets = [\"192.0.2.1\"]\n[[group]]",
        ),
    ] {
        assert_ne!(with(old, new), good, "{old} -> {new}");
    }
}

#[test]
fn what_differs_is_named_by_its_section() {
    let good = digest(GOOD);
    assert_eq!(good.differing(&good), [""; 0]);
    for (old, new, section) in [
        ("cluster.key", "other.key", "[cluster]"),
        ("\"200ms\"", "\"201ms\"", "[heartbeat]"),
        ("priority = 150", "priority = 151", "[[director]]"),
        ("failback = \"auto\"", "failback = \"manual\"", "[[group]]"),
        ("weight = 3", "weight = 4", "[[virtual]]"),
        (
            "[[group]]",
            "[reachability]\ntargets = [\"192.0.2.1\"]\n[[group]]",
            "[reachability]",
        ),
        (
            "[[group]]",
            "[control]\nsocket = \"/run/a.sock\"\n[[group]]",
            "[control]",
        ),
        (
            "[[group]]",
            "[watchdog]\ndevice = \"/dev/watchdog\"\n[[group]]",
            "[watchdog]",
        ),
        (
            "[[group]]",
            "[ipvs.sysctl]\nexpire_nodest_conn = 1\n[[group]]",
            "[ipvs]",
        ),
    ] {
        assert_eq!(with(old, new).differing(&good), [section], "{old}");
    }
}

#[test]
fn paths_and_keys_mean_something_by_their_order() {
    let paths = |a: &str, b: &str| {
        let turned = GOOD
            .replace(
                "[{ udp = \"192.0.2.11\" }, { udp = \"2001:db8::11\" }]",
                &format!("[{{ udp = \"{a}11\" }}, {{ udp = \"{b}11\" }}]"),
            )
            .replace(
                "[{ udp = \"192.0.2.12\" }, { udp = \"2001:db8::12\" }]",
                &format!("[{{ udp = \"{a}12\" }}, {{ udp = \"{b}12\" }}]"),
            );
        digest(&turned)
    };
    assert_eq!(paths("192.0.2.", "2001:db8::"), digest(GOOD));
    assert_ne!(paths("2001:db8::", "192.0.2."), digest(GOOD));
    let key = "\"/etc/caribe/cluster.key\"";
    assert_ne!(with(key, "\"/a\", \"/b\""), with(key, "\"/b\", \"/a\""));
}
