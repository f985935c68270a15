use std::collections::BTreeMap;

use super::*;
use crate::config::{self, HostFacts};

fn config(vips: &str, forward: &str) -> std::sync::Arc<Config> {
    parsed(&text(vips, forward))
}

fn parsed(text: &str) -> std::sync::Arc<Config> {
    let loaded = config::parse(text, "test", &HostFacts::unchecked());
    loaded.unwrap().config
}

fn text(vips: &str, forward: &str) -> String {
    format!(
        "[cluster]\nname = \"web\"\nkeys = [\"/key\"]\n\
         [[director]]\nname = \"ha1\"\npaths = [{{ udp = \"192.0.2.11\" }}]\n\
         [[group]]\nname = \"web\"\nvips = [{vips}]\n\
         [[virtual]]\nname = \"www\"\ngroup = \"web\"\naddress = \"192.0.2.80\"\nport = 80\n\
         [[virtual.server]]\naddress = \"192.0.2.21\"\nforward = \"{forward}\"\n"
    )
}

const ONE: &str = "{ address = \"192.0.2.80/24\", interface = \"eth0.1\" }";
const TWO: &str = "{ address = \"192.0.2.80/24\", interface = \"eth0\" }, \
                   { address = \"10.0.1.1/24\", interface = \"eth1\" }";

fn missing(vips: &str, forward: &str, settings: &[(&str, &str)]) -> Vec<String> {
    let settings: BTreeMap<&str, &str> = settings.iter().copied().collect();
    let read = |path: &str| settings.get(path).map(|value| format!("{value}\n"));
    missing_for_nat(&config(vips, forward), read)
}

#[test]
fn nat_needs_a_host_that_forwards() {
    let off = [
        ("net/ipv4/ip_forward", "0"),
        ("net/ipv6/conf/all/forwarding", "0"),
    ];
    let said = missing(TWO, "nat", &off);
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("virtual www: nat needs"), "{said:?}");
    assert!(said[0].contains("net.ipv4.ip_forward=1"), "{said:?}");
    assert_eq!(
        missing(TWO, "nat", &[("net/ipv4/ip_forward", "1")]),
        [""; 0]
    );
    assert_eq!(missing(TWO, "direct", &off), [""; 0]);
    assert_eq!(
        missing(TWO, "nat", &[]),
        [""; 0],
        "what cannot be read is not missing"
    );
}

#[test]
fn nat_over_one_interface_needs_a_host_that_does_not_redirect() {
    let all = [("net/ipv4/conf/all/send_redirects", "1")];
    let said = missing(ONE, "nat", &all);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains("net/ipv4/conf/eth0.1/send_redirects=0"),
        "{said:?}"
    );
    let own = [("net/ipv4/conf/eth0.1/send_redirects", "1")];
    assert_eq!(missing(ONE, "nat", &own).len(), 1);
    let none = own.map(|(path, _)| (path, "0"));
    assert_eq!(missing(ONE, "nat", &none), [""; 0]);
    assert_eq!(missing(TWO, "nat", &all), [""; 0]);
    assert_eq!(missing(ONE, "direct", &all), [""; 0]);
}

#[test]
fn many_services_that_miss_the_same_are_told_of_once() {
    let mut many = text(ONE, "nat");
    for port in 1..=9 {
        many.push_str(&format!(
            "[[virtual]]\nname = \"a{port}\"\ngroup = \"web\"\naddress = \"192.0.2.80\"\n\
             port = {port}\nforward = \"nat\"\n\
             [[virtual.server]]\naddress = \"192.0.2.21\"\n"
        ));
    }
    let said = missing_for_nat(&parsed(&many), |path| {
        Some(
            if path == "net/ipv4/ip_forward" {
                "0"
            } else {
                "1"
            }
            .to_owned(),
        )
    });
    assert_eq!(said.len(), 2, "{said:?}");
    for sentence in said {
        assert!(
            sentence.starts_with("virtuals a1, a2, a3 and 7 more: nat"),
            "{sentence}"
        );
    }
    assert_eq!(virtuals(&["a", "b", "c"]), "virtuals a, b, c");
}

#[test]
fn directors_that_are_servers_need_connection_sync() {
    let by = |forward: &str| text(ONE, forward).replace("192.0.2.21", "192.0.2.11");
    let own = by("direct");
    let said = spread_twice(&parsed(&own)).unwrap();
    assert!(said.starts_with("virtual www: ha1 is a director"), "{said}");
    assert!(spread_twice(&parsed(&by("tunnel"))).is_some());
    let sorry = text(ONE, "direct").replace(
        "port = 80\n",
        "port = 80\nforward = \"direct\"\nsorry = \"192.0.2.11:80\"\n",
    );
    assert!(spread_twice(&parsed(&sorry)).is_some());
    let synced = format!("{own}[ipvs.sync]\ninterface = \"eth1\"\n");
    for others in [synced, by("nat"), text(ONE, "direct")] {
        assert_eq!(spread_twice(&parsed(&others)), None, "{others}");
    }
}
