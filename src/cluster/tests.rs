use super::rules::Rule;
use super::sim::{self, Plan};

/// Runs many seeds on all processors; the first that fails is told.
fn sweep(plan: Plan, seeds: std::ops::Range<u64>) -> Option<String> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let found = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= seeds.end || found.lock().unwrap().is_some() {
                        break;
                    }
                    if let Err(what) = sim::run(Plan { seed, ..plan }) {
                        found
                            .lock()
                            .unwrap()
                            .get_or_insert(format!("SEED={seed}: {what}"));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn the_rules_hold_on_a_bad_network() {
    let trace = number("SEED").is_some();
    let plan = Plan {
        faults: true,
        trace,
        ..Plan::default()
    };
    let seeds = match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..1000,
    };
    assert_eq!(sweep(plan, seeds), None);
}

#[test]
fn every_broken_rule_is_noticed() {
    let rules = [
        Rule::SessionNeedsProof,
        Rule::CounterGrows,
        Rule::StaleIsDropped,
        Rule::SessionRetires,
        Rule::StartWaits,
        Rule::ConflictIsResolved,
        Rule::DeafRivalWins,
        Rule::PauseLeaves,
        Rule::ReleaseIsAwaited,
        Rule::HandoverNeedsReady,
        Rule::UnfitStaysAway,
        Rule::HearsayCounts,
        Rule::EpochGrows,
        Rule::ChangesAreUrgent,
    ];
    let missed: Vec<Rule> = rules
        .into_iter()
        .filter(|rule| {
            let plan = Plan {
                faults: true,
                broken: Some(*rule),
                ..Plan::default()
            };
            let found = sweep(plan, 0..4000);
            println!("{rule:?}: {found:?}");
            found.is_none()
        })
        .collect();
    assert_eq!(missed, []);
}
