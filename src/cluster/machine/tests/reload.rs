//! Configurations that change, and that differ.

use super::*;

#[test]
fn a_reload_leaves_removed_groups_and_takes_new_ones() {
    let mut net = Net::pair();
    for node in ["a", "b"] {
        let new = settings(node, &["a", "b"], &["h"]);
        net.tell(node, Input::Settings(Box::new(new)));
        net.local_of(node, "h", Fitness::FULL, true);
    }
    net.run_for(millis(50));
    assert_eq!(net.left("a"), [(net.now - millis(50), Left::Removed)]);
    for (node, role) in [("a", Role::Active), ("b", Role::Standby)] {
        let groups = &net.machines[node].groups;
        assert_eq!(groups.keys().collect::<Vec<_>>(), ["h"]);
        assert_eq!(groups["h"].role, role);
    }
}

#[test]
fn a_reload_that_changes_nothing_moves_nothing() {
    let mut net = Net::pair();
    for node in ["a", "b"] {
        let same = settings(node, &["a", "b"], &["g"]);
        net.tell(node, Input::Settings(Box::new(same)));
    }
    net.run_for(millis(1000));
    assert!(
        net.log
            .iter()
            .all(|(_, _, output)| matches!(output, Output::Send(_)))
    );
}

#[test]
fn a_director_that_joins_by_reload_is_heard_and_left_in_peace() {
    let mut net = Net::pair();
    net.start("c", &["a", "b", "c"]);
    for node in ["a", "b"] {
        let wider = settings(node, &["a", "b", "c"], &["g"]);
        net.tell(node, Input::Settings(Box::new(wider)));
    }
    net.run_for(millis(500));
    assert_eq!(net.active(), ["a"]);
    assert!(net.machines["a"].peers["c"].alive);
}

#[test]
fn unequal_configurations_are_told_by_both() {
    let mut net = Net::pair();
    let mut digest = Digest {
        whole: [9; 8],
        ..Digest::default()
    };
    digest.sections[5] = [9; 2];
    let other = Settings {
        digest,
        ..settings("b", &["a", "b"], &["g"])
    };
    net.tell("b", Input::Settings(Box::new(other)));
    net.run_for(millis(10));
    for (node, peer) in [("a", "b"), ("b", "a")] {
        let event = Output::Event(Event::Config {
            peer: name(peer),
            same: false,
            differing: vec![name("[[virtual]]")],
        });
        assert!(
            net.log
                .iter()
                .any(|(_, who, output)| who == node && *output == event)
        );
    }
}
