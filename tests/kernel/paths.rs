//! A pair that hears each other by every kind of path, and what it does when some of them fail.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use lab::farm::{self, service_address};
use lab::{Director, Family, Farm, Lab, Mode, SOON, director, kernel_test, until};
use serde_json::Value;

/// The second key of a rollover.
const NEW_KEY: &str = "/etc/caribe/new.key";

/// A farm whose directors have these paths instead of one over the service network.
fn farm_with(lab: &Lab, paths: [&str; 2], more: &str) -> Farm {
    let farm = Farm::new(lab, Mode::Direct, Family::V4);
    configure(&farm, paths, more);
    farm
}

fn configure(farm: &Farm, paths: [&str; 2], more: &str) {
    let mut text = farm::config(Mode::Direct, Family::V4, &farm::Settings::default());
    for (last, path) in (11..).zip(paths) {
        let default = format!("{{ udp = \"{}\" }}", service_address(Family::V4, last));
        text = text.replace(&default, path);
    }
    text.push_str(more);
    write_config(farm, &text);
}

fn write_config(farm: &Farm, text: &str) {
    for director in [&farm.ha1, &farm.ha2] {
        director.host.write(director::CONFIG, 0o644, text);
    }
}

/// What a director says of its peer.
fn peer(director: &Director) -> Value {
    let status = director.status().unwrap_or_default();
    let peers = status["directors"].as_array().cloned().unwrap_or_default();
    peers
        .into_iter()
        .find(|d| d["local"] == false)
        .unwrap_or_default()
}

fn path_is(director: &Director, index: usize, liveness: &str) -> bool {
    peer(director)["paths"][index]["liveness"] == liveness
}

fn counter(director: &Director, name: &str) -> u64 {
    let status = director.status().unwrap_or_default();
    status["counters"][name].as_u64().unwrap_or(0)
}

/// Waits until a director has heard so many heartbeats, which wakes nobody else.
fn heartbeats(director: &Director, count: u64) {
    let before = counter(director, "heartbeats_received");
    until("heartbeats are heard", SOON, || {
        counter(director, "heartbeats_received") >= before + count
    });
}

/// How often a director's heartbeat thread has been woken (proc_pid_status(5)).
fn wakings(director: &Director) -> Option<u64> {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{}/task", director.pid()?)).ok()?;
    let mut threads = threads.flatten().map(|thread| thread.path());
    let thread = threads.find(|thread| read(thread.join("comm")).trim() == "heartbeat")?;
    let status = read(thread.join("status"));
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    count.trim().parse().ok()
}

fn is_standby(director: &Director) -> bool {
    director.role("web").as_deref() == Some("standby")
}

fn dropped(director: &Director, reason: &str) -> u64 {
    let status = director.status().unwrap_or_default();
    status["counters"]["dropped"][reason].as_u64().unwrap_or(0)
}

/// ha1 is active, ha2 stands by, and each hears the other by every path.
#[track_caller]
fn assert_together(farm: &Farm, kinds: &[&str]) {
    until("each hears the other by every path", SOON, || {
        [&farm.ha1, &farm.ha2].into_iter().all(|director| {
            let peer = peer(director);
            let paths = peer["paths"].as_array().cloned().unwrap_or_default();
            peer["hears_us"] == true
                && !peer["round_trip_us"].is_null()
                && paths.len() == kinds.len()
                && paths
                    .iter()
                    .zip(kinds)
                    .all(|(path, kind)| path["kind"] == *kind && path["liveness"] == "alive")
        })
    });
    assert!(farm.ha1.is_active("web") && is_standby(&farm.ha2));
}

kernel_test! {
    fn a_pair_lives_on_multicast_on_broadcast_and_on_ipv6_alone(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        for (director, last) in [(&farm.ha1, 11), (&farm.ha2, 12)] {
            director.host.ip(&[format!("address add fd00:9::{last}/64 dev eth2 nodad")]);
        }
        let same = |path: &'static str| [path, path];
        for (kind, paths) in [
            ("multicast", same(r#"{ multicast = "239.1.2.3", interface = "eth2" }"#)),
            ("multicast", same(r#"{ multicast = "ff05::539", interface = "eth2" }"#)),
            ("broadcast", same(r#"{ broadcast = "10.9.0.255" }"#)),
            ("broadcast", same(r#"{ broadcast = "255.255.255.255", interface = "eth2" }"#)),
            ("udp", [r#"{ udp = "fd00:9::11" }"#, r#"{ udp = "fd00:9::12" }"#]),
        ] {
            configure(&farm, paths, "");
            farm.start_pair();
            assert_together(&farm, &[kind]);
            let text = farm.ha1.caribe(&["status"]);
            assert!(kind == "udp" || text.contains(kind), "{text}");
            // A director does not hear itself.
            for director in [&farm.ha1, &farm.ha2] {
                assert_eq!(dropped(director, "reflected"), 0, "{paths:?}");
            }
            farm.ha1.kill();
            farm.ha2.wait_active("web", SOON);
            farm.ha2.stop();
        }
    }

    fn who_has_a_group_is_not_woken_by_what_the_other_says(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        assert_together(&farm, &["udp"]);
        // Longer than what a takeover does: the wait for a first packet, repeated announcements.
        heartbeats(&farm.ha2, 120);
        let counts = || (counter(&farm.ha1, "heartbeats_sent"), wakings(&farm.ha1));
        let before = counts();
        heartbeats(&farm.ha2, 60);
        let after = counts();
        let sent = after.0 - before.0;
        let woken = after.1.zip(before.1).map(|(after, before)| after - before);
        assert!(
            sent >= 50 && woken.is_some_and(|woken| woken < sent * 3 / 2),
            "woken {woken:?} times for {sent} heartbeats"
        );
        // What waits to be read is not taken to have come late.
        for director in [&farm.ha1, &farm.ha2] {
            until("a round trip is no keepalive", SOON, || {
                peer(director)["round_trip_us"].as_u64().is_some_and(|micros| micros < 50_000)
            });
        }
    }

    fn an_interface_that_is_made_anew_carries_its_group_again(lab) {
        let path = r#"{ multicast = "239.1.2.3", interface = "eth2" }"#;
        let two = |last| format!("{{ udp = \"192.0.2.{last}\" }}, {path}");
        let mut farm = farm_with(lab, [&two(11), &two(12)], "");
        farm.start_pair();
        assert_together(&farm, &["udp", "multicast"]);
        farm.ha2.host.ip(&["link delete eth2".to_owned()]);
        until("the path is down", SOON, || path_is(&farm.ha1, 1, "dead"));
        // Another interface of the same name, with another number.
        let ha2 = farm.ha2.host.pid();
        for line in [
            format!("link add ha2-eth2 type veth peer name eth2 netns {ha2}"),
            "link set ha2-eth2 master heartbeat up".to_owned(),
        ] {
            let done = Command::new("ip").args(line.split(' ')).status();
            assert!(done.is_ok_and(|status| status.success()), "{line}");
        }
        farm.ha2.host.ip(&[
            "link set eth2 up".to_owned(),
            "address add 10.9.0.12/24 dev eth2".to_owned(),
        ]);
        assert_together(&farm, &["udp", "multicast"]);
    }

    fn a_director_on_a_serial_line_that_dies_keeps_its_vips_for_its_next_run(lab) {
        let line = lab.serial_line();
        let path = line.devices().map(|it| format!("{{ serial = \"{it}\", baud = 115200 }}"));
        let mut farm = farm_with(lab, [&path[0], &path[1]], "");
        let longer = format!("sed -i 's/^deadtime = .*/deadtime = \"60s\"/' {}", director::CONFIG);
        for it in [&farm.ha1, &farm.ha2] {
            it.host.sh(&longer);
        }
        farm.start_pair();
        assert_together(&farm, &["serial"]);
        let load = farm.client.load(farm.vip);
        until("the client is served", SOON, || load.report().requests > 100);
        farm.ha1.kill();
        let killed = Instant::now();
        // Far longer than the VIPs stay where a peer has been told.
        until("the client is served on", SOON, || load.since(killed).requests > 1000);
        assert!(farm.has_vip(&farm.ha1) && is_standby(&farm.ha2));
        let report = load.report();
        assert_eq!(report.lost, 0, "{report:?}");
        farm.ha1.start();
        until("its next run has found them", SOON, || {
            farm.ha1.log().contains("VIPs of an earlier run found")
        });
        // Whichever is ready first.
        until("one of them goes on", SOON, || {
            [&farm.ha1, &farm.ha2].into_iter().filter(|it| it.is_active("web")).count() == 1
        });
    }

    fn a_pair_lives_on_a_serial_line_and_tells_noise_from_heartbeats(lab) {
        let line = lab.serial_line();
        let path = line.devices().map(|it| format!("{{ serial = \"{it}\", baud = 115200 }}"));
        let mut farm = farm_with(lab, [&path[0], &path[1]], "");
        farm.start_pair();
        assert_together(&farm, &["serial"]);

        // The line is cut: both are active, as without a third party they must.
        line.cut();
        farm.ha2.wait_active("web", SOON);
        line.restore();
        until("one stays active", SOON, || {
            farm.ha1.is_active("web") && is_standby(&farm.ha2)
        });
        assert_together(&farm, &["serial"]);

        // Noise is counted, and what follows is heard.
        let [device, _] = line.devices();
        farm.client.sh(&format!("printf 'noise\\000noise\\000' > {device}"));
        until("the noise is counted", SOON, || dropped(&farm.ha2, "damaged") >= 1);
        assert_together(&farm, &["serial"]);
    }

    fn a_slow_line_carries_what_it_can(lab) {
        let line = lab.serial_line();
        let path = line.devices().map(|it| format!("{{ serial = \"{it}\", baud = 9600 }}"));
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let configure = |farm: &Farm, deadtime| {
            let settings = farm::Settings { deadtime, ..farm::Settings::default() };
            let text = farm::config(Mode::Direct, Family::V4, &settings)
                .replace("{ udp = \"192.0.2.11\" }", &path[0])
                .replace("{ udp = \"192.0.2.12\" }", &path[1]);
            write_config(farm, &text);
        };
        configure(&farm, "300ms");
        let told = farm.ha1.host.exec(&[
            &director::program("caribe"), "check", director::CONFIG,
        ]);
        assert!(told.status.success());
        assert!(told.stderr.contains("and not every keepalive"), "{}", told.stderr);
        assert!(told.stderr.contains("deadtime should be"), "{}", told.stderr);

        // With the deadtime that it asks for, the pair lives.
        configure(&farm, "1500ms");
        farm.start_pair();
        assert_together(&farm, &["serial"]);
    }

    fn any_of_several_paths_keeps_a_pair_together(lab) {
        let line = lab.serial_line();
        let path = line.devices().map(|it| format!("{{ serial = \"{it}\" }}"));
        let mixed = |last: u8, serial: &str| format!(
            "{{ udp = \"192.0.2.{last}\" }}, \
             {{ multicast = \"ff05::539\", interface = \"eth2\" }}, {serial}"
        );
        let mut farm = farm_with(lab, [&mixed(11, &path[0]), &mixed(12, &path[1])], "");
        farm.start_pair();
        let kinds = ["udp", "multicast", "serial"];
        assert_together(&farm, &kinds);

        // One way: ha2 hears nothing on the service network, ha1 does.
        farm.service_cables[1].netem("loss 100%");
        until("ha2 sees its path down", SOON, || path_is(&farm.ha2, 0, "dead"));
        assert!(farm.ha1.is_active("web") && is_standby(&farm.ha2));
        farm.service_cables[1].netem_off();
        assert_together(&farm, &kinds);

        // Lossy: the others have what is missing.
        farm.service_cables[0].netem("loss 30%");
        farm.service_cables[1].netem("loss 30%");
        let received = || farm.ha2.status().unwrap_or_default()["counters"]["heartbeats_received"]
            .as_u64().unwrap_or(0);
        let start = received();
        until("some hundred heartbeats have come", SOON, || received() > start + 150);
        assert!(farm.ha1.is_active("web") && is_standby(&farm.ha2));

        // All but the serial line.
        for cable in farm.service_cables.iter().chain(&farm.heartbeat_cables) {
            cable.cut();
        }
        until("two paths are down", SOON, || {
            path_is(&farm.ha2, 0, "dead") && path_is(&farm.ha2, 1, "dead")
        });
        assert!(path_is(&farm.ha2, 2, "alive"));
        assert!(farm.ha1.is_active("web") && is_standby(&farm.ha2));
        let log = farm.ha2.log();
        assert!(!log.contains("director is dead"), "{log}");
    }

    fn an_isolated_director_gives_up_and_comes_back(lab) {
        let path = |last| format!("{{ udp = \"192.0.2.{last}\" }}, {{ udp = \"10.9.0.{last}\" }}");
        let targets = "\n[reachability]\ntargets = [\"192.0.2.100\", \"192.0.2.21\"]\n";
        let mut farm = farm_with(lab, [&path(11), &path(12)], targets);
        farm.start_pair();

        // From the clients alone: told by heartbeats, so nobody is active twice.
        farm.service_cables[0].cut();
        farm.ha2.wait_active("web", SOON);
        until("ha1 has no VIP", SOON, || is_standby(&farm.ha1) && !farm.has_vip(&farm.ha1));
        let amiss = farm.ha1.status().unwrap_or_default()["groups"][0]["amiss"].clone();
        assert_eq!(amiss[0], "reaches none of 2 targets");
        let log = farm.ha2.log();
        assert!(!log.contains("is silent"), "told, not found out: {log}");
        farm.service_cables[0].restore();
        until("ha1 is fit again", SOON, || {
            farm.ha1.status().unwrap_or_default()["groups"][0]["fitness"] == 1000
        });

        // From everybody: ha2 is the owner, and is cut off.
        farm.service_cables[1].cut();
        farm.heartbeat_cables[1].cut();
        farm.ha1.wait_active("web", SOON);
        until("ha2 has given up", SOON, || is_standby(&farm.ha2) && !farm.has_vip(&farm.ha2));
        farm.heartbeat_cables[1].restore();
        farm.service_cables[1].restore();
        until("ha2 is fit again", SOON, || {
            farm.ha2.status().unwrap_or_default()["groups"][0]["fitness"] == 1000
        });
        assert!(farm.ha1.is_active("web") && is_standby(&farm.ha2));
    }

    fn the_key_is_changed_in_three_steps_and_nobody_is_taken_for_dead(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let text = farm::config(Mode::Direct, Family::V4, &farm::Settings::default());
        let old = format!("keys = [\"{}\"]", director::KEY);
        assert!(text.contains(&old));
        for director in [&farm.ha1, &farm.ha2] {
            director.host.write(NEW_KEY, 0o600, &"2a".repeat(32));
        }
        farm.start_pair();
        for keys in [
            format!("keys = [\"{}\", \"{NEW_KEY}\"]", director::KEY),
            format!("keys = [\"{NEW_KEY}\", \"{}\"]", director::KEY),
            format!("keys = [\"{NEW_KEY}\"]"),
        ] {
            write_config(&farm, &text.replace(&old, &keys));
            // The standby first, then the other, which hands its group over.
            let ha1_stands_by = is_standby(&farm.ha1);
            let Farm { ha1, ha2, .. } = &mut farm;
            let (standby, other) = if ha1_stands_by { (ha1, ha2) } else { (ha2, ha1) };
            standby.stop();
            standby.start();
            until("they hear each other", SOON, || {
                [&*standby, &*other].into_iter().all(|d| {
                    peer(d)["hears_us"] == true && dropped(d, "key") == 0
                })
            });
            until("the standby is ready", SOON, || {
                standby.status().unwrap_or_default()["groups"][0]["ready"] == true
            });
            for director in [&*standby, &*other] {
                let log = director.log();
                assert!(!log.contains("is silent") && !log.contains("cause=silent"), "{log}");
            }
            other.stop();
            standby.wait_active("web", SOON);
            other.start();
            until("they hear each other again", SOON, || peer(other)["hears_us"] == true);
        }
    }
}
