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
            services: Services::default(),
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

#[test]
fn failed_services_count_and_refused_ones_never_make_unfit() {
    let services = |of, refused, broken| {
        let circumstances = Circumstances {
            services: Services {
                of,
                refused,
                broken,
            },
            ..Circumstances::default()
        };
        let Assessment { fitness, amiss } = circumstances.assess();
        (fitness.0, amiss.join(", "))
    };
    let told = |fitness, amiss: &str| (fitness, amiss.to_owned());
    assert_eq!(services(3, 0, false), told(1000, ""));
    assert_eq!(services(0, 0, true), told(1000, ""), "it needs no table");
    let refuses = "the kernel refuses 1 of 4 services";
    assert_eq!(services(4, 1, false), told(750, refuses));
    let refuses = "the kernel refuses 2 of 2 services";
    assert_eq!(services(2, 2, false), told(1, refuses));
    assert_eq!(
        services(1, 1, false),
        told(1, "the kernel refuses its service")
    );
    let broken = "cannot work on the IPVS table";
    assert_eq!(services(4, 1, true), told(0, broken));

    let cut_off = Circumstances {
        reach: reach(0, 2),
        services: Services {
            of: 1,
            refused: 1,
            broken: false,
        },
        ..Circumstances::default()
    };
    assert!(!cut_off.assess().fitness.is_fit());
}
