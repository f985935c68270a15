//! Established connections outlive their director, by the kernel's connection sync.

use std::num::NonZero;

use lab::client::Kept;
use lab::farm::Settings;
use lab::{Director, Family, Farm, Lab, Mode, SOON, kernel_test, until};

const SYNC: &str = "[ipvs.sync]\ninterface = \"eth2\"\nid = 7\n\n";
/// What goes with it, and what the kernel has before.
const SYSCTLS: [(&str, &str, &str); 4] = [
    ("sync_threshold", "3 0", "3 50"),
    ("sync_refresh_period", "10", "0"),
    ("sync_retries", "1", "0"),
    ("expire_nodest_conn", "1", "0"),
];

/// A farm whose directors tell each other of their connections, on the heartbeat network.
fn synced_farm(lab: &Lab, mode: Mode) -> Farm {
    let farm = Farm::new(lab, mode, Family::V4);
    for director in [&farm.ha1, &farm.ha2] {
        configure(director, mode, SYNC);
    }
    farm
}

fn configure(director: &Director, mode: Mode, more: &str) {
    let plain = lab::farm::config(mode, Family::V4, &Settings::default());
    director
        .host
        .write(lab::director::CONFIG, 0o644, &format!("{plain}\n{more}"));
}

fn sysctl(director: &Director, name: &str) -> String {
    let text = director
        .host
        .sh(&format!("cat /proc/sys/net/ipv4/vs/{name}"));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn daemons(director: &Director) -> Vec<ipvs::SyncDaemon> {
    use ipvs::Kernel;
    director.host.inside(|| {
        ipvs::Client::open()
            .and_then(|mut kernel| kernel.daemons())
            .expect("they can be listed")
    })
}

/// Threads of the kernel that synchronise, by their numbers.
fn threads(director: &Director) -> String {
    director
        .host
        .sh("ps -e -o pid=,comm= | grep -E 'ipvs-[mb]:' | sort || true")
}

fn wait_synced(director: &Director) {
    until(
        &format!("{} sends and receives", director.name()),
        SOON,
        || {
            let status = director.status().unwrap_or_default();
            status["sync"]["sending"] == true && status["sync"]["receiving"] == true
        },
    );
}

fn start(farm: &mut Farm) {
    farm.start_pair();
    wait_synced(&farm.ha1);
    wait_synced(&farm.ha2);
}

/// Connections through `ha1`, which `ha2` has heard of.
fn kept(farm: &Farm) -> (Vec<Kept>, Vec<String>) {
    let mut kept: Vec<Kept> = (0..9)
        .map(|_| farm.client.keep(farm.vip).expect("a connection is made"))
        .collect();
    let servers = ask(&mut kept);
    until("ha2 has heard of them", SOON, || {
        established(&farm.ha2) >= kept.len()
    });
    (kept, servers)
}

fn established(director: &Director) -> usize {
    let listed = director.host.exec(&["ipvsadm", "-L", "-n", "-c"]).stdout;
    listed
        .lines()
        .filter(|line| line.contains("ESTABLISHED"))
        .count()
}

fn ask(kept: &mut [Kept]) -> Vec<String> {
    kept.iter_mut()
        .map(|c| c.ask().expect("the connection goes on"))
        .collect()
}

/// Connections made through `ha1` go on through `ha2`, to the same servers.
fn survive(lab: &Lab, mode: Mode, end: impl FnOnce(&mut Farm)) {
    let mut farm = synced_farm(lab, mode);
    start(&mut farm);
    let (mut kept, before) = kept(&farm);
    end(&mut farm);
    farm.ha2.wait_active("web", SOON);
    // A killed director's kernel would go on by itself.
    let mac = farm.ha2.host.sh("cat /sys/class/net/eth0/address");
    until("the client's packets go to ha2", SOON, || {
        farm.client
            .sh("ip neigh show 192.0.2.80")
            .contains(mac.trim())
    });
    assert_eq!(ask(&mut kept), before);
    assert_eq!(ask(&mut kept), before);
}

kernel_test! {
    fn connections_survive_a_killed_director_with_direct_routing(lab) {
        survive(lab, Mode::Direct, |farm| farm.ha1.kill());
    }

    fn connections_survive_a_killed_director_with_nat(lab) {
        survive(lab, Mode::Nat, |farm| farm.ha1.kill());
    }

    fn connections_survive_a_cut_cable(lab) {
        survive(lab, Mode::Direct, |farm| farm.service_cables[0].cut());
    }

    fn connections_survive_a_clean_stop_with_direct_routing(lab) {
        survive(lab, Mode::Direct, |farm| farm.ha1.stop());
    }

    fn connections_survive_a_clean_stop_with_nat(lab) {
        survive(lab, Mode::Nat, |farm| farm.ha1.stop());
    }

    fn without_sync_the_connections_break(lab) {
        let mut farm = Farm::new(lab, Mode::Nat, Family::V4);
        farm.start_pair();
        let mut kept = farm.client.keep(farm.vip).expect("a connection is made");
        kept.ask().expect("it is answered");
        assert_eq!(established(&farm.ha2), 0);
        farm.ha1.stop();
        farm.ha2.wait_active("web", SOON);
        assert!(kept.ask().is_err(), "the tests above show something");
    }

    fn daemons_and_settings_are_shown_adopted_mended_and_restored(lab) {
        let mut farm = synced_farm(lab, Mode::Direct);
        for (name, _, before) in SYSCTLS {
            assert_eq!(sysctl(&farm.ha1, name), before, "{name}");
        }
        farm.ha1.start();
        wait_synced(&farm.ha1);
        for (name, value, _) in SYSCTLS {
            assert_eq!(sysctl(&farm.ha1, name), value, "{name}");
        }
        let text = farm.ha1.caribe(&["status"]);
        assert!(text.contains("sync: eth2 id 7, sending and receiving; "), "{text}");
        assert!(text.contains("sync_threshold 3 0"), "{text}");
        let running = daemons(&farm.ha1);
        assert!(running.iter().all(|daemon| daemon.id == 7 && daemon.interface == "eth2"));

        let before = threads(&farm.ha1);
        farm.ha1.kill();
        assert_eq!(daemons(&farm.ha1), running, "the kernel goes on");
        farm.ha1.start();
        wait_synced(&farm.ha1);
        assert_eq!(threads(&farm.ha1), before, "they were adopted");

        farm.ha1.host.sh("ipvsadm --stop-daemon backup; echo 0 > /proc/sys/net/ipv4/vs/sync_retries");
        until("both are mended and counted", SOON, || {
            let status = farm.ha1.status().unwrap_or_default();
            status["counters"]["drift_repaired"] == 2
        });
        assert_eq!(daemons(&farm.ha1), running);
        assert_eq!(sysctl(&farm.ha1, "sync_retries"), "1");

        farm.ha1.stop();
        assert_eq!(daemons(&farm.ha1), []);
        for (name, _, before) in SYSCTLS {
            assert_eq!(sysctl(&farm.ha1, name), before, "{name}");
        }
        let left = farm.ha1.host.sh("ls /run/caribe");
        assert!(!left.contains("sync.json"), "{left}");
    }

    fn connections_may_be_told_one_by_one(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        for director in [&farm.ha1, &farm.ha2] {
            configure(director, Mode::Direct, &format!("{SYNC}maxlen = 44\n"));
        }
        start(&mut farm);
        let lengths: Vec<_> = daemons(&farm.ha1).iter().map(|daemon| daemon.max_length).collect();
        assert_eq!(lengths, [NonZero::new(44), NonZero::new(1024)]);
        let _ = kept(&farm);
        let running = threads(&farm.ha1);
        farm.ha1.host.sh("echo 0 > /proc/sys/net/ipv4/vs/sync_retries");
        until("an audit has come by", SOON, || sysctl(&farm.ha1, "sync_retries") == "1");
        assert_eq!(threads(&farm.ha1), running, "they are left alone");
    }

    fn an_interface_that_comes_later_or_again_is_waited_for(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        configure(&farm.ha1, Mode::Direct, &SYNC.replace("eth2", "late0"));
        let checked = farm.ha1.host.exec(&[&lab::director::program("caribe"), "check"]);
        assert!(checked.stderr.contains("no interface late0"), "{checked:?}");
        farm.ha1.start_alone();
        farm.ha1.wait_active("web", SOON);
        until("the status tells why", SOON, || {
            farm.ha1.caribe(&["status"]).contains("there is no interface \"late0\"")
        });
        let add = "ip link add late0 type veth peer late1 && \
                   ip address add 10.8.0.1/24 dev late0 && \
                   ip link set late0 up && ip link set late1 up";
        farm.ha1.host.sh(add);
        wait_synced(&farm.ha1);
        let before = threads(&farm.ha1);
        farm.ha1.host.sh(&format!("ip link del late0 && {add}"));
        until("the daemons were started anew", SOON, || {
            let now = threads(&farm.ha1);
            now.lines().count() == 2 && now != before
        });
        wait_synced(&farm.ha1);
    }
}
