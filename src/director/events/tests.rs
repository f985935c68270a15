use super::*;

const WALL: Duration = Duration::from_secs(1_795_169_462);

fn history(events: u64) -> History {
    let mut history = History::new(WALL);
    for n in 1..=events {
        history.push(What::TableDrift { changes: n }, WALL);
    }
    history
}

fn sequences(events: &[Arc<Event>]) -> Vec<u64> {
    events.iter().map(|it| it.id.sequence).collect()
}

fn at(run: Option<u64>, sequence: u64) -> Option<Position> {
    Some(Position { run, sequence })
}

#[test]
fn a_reader_gets_what_came_after_what_it_has() {
    let history = history(5);
    let run = Some(WALL.as_secs());
    for (position, expected) in [
        (None, vec![1, 2, 3, 4, 5]),
        (at(run, 0), vec![1, 2, 3, 4, 5]),
        (at(run, 3), vec![4, 5]),
        (at(None, 4), vec![5]),
        (at(run, 5), vec![]),
        // Of another run, or not been yet: from the beginning.
        (at(Some(7), 3), vec![1, 2, 3, 4, 5]),
        (at(run, 6), vec![1, 2, 3, 4, 5]),
    ] {
        assert_eq!(
            sequences(&history.after(position)),
            expected,
            "{position:?}"
        );
    }
}

#[test]
fn the_latest_thousand_are_kept_and_the_rest_is_told_as_lost() {
    let history = history(KEPT as u64 + 10);
    let all = history.after(None);
    assert_eq!(all[0].what, What::Lost { events: 10 });
    assert_eq!(all[0].id.sequence, 10);
    assert_eq!(all.len(), KEPT + 1);
    // Whoever goes on from the gap misses nothing more.
    let rest = history.after(Some(all[0].id));
    assert_eq!(
        sequences(&rest),
        (11..=KEPT as u64 + 10).collect::<Vec<_>>()
    );
    let some = history.after(at(None, 4));
    assert_eq!(some[0].what, What::Lost { events: 6 });
    assert_eq!(sequences(&history.after(at(None, 1009))), [1010]);
}

#[test]
fn nothing_comes_of_nothing() {
    assert!(history(0).after(None).is_empty());
    assert!(history(0).after(at(None, 9)).is_empty());
}

#[test]
fn positions_are_read_as_they_are_written() {
    for text in ["6a1f0b2c-17", "17", "0"] {
        assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
    }
    for wrong in [
        "",
        "-",
        "x-1",
        "1-",
        "1-2-3",
        "-1",
        "1.5",
        "99999999999999999999",
    ] {
        assert!(wrong.parse::<Position>().is_err(), "{wrong}");
    }
}

#[test]
fn an_event_is_one_flat_object_with_its_kind() {
    let mut history = History::new(WALL);
    let what = What::ServerDown {
        service: "www".to_owned(),
        server: "10.0.1.21:80".to_owned(),
        reason: Some("connection refused".to_owned()),
    };
    history.push(what, WALL + Duration::from_micros(7));
    let event = &history.after(None)[0];
    let text = serde_json::to_string(&**event).unwrap();
    assert_eq!(
        text,
        r#"{"id":"6b001cb6-1","time":"2026-11-20T10:11:02.000007Z","kind":"server-down","service":"www","server":"10.0.1.21:80","reason":"connection refused"}"#
    );
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), **event);
}

#[test]
fn a_takeover_is_told_from_its_first_known_phase() {
    let takeover = |heard, suspected, addresses, announced| What::Takeover {
        group: "web".to_owned(),
        epoch: 7,
        reason: "ha1 is silent".to_owned(),
        from: Some("ha1".to_owned()),
        heard_before_us: heard,
        suspected_before_us: suspected,
        addresses_after_us: addresses,
        announced_after_us: announced,
    };
    for (what, expected) in [
        (
            takeover(Some(300_200), Some(100), Some(700), Some(800)),
            "last heartbeat 0, suspicion +300.1 ms, claim +300.2, addresses +300.9, announced +301.0",
        ),
        (
            takeover(None, Some(100), Some(700), None),
            "suspicion 0, claim +0.1 ms, addresses +0.8",
        ),
        (
            takeover(None, None, Some(700), Some(1_249)),
            "claim 0, addresses +0.7 ms, announced +1.2",
        ),
        // Refused before the last heartbeat was read.
        (
            takeover(Some(50), Some(150), None, None),
            "last heartbeat +0.1 ms, suspicion +0.0, claim +0.2",
        ),
    ] {
        let text = what.to_string();
        assert_eq!(text, format!("takeover of web (ha1 is silent): {expected}"));
    }
}
