//! A planned change of owner loses nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::client::Load;
use lab::farm::Settings;
use lab::traffic::{Conversations, Datagrams, Echo, Lost};
use lab::{Director, Family, Farm, Lab, Mode, SOON, kernel_test, until};

/// Where datagrams are sent back.
const ECHO: u16 = 7;
/// What lets a director find the server of every connection that another has begun.
const HANDED_ON: &str = "\n[ipvs.sync]\ninterface = \"eth2\"\n\n[ipvs.sysctl]\nsloppy_tcp = 1\n";

/// A farm whose directors find the server of every connection.
pub(crate) fn farm(lab: &Lab, mode: Mode, family: Family, settings: &Settings) -> Farm {
    let farm = Farm::with(lab, mode, family, settings);
    let plain = lab::farm::config(mode, family, settings);
    let text = plain.replace("scheduler = \"rr\"", "scheduler = \"mh\"") + HANDED_ON;
    for director in [&farm.ha1, &farm.ha2] {
        director.host.write(lab::director::CONFIG, 0o644, &text);
    }
    farm
}

/// Waits until the group is at `to`, nothing of it is left at `from`, and every request that began
/// before has ended; then asserts that none was lost.
#[track_caller]
fn assert_handed_over(farm: &Farm, load: &Load, begin: Instant, from: &Director, to: &Director) {
    to.wait_active("web", SOON);
    until("the old owner has let go", SOON, || {
        from.role("web").as_deref() == Some("standby") && !farm.has_vip(from)
    });
    let gone = Instant::now();
    until("the client is served by the new owner alone", SOON, || {
        load.since(gone).requests > 100 && load.have_ended(gone)
    });
    let report = load.since(begin);
    assert_eq!(report.lost, 0, "{report:?}\n{}\n{}", from.log(), to.log());
    assert!(farm.has_vip(to));
}

/// Everything that clients do at once: 200 connections a second, twelve that last, and a datagram
/// every two milliseconds.
struct Clients {
    load: Load,
    lasting: Conversations,
    datagrams: Datagrams,
}

impl Clients {
    fn start(farm: &Farm) -> Self {
        let clients = Self {
            load: farm.client.load_every(Duration::from_millis(5), farm.vip),
            lasting: farm
                .client
                .converse(farm.vip, 12)
                .expect("connections are made"),
            datagrams: farm.client.datagrams(
                SocketAddr::new(farm.vip.ip(), ECHO),
                Duration::from_millis(2),
            ),
        };
        clients.go_on("the clients are served");
        clients
    }

    /// Waits until everything has been answered for a while.
    #[track_caller]
    fn go_on(&self, what: &str) {
        let (rounds, answered) = (self.lasting.rounds(), self.datagrams.answered());
        let begin = Instant::now();
        until(what, SOON, || {
            self.load.since(begin).requests > 100
                && self.lasting.rounds() > rounds + 20
                && self.datagrams.answered() > answered + 100
        });
    }

    /// Asserts that nobody missed anything.
    #[track_caller]
    fn have_missed_nothing(self) {
        let report = self.load.report();
        assert_eq!(report.lost, 0, "{report:?}");
        assert_eq!(self.lasting.end(), Vec::<String>::new());
        let Lost { sent, lost } = self.datagrams.end();
        assert_eq!(lost, [], "of {sent}");
    }
}

/// A farm with a service for datagrams beside the one for connections.
fn farm_with_echo(lab: &Lab, family: Family) -> (Farm, Vec<Echo>) {
    let settings = Settings {
        failback: "auto",
        failback_delay: Some("1s"),
        ..Settings::default()
    };
    let farm = farm(lab, Mode::Direct, family, &settings);
    let vip = SocketAddr::new(farm.vip.ip(), ECHO);
    let echoes = farm
        .servers
        .iter()
        .map(|rs| rs.host.echo(vip).expect("the port is free"))
        .collect();
    for director in [&farm.ha1, &farm.ha2] {
        let mut text = director.host.sh(&format!("cat {}", lab::director::CONFIG));
        text.push_str(&format!(
            "\n[[virtual]]\nname = \"echo\"\ngroup = \"web\"\naddress = \"{}\"\nport = {ECHO}\n\
             protocol = \"udp\"\nscheduler = \"mh\"\nforward = \"direct\"\n\
             probe = {{ tcp = true, port = 80, interval = \"500ms\", timeout = \"400ms\" }}\n",
            farm.vip.ip(),
        ));
        for server in &farm.servers {
            text.push_str(&format!(
                "[[virtual.server]]\naddress = \"{}\"\n",
                server.address
            ));
        }
        director.host.write(lab::director::CONFIG, 0o644, &text);
    }
    (farm, echoes)
}

/// Waits until the group is at `to` and the last of `from` has gone.
#[track_caller]
fn wait_handed_over(farm: &Farm, from: &Director, to: &Director) {
    to.wait_active("web", SOON);
    until("the old owner has let go", SOON, || {
        from.role("web").as_deref() == Some("standby") && !farm.has_vip(from)
    });
}

/// Waits until a director has told of the first packet after as many takeovers.
#[track_caller]
fn wait_first_packet(director: &Director, takeovers: usize) {
    until("the first packet is told", SOON, || {
        let events = director.caribe(&["events"]);
        events.matches("first packet for web, ").count() == takeovers
    });
}

/// Starts both, and waits until they know the servers of both services.
fn start(farm: &mut Farm) {
    farm.start_pair();
    for director in [&farm.ha1, &farm.ha2] {
        until("the echo's servers are in the table", SOON, || {
            director.table().matches(&format!(":{ECHO} ")).count() > farm.servers.len()
        });
    }
}

fn there_and_back(lab: &Lab, family: Family) {
    let (mut farm, _echoes) = farm_with_echo(lab, family);
    start(&mut farm);
    let clients = Clients::start(&farm);
    wait_first_packet(&farm.ha1, 1);
    farm.ha1.caribe(&["handover", "web"]);
    wait_handed_over(&farm, &farm.ha1, &farm.ha2);
    clients.go_on("ha2 serves");
    wait_first_packet(&farm.ha2, 1);
    farm.ha2.caribe(&["handover", "web"]);
    wait_handed_over(&farm, &farm.ha2, &farm.ha1);
    clients.go_on("ha1 serves again");
    wait_first_packet(&farm.ha1, 2);
    clients.have_missed_nothing();
}

kernel_test! {
    fn nobody_misses_anything_when_a_group_is_handed_over_and_comes_back(lab) {
        there_and_back(lab, Family::V4);
    }

    fn nobody_misses_anything_when_a_group_of_ipv6_is_handed_over_and_comes_back(lab) {
        there_and_back(lab, Family::V6);
    }

    fn established_connections_are_handed_over_with_nat(lab) {
        let mut farm = farm(lab, Mode::Nat, Family::V4, &Settings::default());
        farm.start_pair();
        let lasting = farm.client.converse(farm.vip, 12).expect("connections are made");
        until("ha2 has heard of the connections", SOON, || {
            let listed = farm.ha2.host.exec(&["ipvsadm", "-L", "-n", "-c"]).stdout;
            listed.lines().filter(|line| line.contains("ESTABLISHED")).count() >= 12
        });
        farm.ha1.caribe(&["handover", "web"]);
        wait_handed_over(&farm, &farm.ha1, &farm.ha2);
        let rounds = lasting.rounds();
        until("they go on", SOON, || lasting.rounds() > rounds + 20);
        assert_eq!(lasting.end(), Vec::<String>::new());
    }

    fn nobody_misses_anything_when_the_active_director_is_stopped_and_started(lab) {
        let (mut farm, _echoes) = farm_with_echo(lab, Family::V4);
        start(&mut farm);
        let clients = Clients::start(&farm);
        farm.ha1.stop();
        assert!(!farm.has_vip(&farm.ha1));
        farm.ha2.wait_active("web", SOON);
        clients.go_on("ha2 serves");
        farm.ha1.start();
        // What it fails back to by itself.
        wait_handed_over(&farm, &farm.ha2, &farm.ha1);
        clients.go_on("ha1 serves again");
        clients.have_missed_nothing();
    }

    fn a_handover_by_command_and_the_failback_lose_no_request(lab) {
        let settings =
            Settings { failback: "auto", failback_delay: Some("1s"), ..Settings::default() };
        let mut farm = farm(lab, Mode::Direct, Family::V4, &settings);
        farm.start_pair();
        let load = farm.client.load(farm.vip);
        until("the client is served", SOON, || load.report().requests > 100);

        let begin = Instant::now();
        let said = farm.ha1.caribe(&["handover", "web", "--wait", "10"]);
        assert_eq!(said, "group web handed over to ha2\n");
        assert_handed_over(&farm, &load, begin, &farm.ha1, &farm.ha2);
        let taken = || farm.ha2.status().unwrap_or_default()["takeovers"][0].clone();
        until("ha2 shows its takeover", SOON, || taken()["from"] == "ha1");
        let taken = taken();
        assert_eq!(taken["epoch"].as_u64(), Some(2));
        assert!(taken["announced_after_us"].as_u64() >= taken["addresses_after_us"].as_u64());
        wait_first_packet(&farm.ha2, 1);
        let status = farm.ha2.status().unwrap_or_default();
        assert!(status["takeovers"][0]["first_packet_after_us"].is_u64(), "{status}");

        // ha2 stands by: the group goes back, though ha1 has given it away by command.
        let begin = Instant::now();
        let said = farm.ha2.caribe(&["standby"]);
        assert!(said.contains("group web goes to ha1"), "{said}");
        assert_handed_over(&farm, &load, begin, &farm.ha2, &farm.ha1);
        let said = farm.ha2.caribe(&["standby", "--undo"]);
        assert!(said.contains("no longer stands by"), "{said}");

        // A clean stop is a handover too, and what follows the next start a failback.
        let begin = Instant::now();
        farm.ha1.stop();
        assert!(!farm.has_vip(&farm.ha1));
        farm.ha2.wait_active("web", SOON);
        farm.ha1.start();
        assert_handed_over(&farm, &load, begin, &farm.ha2, &farm.ha1);
    }

    fn a_director_that_stands_by_does_so_after_a_restart_if_that_was_asked_for(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        farm.ha1.caribe(&["standby", "--persist"]);
        farm.ha2.wait_active("web", SOON);
        farm.ha1.stop();
        farm.ha1.start();
        until("ha1 has heard of its order", SOON, || {
            let status = farm.ha1.status();
            status.is_some_and(|s| s["groups"][0]["standby"] == true)
        });
        until("ha1 has heard ha2", SOON, || {
            let status = farm.ha1.status();
            status.is_some_and(|s| s["directors"][1]["liveness"] == "alive")
        });
        farm.ha2.kill();
        until("ha1 knows that ha2 is dead", SOON, || {
            let status = farm.ha1.status();
            status.is_some_and(|s| s["directors"][1]["liveness"] == "dead")
        });
        assert!(!farm.ha1.is_active("web"), "told to take nothing");
        farm.ha1.caribe(&["standby", "--undo"]);
        farm.ha1.wait_active("web", SOON);
    }
}
