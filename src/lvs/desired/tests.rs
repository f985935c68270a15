use ipvs::{Forwarding, Protocol};

use super::*;
use crate::config::{self, HostFacts};

const VIP: &str = "192.0.2.80";

/// The one virtual service of a file with a VIP, an HTTP service and three servers.
fn config(more: &str) -> Config {
    let text = format!(
        r#"
        [cluster]
        name = "t"
        keys = ["/k"]
        [[director]]
        name = "ha1"
        paths = [{{ udp = "192.0.2.11" }}]
        [[group]]
        name = "web"
        vips = [{{ address = "{VIP}/24", interface = "eth0" }}]
        [[virtual]]
        name = "www"
        group = "web"
        address = "{VIP}"
        port = 80
        protocol = "tcp"
        scheduler = "wlc"
        forward = "nat"
        probe = {{ tcp = true }}
        {more}
        [[virtual.server]]
        address = "10.0.1.21"
        weight = 3
        [[virtual.server]]
        address = "10.0.1.22"
        [[virtual.server]]
        address = "10.0.1.23"
        port = 8080
        "#
    );
    let loaded = config::parse(&text, "t.toml", &HostFacts::unchecked());
    Config::clone(
        &loaded
            .map_err(|report| report.render(config::Style::Plain))
            .unwrap()
            .config,
    )
}

/// The table while no director is a server.
fn desired<H: Into<Share>>(
    config: &Config,
    health: impl Fn(&str, SocketAddr) -> H,
    adopted: &Table,
) -> Table {
    super::desired(config, health, adopted, &BTreeSet::new())
}

fn service(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: VIP.parse().unwrap(),
        port,
    }
}

fn server(text: &str) -> DestinationKey {
    let at: SocketAddr = text.parse().unwrap();
    DestinationKey {
        address: at.ip(),
        port: at.port(),
    }
}

/// Weights by server, in the order of their keys.
fn weights(table: &Table) -> Vec<(String, u32)> {
    let entry = &table[&service(80)];
    entry
        .destinations
        .iter()
        .map(|(key, d)| (key.to_string(), d.weight))
        .collect()
}

fn row(text: &str, weight: u32) -> (String, u32) {
    (text.to_owned(), weight)
}

/// Health by last octet.
fn health<const N: usize>(known: [(u8, Health); N]) -> impl Fn(&str, SocketAddr) -> Health {
    move |_, at| {
        let text = at.ip().to_string();
        let last = text.rsplit('.').next().unwrap().parse::<u8>().unwrap();
        known
            .iter()
            .find(|(octet, _)| *octet == last)
            .map_or(Health::Up, |(_, health)| *health)
    }
}

#[test]
fn servers_that_are_up_have_their_weight_and_port() {
    let table = desired(&config(""), |_, _| Health::Up, &Table::new());
    let expected = [
        row("10.0.1.21:80", 3),
        row("10.0.1.22:80", 1),
        row("10.0.1.23:8080", 1),
    ];
    assert_eq!(weights(&table), expected);
    let entry = &table[&service(80)];
    assert_eq!(entry.service, Service::new("wlc"));
    assert_eq!(
        entry.destinations[&server("10.0.1.21:80")].forwarding,
        Forwarding::Masquerade
    );
}

#[test]
fn a_server_that_is_down_leaves_or_is_quiesced() {
    let down = [(22, Health::Down)];
    let removed = desired(&config(""), health(down), &Table::new());
    assert_eq!(
        weights(&removed),
        [row("10.0.1.21:80", 3), row("10.0.1.23:8080", 1)]
    );
    let config = config("on_failure = \"quiesce\"");
    let quiesced = desired(&config, health(down), &Table::new());
    let expected = [
        row("10.0.1.21:80", 3),
        row("10.0.1.22:80", 0),
        row("10.0.1.23:8080", 1),
    ];
    assert_eq!(weights(&quiesced), expected);
}

#[test]
fn a_server_without_a_verdict_is_out_unless_adopted_with_its_weight() {
    let unknown = |_: &str, _| Health::Unknown;
    let config = config("");
    assert_eq!(weights(&desired(&config, unknown, &Table::new())), []);
    let adopted = Table::from([(
        service(80),
        Entry {
            service: Service::new("rr"),
            destinations: BTreeMap::from([
                (
                    server("10.0.1.21:80"),
                    Destination::new(Forwarding::Masquerade, 7),
                ),
                (
                    server("10.0.1.99:80"),
                    Destination::new(Forwarding::Masquerade, 1),
                ),
            ]),
        },
    )]);
    let table = desired(&config, unknown, &adopted);
    assert_eq!(weights(&table), [row("10.0.1.21:80", 7)]);
    assert_eq!(table[&service(80)].service.scheduler, "wlc");
    let verdict = desired(
        &config,
        health([(21, Health::Up), (22, Health::Down)]),
        &adopted,
    );
    assert_eq!(
        weights(&verdict),
        [row("10.0.1.21:80", 3), row("10.0.1.23:8080", 1)]
    );
}

#[test]
fn the_sorry_server_serves_while_none_is_up() {
    let config = config("sorry = \"10.0.1.99:81\"");
    let all = |health: Health| move |_: &str, _| health;
    assert!(
        !weights(&desired(&config, all(Health::Up), &Table::new()))
            .contains(&row("10.0.1.99:81", 1))
    );
    let none = desired(&config, all(Health::Down), &Table::new());
    assert_eq!(weights(&none), [row("10.0.1.99:81", 1)]);
    // Nobody knows yet that it is needed; but where it serves already, it goes on.
    assert_eq!(
        weights(&desired(&config, all(Health::Unknown), &Table::new())),
        []
    );
    assert_eq!(desired(&config, all(Health::Unknown), &none), none);
}

#[test]
fn the_sorry_server_serves_beside_quiesced_ones() {
    let config = config("sorry = \"10.0.1.99:81\"\non_failure = \"quiesce\"");
    let table = desired(&config, |_, _| Health::Down, &Table::new());
    let expected = [
        row("10.0.1.21:80", 0),
        row("10.0.1.22:80", 0),
        row("10.0.1.23:8080", 0),
        row("10.0.1.99:81", 1),
    ];
    assert_eq!(weights(&table), expected);
}

#[test]
fn each_port_is_a_service_with_persistence() {
    let text = config("persistent = \"5m\"");
    let mut several = text.clone();
    let www = several.virtuals.get_mut("www").unwrap();
    www.sorry = Some("10.0.1.99:0".parse().unwrap());
    www.matches = Match::Address {
        address: VIP.parse().unwrap(),
        ports: vec![80, 443],
        protocol: Protocol::Tcp,
    };
    let table = desired(
        &several,
        |_, at| {
            if at.port() == 443 {
                Health::Down
            } else {
                Health::Up
            }
        },
        &Table::new(),
    );
    assert_eq!(
        table.keys().copied().collect::<Vec<_>>(),
        [service(80), service(443)]
    );
    let persistence = table[&service(443)].service.persistence.clone().unwrap();
    assert_eq!(
        (persistence.timeout, persistence.granularity),
        (300, Granularity::host(false))
    );
    // The third server has a port of its own for both.
    let left: Vec<_> = table[&service(443)].destinations.keys().copied().collect();
    assert_eq!(left, [server("10.0.1.23:8080")]);
    let all_down = desired(&several, |_, _| Health::Down, &Table::new());
    for port in [80, 443] {
        let left: Vec<_> = all_down[&service(port)]
            .destinations
            .keys()
            .copied()
            .collect();
        assert_eq!(
            left,
            [server(&format!("10.0.1.99:{port}"))],
            "a sorry server for each port"
        );
    }
}

#[test]
fn a_server_that_asks_for_a_share_of_connections_gets_it() {
    use probes::Weight;

    // what the server with weight 3 asks for -> its weight in the table
    let table = [
        (None, 3),
        (Some(Weight::Percent(34)), 1),
        (Some(Weight::Percent(200)), 6),
        (Some(Weight::Percent(0)), 0),
        (Some(Weight::Exactly(253)), 253),
    ];
    for (asked, expected) in table {
        let share = |_: &str, _| Share {
            health: Health::Up,
            weight: asked,
        };
        let made = desired(&config(""), share, &Table::new());
        let entry = made.get(&service(80)).unwrap();
        let weight = entry.destinations[&server("10.0.1.21:80")].weight;
        assert_eq!(weight, expected, "{asked:?}");
    }
}

#[test]
fn directors_that_spread_packets_get_no_new_connections_while_there_is_another() {
    let rows = |forward: &str, scheduler: &str, busy: &[u8], health: &dyn Fn(u8) -> Health| {
        let mut config = config("");
        let www = config.virtuals.get_mut("www").unwrap();
        www.forward = match forward {
            "direct" => Forwarding::Direct,
            _ => Forwarding::Masquerade,
        };
        scheduler.clone_into(&mut www.scheduler);
        www.servers.truncate(2);
        let busy = busy.iter().map(|last| IpAddr::from([10, 0, 1, *last]));
        let health = |_: &str, at: SocketAddr| match at.ip() {
            IpAddr::V4(ip) => health(ip.octets()[3]),
            IpAddr::V6(_) => Health::Up,
        };
        let table = super::desired(&config, health, &Table::new(), &busy.collect());
        let rows = &table[&service(80)].destinations;
        rows.values()
            .map(|it| (it.weight, it.resting_weight))
            .collect::<Vec<_>>()
    };
    let all = |_: u8| Health::Up;
    let only_21 = |last: u8| if last == 21 { Health::Up } else { Health::Down };
    let as_ever = vec![(3, None), (1, None)];
    assert_eq!(rows("direct", "wlc", &[], &all), as_ever);
    assert_eq!(
        rows("direct", "wlc", &[21], &all),
        [(0, Some(3)), (1, None)]
    );
    assert_eq!(
        rows("direct", "wlc", &[21, 22], &all),
        as_ever,
        "all are busy"
    );
    assert_eq!(
        rows("direct", "wlc", &[21], &only_21),
        [(3, None)],
        "the last"
    );
    for scheduler in ["mh", "sh", "dh"] {
        assert_eq!(
            rows("direct", scheduler, &[21], &all),
            as_ever,
            "{scheduler}"
        );
    }
    assert_eq!(
        rows("nat", "wlc", &[21], &all),
        as_ever,
        "sent to its own address"
    );
}
