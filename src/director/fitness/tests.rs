//! Circumstances and what they are worth.

use super::*;

fn reach(reached: usize, of: usize) -> Option<Reach> {
    Some(Reach { reached, of })
}

#[test]
fn each_circumstance_has_its_worth_and_its_words() {
    type Words = &'static [&'static str];
    let cases: &[(Words, Option<Reach>, u16, Words)] = &[
        (&[], None, 1000, &[]),
        (&[], reach(1, 1), 1000, &[]),
        (&[], reach(3, 3), 1000, &[]),
        (&[], reach(2, 3), 666, &["reaches 2 of 3 targets"]),
        (&[], reach(1, 3), 333, &["reaches 1 of 3 targets"]),
        (&[], reach(0, 1), 0, &["does not reach its target"]),
        (&[], reach(0, 2), 0, &["reaches none of 2 targets"]),
        (&["eth1"], None, 0, &["eth1 has no carrier"]),
        (
            &["eth0", "eth1"],
            None,
            0,
            &["eth0 has no carrier", "eth1 has no carrier"],
        ),
        (
            &["eth1"],
            reach(1, 2),
            0,
            &["eth1 has no carrier", "reaches 1 of 2 targets"],
        ),
    ];
    for (links, reach, fitness, amiss) in cases {
        let circumstances = Circumstances {
            links_down: links.to_vec(),
            reach: *reach,
        };
        let found = circumstances.assess();
        assert_eq!(found.fitness, Fitness(*fitness), "{circumstances:?}");
        assert_eq!(found.amiss, *amiss, "{circumstances:?}");
    }
}

#[test]
fn whoever_reaches_any_target_is_fit_and_whoever_reaches_more_is_fitter() {
    for of in 1..=1001 {
        let worth = |reached| {
            let reach = reach(reached, of);
            let circumstances = Circumstances {
                reach,
                ..Circumstances::default()
            };
            circumstances.assess().fitness
        };
        assert!(!worth(0).is_fit());
        assert!(worth(1).is_fit());
        assert_eq!(worth(of), Fitness::FULL);
        if of <= 32 {
            assert!((0..of).all(|reached| worth(reached) < worth(reached + 1)));
        }
    }
}
