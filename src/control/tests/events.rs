use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::*;
use crate::control::router::{EventsWanted, events_wanted};
use crate::director::events::{Event, KEPT, Position, What};

fn drift(changes: u64) -> What {
    What::TableDrift { changes }
}

impl Daemon {
    fn happened(&self, what: What) {
        let wall = Duration::from_secs(8);
        self.history
            .send_modify(|history| Arc::make_mut(history).push(what, wall));
    }

    /// All that there is after `since`.
    fn events(&self, since: Option<Position>) -> Vec<Event> {
        let mut events = Vec::new();
        let answer = self.client().events(since, false, |event| {
            events.push(event);
            ControlFlow::Continue(())
        });
        answer.unwrap();
        events
    }
}

#[test]
fn what_has_happened_is_told_once_or_followed() {
    let daemon = Daemon::start();
    for n in 1..=200 {
        daemon.happened(drift(n));
    }
    let events = daemon.events(None);
    let expected: Vec<What> = (1..=200).map(drift).collect();
    let told: Vec<What> = events.into_iter().map(|event| event.what).collect();
    assert_eq!(told, expected);

    let mut seen = 0;
    let answer = daemon.client().events(None, true, |event| {
        seen += 1;
        assert_eq!(event.what, drift(seen));
        // Each is told as it happens, and nothing else is waited for.
        if seen >= 200 {
            daemon.happened(drift(seen + 1));
        }
        if seen < 205 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    answer.unwrap();
    assert_eq!(seen, 205);
}

#[test]
fn a_stream_goes_on_after_the_last_event_that_a_client_has() {
    let daemon = Daemon::start();
    (1..=5).for_each(|n| daemon.happened(drift(n)));
    let ask = |query: &str, header: &str| {
        let (status, answer) = daemon.raw(&format!(
            "GET /v1/events?follow=0{query} HTTP/1.0\r\n{header}\r\n"
        ));
        assert_eq!(status, 200, "{answer}");
        assert!(
            answer.contains("content-type: text/event-stream\r\n"),
            "{answer}"
        );
        let ids = answer.lines().filter_map(|line| line.strip_prefix("id: "));
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ask("", ""), ["7-1", "7-2", "7-3", "7-4", "7-5"]);
    assert_eq!(ask("&since=7-3", ""), ["7-4", "7-5"]);
    assert_eq!(ask("&since=4", ""), ["7-5"]);
    assert_eq!(ask("", "last-event-id: 7-4\r\n"), ["7-5"]);
    // A browser that connects again asks the same, and says where it was.
    assert_eq!(ask("&since=7-1", "Last-Event-ID: 7-5\r\n"), [""; 0]);
    // Another run of the daemon.
    assert_eq!(ask("&since=6-4", "").len(), 5);
}

#[test]
fn events_that_are_not_kept_any_more_are_told_as_lost() {
    let daemon = Daemon::start();
    (1..=KEPT as u64 + 9).for_each(|n| daemon.happened(drift(n)));
    let events = daemon.events(Some("7-4".parse().unwrap()));
    assert_eq!(events[0].what, What::Lost { events: 5 });
    assert_eq!(events[1].what, drift(10));
    assert_eq!(events.len(), KEPT + 1);
}

#[test]
fn a_query_for_events_is_understood_or_refused() {
    let wanted = |since: Option<&str>, once| EventsWanted {
        since: since.map(|text| text.parse().unwrap()),
        once,
    };
    let cases = BTreeMap::from([
        ("", wanted(None, false)),
        ("follow=1", wanted(None, false)),
        ("follow=0&since=17", wanted(Some("17"), true)),
        ("since=6a-17&", wanted(Some("6a-17"), false)),
    ]);
    for (query, expected) in cases {
        assert_eq!(events_wanted(Some(query), None), Ok(expected), "{query}");
    }
    assert_eq!(events_wanted(None, Some("5")), Ok(wanted(Some("5"), false)));
    for (query, header) in [
        ("since=", None),
        ("since=soon", None),
        ("follow=yes", None),
        ("follow", None),
        ("form=0", None),
        ("", Some("x-1")),
    ] {
        let refusal = events_wanted(Some(query), header).unwrap_err();
        assert_eq!(
            refusal.status,
            StatusCode::BAD_REQUEST,
            "{query} {header:?}"
        );
    }
    let daemon = Daemon::start();
    let (status, _) = daemon.raw("GET /v1/events?since=soon HTTP/1.0\r\n\r\n");
    assert_eq!(status, 400);
    let (status, _) = daemon.raw("POST /v1/events HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status, 405);
    let (status, answer) = daemon.raw("HEAD /v1/events HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status, 200);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_follower_that_does_not_read_is_cut_off_and_holds_up_nobody() {
    let limits = Limits {
        answer_within: Duration::from_millis(50),
        followers: 1,
        ..Limits::default()
    };
    let daemon = Daemon::start_with(limits);
    // More than the buffers of a socket take.
    let problem = "0".repeat(20_000);
    for _ in 0..KEPT {
        let problem = problem.clone();
        daemon.happened(What::VipFailed { problem });
    }
    let mut deaf = daemon.connect();
    deaf.write_all(b"GET /v1/events HTTP/1.0\r\n\r\n").unwrap();
    // Its place is free again once it has been cut off.
    let mut refused = 0;
    loop {
        assert!(daemon.client().get(HEALTH).is_ok());
        match daemon
            .client()
            .events(None, true, |_| ControlFlow::Break(()))
        {
            Ok(()) => break,
            Err(Error::Refused { status: 503, .. }) => refused += 1,
            Err(Error::BrokenOff { .. }) => {}
            Err(err) => panic!("{err:?}"),
        }
        assert!(refused < 100_000, "a follower that does not read stays");
        thread::yield_now();
    }
    let mut rest = Vec::new();
    let _ = deaf.read_to_end(&mut rest);
    assert!(rest.len() < KEPT * problem.len(), "{}", rest.len());
}

#[test]
fn only_so_many_may_follow_at_once() {
    let limits = Limits {
        followers: 2,
        ..Limits::default()
    };
    let daemon = Daemon::start_with(limits);
    daemon.happened(drift(1));
    let follow = || {
        let mut stream = daemon.connect();
        stream
            .write_all(b"GET /v1/events HTTP/1.0\r\n\r\n")
            .unwrap();
        // It has its place once it is answered.
        stream.read_exact(&mut [0; 1]).unwrap();
        stream
    };
    let _followers = [follow(), follow()];
    let third = daemon
        .client()
        .events(None, true, |_| ControlFlow::Break(()));
    assert!(
        matches!(third, Err(Error::Refused { status: 503, .. })),
        "{third:?}"
    );
}

#[test]
fn the_end_of_a_director_ends_the_stream() {
    let mut daemon = Daemon::start();
    daemon.happened(drift(1));
    let client = daemon.client();
    let history = std::mem::take(&mut daemon.history);
    let mut history = Some(history);
    let answer = client.events(None, true, |event| {
        assert_eq!(event.what, drift(1));
        drop(history.take());
        ControlFlow::Continue(())
    });
    assert!(matches!(answer, Err(Error::BrokenOff { .. })), "{answer:?}");
}
