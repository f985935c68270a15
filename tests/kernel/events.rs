//! What has happened is told by the daemon that it happened to.

use lab::{Family, Farm, Mode, SOON, kernel_test, until};
use serde_json::Value;

kernel_test! {
    fn the_new_owner_tells_of_a_takeover_with_its_phases(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        let follower = farm.ha2.host.spawn(&[&lab::director::program("caribe"), "events", "--follow"]);
        until("events are followed", SOON, || follower.log().contains("ha1 lives"));
        farm.ha1.kill();
        farm.ha2.wait_active("web", SOON);
        until("the takeover is told to whoever follows", SOON, || {
            follower.log().contains("takeover of web (")
        });

        let text = farm.ha2.caribe(&["events"]);
        let line = text.lines().find(|line| line.contains("takeover of web (")).expect("a takeover");
        let mut rest = line;
        for phase in ["last heartbeat 0", "suspicion +", "claim +", "addresses +", "announced +"] {
            let at = rest.find(phase);
            rest = &rest[at.unwrap_or_else(|| panic!("{phase} in its order: {line}"))..];
        }

        let json = farm.ha2.caribe(&["events", "--json", "--since", "10m"]);
        let events: Vec<Value> = json
            .lines()
            .map(|line| serde_json::from_str(line).expect("one object a line"))
            .collect();
        let place = |kind: &str, key: &str, value: &str| {
            let found = events.iter().position(|it| it["kind"] == kind && it[key] == value);
            found.unwrap_or_else(|| panic!("{kind} of {value}: {json}"))
        };
        assert_eq!(place("started", "version", env!("CARGO_PKG_VERSION")), 0);
        let dead = place("director-dead", "director", "ha1");
        let active = place("group-active", "group", "web");
        let here = place("vips-here", "group", "web");
        let takeover = place("takeover", "group", "web");
        assert!(dead < active && active < here && here < takeover, "{json}");
        let phases = &events[takeover];
        assert_eq!(phases["from"], "ha1");
        let us = |phase: &str| phases[phase].as_u64().unwrap_or_else(|| panic!("{phase}: {phases}"));
        assert!(us("heard_before_us") >= us("suspected_before_us"), "{phases}");
        assert!(us("announced_after_us") >= us("addresses_after_us"), "{phases}");

        // Who was there goes on where it was.
        let id = events[takeover]["id"].as_str().expect("an id");
        let later = farm.ha2.caribe(&["events", "--json", "--since", id]);
        assert!(!later.contains("\"takeover\""), "{later}");
    }
}
