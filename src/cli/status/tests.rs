//! The reports of constructed snapshots, compared with files in `tests/`.
//!
//! `UPDATE=1 cargo test status` writes those files anew; read the difference before it is
//! committed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::cli::format::width;
use crate::cluster::Histogram;
use crate::director::Snapshot;
use crate::director::snapshot::{
    Counters, DirectorStatus, GroupStatus, Health, Liveness, PathStatus, ProbesStatus, Role,
    ServerStatus, ServiceStatus, SyncStatus, Timing, Took, VipStatus,
};
use ipvs::{Forwarding, Protocol};

const DAYS: Duration = Duration::from_secs(3 * 86_400 + 4 * 3_600);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn director(name: &str, priority: u16, local: bool, addresses: [&str; 2]) -> DirectorStatus {
    let path = |address: &str| PathStatus {
        kind: "udp".to_owned(),
        address: address.to_owned(),
        liveness: Liveness::Alive,
        silence: (!local).then_some(Duration::from_millis(80)),
        round_trip: (!local).then_some(Duration::from_micros(340)),
        intervals: Histogram::default(),
        late: 0,
        lost: 0,
    };
    DirectorStatus {
        name: name.to_owned(),
        priority,
        local,
        liveness: Liveness::Alive,
        hears_us: (!local).then_some(true),
        same_config: (!local).then_some(true),
        differing: Vec::new(),
        round_trip: (!local).then_some(Duration::from_micros(340)),
        rhythm: None,
        paths: addresses.map(path).into(),
    }
}

fn group(name: &str, owner: &str, vips: &[(&str, &str)]) -> GroupStatus {
    GroupStatus {
        name: name.to_owned(),
        role: Role::Active,
        owner: Some(owner.to_owned()),
        epoch: 7,
        fit: true,
        fitness: 1000,
        amiss: Vec::new(),
        standby: false,
        handing_to: None,
        ready: true,
        since: DAYS,
        reason: "best candidate".to_owned(),
        vips: vips
            .iter()
            .map(|(address, interface)| VipStatus {
                address: (*address).to_owned(),
                interface: (*interface).to_owned(),
                present: true,
                asking: false,
                problem: None,
            })
            .collect(),
    }
}

fn server(address: &str, forward: Forwarding, active: u32) -> ServerStatus {
    let address: SocketAddr = address.parse().unwrap();
    ServerStatus {
        address: address.ip(),
        port: address.port(),
        sorry: false,
        forward,
        weight: 1,
        kernel_weight: Some(1),
        health: Health::Up,
        reason: None,
        since: Some(DAYS),
        took: Some(Took {
            connect_us: Some(210),
            tls_us: None,
            first_byte_us: Some(1_320),
            whole_us: 1_340,
        }),
        active_connections: active,
        inactive_connections: active / 3,
    }
}

fn service(name: &str, address: &str, servers: Vec<ServerStatus>) -> ServiceStatus {
    ServiceStatus {
        name: name.to_owned(),
        group: "web".to_owned(),
        address: address.to_owned(),
        protocol: Some(Protocol::Tcp),
        scheduler: "wlc".to_owned(),
        problem: None,
        servers,
    }
}

fn sorry(address: &str) -> ServerStatus {
    let server = server(address, Forwarding::Direct, 0);
    ServerStatus {
        sorry: true,
        kernel_weight: None,
        health: Health::Unchecked,
        since: None,
        took: None,
        ..server
    }
}

fn down(server: &mut ServerStatus, since: Duration, reason: &str) {
    server.kernel_weight = None;
    server.health = Health::Down;
    server.since = Some(since);
    server.reason = Some(reason.to_owned());
    server.active_connections = 0;
    server.inactive_connections = 0;
}

fn healthy() -> Snapshot {
    let farm = || {
        vec![
            server("10.0.1.21:80", Forwarding::Direct, 12),
            server("10.0.1.22:80", Forwarding::Direct, 1_340),
            server("10.0.1.23:80", Forwarding::Direct, 9),
            sorry("10.0.1.99:80"),
        ]
    };
    Snapshot {
        node: "ha1".to_owned(),
        cluster: "web".to_owned(),
        version: "0.1.0".to_owned(),
        config: "1f2e3d4c5b6a7988".to_owned(),
        uptime: DAYS,
        timing: Timing::default(),
        directors: vec![
            director("ha1", 150, true, ["192.0.2.11:539", "10.9.0.11:539"]),
            director("ha2", 100, false, ["192.0.2.12:539", "10.9.0.12:539"]),
        ],
        groups: vec![group(
            "web",
            "ha1",
            &[("192.0.2.80/24", "eth0"), ("10.0.1.1/24", "eth1")],
        )],
        services: vec![service("www", "192.0.2.80:80", farm())],
        probes: ProbesStatus {
            targets: 3,
            running: 0,
            started: 137_000,
            delay_p50: Duration::from_millis(2),
            delay_p99: Duration::from_millis(4),
            delay_max: Duration::from_micros(5_120),
            ..ProbesStatus::default()
        },
        sync: None,
        takeovers: Vec::new(),
        counters: Counters::default(),
    }
}

fn sync() -> SyncStatus {
    let set = [("expire_nodest_conn", "1"), ("sync_threshold", "3 0")];
    SyncStatus {
        interface: Some("eth1".to_owned()),
        id: 1,
        sending: true,
        receiving: true,
        sysctls: set.map(|(name, value)| (name.into(), value.into())).into(),
        lacking: vec!["sync_retries".to_owned()],
        problems: Vec::new(),
    }
}

fn peer_dead() -> Snapshot {
    let mut snapshot = healthy();
    snapshot.sync = Some(sync());
    let peer = &mut snapshot.directors[1];
    peer.liveness = Liveness::Dead;
    peer.hears_us = None;
    for (path, silence) in peer.paths.iter_mut().zip([12, 13]) {
        path.liveness = Liveness::Dead;
        path.silence = Some(secs(silence));
    }
    snapshot.groups[0].since = secs(11);
    snapshot.groups[0].reason = "ha2 is dead".to_owned();
    snapshot
}

fn server_down() -> Snapshot {
    let mut snapshot = healthy();
    down(
        &mut snapshot.services[0].servers[1],
        secs(184),
        "connection refused",
    );
    let quiesced = &mut snapshot.services[0].servers[2];
    down(
        quiesced,
        secs(4),
        "HTTP 503 Service Unavailable, expected 200-299",
    );
    quiesced.kernel_weight = Some(0);
    snapshot
}

fn worst_night() -> Snapshot {
    let mut snapshot = server_down();
    let peer = &mut snapshot.directors[1];
    peer.hears_us = Some(false);
    peer.same_config = Some(false);
    peer.differing = vec!["[heartbeat]".to_owned(), "[[virtual]]".to_owned()];
    peer.paths[1].liveness = Liveness::Unknown;
    peer.paths[1].silence = None;
    let web = &mut snapshot.groups[0];
    web.vips[1].present = false;
    web.vips[1].problem = Some("there is no interface eth1".to_owned());
    let mut mail = group("mail", "ha2", &[("192.0.2.25/24", "eth0")]);
    mail.role = Role::Standby;
    mail.owner = None;
    mail.fit = false;
    mail.fitness = 0;
    mail.amiss = vec!["eth1 has no carrier".to_owned()];
    mail.ready = false;
    mail.vips[0].present = false;
    mail.reason = "this director is unfit; ha2, not heard here, may be fit and have it".to_owned();
    snapshot.groups.insert(0, mail);
    let farm = &mut snapshot.services[0].servers;
    down(&mut farm[0], secs(2), "no answer within 2s");
    farm[3].kernel_weight = Some(1);
    farm[3].active_connections = 77;
    snapshot.services[0].problem = Some("the kernel refused port 80: not permitted".to_owned());
    snapshot.counters.dropped = [("unproven", 14), ("key", 340), ("cluster", 12)]
        .map(|(reason, n)| (reason.to_owned(), n))
        .into();
    snapshot.sync = Some(SyncStatus {
        receiving: false,
        problems: vec!["cannot start the sync receiver on eth1: it is odd".to_owned()],
        ..sync()
    });
    snapshot
}

fn ipv6() -> Snapshot {
    let mut snapshot = healthy();
    snapshot.node = "ha2".to_owned();
    for director in &mut snapshot.directors {
        *director = match director.name.as_str() {
            "ha1" => self::director(
                "ha1",
                150,
                false,
                ["[2001:db8::11]:539", "[fd00:9::11]:539"],
            ),
            _ => self::director("ha2", 100, true, ["[2001:db8::12]:539", "[fd00:9::12]:539"]),
        };
    }
    let web = &mut snapshot.groups[0];
    *web = group("web", "ha1", &[("2001:db8::80/64", "eth0")]);
    web.role = Role::Standby;
    web.reason = "ha1 is active".to_owned();
    web.vips[0].present = false;
    let farm = vec![
        server("[2001:db8:1::21]:80", Forwarding::Masquerade, 3),
        server("[2001:db8:1::22]:80", Forwarding::Tunnel, 0),
    ];
    let mut marked = server("[2001:db8:1::23]:0", Forwarding::Direct, 0);
    marked.health = Health::Unknown;
    marked.weight = 5;
    let mut by_mark = service("dns", "fwmark 1", vec![marked]);
    by_mark.protocol = None;
    snapshot.services = vec![service("www", "[2001:db8::80]:80,443", farm), by_mark];
    snapshot
}

fn thousand_services() -> Snapshot {
    let mut snapshot = healthy();
    snapshot.services = (0..1_000)
        .map(|n| {
            let address = |host| format!("10.{}.{}.{host}:80", n / 250, n % 250);
            let farm = (1..=2)
                .map(|host| server(&address(host), Forwarding::Direct, 1))
                .collect();
            service(
                &format!("www{n:03}"),
                &format!("192.0.2.80:{}", 1_000 + n),
                farm,
            )
        })
        .collect();
    snapshot
}

const PROBLEMS: Extent<'_> = Extent {
    only_problems: true,
    wide: false,
    services: &[],
};

fn plain(snapshot: &Snapshot) -> String {
    report::render(snapshot, Extent::default(), &Screen::default())
}

fn assert_golden(name: &str, text: &str) {
    let file: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "src/cli/status/tests",
        &format!("{name}.txt"),
    ]
    .iter()
    .collect();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap();
    assert!(
        text == expected,
        "{} differs, this is shown:\n{text}",
        file.display()
    );
}

#[test]
fn a_healthy_pair_is_shown_at_a_glance() {
    assert_golden("healthy", &plain(&healthy()));
}

#[test]
fn a_dead_peer_is_shown_first() {
    assert_golden("peer-dead", &plain(&peer_dead()));
}

#[test]
fn a_server_that_is_down_is_shown_with_its_reason() {
    assert_golden("server-down", &plain(&server_down()));
}

#[test]
fn many_problems_come_in_the_order_of_their_gravity() {
    assert_golden("worst-night", &plain(&worst_night()));
}

#[test]
fn ipv6_a_standby_and_a_firewall_mark_are_shown() {
    assert_golden("ipv6", &plain(&ipv6()));
}

#[test]
fn what_the_probes_took_is_shown_where_that_is_wanted() {
    let mut snapshot = server_down();
    let servers = &mut snapshot.services[0].servers;
    servers[0].took = Some(Took {
        connect_us: Some(312),
        tls_us: Some(4_871),
        first_byte_us: Some(35_020),
        whole_us: 1_204_000,
    });
    // One that was never connected to, and one without a verdict.
    servers[1].took = Some(Took {
        connect_us: None,
        tls_us: None,
        first_byte_us: None,
        whole_us: 187,
    });
    servers[2].took = None;
    let wide = Extent {
        wide: true,
        ..Extent::default()
    };
    assert_golden("wide", &report::render(&snapshot, wide, &Screen::default()));
}

#[test]
fn services_that_are_named_are_shown_alone() {
    let mut snapshot = server_down();
    let mut other = snapshot.services[0].clone();
    other.name = "other".to_owned();
    snapshot.services.push(other);
    let one = Extent {
        wide: true,
        services: &["other".to_owned()],
        ..Extent::default()
    };
    assert_golden(
        "service",
        &report::render(&snapshot, one, &Screen::default()),
    );
}

#[test]
fn a_narrow_terminal_gets_wrapped_problems_and_cut_tables() {
    let screen = Screen {
        size: Some((60, 24)),
        colour: false,
    };
    let text = report::render(&worst_night(), Extent::default(), &screen);
    assert!(text.lines().all(|line| width(line) <= 60), "{text}");
    assert_golden("narrow", &text);
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let screen = Screen {
        size: None,
        colour: true,
    };
    let mut text = report::render(&worst_night(), Extent::default(), &screen);
    assert!(text.contains("\x1b[1;31mDOWN\x1b[0m"), "{text}");
    while let Some(start) = text.find('\x1b') {
        let end = start + text[start..].find('m').unwrap();
        text.replace_range(start..=end, "");
    }
    assert_eq!(text, plain(&worst_night()));
}

#[test]
fn one_bad_server_of_a_thousand_services_is_found() {
    let mut snapshot = thousand_services();
    assert!(plain(&snapshot).contains("\nNo problems.\n"));
    assert!(plain(&snapshot).lines().count() > 3_000);
    down(
        &mut snapshot.services[777].servers[1],
        secs(9),
        "connection refused",
    );
    let text = report::render(&snapshot, PROBLEMS, &Screen::default());
    assert_golden("one-of-a-thousand", &text);
}

#[test]
fn a_flood_of_problems_does_not_push_the_tables_away() {
    let mut snapshot = thousand_services();
    for service in &mut snapshot.services {
        down(&mut service.servers[1], secs(9), "connection refused");
    }
    let text = plain(&snapshot);
    assert!(text.contains("\n1000 problems:\n"), "{text}");
    assert!(
        text.contains("\n   and 980 more, which --problems shows\n"),
        "{text}"
    );
    let all = report::render(&snapshot, PROBLEMS, &Screen::default());
    assert_eq!(
        all.matches("is down for 9s: connection refused").count(),
        1_000
    );
}

#[test]
fn a_healthy_cluster_has_no_problems_to_show() {
    let text = report::render(&healthy(), PROBLEMS, &Screen::default());
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.ends_with("\nNo problems.\n"), "{text}");
}

#[test]
fn a_group_of_a_dead_director_is_an_outage() {
    let mut snapshot = peer_dead();
    snapshot.groups[0].owner = Some("ha2".to_owned());
    snapshot.groups[0].role = Role::Standby;
    for vip in &mut snapshot.groups[0].vips {
        vip.present = false;
    }
    let found = problems::find(&snapshot);
    assert_eq!(found[0].gravity, problems::Gravity::Outage);
    assert_eq!(found[0].text, "group web belongs to ha2, which is dead");
}

#[test]
fn an_address_that_is_asked_for_is_told_to_be() {
    let mut snapshot = healthy();
    let vip = &mut snapshot.groups[0].vips[0];
    vip.present = false;
    vip.asking = true;
    let found = problems::find(&snapshot);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].text,
        "group web: 192.0.2.80/24 on eth0 is not put yet: the network is being asked whether \
         another host has it"
    );
    let text = plain(&snapshot);
    assert!(text.contains("192.0.2.80/24 on eth0  asking "), "{text}");
}

#[test]
fn a_handover_is_no_outage() {
    let mut snapshot = healthy();
    let web = &mut snapshot.groups[0];
    web.owner = None;
    web.handing_to = Some("ha2".to_owned());
    web.reason = "handed over to ha2 by command".to_owned();
    for vip in &mut web.vips {
        vip.present = false;
    }
    let found = problems::find(&snapshot);
    let [problem] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(problem.gravity, problems::Gravity::Degraded);
    assert_eq!(
        problem.text,
        "group web is being handed over to ha2, which has not taken it yet"
    );
    // It has; what is left here goes in a moment.
    snapshot.groups[0].owner = Some("ha2".to_owned());
    snapshot.groups[0].handing_to = None;
    assert_eq!(problems::find(&snapshot), []);
    // Given up, with nobody to give it to.
    snapshot.groups[0].owner = None;
    snapshot.groups[0].reason = "stopping".to_owned();
    let found = problems::find(&snapshot);
    assert_eq!(found[0].gravity, problems::Gravity::Outage);
    assert_eq!(
        found[0].text,
        "group web is being given up, and nobody has taken it yet: stopping"
    );
}

#[test]
fn an_address_on_a_standby_is_an_outage() {
    let mut snapshot = healthy();
    snapshot.groups[0].owner = Some("ha2".to_owned());
    snapshot.groups[0].role = Role::Standby;
    snapshot.groups[0].vips[0].present = false;
    let found = problems::find(&snapshot);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].gravity, problems::Gravity::Outage);
    assert_eq!(
        found[0].text,
        "group web: 10.0.1.1/24 on eth1 is present here, on a standby"
    );
}

#[test]
fn what_a_server_says_cannot_reach_the_terminal() {
    let mut snapshot = server_down();
    snapshot.services[0].servers[1].reason = Some("got \x1b]0;owned\x07".to_owned());
    let text = report::render(&snapshot, Extent::default(), &Screen::default());
    assert!(!text.contains(['\x1b', '\x07']), "{text}");
}

#[test]
fn a_redrawn_screen_is_never_longer_than_the_terminal() {
    let text = "line\n".repeat(30);
    for rows in 1..40 {
        let frame = redraw(&text, rows);
        let lines = frame.matches('\n').count();
        assert!(
            lines <= rows.saturating_sub(1).max(1),
            "{lines} lines in {rows} rows"
        );
    }
    assert!(redraw(&text, 24).contains("... 8 more lines"));
    assert!(!redraw(&text, 31).contains("more"));
}

#[test]
fn the_socket_is_the_one_of_the_configuration_whatever_else_is_wrong_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("caribe.toml");
    let text = "[control]\nsocket = \"/run/other.sock\"\n[cluster]\nunknown = 1\n";
    fs::write(&file, text).unwrap();
    assert_eq!(socket(None, Some(&file)), Ok("/run/other.sock".into()));
    assert_eq!(
        socket(Some(Path::new("/run/this.sock")), None),
        Ok("/run/this.sock".into())
    );

    fs::write(&file, "[cluster]\n").unwrap();
    assert_eq!(socket(None, Some(&file)), Ok(DEFAULT_SOCKET.into()));

    fs::write(&file, "[cluster\n").unwrap();
    let message = socket(None, Some(&file)).unwrap_err();
    assert!(
        message.contains("is not TOML") && message.contains("--socket"),
        "{message}"
    );
}
