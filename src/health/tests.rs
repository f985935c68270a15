use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipvs::{Forwarding, Protocol};
use probes::kinds::http::{Http, Request, Version};
use probes::kinds::tcp::Tcp;
use probes::spec::ProbeKind;
use probes::{Failure, ProbeSpec, Target, Verdict};

use super::*;
use crate::clock::Time;
use crate::config::model::{Match, OnFailure, Server, Virtual};

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn tcp() -> ProbeSpec {
    ProbeSpec::new(ProbeKind::Tcp(Tcp))
}

fn http() -> ProbeSpec {
    ProbeSpec::new(ProbeKind::Http(Http {
        tls: None,
        version: Version::Http11,
        requests: vec![Request::get("/")],
    }))
}

fn on_port(port: u16, spec: ProbeSpec) -> ProbeSpec {
    ProbeSpec {
        port: Some(port),
        ..spec
    }
}

fn server(address: &str, port: Option<u16>, probe: Option<ProbeSpec>) -> Server {
    Server {
        address: address.parse().unwrap(),
        port,
        weight: 1,
        forward: None,
        probe: probe.map(Arc::new),
    }
}

fn service(name: &str, matches: Match, probe: Option<ProbeSpec>, servers: Vec<Server>) -> Virtual {
    Virtual {
        name: name.to_owned(),
        group: "web".to_owned(),
        matches,
        scheduler: "wlc".to_owned(),
        forward: Forwarding::Direct,
        persistent: None,
        sorry: None,
        on_failure: OnFailure::Remove,
        probe: probe.map(Arc::new),
        servers,
    }
}

fn ports(ports: &[u16]) -> Match {
    let address = "192.0.2.80".parse().unwrap();
    Match::Address {
        address,
        ports: ports.to_vec(),
        protocol: Protocol::Tcp,
    }
}

fn mark() -> Match {
    Match::FwMark {
        mark: 1,
        ipv6: false,
    }
}

fn verdict(target: &Target, health: probes::Health, since: u64) -> Verdict {
    let reason = match health {
        probes::Health::Up | probes::Health::Unknown => None,
        probes::Health::Down => Some(refused()),
    };
    let since = Time::from_secs(since);
    Verdict {
        target: target.clone(),
        health,
        reason,
        since,
        weight: None,
        warning: None,
        times: None,
    }
}

fn refused() -> Failure {
    Failure::Io {
        what: "connection refused".to_owned(),
        stage: probes::Stage::Connecting,
    }
}

fn verdicts(services: &[Virtual]) -> Verdicts {
    let mut verdicts = Verdicts::default();
    verdicts.handle_subscriptions(Subscriptions::new(services), Time::from_secs(1));
    verdicts
}

#[test]
fn each_server_is_decided_by_its_probe() {
    let server_a = "10.0.1.21";
    // what the service matches, its probe, the server's port and probe
    // -> where it is in the kernel's table, and what decides it
    let table = [
        (
            ports(&[80]),
            Some(tcp()),
            None,
            None,
            vec![("10.0.1.21:80", "10.0.1.21:80", tcp())],
        ),
        (
            ports(&[80, 443]),
            Some(tcp()),
            None,
            None,
            vec![
                ("10.0.1.21:80", "10.0.1.21:80", tcp()),
                ("10.0.1.21:443", "10.0.1.21:443", tcp()),
            ],
        ),
        (
            ports(&[80]),
            Some(tcp()),
            Some(8080),
            None,
            vec![("10.0.1.21:8080", "10.0.1.21:8080", tcp())],
        ),
        (
            ports(&[80, 443]),
            Some(on_port(9000, tcp())),
            None,
            None,
            vec![
                ("10.0.1.21:80", "10.0.1.21:9000", tcp()),
                ("10.0.1.21:443", "10.0.1.21:9000", tcp()),
            ],
        ),
        (
            ports(&[80]),
            Some(tcp()),
            None,
            Some(http()),
            vec![("10.0.1.21:80", "10.0.1.21:80", http())],
        ),
        (
            ports(&[80]),
            Some(on_port(9000, tcp())),
            None,
            Some(http()),
            vec![("10.0.1.21:80", "10.0.1.21:80", http())],
        ),
        (ports(&[80]), None, None, None, vec![]),
        (
            ports(&[80]),
            None,
            None,
            Some(http()),
            vec![("10.0.1.21:80", "10.0.1.21:80", http())],
        ),
        (
            mark(),
            Some(on_port(8080, tcp())),
            None,
            None,
            vec![("10.0.1.21:0", "10.0.1.21:8080", tcp())],
        ),
    ];
    for (matches, probe, port, own, expected) in table {
        let service = service("www", matches, probe, vec![server(server_a, port, own)]);
        let subscriptions = Subscriptions::new([&service]);
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .map(|(server, place, spec)| (at(server), Target::new(at(place), spec)))
            .collect();
        let found: BTreeMap<_, _> = subscriptions
            .iter()
            .map(|(_, server, place)| (server, subscriptions.targets()[place].clone()))
            .collect();
        assert_eq!(found, expected, "{service:?}");
        for (address, target) in &expected {
            let place = subscriptions.place_of("www", *address);
            assert_eq!(place, subscriptions.place(target));
            assert!(place.is_some());
        }
    }
}

#[test]
fn what_is_asked_alike_at_one_place_is_asked_once() {
    let servers = || {
        vec![
            server("10.0.1.21", None, None),
            server("2001:db8::21", None, None),
        ]
    };
    let services = [
        service("one", ports(&[80]), Some(tcp()), servers()),
        service("two", ports(&[80]), Some(tcp()), servers()),
        service("all", mark(), Some(on_port(80, tcp())), servers()),
        service(
            "other",
            ports(&[80]),
            Some(http()),
            vec![server("10.0.1.21", None, None)],
        ),
    ];
    let verdicts = verdicts(&services);
    assert_eq!(verdicts.subscriptions().targets().len(), 3);
    let shared = Target::new(at("10.0.1.21:80"), tcp());
    let expected = [
        ("all", "10.0.1.21:0"),
        ("one", "10.0.1.21:80"),
        ("two", "10.0.1.21:80"),
    ];
    let expected = expected.map(|(service, address)| (Arc::from(service), at(address)));
    assert_eq!(verdicts.servers_of(&shared), expected);
}

#[test]
fn a_verdict_decides_every_server_that_shares_its_target() {
    let services = [
        service(
            "one",
            ports(&[80]),
            Some(tcp()),
            vec![server("10.0.1.21", None, None)],
        ),
        service(
            "two",
            ports(&[80]),
            Some(tcp()),
            vec![server("10.0.1.21", None, None)],
        ),
        service(
            "free",
            ports(&[80]),
            None,
            vec![server("10.0.1.21", None, None)],
        ),
    ];
    let mut verdicts = verdicts(&services);
    let address = at("10.0.1.21:80");
    let target = Target::new(address, tcp());
    let state = |verdicts: &Verdicts, service| {
        let known = verdicts.health_of(service, address);
        (
            known.health,
            known.reason.cloned(),
            known.since.map(|since| since.as_secs()),
        )
    };
    assert_eq!(state(&verdicts, "one"), (Health::Unknown, None, Some(1)));
    assert!(!verdicts.is_complete("one"));

    assert!(verdicts.handle_verdict(verdict(&target, probes::Health::Down, 7)));
    for service in ["one", "two"] {
        assert_eq!(
            state(&verdicts, service),
            (Health::Down, Some(refused()), Some(7))
        );
        assert!(verdicts.is_complete(service));
    }
    assert_eq!(state(&verdicts, "free"), (Health::Unchecked, None, None));
    assert!(verdicts.is_complete("free"));

    let again = verdict(&target, probes::Health::Down, 7);
    assert!(
        !verdicts.handle_verdict(again),
        "another reason is no change of health"
    );
    assert!(verdicts.handle_verdict(verdict(&target, probes::Health::Up, 9)));
    assert_eq!(state(&verdicts, "two"), (Health::Up, None, Some(9)));
}

#[test]
fn a_verdict_on_nothing_known_is_ignored() {
    let mut verdicts = verdicts(&[]);
    let stranger = Target::new(at("10.0.1.21:80"), tcp());
    assert!(!verdicts.handle_verdict(verdict(&stranger, probes::Health::Up, 2)));
    assert_eq!(
        verdicts.health_of("www", at("10.0.1.21:80")).health,
        Health::Unchecked
    );
}

#[test]
fn a_new_configuration_keeps_what_is_known_of_what_it_keeps() {
    let www = |probe| {
        let servers = vec![
            server("10.0.1.21", None, None),
            server("10.0.1.22", None, None),
        ];
        service("www", ports(&[80]), Some(probe), servers)
    };
    let address = at("10.0.1.21:80");
    let slower = ProbeSpec {
        interval: Duration::from_secs(60),
        ..tcp()
    };
    // a new probe -> what is known then
    let table = [
        (tcp(), Health::Down),
        (slower, Health::Down),
        (http(), Health::Unknown),
    ];
    for (probe, expected) in table {
        let mut verdicts = verdicts(&[www(tcp())]);
        let target = Target::new(address, tcp());
        verdicts.handle_verdict(verdict(&target, probes::Health::Down, 5));
        let subscriptions = Subscriptions::new([&www(probe.clone())]);
        verdicts.handle_subscriptions(subscriptions, Time::from_secs(8));
        assert_eq!(
            verdicts.health_of("www", address).health,
            expected,
            "{probe:?}"
        );
        let since = if expected == Health::Down { 5 } else { 8 };
        assert_eq!(
            verdicts.health_of("www", address).since,
            Some(Time::from_secs(since))
        );
        assert_eq!(
            verdicts.health_of("www", at("10.0.1.22:80")).health,
            Health::Unknown
        );
        assert!(!verdicts.is_complete("www"));
    }
}
