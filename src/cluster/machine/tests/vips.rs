//! Whose VIPs they may be when a group is taken, and where directors answer for them.

use super::*;
use crate::cluster::{Ask, Station};

fn asked(net: &Net, name: &str) -> Vec<Ask> {
    let log = net.log.iter().filter(|(_, who, _)| who == name);
    log.filter_map(|(_, _, output)| match output {
        Output::Activate { ask, .. } => Some(*ask),
        _ => None,
    })
    .collect()
}

#[test]
fn the_network_is_asked_at_a_start_and_after_a_death_and_not_when_a_director_passes_the_group_on() {
    let mut net = Net::new(&["a", "b"]);
    net.run_for(millis(500));
    assert_eq!(asked(&net, "a"), [Ask::First], "nobody has held it");

    net.machines.remove("a");
    net.run_for(millis(500));
    assert_eq!(asked(&net, "b"), [Ask::Beside], "a is dead");
    net.start("a", &["a", "b"]);
    net.run_for(millis(5000));
    assert_eq!(
        asked(&net, "a"),
        [Ask::First, Ask::Nobody],
        "b gives it back"
    );
    net.tell("a", Input::Stop);
    net.run_for(millis(500));
    assert_eq!(
        asked(&net, "b"),
        [Ask::Beside, Ask::Nobody],
        "a offers it as it stops"
    );
}

#[test]
fn the_network_is_asked_when_nobody_has_held_the_group_for_a_while() {
    for (minutes, asks) in [(0, Ask::Beside), (5, Ask::First)] {
        let mut net = Net::pair();
        net.machines.remove("a");
        net.local("b", Fitness::UNFIT, true);
        net.run_for(millis(1000 + 60_000 * minutes));
        assert_eq!(net.active(), [""; 0]);
        net.local("b", Fitness::FULL, true);
        net.run_for(millis(500));
        assert_eq!(asked(&net, "b"), [asks], "after {minutes} minutes");
    }
}

#[test]
fn a_group_that_a_third_says_is_held_has_been_held() {
    let mut net = Net::new(&["a", "b", "c"]);
    net.run_for(millis(500));
    net.cut_both("a", "c");
    net.run_for(millis(60_000));
    // Now `c` alone is left, which has heard of the owner through `b` only.
    net.local("b", Fitness::UNFIT, true);
    net.machines.remove("a");
    net.run_for(millis(3000));
    assert_eq!(net.active(), ["c"]);
    assert_eq!(asked(&net, "c"), [Ask::Beside]);
}

#[test]
fn what_is_offered_and_not_claimed_was_held_all_the_while() {
    let mut net = Net::pair();
    net.hand_over("a", None);
    net.machines.remove("b");
    net.run_for(millis(2000));
    assert_eq!(asked(&net, "a"), [Ask::Nobody]);
}

#[test]
fn strangers_are_looked_for_while_another_director_has_the_group_and_when_it_is_late() {
    let watched = |net: &Net, name: &str| {
        let log = net.log.iter();
        log.filter(|(_, who, output)| who == name && matches!(output, Output::Watch { .. }))
            .count()
    };
    let mut net = Net::new(&["a", "b"]);
    net.run_for(millis(5000));
    assert_eq!([watched(&net, "a"), watched(&net, "b")], [0, 1], "once");

    net.cut_both("a", "b");
    net.run_for(timing().warntime - KEEPALIVE);
    assert_eq!(watched(&net, "b"), 1, "not late yet");
    net.run_for(timing().deadtime - timing().warntime);
    assert_eq!(net.active(), ["a"], "not dead yet");
    assert_eq!(watched(&net, "b"), 2);
    net.cut.clear();
    net.run_for(millis(2000));
    assert_eq!(watched(&net, "b"), 2, "heard again");

    net.hand_over("a", None);
    net.run_for(millis(3000));
    assert_eq!(net.active(), ["b"]);
    assert_eq!([watched(&net, "a"), watched(&net, "b")], [1, 2]);
}

#[test]
fn what_a_stranger_has_is_known_to_whoever_follows() {
    let partial = |partial| Input::Partial {
        group: name("g"),
        partial,
    };
    let mut net = Net::pair();
    net.tell("a", partial(true));
    net.run_for(millis(100));
    net.tell("a", Input::Stop);
    net.run_for(millis(3000));
    assert_eq!(asked(&net, "b"), [Ask::Beside], "after a handover");

    let mut net = Net::pair();
    net.tell("a", partial(true));
    net.run_for(millis(100));
    net.machines.remove("a");
    net.run_for(millis(500));
    assert_eq!(asked(&net, "b"), [Ask::Beside], "after a death");
    net.tell("b", partial(true));
    net.tell("b", partial(false));
    net.start("a", &["a", "b"]);
    net.run_for(millis(5000));
    assert_eq!(asked(&net, "a"), [Ask::Nobody], "it has left");
}

#[test]
fn where_a_director_answers_is_known_beyond_its_death() {
    let told = |net: &Net| -> Vec<BTreeSet<Station>> {
        let log = net.log.iter().filter(|(_, who, _)| who == "b");
        log.filter_map(|(_, _, output)| match output {
            Output::Stations { peer, stations } if peer == "a" => Some(stations.clone()),
            _ => None,
        })
        .collect()
    };
    let [one, other] = [1, 2].map(|n| BTreeSet::from([[2, 0, 0, 0, 0, n]]));
    let mut net = Net::pair();
    net.tell("a", Input::Stations(one.clone()));
    net.run_for(millis(500));
    net.tell("a", Input::Stations(other.clone()));
    net.run_for(millis(500));
    assert_eq!(told(&net), [one, other.clone()], "each once");

    let last_word = Heartbeat::last_word(&net.machines["a"].settings, net.machines["a"].session);
    net.machines.remove("a");
    net.tell("b", Input::heard(0, last_word));
    net.run_for(millis(500));
    assert_eq!(net.active(), ["b"]);
    assert_eq!(told(&net).len(), 2);
    assert_eq!(net.machines["b"].peers["a"].stations, other);
}

fn holders<'n>(net: &'n Net, of: &str) -> Vec<&'n str> {
    net.machines[of].holders(net.now).collect()
}

#[test]
fn whoever_leaves_a_group_may_serve_it_until_its_vips_are_gone() {
    let mut net = Net::pair();
    assert_eq!(holders(&net, "b"), ["a"]);
    assert_eq!(holders(&net, "a"), [""; 0]);
    net.hand_over("a", None);
    net.run_for(LINGER - millis(10));
    assert_eq!(net.active(), ["b"]);
    assert_eq!(holders(&net, "b"), ["a"], "it forwards still");
    assert_eq!(holders(&net, "a"), ["b"]);
    net.run_for(millis(20));
    assert_eq!(holders(&net, "b"), [""; 0]);
}

#[test]
fn the_host_of_a_dead_director_may_serve_for_deadtime() {
    let mut net = Net::pair();
    let machine = net.machines.remove("a").unwrap();
    // That its guard says in its name.
    let heartbeat = Heartbeat::last_word(&machine.settings, machine.session);
    net.tell("b", Input::heard(0, heartbeat));
    assert_eq!(net.active(), ["b"]);
    net.run_for(DEADTIME - millis(1));
    assert_eq!(holders(&net, "b"), ["a"]);
    net.run_for(millis(1));
    assert_eq!(holders(&net, "b"), [""; 0]);
}

#[test]
fn the_host_of_a_silent_director_may_serve_until_it_is_heard() {
    let mut net = Net::pair();
    net.machines.remove("a");
    net.run_for(4 * DEADTIME);
    assert_eq!(net.active(), ["b"]);
    assert_eq!(holders(&net, "b"), ["a"]);
    net.start("a", &["a", "b"]);
    net.run_for(millis(200));
    assert_eq!(net.active(), ["b"]);
    assert_eq!(holders(&net, "b"), [""; 0]);
}
