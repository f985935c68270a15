//! The nights when the network is half broken, with a client that goes on asking: who owns the
//! group in the end, and that nobody else does.

use std::collections::BTreeMap;
use std::time::Instant;

use lab::client::Load;
use lab::farm::{self, Settings, heartbeat_address, inner_address, service_address};
use lab::{Director, Family, Farm, Lab, Mode, SOON, director, kernel_test, until};
use rustix::process::Signal;
use serde_json::Value;

use super::handover;

/// A running pair whose heartbeats take the service network and one of their own, and its client.
fn pair_on_two_paths(lab: &Lab, settings: Settings) -> (Farm, Load) {
    let settings = Settings {
        second_path: true,
        ..settings
    };
    started(Farm::with(lab, Mode::Direct, Family::V4, &settings))
}

/// A running pair, too, but both paths keep away from the service network, on which both know that
/// they reach somebody.
fn pair_beside_the_service(lab: &Lab) -> (Farm, Load) {
    let farm = Farm::new(lab, Mode::Direct, Family::V4);
    let mut text = farm::config(Mode::Direct, Family::V4, &Settings::default());
    for last in [11, 12] {
        let [service, inner, own] = [
            service_address(Family::V4, last),
            inner_address(last),
            heartbeat_address(last),
        ];
        let paths = format!("{{ udp = \"{inner}\" }}, {{ udp = \"{own}\" }}");
        text = text.replace(&format!("{{ udp = \"{service}\" }}"), &paths);
    }
    text += "\n[reachability]\ntargets = [\"192.0.2.100\"]\n";
    for director in [&farm.ha1, &farm.ha2] {
        director.host.write(director::CONFIG, 0o644, &text);
    }
    started(farm)
}

fn started(mut farm: Farm) -> (Farm, Load) {
    farm.start_pair();
    let load = farm.client.load(farm.vip);
    until("the client is served", SOON, || {
        load.report().requests > 100
    });
    assert_settled(&farm, &load, &farm.ha1, &farm.ha2);
    (farm, load)
}

fn group(director: &Director) -> Value {
    director.status().unwrap_or_default()["groups"][0].clone()
}

fn epoch(director: &Director) -> u64 {
    group(director)["epoch"].as_u64().unwrap_or_default()
}

/// What a director says of its peer.
fn peer(director: &Director) -> Value {
    let status = director.status().unwrap_or_default();
    let all = status["directors"].as_array().cloned().unwrap_or_default();
    let peer = all.into_iter().find(|d| d["local"] == false);
    peer.unwrap_or_default()
}

fn path_is(director: &Director, index: usize, liveness: &str) -> bool {
    peer(director)["paths"][index]["liveness"] == liveness
}

/// Good heartbeats that a director has heard.
fn heard(director: &Director) -> u64 {
    let status = director.status().unwrap_or_default();
    let heard = &status["counters"]["heartbeats_received"];
    heard.as_u64().unwrap_or_default()
}

fn is_standby(director: &Director) -> bool {
    director.role("web").as_deref() == Some("standby")
}

/// Waits until `owner` has the group and its VIP, `other` has neither, and both say so; then that
/// the client, which forgets nothing by itself, is served by every server.
#[track_caller]
fn assert_settled(farm: &Farm, load: &Load, owner: &Director, other: &Director) {
    let what = format!("{} alone has the group", owner.name());
    until(&what, SOON, || {
        [owner, other]
            .iter()
            .all(|director| group(director)["owner"] == owner.name())
            && owner.is_active("web")
            && is_standby(other)
            && farm.has_vip(owner)
            && !farm.has_vip(other)
    });
    let from = Instant::now();
    until("the client is served", SOON, || {
        load.since(from).requests > 100
    });
    // Nothing is on its way that changes it again.
    assert!(owner.is_active("web") && is_standby(other));
}

/// What befell requests that have begun since `from`, but for those that only took too long: the
/// machine may be busy.
fn broken(load: &Load, from: Instant) -> BTreeMap<String, usize> {
    let mut faults = load.since(from).faults;
    faults.retain(|what, _| !what.contains("within"));
    faults
}

/// Waits until some hundred heartbeats and requests have come since.
#[track_caller]
fn while_passes(farm: &Farm, load: &Load) {
    let (from, start) = (Instant::now(), heard(&farm.ha2));
    until("some heartbeats and requests have come", SOON, || {
        heard(&farm.ha2) > start + 60 && load.since(from).requests > 200
    });
}

kernel_test! {
    fn what_leaves_one_path_whole_changes_nothing(lab) {
        let (farm, load) = pair_on_two_paths(lab, Settings::default());
        let (from, before) = (Instant::now(), epoch(&farm.ha2));
        let nothing_changes = |what: &str| {
            while_passes(&farm, &load);
            assert_settled(&farm, &load, &farm.ha1, &farm.ha2);
            assert_eq!(epoch(&farm.ha2), before, "{what}");
            assert_eq!(broken(&load, from), BTreeMap::new(), "{what}");
            for director in [&farm.ha1, &farm.ha2] {
                let log = director.log();
                assert!(!log.contains("director is dead"), "{what}: {log}");
            }
        };

        farm.heartbeat_cables[1].cut();
        for director in [&farm.ha1, &farm.ha2] {
            until("the cut path is seen", SOON, || path_is(director, 1, "dead"));
            assert_eq!(peer(director)["liveness"], "alive");
        }
        nothing_changes("one path is cut");
        farm.heartbeat_cables[1].restore();
        until("the path is up again", SOON, || path_is(&farm.ha2, 1, "alive"));

        for cable in &farm.heartbeat_cables {
            cable.netem("loss 30%");
        }
        nothing_changes("one path loses 30 %");
        let lost = |of: &Value| of["lost"].as_u64().expect("losses are counted");
        // Only while the path is up, and three in a row make it down.
        until("losses are counted", SOON, || lost(&peer(&farm.ha2)["paths"][1]) >= 5);
        let ha1 = peer(&farm.ha2);
        let (rhythm, [whole, lossy]) = (&ha1["rhythm"], [0, 1].map(|index| &ha1["paths"][index]));
        assert!(lost(lossy) > lost(whole), "{whole} {lossy}");
        assert!(lost(rhythm) <= lost(whole), "what one path brings is not lost: {rhythm}");
        for path in [whole, lossy] {
            assert!(!path["round_trip_us"].is_null(), "{path}");
            let buckets = path["intervals"]["buckets"].as_array().expect("buckets are told");
            assert!(!buckets.is_empty(), "{path}");
        }
        let tune = [&director::program("caribe"), "tune", "--false-alarms", "2/year"];
        let refused = farm.ha2.host.exec(&tune);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("10000 in 1h are the least"), "{}", refused.stderr);
        for cable in &farm.heartbeat_cables {
            cable.netem_off();
        }

        farm.heartbeat_cables[1].netem("loss 100%");
        until("ha2 sees the path down, and ha1 hears by it", SOON, || {
            path_is(&farm.ha2, 1, "dead") && path_is(&farm.ha1, 1, "alive")
        });
        nothing_changes("one path is cut one way");
        farm.heartbeat_cables[1].netem_off();

        // All hosts of the lab share this clock.
        for hour in [3600, -3600] {
            farm.client.sh(&format!("date -s @$(( $(date +%s) + {hour} ))"));
            nothing_changes("the clock is stepped");
        }
    }

    fn a_takeover_needs_no_right_clock(lab) {
        let (farm, load) = pair_on_two_paths(lab, Settings::default());
        farm.client.sh("date -s @$(( $(date +%s) - 3600 ))");
        farm.ha1.signal(Signal::STOP);
        farm.ha2.wait_active("web", SOON);
        farm.client.sh("date -s @$(( $(date +%s) + 7200 ))");
        farm.ha1.signal(Signal::CONT);
        assert_settled(&farm, &load, &farm.ha2, &farm.ha1);
        assert_eq!(epoch(&farm.ha1), epoch(&farm.ha2));
    }

    fn a_director_that_is_stopped_again_and_again_stays_standby(lab) {
        let (farm, load) = pair_on_two_paths(lab, Settings::default());
        farm.ha1.signal(Signal::STOP);
        farm.ha2.wait_active("web", SOON);
        let from = Instant::now();
        // The VIP of the stopped daemon is still there; the newer announcement counts.
        until("the client is served by ha2", SOON, || load.since(from).servers.len() == 3);
        farm.ha1.signal(Signal::CONT);
        assert_settled(&farm, &load, &farm.ha2, &farm.ha1);
        let after = epoch(&farm.ha2);
        for _ in 0..3 {
            farm.ha1.signal(Signal::STOP);
            until("ha1 is missed", SOON, || peer(&farm.ha2)["liveness"] == "dead");
            farm.ha1.signal(Signal::CONT);
            until("ha1 is heard", SOON, || peer(&farm.ha2)["hears_us"] == true);
            assert_settled(&farm, &load, &farm.ha2, &farm.ha1);
        }
        assert_eq!(epoch(&farm.ha2), after, "nobody has claimed it since");
    }

    fn cut_heartbeats_with_a_whole_service_network_end_with_one_owner(lab) {
        let (farm, load) = pair_beside_the_service(lab);
        let paths = [&farm.inner_cables[0], &farm.heartbeat_cables[0]];
        paths[0].cut();
        while_passes(&farm, &load);
        assert_settled(&farm, &load, &farm.ha1, &farm.ha2);
        // Without a third party both must serve.
        paths[1].cut();
        farm.ha2.wait_active("web", SOON);
        assert!(farm.ha1.is_active("web"));
        let from = Instant::now();
        until("the client is served", SOON, || load.since(from).servers.len() == 3);
        let between = epoch(&farm.ha2);
        paths[0].restore();
        // The better one, unless the other hears it much later than it hears the other: then it
        // leaves to who cannot know of it.
        let has = |director: &Director| director.is_active("web") && farm.has_vip(director);
        until("one stays active", SOON, || has(&farm.ha1) != has(&farm.ha2));
        let (owner, other) =
            if has(&farm.ha1) { (&farm.ha1, &farm.ha2) } else { (&farm.ha2, &farm.ha1) };
        assert_settled(&farm, &load, owner, other);
        paths[1].restore();
        until("both paths are up", SOON, || {
            path_is(&farm.ha1, 0, "alive") && path_is(&farm.ha1, 1, "alive")
        });
        assert_settled(&farm, &load, owner, other);
        assert!(epoch(owner) >= between, "nobody goes back to an older claim");
        let mac = owner.host.sh("cat /sys/class/net/eth0/address");
        until("the client's neighbour entry names the owner", SOON, || {
            farm.client.sh("ip neigh show 192.0.2.80").contains(mac.trim())
        });
    }

    fn who_is_not_heard_leaves_to_who_cannot_hear(lab) {
        let (farm, load) = pair_beside_the_service(lab);
        // ha2 hears nothing of ha1, which hears everything.
        let to_ha2 = [&farm.inner_cables[1], &farm.heartbeat_cables[1]];
        to_ha2.iter().for_each(|cable| cable.netem("loss 100%"));
        until("ha1 leaves, since ha2 cannot know of it", SOON, || {
            farm.ha2.is_active("web") && is_standby(&farm.ha1) && !farm.has_vip(&farm.ha1)
        });
        let from = Instant::now();
        until("the client is served by ha2", SOON, || load.since(from).servers.len() == 3);
        let log = farm.ha1.log();
        assert!(log.contains("does not hear us"), "{log}");
        // The owner is the deaf one: nothing is to be done.
        let taken = epoch(&farm.ha1);
        let start = heard(&farm.ha1);
        until("ha1 goes on to hear it", SOON, || heard(&farm.ha1) > start + 60);
        assert!(farm.ha2.is_active("web") && is_standby(&farm.ha1));
        to_ha2.iter().for_each(|cable| cable.netem_off());
        until("ha2 hears again", SOON, || peer(&farm.ha1)["hears_us"] == true);
        assert_settled(&farm, &load, &farm.ha2, &farm.ha1);
        assert_eq!(epoch(&farm.ha1), taken);

        // The same with the better director as the deaf one.
        let to_ha1 = [&farm.inner_cables[0], &farm.heartbeat_cables[0]];
        to_ha1.iter().for_each(|cable| cable.netem("loss 100%"));
        until("ha2 leaves, since ha1 cannot know of it", SOON, || {
            farm.ha1.is_active("web") && is_standby(&farm.ha2) && !farm.has_vip(&farm.ha2)
        });
        to_ha1.iter().for_each(|cable| cable.netem_off());
        until("ha1 hears again", SOON, || peer(&farm.ha2)["hears_us"] == true);
        assert_settled(&farm, &load, &farm.ha1, &farm.ha2);
    }

    fn a_flapping_link_moves_the_group_once(lab) {
        let settings = Settings {
            monitor_links: true,
            failback: "auto",
            failback_delay: Some("0s"),
            ..Settings::default()
        };
        let (farm, load) = pair_on_two_paths(lab, settings);
        let before = epoch(&farm.ha2);
        // Down for longer than a blink, so that it is a loss; up for a moment only.
        farm.service_cables[0].unplug();
        farm.ha2.wait_active("web", SOON);
        for _ in 0..15 {
            farm.service_cables[0].plug();
            farm.service_cables[0].unplug();
        }
        let from = Instant::now();
        until("the client is served by ha2", SOON, || load.since(from).servers.len() == 3);
        assert_eq!(epoch(&farm.ha2), before + 1, "it stays where it went");
        assert!(is_standby(&farm.ha1) && !farm.has_vip(&farm.ha1));
        // Whole again, and for good: it comes back, once.
        farm.service_cables[0].plug();
        farm.ha1.wait_active("web", SOON);
        assert_settled(&farm, &load, &farm.ha1, &farm.ha2);
        assert_eq!(epoch(&farm.ha2), before + 2);
    }

    fn a_blackout_of_both_ends_with_one_owner(lab) {
        let (mut farm, load) = pair_on_two_paths(lab, Settings::default());
        for crash in [true, false] {
            for director in [&mut farm.ha1, &mut farm.ha2] {
                if crash {
                    director.kill();
                } else {
                    director.stop();
                }
            }
            until("the VIP is gone", SOON, || !farm.has_vip(&farm.ha1) && !farm.has_vip(&farm.ha2));
            // The one with less priority first; it is offered nothing for that.
            farm.ha2.start();
            farm.ha1.start();
            assert_settled(&farm, &load, &farm.ha1, &farm.ha2);
        }
        // One alone serves, and keeps what it has when the other comes.
        farm.ha1.kill();
        farm.ha2.kill();
        farm.ha2.start_alone();
        farm.ha2.wait_active("web", SOON);
        let from = Instant::now();
        until("the client is served by ha2", SOON, || load.since(from).servers.len() == 3);
        farm.ha1.start();
        until("ha1 is ready", SOON, || group(&farm.ha1)["ready"] == true);
        assert_settled(&farm, &load, &farm.ha2, &farm.ha1);
    }

    fn an_upgrade_of_one_at_a_time_breaks_no_request(lab) {
        let settings = Settings { second_path: true, ..Settings::default() };
        let (mut farm, load) = started(handover::farm(lab, Mode::Direct, Family::V4, &settings));
        let from = Instant::now();
        // The standby first.
        farm.ha2.stop();
        assert!(farm.ha1.is_active("web"));
        farm.ha2.start();
        until("ha2 is ready", SOON, || {
            group(&farm.ha2)["ready"] == true && peer(&farm.ha1)["hears_us"] == true
        });
        assert_settled(&farm, &load, &farm.ha1, &farm.ha2);
        // Then the other, which hands over.
        farm.ha1.stop();
        farm.ha2.wait_active("web", SOON);
        farm.ha1.start();
        until("ha1 is ready", SOON, || group(&farm.ha1)["ready"] == true);
        assert_settled(&farm, &load, &farm.ha2, &farm.ha1);
        let settled = Instant::now();
        until("every request has ended", SOON, || {
            load.have_ended(settled) && load.since(from).requests > 200
        });
        assert_eq!(broken(&load, from), BTreeMap::new());
    }
}
