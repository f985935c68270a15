//! Networks that break, and directors that are paused and restarted.

use super::*;

#[test]
fn after_a_partition_the_better_one_stays_and_announces() {
    let mut net = Net::pair();
    net.cut_both("a", "b");
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["a", "b"]);
    net.log.clear();
    net.cut.clear();
    net.run_for(millis(200));
    assert_eq!(net.active(), ["a"]);
    assert!(net.announced("a"));
    assert!(!net.announced("b"));
    assert!(matches!(&net.left("b")[..], [(_, Left::Conflict { rival })] if rival == "a"));
    let critical = |who: &str| {
        let log = net.log.iter().filter(|(_, name, _)| name == who);
        log.filter(|(_, _, o)| matches!(o, Output::Event(Event::Conflict { .. })))
            .count()
    };
    assert_eq!((critical("a"), critical("b")), (1, 1));
    let epochs = |who: &str| net.machines[who].groups["g"].seen;
    assert_eq!((epochs("a"), epochs("b")), (3, 3));
}

#[test]
fn who_has_left_before_it_is_heard_again_is_answered_by_an_announcement() {
    let mut net = Net::pair();
    net.cut_both("a", "b");
    net.run_for(millis(1000));
    // a hears b first, and leaves to who cannot know of it.
    net.cut.remove(&(name("b"), name("a")));
    net.run_for(millis(500));
    assert_eq!(net.active(), ["b"]);
    net.log.clear();
    net.cut.clear();
    net.run_for(millis(200));
    assert_eq!(net.active(), ["b"]);
    assert!(net.announced("b"), "neighbours may have asked a in between");
}

#[test]
fn who_reaches_something_again_announces_what_it_has() {
    let mut net = Net::pair();
    for cut_off in [true, false] {
        assert!(!net.announced("a"));
        net.tell("a", Input::CutOff(cut_off));
        net.run_for(millis(200));
    }
    assert!(net.announced("a"));
}

#[test]
fn whoever_is_not_heard_by_its_rival_leaves_though_it_ranks_higher() {
    let mut net = Net::pair();
    net.cut.insert((name("a"), name("b")));
    net.run_for(millis(500));
    assert_eq!(net.active(), ["b"]);
    let taken = net.taken("b")[0].0;
    assert_eq!(
        net.left("a"),
        [(taken + TRAVEL, Left::Deaf { rival: name("b") })]
    );
    net.cut.clear();
    net.run_for(millis(400));
    assert_eq!(net.active(), ["b"]);
}

#[test]
fn who_was_paused_leaves_before_it_says_a_word() {
    let mut net = Net::pair();
    net.paused.insert(name("a"));
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["a", "b"]);
    net.paused.clear();
    net.log.clear();
    let woken = net.now;
    net.tell("a", Input::Timeout);
    assert!(matches!(net.left("a")[..], [(at, Left::Paused { .. })] if at == woken));
    assert!(!net.log.iter().any(|(_, _, output)| match output {
        Output::Send(heartbeat) => heartbeat.claims["g"].role == Role::Active,
        _ => false,
    }));
    net.run_for(millis(200));
    assert_eq!(net.active(), ["b"]);
}

#[test]
fn who_was_paused_stays_when_it_hears_first_that_nobody_took_over() {
    let mut net = Net::pair();
    net.local("b", Fitness::UNFIT, true);
    net.run_for(millis(10));
    net.paused.insert(name("a"));
    net.run_for(millis(1000));
    net.paused.clear();
    let sent = net
        .log
        .iter()
        .rev()
        .find_map(|(_, who, output)| match output {
            Output::Send(heartbeat) if who == "b" => Some(heartbeat.clone()),
            _ => None,
        });
    net.tell(
        "a",
        Input::Heartbeat {
            path: 0,
            heartbeat: sent.unwrap(),
        },
    );
    assert_eq!(net.machines["a"].poll_timeout(), Some(net.now));
    net.run_for(millis(500));
    assert_eq!(net.left("a"), []);
    assert_eq!(net.active(), ["a"]);
}

#[test]
fn a_lone_director_that_was_paused_serves_again_after_deadtime() {
    let mut net = Net::pair();
    net.machines.remove("b");
    net.run_for(millis(1000));
    net.now += millis(2000);
    let woken = net.now;
    net.run_for(millis(1000));
    assert_eq!(net.left("a").len(), 1);
    assert_eq!(net.taken("a"), [(woken + DEADTIME, Taken::Unclaimed)]);
}

#[test]
fn a_restarted_director_is_known_at_once_and_does_not_take_what_another_has() {
    let mut net = Net::pair();
    net.start("b", &["a", "b"]);
    net.run_for(millis(300));
    assert_eq!(net.active(), ["a"]);
    let restarted = |output: &Output| {
        matches!(
            output,
            Output::Event(Event::PeerAlive {
                restarted: true,
                ..
            })
        )
    };
    assert_eq!(
        net.log
            .iter()
            .filter(|(_, _, output)| restarted(output))
            .count(),
        1
    );
}
