//! A pair whose directors run unequal configurations, as in the midst of a change of it.

use std::time::Instant;

use lab::farm::{self, Settings};
use lab::{Director, Family, Farm, Mode, SOON, director, kernel_test, until};
use serde_json::Value;

/// What a director says of its peer.
fn peer(director: &Director) -> Value {
    let status = director.status().unwrap_or_default();
    let all = status["directors"].as_array().cloned().unwrap_or_default();
    let peer = all.into_iter().find(|d| d["local"] == false);
    peer.unwrap_or_default()
}

/// What `caribe check` warns of.
fn warnings(director: &Director) -> String {
    let checked = director.host.exec(&[&director::program("caribe"), "check"]);
    assert!(checked.status.success(), "{checked:?}");
    checked.stderr
}

kernel_test! {
    fn unequal_configurations_are_told_by_both_with_what_differs(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let text = farm::config(Mode::Direct, Family::V4, &Settings::default());
        let other = text
            .replace("deadtime = \"1s\"", "deadtime = \"1200ms\"")
            .replace("scheduler = \"rr\"", "scheduler = \"wrr\"");
        farm.ha2.host.write(director::CONFIG, 0o644, &other);
        farm.start_pair();
        let load = farm.client.load(farm.vip);
        for director in [&farm.ha1, &farm.ha2] {
            until("the difference is told", SOON, || peer(director)["same_config"] == false);
            let differing = serde_json::json!(["[heartbeat]", "[[virtual]]"]);
            assert_eq!(peer(director)["differing"], differing);
            let text = director.caribe(&["status"]);
            let told = "runs another configuration: [heartbeat], [[virtual]] differ";
            assert!(text.contains(told), "{text}");
            let log = director.log();
            assert!(log.contains("director runs another configuration"), "{log}");
            let events = director.caribe(&["events"]);
            assert!(events.contains(told), "{events}");
            let warnings = warnings(director);
            assert!(warnings.contains(told) && !warnings.contains("this file"), "{warnings}");
        }
        // They are a pair all the same.
        assert!(farm.ha1.is_active("web") && !farm.has_vip(&farm.ha2));
        farm.ha1.kill();
        farm.ha2.wait_active("web", SOON);
        let from = Instant::now();
        until("the client is served by ha2", SOON, || load.since(from).servers.len() == 3);

        // Equal again, one after the other.
        farm.ha1.host.write(director::CONFIG, 0o644, &other);
        farm.ha1.start();
        for director in [&farm.ha1, &farm.ha2] {
            until("they are equal", SOON, || peer(director)["same_config"] == true);
            assert_eq!(peer(director)["differing"], serde_json::json!([]));
            assert!(!warnings(director).contains("another configuration"));
        }
        // Nobody reads a file again that has been changed.
        farm.ha2.host.write(director::CONFIG, 0o644, &text);
        let warnings = warnings(&farm.ha2);
        assert!(warnings.contains("ha2, has another configuration than this file"), "{warnings}");
        until("one has the VIP", SOON, || {
            farm.ha2.is_active("web") && farm.has_vip(&farm.ha2) && !farm.has_vip(&farm.ha1)
        });
    }
}
