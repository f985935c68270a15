//! Recorded runs, and what is decided when they are replayed.

use super::*;

/// A recorded run can be replayed: inputs and outputs survive JSON, and the same inputs give the
/// same outputs.
#[test]
fn a_recorded_run_replays_to_the_same_outputs() {
    let directors = ["a", "b"];
    let mut other = Machine::new(settings("b", &directors, &["g"]), 2, Duration::ZERO);
    let mut recorded: Vec<(Time, Input)> = Vec::new();
    for i in 0..20 {
        let now = i * KEEPALIVE;
        other.handle(Input::Timeout, now);
        while let Some(output) = other.poll_output() {
            if let Output::Send(heartbeat) = output {
                recorded.push((now, Input::heard(0, heartbeat)));
            }
        }
        recorded.push((now, Input::Timeout));
    }
    recorded.push((20 * KEEPALIVE, Input::Stop));
    let run = |inputs: &[(Time, Input)]| {
        let mut machine = Machine::new(settings("a", &directors, &["g"]), 1, Duration::ZERO);
        let mut outputs = Vec::new();
        for (now, input) in inputs {
            machine.handle(input.clone(), *now);
            outputs.extend(std::iter::from_fn(|| machine.poll_output()));
        }
        outputs
    };
    let text = serde_json::to_string(&recorded).unwrap();
    let again: Vec<(Time, Input)> = serde_json::from_str(&text).unwrap();
    let outputs = run(&recorded);
    assert_eq!(run(&again), outputs);
    let text = serde_json::to_string(&outputs).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Output>>(&text).unwrap(), outputs);
}

/// A night with a takeover, a partition, a handover and a stop.
fn eventful_run() -> Vec<Line> {
    let mut net = Net::new(&["a", "b"]);
    net.run_for(millis(300));
    net.cut_both("a", "b");
    net.run_for(millis(400));
    net.cut.clear();
    net.run_for(millis(200));
    net.hand_over("a", None);
    net.run_for(LINGER + millis(50));
    net.machines.remove("b");
    net.run_for(millis(400));
    net.start("b", &["a", "b"]);
    net.run_for(millis(200));
    net.tell("a", Input::Stop);
    net.run_for(LINGER + millis(50));
    net.recorded
}

/// What was decided in a recorded run is decided again. After a change that is meant to decide
/// differently, `UPDATE=1 cargo test --lib cluster::` records anew.
#[test]
fn the_recorded_run_is_decided_as_it_was() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/eventful.jsonl");
    if std::env::var_os("UPDATE").is_some() {
        let lines = eventful_run();
        let text: Vec<String> = lines
            .iter()
            .map(|l| serde_json::to_string(l).unwrap())
            .collect();
        std::fs::write(file, text.join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(file).unwrap();
    let mut replay = Replay::default();
    for (number, line) in (1..).zip(text.lines()) {
        let difference = replay.feed(serde_json::from_str(line).unwrap());
        assert_eq!(difference, None, "line {number}");
    }
    let counted = replay.counted();
    assert_eq!((counted.runs, counted.lost), (1, 0));
    assert!(counted.steps > 50 && text.contains("Quiet") && text.contains("Conflict"));
}

#[test]
fn a_replay_shows_what_differs_and_stops_at_a_gap() {
    let mut lines = eventful_run();
    let at = lines.iter().position(|line| {
        matches!(line, Line::Step(step) if step.outputs.iter().any(|o| matches!(o, Output::Activate { .. })))
    });
    let Some(Line::Step(step)) = at.and_then(|at| lines.get_mut(at)) else {
        panic!("a becomes active");
    };
    let activate = step.outputs.pop();
    let mut replay = Replay::default();
    let differences: Vec<_> = lines
        .iter()
        .filter_map(|line| replay.feed(line.clone()))
        .collect();
    let [difference] = &differences[..] else {
        panic!("{differences:?}");
    };
    assert_eq!(
        (&difference.recorded[..], difference.replayed.last()),
        (&[][..], activate.as_ref())
    );

    replay.feed(Line::Lost(2));
    let before = replay.counted();
    assert_eq!(replay.feed(lines[1].clone()), None);
    let after = replay.counted();
    assert_eq!(
        (after.steps, after.skipped),
        (before.steps, before.skipped + 1)
    );
}
