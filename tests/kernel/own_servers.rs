//! Directors that are real servers of their own services.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lab::farm::{RealServer, Settings, service_address};
use lab::{Director, Family, Farm, Lab, Mode, SOON, kernel_test, until};

const SYNC: &str = "\n[ipvs.sync]\ninterface = \"eth2\"\n";

/// A farm of direct routing with both directors and one more host for servers.
fn farm(lab: &Lab, family: Family, scheduler: &str, more: &str) -> Farm {
    let settings = Settings::default();
    let mut farm = Farm::with(lab, Mode::Direct, family, &settings);
    farm.servers.truncate(1);
    let mut text = lab::farm::config(Mode::Direct, family, &settings).replace(
        "scheduler = \"rr\"",
        &format!("scheduler = \"{scheduler}\""),
    );
    for (director, own, replaced) in [(&farm.ha1, 11, 22), (&farm.ha2, 12, 23)] {
        let address = service_address(family, own);
        text = text.replace(&service_address(family, replaced), &address);
        let host = director.host.clone();
        farm.servers
            .push(RealServer::on(host, Mode::Direct, family, address));
    }
    for director in [&farm.ha1, &farm.ha2] {
        let text = format!("{text}{more}");
        director.host.write(lab::director::CONFIG, 0o644, &text);
    }
    farm
}

fn backup_only(director: &Director) -> String {
    let path = "/proc/sys/net/ipv4/vs/backup_only";
    director.host.sh(&format!("cat {path}")).trim().to_owned()
}

/// Whether a director has the VIP as such; all have it on `lo`, to be servers.
fn has_vip_beside_lo(farm: &Farm, director: &Director) -> bool {
    let addresses = director.host.sh("ip -o address show dev eth0");
    addresses.contains(&format!(" {}/", farm.vip.ip()))
}

/// Waits until the kernels of both know who balances, and both statuses say so.
#[track_caller]
fn wait_balancing(active: &Director, standby: &Director) {
    active.wait_active("web", SOON);
    for (director, value) in [(active, "0"), (standby, "1")] {
        let what = format!("{} has backup_only {value}", director.name());
        until(&what, SOON, || {
            let status = director.status().unwrap_or_default();
            backup_only(director) == value
                && status["sync"]["sysctls"]["backup_only"] == value
                && status["sync"]["receiving"] == true
        });
    }
}

/// The weight that a director's kernel gives another as a server.
fn weight(director: &Director, farm: &Farm, server: &Director) -> Option<String> {
    let name = server.host.name();
    let server = farm.servers.iter().find(|it| it.host.name() == name)?;
    let table = director.table();
    let row = table
        .lines()
        .find(|line| line.contains(&server.address) && line.contains("->"))?;
    row.split_whitespace().nth(3).map(str::to_owned)
}

/// Waits until a director's server gets no new connections from the other while it has the group.
#[track_caller]
fn wait_withheld(farm: &Farm, active: &Director, standby: &Director) {
    until(
        "who has the group gets nothing from the other",
        SOON,
        || {
            weight(standby, farm, active).as_deref() == Some("0")
                && weight(active, farm, standby).as_deref() == Some("1")
        },
    );
}

/// Waits until the server on a director that has died gets new connections again.
#[track_caller]
fn wait_given(farm: &Farm, active: &Director, dead: &Director) {
    until(
        "the dead director's server is given connections",
        SOON,
        || weight(active, farm, dead).as_deref() == Some("1"),
    );
}

/// New connections that a director's kernel has spread since the service was added, as it counted
/// them within the last two seconds.
fn spread(director: &Director) -> u64 {
    let listed = director
        .host
        .exec(&["ipvsadm", "-L", "-n", "--stats", "--exact"]);
    let service = listed.stdout.lines().find(|line| line.starts_with("TCP"));
    let conns = service.and_then(|line| line.split_whitespace().nth(2));
    conns
        .and_then(|conns| conns.parse().ok())
        .expect("it is counted")
}

/// New connections to meet every server several times.
const CONNECTIONS: u64 = 30;

/// Connects; returns who has answered.
fn connect(farm: &Farm) -> BTreeSet<String> {
    let connections = (0..CONNECTIONS).map(|_| {
        let kept = farm.client.keep(farm.vip);
        kept.and_then(|mut kept| kept.ask())
            .expect("it is answered")
    });
    connections.collect()
}

/// A director and how many connections it shall have spread.
struct Spread<'f>(&'f Director, u64);

/// Asserts that new connections are all answered and spread by one director alone.
#[track_caller]
fn assert_spread_by(farm: &Farm, active: &mut Spread<'_>, standby: &Spread<'_>) {
    // Each kernel counts every two seconds: between two such moments of the one is one of the other.
    for _ in 0..3 {
        assert_eq!(connect(farm), farm.server_names());
        active.1 += CONNECTIONS;
        until("they are counted", SOON, || spread(active.0) == active.1);
    }
    assert_eq!(spread(standby.0), standby.1);
}

/// Starts both, and waits until their tables and kernels are as they shall be.
#[track_caller]
fn start(farm: &mut Farm) {
    farm.start_pair();
    wait_balancing(&farm.ha1, &farm.ha2);
    wait_withheld(farm, &farm.ha1, &farm.ha2);
}

fn goes_along_with_takeovers(lab: &Lab, family: Family) {
    let mut farm = farm(lab, family, "rr", SYNC);
    start(&mut farm);
    let (mut by_ha1, mut by_ha2) = (0, 0);
    {
        let mut ha1 = Spread(&farm.ha1, by_ha1);
        let mut ha2 = Spread(&farm.ha2, by_ha2);
        assert_spread_by(&farm, &mut ha1, &ha2);

        farm.ha1.caribe(&["handover", "web"]);
        farm.ha2.wait_active("web", SOON);
        let mac = farm.ha2.host.sh("cat /sys/class/net/eth0/address");
        until("the client's packets go to ha2", SOON, || {
            let neighbour = format!("ip neigh show {}", farm.vip.ip());
            farm.client.sh(&neighbour).contains(mac.trim())
        });
        // While ha1 still forwards what comes to it from whoever has not heard.
        connect(&farm);
        ha2.1 += CONNECTIONS;
        wait_balancing(&farm.ha2, &farm.ha1);
        wait_withheld(&farm, &farm.ha2, &farm.ha1);
        assert_spread_by(&farm, &mut ha2, &ha1);
        (by_ha1, by_ha2) = (ha1.1, ha2.1);
    }

    farm.ha2.kill();
    farm.ha1.wait_active("web", SOON);
    until("the dead director stands aside", SOON, || {
        backup_only(&farm.ha2) == "1" && !has_vip_beside_lo(&farm, &farm.ha2)
    });
    wait_given(&farm, &farm.ha1, &farm.ha2);
    let mut ha1 = Spread(&farm.ha1, by_ha1);
    assert_spread_by(&farm, &mut ha1, &Spread(&farm.ha2, by_ha2));
}

kernel_test! {
    fn a_standby_that_is_a_real_server_spreads_nothing(lab) {
        goes_along_with_takeovers(lab, Family::V4);
    }

    fn a_standby_that_is_a_real_server_of_ipv6_spreads_nothing(lab) {
        goes_along_with_takeovers(lab, Family::V6);
    }

    fn a_standby_that_heeds_nothing_spreads_what_it_is_sent(lab) {
        let fixed = format!("{SYNC}\n[ipvs.sysctl]\nbackup_only = 0\n");
        let mut farm = farm(lab, Family::V4, "rr", &fixed);
        farm.start_pair();
        // Some of them go back and forth until their time to live is over.
        let load = farm.client.load(farm.vip);
        until("the standby has spread", SOON, || spread(&farm.ha2) > 10);
        drop(load);
        assert_eq!(backup_only(&farm.ha2), "0", "the tests beside show something");
    }

    fn backup_only_is_mended_adopted_and_restored(lab) {
        let mut farm = farm(lab, Family::V4, "rr", SYNC);
        assert_eq!((backup_only(&farm.ha1), backup_only(&farm.ha2)), ("0".into(), "0".into()));
        start(&mut farm);
        let text = farm.ha2.caribe(&["status"]);
        assert!(text.contains("backup_only 1"), "{text}");

        farm.ha2.host.sh("echo 0 > /proc/sys/net/ipv4/vs/backup_only");
        farm.ha1.host.sh("echo 1 > /proc/sys/net/ipv4/vs/backup_only");
        for director in [&farm.ha1, &farm.ha2] {
            until("it is mended and counted", SOON, || {
                director.status().unwrap_or_default()["counters"]["drift_repaired"] == 1
            });
        }
        wait_balancing(&farm.ha1, &farm.ha2);

        // Whoever is started again after its death knows what was there before the first run.
        farm.ha2.kill();
        farm.ha2.start();
        wait_balancing(&farm.ha1, &farm.ha2);
        farm.ha2.stop();
        assert_eq!(backup_only(&farm.ha2), "0");
        farm.ha1.stop();
        assert_eq!(backup_only(&farm.ha1), "0");
        let left = farm.ha2.host.sh("ls /run/caribe");
        assert!(!left.contains("sync.json"), "{left}");
    }

    fn an_active_director_that_is_started_again_balances_all_the_while(lab) {
        let mut farm = farm(lab, Family::V4, "rr", SYNC);
        farm.ha1.start_alone();
        farm.ha1.wait_active("web", SOON);
        until("the first server is in the table", SOON, || {
            farm.ha1.table().contains(&format!("-> {}:80 ", farm.servers[0].address))
        });
        let load = farm.client.load_every(Duration::from_millis(20), farm.vip);
        let begin = Instant::now();
        farm.ha1.kill();
        farm.ha1.start_alone();
        farm.ha1.wait_active("web", SOON);
        let active = Instant::now();
        until("the client is served on", SOON, || {
            load.since(active).requests > 50 && load.have_ended(active)
        });
        let report = load.since(begin);
        assert_eq!(report.lost, 0, "{report:?}\n{}", farm.ha1.log());
        assert_eq!(backup_only(&farm.ha1), "0");
    }

    fn release_makes_the_kernel_of_a_dead_director_stand_aside(lab) {
        let mut farm = farm(lab, Family::V4, "rr", SYNC);
        start(&mut farm);
        // A guard that sleeps while its daemon dies does nothing.
        farm.ha1.host.sh("pkill -STOP -f '[g]uard --socket'");
        farm.ha1.kill();
        farm.ha1.host.sh("pkill -KILL -f '[g]uard --socket'");
        farm.ha2.wait_active("web", SOON);
        assert_eq!(backup_only(&farm.ha1), "0");
        let said = farm.ha1.caribe(&["release"]);
        assert!(said.contains("set net.ipv4.vs.backup_only to 1"), "{said}");
        assert_eq!(backup_only(&farm.ha1), "1");
        wait_given(&farm, &farm.ha2, &farm.ha1);
        assert_eq!(connect(&farm), farm.server_names());
    }

    fn nobody_misses_anything_when_a_director_hands_over_to_one_of_its_servers(lab) {
        let sloppy = format!("{SYNC}\n[ipvs.sysctl]\nsloppy_tcp = 1\n");
        let mut farm = farm(lab, Family::V4, "mh", &sloppy);
        farm.start_pair();
        wait_balancing(&farm.ha1, &farm.ha2);
        let load = farm.client.load_every(Duration::from_millis(5), farm.vip);
        let lasting = farm.client.converse(farm.vip, 12).expect("connections are made");
        for (from, to) in [(&farm.ha1, &farm.ha2), (&farm.ha2, &farm.ha1)] {
            let begin = Instant::now();
            from.caribe(&["handover", "web"]);
            wait_balancing(to, from);
            let rounds = lasting.rounds();
            until("all go on", SOON, || {
                load.since(begin).requests > 100 && lasting.rounds() > rounds + 20
            });
        }
        let report = load.report();
        assert_eq!(report.lost, 0, "{report:?}\n{}", farm.ha2.log());
        assert_eq!(lasting.end(), Vec::<String>::new());
    }
}
