//! What operators order, and how they are answered.

use super::*;

#[test]
fn a_handover_by_command_is_answered_when_the_other_has_claimed() {
    let mut net = Net::pair();
    let begin = net.now;
    net.hand_over("a", None);
    net.run_for(millis(10));
    assert_eq!(
        net.taken("b"),
        [(begin + TRAVEL, Taken::Offered { by: name("a") })]
    );
    let (group, to) = (name("g"), name("b"));
    let done = Answer::HandedOver { group, to };
    assert_eq!(net.answers(), [(begin + 2 * TRAVEL, done)]);
    assert_eq!(net.role("a"), Role::Releasing, "it forwards for a moment");
    net.run_for(LINGER);
    assert_eq!(net.role("a"), Role::Standby);
    net.run_for(millis(5000));
    assert_eq!(net.active(), ["b"], "no failback undoes it");
    net.machines.remove("b");
    net.run_for(millis(500));
    assert_eq!(net.active(), ["a"], "but a failure does");
}

#[test]
fn a_handover_is_refused_with_the_reason() {
    let mut net = Net::pair();
    net.local("b", Fitness::FULL, false);
    net.run_for(millis(10));
    net.hand_over("a", None);
    net.hand_over("a", Some("a"));
    net.hand_over("a", Some("c"));
    net.hand_over("b", None);
    let group = name("h");
    net.tell(
        "a",
        Input::Handover {
            id: 1,
            group,
            to: None,
        },
    );
    let not_ready = Refusal::Unsuited([(name("b"), Unsuited::NotReady)].into());
    let owner = Some(name("a"));
    let expected = [
        not_ready,
        Refusal::Itself,
        Refusal::NoDirector,
        Refusal::NotActive { owner },
        Refusal::NoGroup,
    ];
    let answers: Vec<Answer> = net
        .answers()
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    assert_eq!(answers, expected.map(Answer::Refused));
    net.run_for(millis(500));
    assert_eq!(net.active(), ["a"]);
}

#[test]
fn what_nobody_claims_is_taken_back_and_announced_after_deadtime() {
    let mut net = Net::pair();
    let begin = net.now;
    net.hand_over("a", None);
    // The offer is lost, and so is everything that b would say.
    net.flying.clear();
    net.paused.insert(name("b"));
    net.run_for(DEADTIME);
    assert_eq!(net.active(), ["a"]);
    let taken = net.taken("a");
    assert!(
        matches!(&taken[..], [(at, Taken::Unclaimed)] if *at <= begin + DEADTIME),
        "{taken:?}"
    );
    let refused = Answer::Refused(Refusal::Unclaimed { by: name("b") });
    assert_eq!(net.answers(), [(taken[0].0, refused)]);
}

#[test]
fn what_is_offered_to_one_that_becomes_unfit_is_taken_back_as_soon_as_that_is_known() {
    let mut net = Net::pair();
    let begin = net.now;
    net.hand_over("a", None);
    net.flying.clear();
    net.local("b", Fitness::UNFIT, true);
    net.run_for(millis(50));
    assert_eq!(net.active(), ["a"]);
    let taken = net.taken("a");
    assert!(
        matches!(&taken[..], [(at, Taken::Unclaimed)] if *at < begin + DEADTIME / 4),
        "{taken:?}"
    );
    net.local("b", Fitness::FULL, true);
    net.run_for(DEADTIME);
    assert_eq!(net.active(), ["a"], "b has lost the offer");
}

#[test]
fn who_stands_by_gives_up_and_takes_nothing_until_it_is_undone() {
    let mut net = Net::pair();
    let standby = |on| Input::Standby {
        id: 3,
        group: None,
        on,
    };
    net.tell("a", standby(true));
    net.run_for(LINGER + millis(50));
    assert_eq!(net.active(), ["b"]);
    assert!(net.machines["a"].status(net.now).groups[0].standby);
    net.machines.remove("b");
    net.run_for(millis(1000));
    assert_eq!(net.active(), [""; 0]);
    let group = Some(name("g"));
    net.tell(
        "a",
        Input::Standby {
            id: 4,
            group,
            on: false,
        },
    );
    assert_eq!(net.active(), [""; 0], "all were told together");
    net.tell("a", standby(false));
    assert_eq!(net.active(), ["a"]);
    let answers: Vec<Answer> = net
        .answers()
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    let none = || Answer::Standby {
        given: BTreeMap::new(),
        kept: BTreeMap::new(),
    };
    let given = [(name("g"), name("b"))].into();
    assert_eq!(
        answers,
        [
            Answer::Standby {
                given,
                kept: BTreeMap::new()
            },
            Answer::Refused(Refusal::AllStandBy),
            none()
        ]
    );
}

#[test]
fn who_stands_by_keeps_what_nobody_else_can_serve() {
    let mut net = Net::pair();
    net.local("b", Fitness::FULL, false);
    net.run_for(millis(10));
    net.tell(
        "a",
        Input::Standby {
            id: 3,
            group: None,
            on: true,
        },
    );
    let why = Refusal::Unsuited([(name("b"), Unsuited::NotReady)].into());
    let kept = [(name("g"), why)].into();
    let answer = Answer::Standby {
        given: BTreeMap::new(),
        kept,
    };
    assert_eq!(net.answers(), [(net.now, answer)]);
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["a"]);
    net.local("b", Fitness::FULL, true);
    net.run_for(millis(10));
    assert_eq!(net.active(), ["b"]);
}

#[test]
fn who_was_paused_in_a_handover_does_not_take_back() {
    let mut net = Net::pair();
    net.hand_over("a", None);
    net.paused.insert(name("a"));
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["b"]);
    net.paused.clear();
    net.tell("a", Input::Timeout);
    net.run_for(millis(200));
    assert_eq!(net.active(), ["b"]);
    assert_eq!(net.role("a"), Role::Standby);
    let refused = Answer::Refused(Refusal::Leaving);
    assert!(matches!(&net.answers()[..], [(_, answer)] if *answer == refused));
}
