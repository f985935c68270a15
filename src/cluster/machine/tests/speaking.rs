//! When heartbeats go out.

use super::*;

impl Net {
    /// When a director has sent since `from`.
    fn sent(&self, name: &str, from: Time) -> Vec<Time> {
        let log = self.log.iter().filter(|(_, who, _)| who == name);
        let sent = log.filter(|(at, _, output)| *at >= from && matches!(output, Output::Send(_)));
        sent.map(|(at, ..)| *at).collect()
    }
}

fn intervals(times: &[Time]) -> BTreeSet<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn directors_that_hear_each_other_come_to_speak_at_the_same_time() {
    for offset in 1..u64::try_from(KEEPALIVE.as_millis()).unwrap() {
        let mut net = Net::new(&[]);
        net.start("a", &["a", "b"]);
        net.run_for(millis(offset));
        net.start("b", &["a", "b"]);
        net.run_for(DEADTIME * 4);
        let from = net.now;
        net.run_for(KEEPALIVE * 5);
        let (a, b) = (net.sent("a", from), net.sent("b", from));
        assert_eq!(intervals(&a), [KEEPALIVE].into(), "after {offset} ms");
        assert_eq!(intervals(&b), [KEEPALIVE].into(), "after {offset} ms");
        // One of them may have spoken just before, or be about to.
        let apart = a.iter().flat_map(|a| b.iter().map(|b| a.abs_diff(*b)));
        assert!(
            apart.filter(|it| *it <= TRAVEL).count() >= 4,
            "{a:?} {b:?} after {offset} ms"
        );
    }
}

#[test]
fn who_waits_in_vain_for_the_other_speaks_a_little_later_once() {
    let mut net = Net::pair();
    let from = net.now;
    net.cut_both("a", "b");
    net.run_for(KEEPALIVE * 3);
    let patience = settings("a", &["a", "b"], &["g"]).patience();
    assert!(!patience.is_zero());
    let mut later = 0;
    for name in ["a", "b"] {
        let sent = net.sent(name, from);
        assert!(sent[0] <= from + KEEPALIVE + patience);
        later += intervals(&sent)
            .into_iter()
            .filter(|it| *it > KEEPALIVE)
            .count();
        assert!(
            intervals(&sent)
                .into_iter()
                .all(|it| it <= KEEPALIVE + patience)
        );
    }
    assert!(later <= 1);
}

#[test]
fn nobody_speaks_twice_in_half_a_keepalive_because_others_speak() {
    let names = ["a", "b", "c", "d", "e"];
    let mut net = Net::new(&[]);
    for name in names {
        net.start(name, &names);
        net.run_for(KEEPALIVE / 5);
    }
    net.run_for(DEADTIME * 10);
    let from = net.now;
    net.run_for(KEEPALIVE * 20);
    for name in names {
        let shortest = intervals(&net.sent(name, from)).into_iter().next();
        assert!(shortest >= Some(KEEPALIVE / 2), "{name}: {shortest:?}");
    }
}

#[test]
fn each_host_is_woken_once_in_a_keepalive() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for count in [2, 3, 8] {
        let names = &names[..count];
        let mut net = Net::new(&[]);
        for name in names {
            net.start(name, names);
            net.run_for(KEEPALIVE / 7);
        }
        net.run_for(DEADTIME * 10);
        assert_eq!(net.active(), ["a"]);
        net.wakings.clear();
        net.run_for(KEEPALIVE * 20);
        for name in names {
            let woken = net.wakings.iter().filter(|(_, who)| who == name).count();
            assert!(
                (19..=21).contains(&woken),
                "{woken} times {name} of {count}"
            );
        }
    }
}

#[test]
fn who_has_a_group_lets_the_others_wait_until_something_is_to_be_done() {
    let waits = |net: &Net| {
        let lets_wait = |name: &str, peer| net.machines[name].lets_wait(peer);
        (lets_wait("a", "b"), lets_wait("b", "a"))
    };
    let calm = (true, false);
    let mut net = Net::new(&["a", "b"]);
    assert_eq!(waits(&net), (false, false), "it has heard nobody");
    net.run_for(millis(500));
    assert_eq!(waits(&net), calm);
    assert!(!net.machines["a"].lets_wait("nobody"));

    net.local("a", Fitness::FULL, false);
    assert_eq!(waits(&net), (false, false), "the other must know");
    net.local("a", Fitness::FULL, true);
    net.run_for(millis(500));
    assert_eq!(waits(&net), calm);

    net.hand_over("a", Some("b"));
    net.run_for(LINGER / 2);
    assert_eq!(net.active(), ["b"]);
    assert_eq!(waits(&net), (false, false), "it is in the midst of it");
    net.run_for(LINGER);
    assert_eq!(waits(&net), (false, true), "now the other has it");
    net.hand_over("b", Some("a"));
    net.run_for(LINGER * 2);
    assert_eq!(waits(&net), calm);

    // Only what a hears is cut off: it must find out who is there.
    net.cut.insert(("b".to_owned(), "a".to_owned()));
    net.run_for(DEADTIME + KEEPALIVE);
    assert_eq!(waits(&net), (false, false));
    net.cut.clear();
    net.run_for(millis(500));
    assert_eq!(waits(&net), calm);

    net.tell("a", Input::Stop);
    assert_eq!(waits(&net), (false, false));
}

#[test]
fn who_is_let_wait_is_not_late() {
    let mut net = Net::pair();
    net.run_for(millis(5000));
    let status = net.machines["a"].status(net.now);
    let (peer, path) = (&status.peers[0], &status.peers[0].paths[0]);
    assert_eq!((peer.rhythm.lost, path.late), (0, 0));
    assert!(peer.rhythm.delays.longest() <= TRAVEL * 2, "{peer:?}");
    // There and back, however long it was before that was read.
    assert_eq!(path.round_trip, Some(TRAVEL * 2));
    let status = net.machines["b"].status(net.now);
    assert_eq!(status.peers[0].paths[0].round_trip, Some(TRAVEL * 2));
}

#[test]
fn patience_is_no_reason_to_warn_nor_to_believe_in_death() {
    for (keepalive, warntime, deadtime, patience) in [
        (800, 1200, 2400, 100),
        (800, 840, 2400, 20),
        (800, 1200, 1610, 5),
        (800, 801, 1601, 0),
    ] {
        let mut settings = settings("a", &["a", "b"], &["g"]);
        settings.timing.keepalive = millis(keepalive);
        settings.timing.warntime = millis(warntime);
        settings.timing.deadtime = millis(deadtime);
        let least = settings.patience();
        assert_eq!(
            least.as_millis(),
            patience,
            "{keepalive} {warntime} {deadtime}"
        );
        assert!(settings.keepalive() * 2 + least < settings.deadtime());
    }
}
