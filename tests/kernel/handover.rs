//! A planned change of owner loses nothing.

use std::time::{Duration, Instant};

use lab::client::Load;
use lab::farm::Settings;
use lab::{Director, Family, Farm, Lab, Mode, kernel_test, until};

/// For states that come about within a few seconds.
const SOON: Duration = Duration::from_secs(15);
/// Older than any request that may be under way.
const SETTLED: Duration = Duration::from_millis(1500);

/// What lets a director find the server of every connection that another has begun.
const HANDED_ON: &str = "\n[ipvs.sync]\ninterface = \"eth2\"\n\n[ipvs.sysctl]\nsloppy_tcp = 1\n";

/// A farm whose directors find the server of every connection.
fn farm(lab: &Lab, mode: Mode, settings: &Settings) -> Farm {
    let farm = Farm::with(lab, mode, Family::V4, settings);
    let plain = lab::farm::config(mode, Family::V4, settings);
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
        load.since(gone).requests > 100 && gone.elapsed() > SETTLED
    });
    let report = load.since(begin);
    assert_eq!(report.lost, 0, "{report:?}\n{}\n{}", from.log(), to.log());
    assert!(farm.has_vip(to));
}

kernel_test! {
    fn a_handover_by_command_and_the_failback_lose_no_request(lab) {
        let settings =
            Settings { failback: "auto", failback_delay: Some("1s"), ..Settings::default() };
        let mut farm = farm(lab, Mode::Direct, &settings);
        farm.start_pair();
        let load = farm.client.load(farm.vip);
        until("the client is served", SOON, || load.report().requests > 100);

        let begin = Instant::now();
        let said = farm.ha1.caribe(&["handover", "web", "--wait", "10"]);
        assert_eq!(said, "group web handed over to ha2\n");
        assert_handed_over(&farm, &load, begin, &farm.ha1, &farm.ha2);
        let taken = &farm.ha2.status().expect("ha2 answers")["takeovers"][0];
        assert_eq!((&taken["from"], taken["epoch"].as_u64()), (&"ha1".into(), Some(2)));
        assert!(taken["announced_after_us"].as_u64() >= taken["addresses_after_us"].as_u64());

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
