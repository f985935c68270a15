use super::*;
use crate::director::snapshot::{Counters, Liveness, ProbesStatus, Timing};

const YEAR: f64 = 1.0 / 31_556_952.0;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// What is heard of a peer that beats for so long; each delay as often as is said, all others zero.
fn rhythm(keepalive: Duration, watched: Duration, delays: &[(Duration, u64)]) -> Rhythm {
    let mut rhythm = Rhythm {
        watched,
        ..Rhythm::default()
    };
    for (delay, times) in delays {
        (0..*times).for_each(|_| rhythm.delays.add(*delay));
    }
    let beats = u64::try_from(watched.as_nanos() / keepalive.as_nanos()).unwrap();
    for _ in rhythm.heard()..beats {
        rhythm.delays.add(Duration::ZERO);
    }
    rhythm
}

/// A day at 100 ms: a millisecond now and then, and once eight.
fn quiet_day() -> Rhythm {
    rhythm(
        millis(100),
        Duration::from_secs(86_400),
        &[
            (micros(900), 9000),
            (millis(2), 200),
            (millis(4), 10),
            (millis(8), 1),
        ],
    )
}

fn peer(name: &str, rhythm: Rhythm) -> DirectorStatus {
    DirectorStatus {
        name: name.to_owned(),
        priority: 100,
        local: false,
        liveness: Liveness::Alive,
        hears_us: Some(true),
        same_config: Some(true),
        differing: Vec::new(),
        round_trip: None,
        rhythm: Some(rhythm),
        paths: Vec::new(),
    }
}

pub(in crate::cli::tune) fn snapshot(peers: Vec<DirectorStatus>) -> Snapshot {
    Snapshot {
        node: "ha1".to_owned(),
        cluster: "web".to_owned(),
        version: "0.1.0".to_owned(),
        config: "00".to_owned(),
        uptime: Duration::from_secs(90_000),
        timing: Timing {
            keepalive: millis(100),
            deadtime: millis(300),
            warntime: millis(150),
        },
        directors: peers,
        groups: Vec::new(),
        services: Vec::new(),
        probes: ProbesStatus::default(),
        sync: None,
        takeovers: Vec::new(),
        counters: Counters::default(),
    }
}

fn advice(rhythm: Rhythm, rate: f64) -> Advice {
    advise(&snapshot(vec![peer("ha2", rhythm)]), rate).unwrap()
}

#[test]
fn a_quiet_day_allows_a_short_deadtime() {
    let advice = advice(quiet_day(), YEAR);
    let [peer] = &advice.peers[..] else {
        panic!("one peer");
    };
    assert_eq!((peer.heard, peer.lost), (864_000, 0));
    assert_eq!(peer.latest_by, millis(8));
    assert!(peer.late_by >= millis(12), "half as long again: {peer:?}");
    assert!(peer.late_by < millis(20), "{peer:?}");
    assert_eq!(peer.allowed_lost, 2);
    assert_eq!(advice.enough.deadtime, millis(320));
    assert_eq!(
        advice.recommended,
        Choice {
            keepalive: millis(10),
            deadtime: millis(45)
        }
    );
}

#[test]
fn rarer_false_alarms_and_later_heartbeats_need_a_longer_deadtime() {
    let busy = || {
        let delays = [(millis(3), 3000), (millis(10), 30)];
        rhythm(millis(100), Duration::from_secs(86_400), &delays)
    };
    let late = |rate| advice(busy(), rate).late_by;
    assert!(late(YEAR / 100.0) > late(YEAR));
    assert!(late(YEAR) > late(YEAR * 365.0));

    let delayed = |longest| {
        let day = Duration::from_secs(86_400);
        let delays = [(millis(3), 3000), (millis(longest), 20)];
        advice(rhythm(millis(100), day, &delays), YEAR)
    };
    let mut before = Duration::ZERO;
    for longest in [5, 10, 20, 40, 80, 160] {
        let advice = delayed(longest);
        assert!(advice.late_by > before.max(millis(longest)), "{longest}");
        assert!(advice.recommended.deadtime > advice.late_by, "{longest}");
        assert!(advice.recommended.deadtime > 2 * advice.recommended.keepalive);
        before = advice.late_by;
    }
}

/// An exponential tail is what the guess supposes: it must then be right, and on the safe side.
#[test]
fn the_guess_is_right_for_the_tail_that_it_supposes() {
    let mean = 0.002_f64;
    let (mut random, n) = (fastrand::Rng::with_seed(1), 200_000_u64);
    let mut rhythm = Rhythm {
        watched: millis(100) * u32::try_from(n).unwrap(),
        ..Rhythm::default()
    };
    for _ in 0..n {
        let delay = -mean * (1.0 - random.f64()).ln();
        rhythm.delays.add(Duration::from_secs_f64(delay));
    }
    // Ten a second, each beyond x with the likelihood exp(-x / mean).
    let right = mean * (10.0 / YEAR).ln();
    let guess = late_by(&rhythm.delays, rhythm.watched, YEAR).as_secs_f64();
    assert!(guess > right && guess < right * 1.8, "{guess} for {right}");
}

#[test]
fn losses_are_survived_in_a_row_as_likely_as_they_are() {
    for (lost, in_a_row, allowed) in [
        (0, 0, 2),
        // One in a thousand: three in a row come by chance once in three years.
        (861, 1, 2),
        // Twice as many: eight times as often.
        (1728, 1, 3),
        // One in ten.
        (86_400, 2, 8),
        // Seldom, but then many.
        (12, 12, 12),
    ] {
        let mut rhythm = quiet_day();
        rhythm.lost = lost;
        rhythm.lost_in_a_row = in_a_row;
        let advice = advice(rhythm, YEAR);
        assert_eq!(advice.peers[0].allowed_lost, allowed, "{lost} {in_a_row}");
        let least = (allowed + 1) * millis(100) + advice.late_by;
        assert!(advice.enough.deadtime >= least, "{lost} {in_a_row}");
    }
}

#[test]
fn an_outage_lasts_as_long_however_short_keepalive_is() {
    let mut rhythm = quiet_day();
    rhythm.lost = 4;
    rhythm.lost_in_a_row = 4;
    let advice = advice(rhythm, YEAR);
    assert!(advice.recommended.deadtime > millis(400), "{advice:?}");
}

#[test]
fn the_worst_peer_decides() {
    let mut bad = quiet_day();
    bad.delays.add(millis(70));
    let both = snapshot(vec![peer("ha2", quiet_day()), peer("ha3", bad.clone())]);
    let both = advise(&both, YEAR).unwrap();
    assert_eq!(both.peers.len(), 2);
    let alone = advice(bad, YEAR);
    assert!(both.late_by >= alone.late_by);
    assert!(both.peers[0].late_by < both.late_by);
}

#[test]
fn nothing_is_recommended_from_too_little() {
    let hour = |keepalive, seconds| rhythm(millis(keepalive), Duration::from_secs(seconds), &[]);
    let refused = |peers| advise(&snapshot(peers), YEAR).unwrap_err().to_string();
    assert_eq!(refused(vec![]), "there is no other director to be heard");
    let mut silent = peer("ha2", Rhythm::default());
    assert_eq!(
        refused(vec![silent.clone()]),
        "too little has been heard: ha2 has not been heard yet"
    );
    silent.rhythm = None;
    assert!(refused(vec![silent.clone()]).contains("ha2 has not been heard yet"));
    // Long enough, but few; many, but in no time.
    for few in [hour(1000, 3600), hour(10, 600)] {
        let text = refused(vec![peer("ha2", few)]);
        assert!(text.contains("where 10000 in 1h are the least"), "{text}");
    }
    let mut other = peer("ha2", quiet_day());
    other.same_config = Some(false);
    assert!(refused(vec![other]).contains("ha2 runs another configuration"));

    let mut returned = quiet_day();
    returned.returns = 2;
    let text = refused(vec![peer("ha2", returned), peer("ha3", quiet_day())]);
    assert!(
        text.starts_with("ha2 was silent for deadtime (300ms) 2 times"),
        "{text}"
    );
    assert!(text.contains("set deadtime to 600ms"), "{text}");

    // One of two is enough, and the other is named.
    let advice = advise(&snapshot(vec![silent, peer("ha3", quiet_day())]), YEAR).unwrap();
    assert_eq!(advice.left_out, ["ha2 has not been heard yet"]);
    assert_eq!(advice.peers.len(), 1);
}

#[test]
fn lengths_are_rounded_up_to_what_people_choose() {
    for (time, rounded) in [
        (micros(1), 5),
        (millis(15), 15),
        (micros(15_001), 20),
        (millis(101), 110),
        (micros(999_999), 1000),
        (millis(1001), 1100),
    ] {
        assert_eq!(rounded_up(time), millis(rounded), "{time:?}");
    }
}
