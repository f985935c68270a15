//! One owner at any time, whatever becomes of the directors and their cables.

use std::time::Instant;

use lab::farm::Settings;
use lab::{Director, Family, Farm, Mode, SOON, kernel_test, until};

fn is_standby(director: &Director) -> bool {
    director.role("web").as_deref() == Some("standby")
}

/// Asserts that one director, and nobody else, carries the VIP and says that it is active. Each
/// learns of the other's doings a moment later, so the saying is waited for.
#[track_caller]
fn assert_owner(farm: &Farm, owner: &Director, other: &Director) {
    until("one director says that it is active", SOON, || {
        owner.is_active("web") && !other.is_active("web")
    });
    assert!(farm.has_vip(owner), "{} has the VIP", owner.name());
    assert!(!farm.has_vip(other), "{} has no VIP", other.name());
}

kernel_test! {
    fn a_pair_elects_the_director_with_more_priority(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        assert_owner(&farm, &farm.ha1, &farm.ha2);
        until("ha2 knows the owner and its configuration", SOON, || {
            let status = farm.ha2.status().unwrap_or_default();
            let ha1 = &status["directors"][0];
            status["groups"][0]["owner"] == "ha1"
                && (&ha1["liveness"], &ha1["same_config"]) == (&"alive".into(), &true.into())
        });
        let text = farm.ha1.caribe(&["status"]);
        assert!(text.contains("192.0.2.80"), "{text}");
    }

    fn a_standby_takes_over_when_the_active_is_killed(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        let load = farm.client.load(farm.vip);
        until("the client is served", SOON, || load.report().servers.len() == 3);
        let from = Instant::now();
        farm.ha1.kill();
        farm.ha2.wait_active("web", SOON);
        until("the client is served again", SOON, || {
            load.since(from).servers.values().sum::<usize>() > 100
        });
        until("its guard has removed the VIP of the killed daemon", SOON, || {
            !farm.has_vip(&farm.ha1)
        });
        assert_owner(&farm, &farm.ha2, &farm.ha1);
        farm.ha1.start();
        until("ha1 stands by", SOON, || is_standby(&farm.ha1) && !farm.has_vip(&farm.ha1));
        assert_owner(&farm, &farm.ha2, &farm.ha1);
    }

    fn a_standby_takes_over_when_the_cable_of_the_active_is_cut(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        let load = farm.client.load(farm.vip);
        until("the client is served", SOON, || load.report().servers.len() == 3);
        // The switch forgets the port: ha1 keeps its carrier, and can know nothing.
        farm.service_cables[0].cut();
        farm.ha2.wait_active("web", SOON);
        let from = Instant::now();
        until("the client is served by ha2", SOON, || load.since(from).servers.len() == 3);
        assert!(farm.ha1.is_active("web"), "ha1 cannot know that it is cut off");

        // Healed: two are active, and one stays. Its announcement is what the client hears last.
        farm.client.sh("ip -s -s neigh flush all");
        farm.service_cables[0].restore();
        until("one stays active", SOON, || {
            farm.ha1.is_active("web") != farm.ha2.is_active("web")
                && farm.has_vip(&farm.ha1) != farm.has_vip(&farm.ha2)
        });
        let winner = farm.active();
        assert_eq!(winner.name(), "ha1", "fit as the other, it has more priority");
        let mac = winner.host.sh("cat /sys/class/net/eth0/address");
        until("the client's neighbour entry names the winner", SOON, || {
            farm.client.sh("ip neigh show 192.0.2.80").contains(mac.trim())
        });
        let from = Instant::now();
        until("the client is served by the winner", SOON, || {
            load.since(from).servers.len() == 3
        });
    }

    fn the_winner_of_a_conflict_announces_its_vips_again(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        farm.service_cables[0].cut();
        farm.ha2.wait_active("web", SOON);
        let mac = farm.ha1.host.sh("cat /sys/class/net/eth0/address");
        let sniffer = farm.client.spawn(&["tcpdump", "-lnei", "eth0", "arp and host 192.0.2.80"]);
        until("tcpdump listens", SOON, || sniffer.log().contains("listening on"));
        farm.service_cables[0].restore();
        until("ha1 announces in both forms", SOON, || {
            let heard = sniffer.log();
            let of_winner = |form: &str| {
                heard.lines().any(|line| line.contains(mac.trim()) && line.contains(form))
            };
            of_winner("Request who-has 192.0.2.80") && of_winner("Reply 192.0.2.80 is-at")
        });
        until("ha2 stands by", SOON, || is_standby(&farm.ha2));
        assert_owner(&farm, &farm.ha1, &farm.ha2);
    }

    fn a_clean_stop_hands_over_and_leaves_foreign_services_alone(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        farm.ha1.host.sh("ipvsadm -A -t 192.0.2.80:25 -s rr && ipvsadm -a -t 192.0.2.80:25 -r 10.0.1.25");
        let load = farm.client.load(farm.vip);
        until("the client is served", SOON, || load.report().servers.len() == 3);
        let from = Instant::now();
        farm.ha1.stop();
        farm.ha2.wait_active("web", SOON);
        assert!(!farm.has_vip(&farm.ha1), "the VIP is gone with the daemon");
        let table = farm.ha1.table();
        assert!(!table.contains("192.0.2.80:80"), "our service is gone: {table}");
        assert!(table.contains("192.0.2.80:25 rr"), "the foreign one stays: {table}");
        until("the client is served by ha2", SOON, || {
            load.since(from).servers.values().sum::<usize>() > 200
        });
        // A stop is no failure: nobody waits for deadtime.
        let log = farm.ha2.log();
        assert!(!log.contains("is silent"), "{log}");
    }

    fn two_paths_keep_a_pair_together_when_one_is_cut(lab) {
        let settings = Settings { second_path: true, ..Settings::default() };
        let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        farm.start_pair();
        farm.heartbeat_cables[0].cut();
        until("ha2 sees the path down", SOON, || {
            let status = farm.ha2.status();
            status.is_some_and(|s| s["directors"][0]["paths"][1]["liveness"] == "dead")
        });
        assert_owner(&farm, &farm.ha1, &farm.ha2);
        let status = farm.ha2.status().expect("ha2 answers");
        assert_eq!(status["directors"][0]["liveness"], "alive");
        farm.heartbeat_cables[0].restore();
        until("the path is up again", SOON, || {
            let status = farm.ha2.status();
            status.is_some_and(|s| s["directors"][0]["paths"][1]["liveness"] == "alive")
        });
    }

    fn a_director_without_a_carrier_gives_up_to_the_one_that_has_it(lab) {
        let settings = Settings { second_path: true, monitor_links: true, ..Settings::default() };
        let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        farm.start_pair();
        farm.service_cables[0].unplug();
        farm.ha2.wait_active("web", SOON);
        until("ha1 stands by", SOON, || is_standby(&farm.ha1));
        until("ha1 has no VIP", SOON, || !farm.has_vip(&farm.ha1));
        let log = farm.ha2.log();
        assert!(!log.contains("is silent"), "told, not found out: {log}");
    }

    fn a_better_director_gets_the_group_back_when_failback_is_automatic(lab) {
        let settings = Settings { failback: "auto", failback_delay: Some("1s"), ..Settings::default() };
        let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        farm.start_pair();
        farm.ha1.stop();
        farm.ha2.wait_active("web", SOON);
        farm.ha1.start();
        farm.ha1.wait_active("web", SOON);
        until("ha2 stands by", SOON, || is_standby(&farm.ha2) && !farm.has_vip(&farm.ha2));
        assert_owner(&farm, &farm.ha1, &farm.ha2);
    }

    fn a_director_that_was_stopped_for_long_yields_when_it_wakes(lab) {
        use rustix::process::Signal;
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        farm.ha1.signal(Signal::STOP);
        farm.ha2.wait_active("web", SOON);
        farm.ha1.signal(Signal::CONT);
        until("ha1 stands by", SOON, || is_standby(&farm.ha1) && !farm.has_vip(&farm.ha1));
        assert_owner(&farm, &farm.ha2, &farm.ha1);
    }
}
