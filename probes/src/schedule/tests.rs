use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::kinds::expect::Expect;
use crate::testing::{self, target};
use crate::{Answer, ProbeSpec};

fn schedule(concurrency: usize) -> Schedule {
    Schedule::new(Limits {
        concurrency: NonZeroUsize::new(concurrency).unwrap(),
    })
}

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn took(millis: u64) -> Times {
    Times {
        whole: ms(millis),
        ..Times::default()
    }
}

fn good() -> Report {
    Report {
        result: Ok(Answer::good()),
        times: took(3),
    }
}

fn bad() -> Report {
    Report {
        result: Err(Failure::Protocol("bad".to_owned())),
        times: took(3),
    }
}

fn not_run() -> Report {
    Report {
        result: Err(Failure::NotRun("no descriptors".to_owned())),
        times: took(3),
    }
}

fn outputs(schedule: &mut Schedule) -> Vec<Output> {
    std::iter::from_fn(|| schedule.poll_output()).collect()
}

fn starts(schedule: &mut Schedule) -> Vec<(ProbeId, Target)> {
    let started = |output| match output {
        Output::Start { probe, target } => Some((probe, target)),
        Output::Cancel { .. } | Output::Verdict(_) => None,
    };
    outputs(schedule).into_iter().filter_map(started).collect()
}

#[test]
fn a_few_targets_start_at_once() {
    let mut schedule = schedule(100);
    schedule.handle_targets((0..64).map(target).collect(), ms(5));
    assert_eq!(starts(&mut schedule).len(), 64);
    assert_eq!(schedule.poll_timeout(), None);
    assert_eq!(schedule.stats().running, 64);
}

#[test]
fn very_many_start_in_batches_within_the_first_tenth_of_their_interval() {
    for (count, window) in [(6_400, 495), (20_000, 600)] {
        let mut schedule = schedule(100_000);
        schedule.handle_targets((0..count).map(target).collect(), ms(5));
        let mut started = starts(&mut schedule).len();
        while let Some(due) = schedule.poll_timeout() {
            assert!(due <= ms(5 + window), "{due:?}");
            schedule.handle_timeout(due);
            let together = starts(&mut schedule).len();
            assert!((1..=BATCH).contains(&together), "{together} at {due:?}");
            started += together;
        }
        assert_eq!(started, usize::try_from(count).unwrap());
        assert_eq!(schedule.stats().late, 0);
    }
}

#[test]
fn a_server_that_is_well_is_asked_in_full_after_so_many_connects() {
    let full = Target::new(
        testing::address(1),
        ProbeSpec {
            connects: 2,
            ..ProbeSpec::new(ProbeKind::Expect(Expect::default()))
        },
    );
    let mut schedule = schedule(1);
    schedule.handle_targets([full.clone()].into(), ms(0));
    let asking = |weight| Report {
        result: Ok(Answer {
            weight: Some(Weight::Percent(weight)),
            ..Answer::default()
        }),
        times: took(3),
    };
    // What comes of each probe -> whether it is one in full, and the weight after it.
    let rounds = [
        (asking(50), true, Some(50)),
        (good(), false, Some(50)),
        (good(), false, Some(50)),
        (asking(60), true, Some(60)),
        (good(), false, Some(60)),
        (bad(), false, Some(60)),
        (bad(), true, Some(60)),
        (bad(), true, Some(60)),
        (asking(70), true, Some(70)),
        (good(), false, Some(70)),
        (good(), false, Some(70)),
        (asking(70), true, Some(70)),
    ];
    let mut weight = None;
    for (round, (report, in_full, expected)) in rounds.into_iter().enumerate() {
        let (probe, target) = starts(&mut schedule).remove(0);
        assert_eq!(target == full, in_full, "round {round}");
        let now = ms(10_000 * u64::try_from(round).unwrap());
        schedule.handle_report(probe, report, now);
        let news = outputs(&mut schedule);
        for output in news {
            if let Output::Verdict(verdict) = output {
                assert_eq!(verdict.target, full);
                weight = verdict.weight;
            }
        }
        let expected = expected.map(Weight::Percent);
        assert_eq!(weight, expected, "round {round}");
        schedule.handle_timeout(now + ms(10_000));
    }
}

#[test]
fn no_more_run_than_may_and_the_next_starts_when_one_ends() {
    let mut schedule = schedule(2);
    schedule.handle_targets((0..3).map(target).collect(), ms(5));
    let first = starts(&mut schedule);
    assert_eq!(first.len(), 2);
    assert_eq!(schedule.poll_timeout(), None, "only a report can help");
    assert_eq!(schedule.behind(ms(205)), ms(200));
    schedule.handle_report(first[0].0, good(), ms(205));
    assert_eq!(starts(&mut schedule).len(), 1);
    let stats = schedule.stats();
    assert_eq!(
        (stats.late, stats.delay, stats.delay_max),
        (1, ms(200), ms(200))
    );
}

#[test]
fn each_probe_keeps_to_a_grid_that_only_its_target_decides() {
    let due_after = |now: Time| {
        let mut schedule = schedule(1);
        schedule.handle_targets([target(7)].into(), now);
        let (probe, _) = starts(&mut schedule).remove(0);
        schedule.handle_report(probe, good(), now + ms(1));
        schedule.poll_timeout().unwrap()
    };
    let interval = testing::spec().interval;
    let first = due_after(ms(0));
    for start in [ms(1), ms(70_000), ms(86_400_000)] {
        let due = due_after(start);
        assert!(due > start + interval / 2 && due <= start + interval + interval / 2);
        assert_eq!(due.abs_diff(first).as_nanos() % interval.as_nanos(), 0);
    }
}

#[test]
fn a_probe_longer_than_its_interval_is_not_overlapped_but_repeated_at_once() {
    let mut schedule = schedule(10);
    schedule.handle_targets([target(7)].into(), ms(0));
    let (probe, _) = starts(&mut schedule).remove(0);
    schedule.handle_timeout(ms(20_000));
    assert_eq!(outputs(&mut schedule), []);
    schedule.handle_report(probe, good(), ms(20_000));
    assert_eq!(starts(&mut schedule).len(), 1);
    let stats = schedule.stats();
    assert_eq!(
        (stats.overran, stats.late),
        (1, 0),
        "its own length is not lateness"
    );
}

#[test]
fn the_same_set_again_moves_nothing() {
    let mut schedule = schedule(10);
    let targets: BTreeSet<Target> = (0..5).map(target).collect();
    schedule.handle_targets(targets.clone(), ms(0));
    for (probe, _) in starts(&mut schedule) {
        schedule.handle_report(probe, good(), ms(1));
    }
    outputs(&mut schedule);
    let before = (schedule.poll_timeout(), schedule.stats());
    schedule.handle_targets(targets, ms(2));
    assert_eq!(outputs(&mut schedule), []);
    assert_eq!((schedule.poll_timeout(), schedule.stats()), before);
}

#[test]
fn a_target_that_leaves_is_cancelled_and_its_report_ignored() {
    let mut schedule = schedule(1);
    schedule.handle_targets([target(1)].into(), ms(0));
    let (probe, _) = starts(&mut schedule).remove(0);
    schedule.handle_targets([target(2)].into(), ms(1));
    let after = outputs(&mut schedule);
    assert_eq!(after[0], Output::Cancel { probe });
    assert!(matches!(&after[1], Output::Start { target: it, .. } if *it == target(2)));
    assert_eq!(after.len(), 2);
    schedule.handle_report(probe, bad(), ms(2));
    assert_eq!(outputs(&mut schedule), []);
    assert_eq!(schedule.stats().running, 1);
}

#[test]
fn a_change_of_timing_keeps_the_verdict_and_a_change_of_kind_does_not() {
    let faster = Target::new(
        testing::address(1),
        ProbeSpec {
            interval: ms(500),
            fall: 1,
            ..testing::spec()
        },
    );
    let kind = ProbeKind::Expect(Expect::default());
    let other = Target::new(
        testing::address(1),
        ProbeSpec {
            kind,
            ..testing::spec()
        },
    );

    let mut schedule = schedule(10);
    schedule.handle_targets([target(1)].into(), ms(0));
    let (probe, _) = starts(&mut schedule).remove(0);
    schedule.handle_report(probe, bad(), ms(9));
    outputs(&mut schedule);

    schedule.handle_targets([faster.clone()].into(), ms(20));
    let after = outputs(&mut schedule);
    let inherited = Verdict {
        target: faster.clone(),
        health: Health::Down,
        reason: bad().result.err(),
        since: ms(9),
        weight: None,
        warning: None,
        times: None,
    };
    assert_eq!(after[0], Output::Verdict(inherited));
    assert!(matches!(&after[1], Output::Start { target, .. } if *target == faster));

    schedule.handle_targets([other].into(), ms(30));
    assert!(
        !outputs(&mut schedule)
            .iter()
            .any(|it| matches!(it, Output::Verdict(_)))
    );
}

#[test]
fn what_this_host_cannot_run_is_counted_and_changes_no_health() {
    let mut schedule = schedule(10);
    schedule.handle_targets([target(1)].into(), ms(0));
    let mut now = ms(0);
    let mut healths = Vec::new();
    for report in [good(), not_run(), not_run(), not_run(), good()] {
        for output in outputs(&mut schedule) {
            match output {
                Output::Start { probe, .. } => schedule.handle_report(probe, report.clone(), now),
                Output::Cancel { .. } | Output::Verdict(_) => {}
            }
        }
        while let Some(Output::Verdict(verdict)) = schedule.poll_output() {
            healths.push((verdict.health, verdict.reason.is_some()));
        }
        now = schedule.poll_timeout().unwrap();
        schedule.handle_timeout(now);
    }
    let expected = [(Health::Up, false), (Health::Up, true), (Health::Up, false)];
    assert_eq!(healths, expected);
    assert_eq!(schedule.stats().not_run, 3);
}

#[test]
fn spurious_calls_do_nothing() {
    let mut schedule = schedule(10);
    schedule.handle_timeout(ms(1));
    schedule.handle_report(ProbeId(0), good(), ms(1));
    schedule.handle_targets([target(1)].into(), ms(1));
    let (probe, _) = starts(&mut schedule).remove(0);
    schedule.handle_report(ProbeId(99), good(), ms(2));
    schedule.handle_report(probe, good(), ms(2));
    outputs(&mut schedule);
    let before = (schedule.poll_timeout(), schedule.stats());
    schedule.handle_report(probe, bad(), ms(3));
    schedule.handle_timeout(ms(3));
    schedule.handle_timeout(ms(0));
    assert_eq!(outputs(&mut schedule), []);
    assert_eq!((schedule.poll_timeout(), schedule.stats()), before);
}

#[test]
fn nonsense_timing_is_survived() {
    for interval in [Duration::ZERO, Duration::MAX] {
        for now in [Time::ZERO, Time::MAX] {
            let spec = ProbeSpec {
                interval,
                fall: 0,
                rise: 0,
                ..testing::spec()
            };
            let mut schedule = schedule(1);
            schedule.handle_targets([Target::new(testing::address(1), spec)].into(), now);
            let (probe, _) = starts(&mut schedule).remove(0);
            schedule.handle_report(probe, good(), now);
            let goes_on = schedule.poll_timeout().is_some() || schedule.stats().running == 1;
            assert!(goes_on, "every {interval:?}, at {now:?}");
        }
    }
}

#[test]
fn outputs_can_be_recorded() {
    let mut schedule = schedule(10);
    schedule.handle_targets([target(1)].into(), ms(1));
    let (probe, _) = starts(&mut schedule).remove(0);
    schedule.handle_report(probe, bad(), ms(2));
    for output in outputs(&mut schedule) {
        let text = serde_json::to_string(&output).unwrap();
        assert_eq!(serde_json::from_str::<Output>(&text).unwrap(), output);
    }
}

/// What may happen to a schedule.
#[derive(Clone, Debug)]
enum Step {
    /// These hosts are wanted.
    Targets(BTreeSet<u32>),
    /// The n-th of the probes that run ends.
    Report(prop::sample::Index, char),
    /// So many milliseconds pass.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop::collection::btree_set(0_u32..12, 0..12).prop_map(Step::Targets),
        8 => (any::<prop::sample::Index>(), prop::sample::select(vec!['g', 'b', 'n']))
            .prop_map(|(index, letter)| Step::Report(index, letter)),
        4 => (0_u64..3000).prop_map(Step::Pass),
    ]
}

/// A health that results in this order must amount to, told without counters.
fn judged(results: &[char], fall: usize, rise: usize) -> Health {
    let mut health = Health::Unknown;
    let mut row = Vec::new();
    for result in results.iter().filter(|it| **it != 'n') {
        row.push(*result);
        health = match health {
            Health::Unknown if *result == 'g' => Health::Up,
            Health::Unknown => Health::Down,
            Health::Up if row.ends_with(&vec!['b'; fall]) => Health::Down,
            Health::Down if row.ends_with(&vec!['g'; rise]) => Health::Up,
            Health::Up | Health::Down => health,
        };
    }
    health
}

proptest! {
    #[test]
    fn whatever_happens_the_promises_hold(
        steps in prop::collection::vec(step(), 1..120),
        concurrency in 1_usize..6,
        fall in 1_u32..4,
        rise in 1_u32..4,
    ) {
        let spec = ProbeSpec { fall, rise, ..testing::spec() };
        let target = |host: &u32| Target::new(testing::address(*host), spec.clone());
        let mut schedule = schedule(concurrency);
        let mut now = ms(0);
        let mut running = BTreeMap::new();
        let mut results = BTreeMap::<Target, Vec<char>>::new();
        let mut healths = BTreeMap::<Target, Health>::new();
        for step in steps {
            match step {
                Step::Targets(hosts) => {
                    let targets: BTreeSet<Target> = hosts.iter().map(target).collect();
                    results.retain(|target, _| targets.contains(target));
                    healths.retain(|target, _| targets.contains(target));
                    schedule.handle_targets(targets, now);
                }
                Step::Report(index, letter) => {
                    if !running.is_empty() {
                        let probe = *index.get(&running.keys().copied().collect::<Vec<_>>());
                        let target = running.remove(&probe).unwrap();
                        results.entry(target).or_default().push(letter);
                        let report = match letter { 'g' => good(), 'b' => bad(), _ => not_run() };
                        schedule.handle_report(probe, report, now);
                    }
                }
                Step::Pass(millis) => {
                    now += ms(millis);
                    schedule.handle_timeout(now);
                }
            }
            for output in outputs(&mut schedule) {
                match output {
                    Output::Start { probe, target } => {
                        prop_assert!(!running.values().any(|it| *it == target), "overlaps");
                        running.insert(probe, target);
                    }
                    Output::Cancel { probe } => {
                        prop_assert!(running.remove(&probe).is_some());
                    }
                    Output::Verdict(verdict) => {
                        healths.insert(verdict.target, verdict.health);
                    }
                }
            }
            prop_assert!(running.len() <= concurrency);
            prop_assert_eq!(schedule.stats().running, running.len());
            let waits = schedule.poll_timeout().is_none_or(|due| due > now);
            prop_assert!(waits, "what is due and may run has been started");
            for (target, results) in &results {
                let expected = judged(results, fall as usize, rise as usize);
                let health = healths.get(target).copied().unwrap_or(Health::Unknown);
                prop_assert_eq!(health, expected, "{:?}", results);
            }
        }
    }
}
