use std::net::IpAddr;

use ipvs::{Encapsulation, Forwarding, ListedDestination, ListedService, Protocol, Service, Stats};

use super::sample::{LISTING, flags, key, listed, server, table};

use super::{Stub, run};

fn list(args: &[&str], services: Vec<ListedService>) -> String {
    let (status, stdout, stderr) = run(args, "", &Stub::listing(services));
    assert_eq!((status, stderr.as_str()), (0, ""));
    stdout
}

#[test]
fn the_listing_is_that_of_ipvsadm() {
    assert_eq!(list(&["-L", "-n"], table()), LISTING.replace('|', ""));
}

#[test]
fn without_sorting_the_kernels_order_stays() {
    let listed = list(&["-Ln", "--nosort"], table());
    let mut lines = listed.lines().skip(3);
    assert_eq!(lines.next(), Some("FWM  1 IPv6 wrr persistent 10"));
    let (mut ours, mut sorted): (Vec<_>, Vec<_>) =
        (lines.collect(), LISTING.lines().skip(3).collect());
    ours.push("FWM  1 IPv6 wrr persistent 10");
    ours.sort_unstable();
    sorted.sort_unstable();
    let sorted: Vec<String> = sorted.iter().map(|line| line.replace('|', "")).collect();
    assert_eq!(ours, sorted);
}

#[test]
fn addresses_are_written_as_inet_ntop_does() {
    let first_line = |address| {
        let service = listed(key(Protocol::Tcp, address, 80), Service::new("rr"), vec![]);
        list(&["-Ln"], vec![service])
            .lines()
            .nth(3)
            .unwrap()
            .to_owned()
    };
    for (address, text) in [
        ("::1.2.3.4", "::1.2.3.4"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("::5", "::5"),
        ("::1:0:0", "::1:0:0"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ] {
        assert_eq!(first_line(address), format!("TCP  [{text}]:80 rr"));
    }
}

/// A masquerading server with counters, and a tunnelled one, behind one service.
fn counted(counts: [u64; 5]) -> Vec<ListedService> {
    let [connections, packets_in, packets_out, bytes_in, bytes_out] = counts;
    let stats = Stats {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
        connection_rate: connections,
        packet_rate_in: packets_in,
        packet_rate_out: packets_out,
        byte_rate_in: bytes_in,
        byte_rate_out: bytes_out,
    };
    let mut tunnelled = server("10.0.1.22:80", Forwarding::Tunnel, 2);
    tunnelled.destination.encapsulation = Encapsulation::Gue {
        port: 6080,
        flags: 1,
    };
    tunnelled.destination.upper_threshold = 100;
    tunnelled.destination.lower_threshold = 50;
    tunnelled.persistent = 9;
    let counted = ListedDestination {
        stats,
        ..server("10.0.1.21:80", Forwarding::Masquerade, 1)
    };
    vec![ListedService {
        stats,
        ..listed(
            key(Protocol::Tcp, "192.0.2.80", 80),
            Service::new("rr"),
            vec![counted, tunnelled],
        )
    }]
}

#[test]
fn large_counters_are_shortened_unless_they_shall_be_exact() {
    let numbers = [
        99_999_999,
        100_000_000,
        1_000_000_000,
        100_000_000_000,
        u64::MAX,
    ];
    let lines = |args: &[&str]| -> Vec<String> {
        let text = list(args, counted(numbers));
        text.lines().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(
        lines(&["-Ln", "--stats"])[..3],
        [
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes",
            "  -> RemoteAddress:Port",
            "TCP  192.0.2.80:80                99999999  100000K    1000M     100G18446744T",
        ]
    );
    assert_eq!(
        lines(&["-Ln", "--stats", "--exact"])[2..4],
        [
            "TCP  192.0.2.80:80                99999999 100000000 1000000000 100000000000 \
             18446744073709551615",
            "  -> 10.0.1.21:80                 99999999 100000000 1000000000 100000000000 \
             18446744073709551615",
        ]
    );
    // Of a server's rates only those of bytes are shortened.
    assert_eq!(
        lines(&["-Ln", "--rate"])[2..4],
        [
            "TCP  192.0.2.80:80                99999999  100000K    1000M     100G18446744T",
            "  -> 10.0.1.21:80                 99999999 100000000 1000000000     100G18446744T",
        ]
    );
}

#[test]
fn each_format_has_its_columns() {
    let server_line = |format: &str| {
        let text = list(&["-Ln", format], counted([0; 5]));
        text.lines().last().unwrap().to_owned()
    };
    for (format, line) in [
        (
            "--thresholds",
            "  -> 10.0.1.22:80                 100        50         0          0         ",
        ),
        (
            "--persistent-conn",
            "  -> 10.0.1.22:80                 2         9           0          0         ",
        ),
        (
            "--tun-info",
            "  -> 10.0.1.22:80                 Tunnel  gue:6080:+c   2      0          0         ",
        ),
    ] {
        assert_eq!(server_line(format), line);
    }
}

#[test]
fn names_are_looked_up_unless_numbers_are_asked_for() {
    let text = list(&["-L"], counted([0; 5]));
    let lines: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(lines[0], "TCP  www.example.net:http rr");
    // Names are cut so that the columns stay.
    assert_eq!(
        lines[1],
        "  -> a-very-long-name.of-a.server Masq    1      0          0         "
    );
    assert_eq!(
        lines[2],
        "  -> 10.0.1.22:http               Tunnel  2      0          0         "
    );
    let saved = list(&["-S"], counted([0; 5]));
    assert!(
        saved.contains("-r a-very-long-name.of-a.server.example.net:http -m"),
        "{saved}"
    );
}

#[test]
fn what_is_saved_can_be_restored_to_the_same_table() {
    let mut services = table();
    services.extend(counted([0; 5]).into_iter().map(|service| ListedService {
        key: key(Protocol::Tcp, "192.0.2.99", 80),
        ..service
    }));
    let third = Service {
        flags: flags(false, true, false, true),
        ..Service::new("mh")
    };
    services.push(listed(key(Protocol::Tcp, "192.0.2.98", 80), third, vec![]));
    let saved = list(&["-S", "-n"], services.clone());
    let stub = Stub::default();
    assert_eq!(
        run(&["-R"], &saved, &stub),
        (0, String::new(), String::new())
    );
    assert_eq!(stub.table(), ipvs::table(&services), "{saved}");
}

#[test]
fn json_has_every_fact_of_a_listing() {
    let document: serde_json::Value =
        serde_json::from_str(&list(&["-L", "--json"], counted([1, 2, 3, 4, 5]))).unwrap();
    let service = &document["services"][0];
    assert_eq!(document["version"], "1.2.1");
    assert_eq!(service["protocol"], "tcp");
    assert_eq!(service["address"], "192.0.2.80");
    assert_eq!(service["port"], 80);
    assert_eq!(service["stats"]["rates"]["bytes_out"], 5);
    let server = &service["servers"][1];
    assert_eq!(server["tunnel"]["type"], "gue");
    assert_eq!(server["upper_threshold"], 100);
    assert_eq!(server["persistent"], 9);
    let documents = list(&["-L", "--json"], table());
    let document: serde_json::Value = serde_json::from_str(&documents).unwrap();
    assert_eq!(
        document["services"].as_array().unwrap().len(),
        table().len()
    );
    assert_eq!(document["services"][0]["fwmark"], u32::MAX);
    assert_eq!(
        document["services"][0]["flags"],
        serde_json::json!(["flag-1", "flag-3"])
    );
}

#[test]
fn one_service_is_listed_without_the_version() {
    let text = list(&["-L", "-n", "-u", "192.0.2.80:5060"], table());
    assert_eq!(
        text.lines().nth(2),
        Some("UDP  192.0.2.80:5060 rr persistent 60 pe sip")
    );
    assert_eq!(text.lines().count(), 3);
    let (status, stdout, stderr) = run(&["-Ln", "-f", "9"], "", &Stub::listing(table()));
    assert_eq!(
        (status, stdout.as_str(), stderr.as_str()),
        (1, "", "No such service\n")
    );
}

/// What the stub's resolver calls these addresses.
pub(super) fn name(address: IpAddr) -> Option<&'static str> {
    match address.to_string().as_str() {
        "192.0.2.80" => Some("www.example.net"),
        "10.0.1.21" => Some("a-very-long-name.of-a.server.example.net"),
        _ => None,
    }
}
