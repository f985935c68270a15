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
    net.tell("a", Input::heard(0, sent.unwrap()));
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

/// Directors that have all been alone, and then hear only their neighbours in a row.
fn row(names: &[&str]) -> Net {
    let mut net = Net::new(names);
    net.run_for(millis(500));
    let pairs = || (1..names.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    for (i, j) in pairs() {
        net.cut_both(names[i], names[j]);
    }
    net.run_for(millis(2000));
    assert_eq!(net.active().len(), names.len());
    for (i, j) in pairs().filter(|(i, j)| i - j == 1) {
        for (from, to) in [(i, j), (j, i)] {
            net.cut.remove(&(name(names[from]), name(names[to])));
        }
    }
    net.run_for(millis(500));
    net.log.clear();
    // One of them has had more rivals than another.
    let first = net.machines.get_mut(names[0]).unwrap();
    let rules = first.rules;
    first.groups.get_mut("g").unwrap().outbid(rules);
    net
}

/// How often anybody announces and how many heartbeats are sent, in a second.
fn restlessness(net: &mut Net) -> (usize, u64) {
    let sent = |net: &Net| {
        let machines = net.machines.values();
        machines
            .map(|it| it.status(net.now).counters.sent)
            .sum::<u64>()
    };
    let before = sent(net);
    net.run_for(millis(1000));
    let announced = net
        .log
        .iter()
        .filter(|(_, _, output)| matches!(output, Output::Announce { .. }));
    (announced.count(), sent(net) - before)
}

#[test]
fn two_that_only_a_third_hears_do_not_outbid_each_other() {
    let mut net = row(&["a", "c", "b"]);
    assert_eq!(net.active(), ["a", "b"]);
    let (announced, sent) = restlessness(&mut net);
    assert_eq!(announced, 0);
    let beats = u64::try_from(millis(1000).as_nanos() / KEEPALIVE.as_nanos()).unwrap();
    assert!(sent <= 3 * (beats + 1), "{sent}");
}

#[test]
fn two_that_know_each_other_by_hearsay_of_hearsay_outbid_each_other_at_leisure() {
    let mut net = row(&["a", "c", "d", "b"]);
    assert_eq!(net.active(), ["a", "b"]);
    let (announced, sent) = restlessness(&mut net);
    let beats = usize::try_from(millis(1000).as_nanos() / KEEPALIVE.as_nanos()).unwrap();
    assert!(announced <= beats, "{announced}");
    assert!(sent < 400, "{sent}");
}
