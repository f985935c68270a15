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
