//! Circumstances and what they are worth.

use super::*;

#[test]
fn each_circumstance_has_its_worth_and_its_words() {
    let cases: &[(&[&str], u16, &[&str])] = &[
        (&[], 1000, &[]),
        (&["eth1"], 0, &["eth1 has no carrier"]),
        (
            &["eth0", "eth1"],
            0,
            &["eth0 has no carrier", "eth1 has no carrier"],
        ),
    ];
    for (links, fitness, amiss) in cases {
        let circumstances = Circumstances {
            links_down: links.to_vec(),
        };
        let found = circumstances.assess();
        assert_eq!(found.fitness, Fitness(*fitness), "{circumstances:?}");
        assert_eq!(found.amiss, *amiss, "{circumstances:?}");
    }
}
