use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::*;
use crate::testing::{self, Server, hold, refusing, target};
use crate::{Answer, Health};

fn good() -> Report {
    Report {
        result: Ok(Answer::good()),
        times: Times::default(),
    }
}

/// The clock of tokio, which stands still while a task can run and jumps when none can.
fn paused_clock() -> impl Fn() -> Time + Send + 'static {
    let start = Instant::now();
    move || start.elapsed()
}

#[tokio::test]
async fn verdicts_of_real_servers_come_with_their_reasons() {
    let up = Server::new(hold).await;
    let down = refusing("::1");
    let of = |address| Target::new(address, testing::spec());
    let (up, down) = (of(up.address()), of(down.local_addr().unwrap()));

    let start = std::time::Instant::now();
    let (runner, mut verdicts) = Runner::spawn(&Handle::current(), Limits::default(), move || {
        start.elapsed()
    });
    runner.set_targets([up.clone(), down.clone()].into());
    let mut seen = BTreeMap::new();
    while seen.len() < 2 {
        for verdict in verdicts.recv().await.unwrap() {
            let reason = verdict.reason.map(|it| it.to_string());
            seen.insert(verdict.target, (verdict.health, reason));
        }
    }
    let refused = Some("connection refused".to_owned());
    assert_eq!(seen[&up], (Health::Up, None));
    assert_eq!(seen[&down], (Health::Down, refused));
}

#[tokio::test(start_paused = true)]
async fn each_target_is_probed_again_and_again() {
    let counts = Arc::new(Mutex::new(BTreeMap::<Target, u32>::new()));
    let seen = counts.clone();
    let (runner, _verdicts) = Runner::spawn_with(
        &Handle::current(),
        Schedule::new(Limits::default()),
        paused_clock(),
        move |target, _| {
            *seen.lock().unwrap().entry(target).or_default() += 1;
            async { good() }
        },
    );
    runner.set_targets((0..100).map(target).collect());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let counts = counts.lock().unwrap();
    assert_eq!(counts.len(), 100);
    // At once, and then 60 s of a 6 s grid.
    assert!(
        counts.values().all(|count| (10..=11).contains(count)),
        "{counts:?}"
    );
    assert_eq!(runner.stats().targets, 100);
    assert_eq!(
        runner.stats().started,
        counts.values().map(|it| u64::from(*it)).sum::<u64>()
    );
}

#[tokio::test(start_paused = true)]
async fn verdicts_that_are_there_at_once_come_together() {
    let (runner, mut verdicts) = Runner::spawn_with(
        &Handle::current(),
        Schedule::new(Limits::default()),
        paused_clock(),
        |_, _| async { good() },
    );
    let targets: BTreeSet<Target> = (0..10).map(target).collect();
    runner.set_targets(targets.clone());
    let told = verdicts.recv().await.unwrap();
    let told: BTreeSet<Target> = told.into_iter().map(|it| it.target).collect();
    assert_eq!(told, targets);
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_gets_the_latest_verdicts_and_holds_up_no_probe() {
    let targets: BTreeSet<Target> = (0..3000).map(target).collect();
    let (runner, mut verdicts) = Runner::spawn_with(
        &Handle::current(),
        Schedule::new(Limits::default()),
        paused_clock(),
        |_, _| async { good() },
    );
    runner.set_targets(targets.clone());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(runner.stats().started >= 5 * targets.len() as u64);
    let mut seen = BTreeSet::new();
    while seen.len() < targets.len() {
        for verdict in verdicts.recv().await.unwrap() {
            assert!(seen.insert(verdict.target), "one is told twice");
        }
    }
    assert_eq!(seen, targets);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_leaves_is_cancelled_and_dropping_the_runner_ends_all() {
    let alive = Arc::new(Semaphore::new(0));
    let held = alive.clone();
    let (runner, mut verdicts) = Runner::spawn_with(
        &Handle::current(),
        Schedule::new(Limits::default()),
        paused_clock(),
        move |_, _| {
            let held = held.clone();
            async move {
                let _held = held;
                std::future::pending().await
            }
        },
    );
    // This test and the probe function hold one each.
    let running = || Arc::strong_count(&alive) - 2;
    runner.set_targets((0..10).map(target).collect());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(running(), 10);
    runner.set_targets((0..4).map(target).collect());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(running(), 4);
    drop(runner);
    assert_eq!(verdicts.recv().await, None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1, "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_changes_no_verdict_and_runs_again() {
    let (runner, mut verdicts) = Runner::spawn_with(
        &Handle::current(),
        Schedule::new(Limits::default()),
        paused_clock(),
        |_, _| async { panic!("a test's panic") },
    );
    runner.set_targets([target(1)].into());
    let told = verdicts.recv().await.unwrap();
    assert_eq!(told[0].health, Health::Unknown);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(runner.stats().not_run >= 5);
}

#[tokio::test(start_paused = true)]
async fn more_probes_than_places_are_late_and_counted() {
    let limits = Limits {
        concurrency: std::num::NonZeroUsize::new(2).unwrap(),
    };
    let (runner, _verdicts) = Runner::spawn_with(
        &Handle::current(),
        Schedule::new(limits),
        paused_clock(),
        |_, _| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            good()
        },
    );
    runner.set_targets((0..10).map(target).collect());
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let stats = runner.stats();
    assert_eq!((stats.started, stats.running), (10, 2));
    assert_eq!(stats.late, 8);
    assert!(stats.delay_max >= Duration::from_secs(4), "{stats:?}");
}

#[test]
fn an_unused_kind_of_runtime_is_enough() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::new(hold));
    let spec = testing::spec();
    let start = std::time::Instant::now();
    let (runner, mut verdicts) =
        Runner::spawn(runtime.handle(), Limits::default(), move || start.elapsed());
    runner.set_targets([Target::new(server.address(), spec)].into());
    let told = runtime.block_on(verdicts.recv()).unwrap();
    assert_eq!(told[0].health, Health::Up);
}

#[tokio::test]
async fn a_runner_may_have_a_thread_of_its_own_which_ends_with_it() {
    let server = Server::new(hold).await;
    let start = std::time::Instant::now();
    let targets = [Target::new(server.address(), testing::spec())].into();
    let (runner, mut verdicts) =
        Runner::start(targets, Limits::default(), move || start.elapsed()).unwrap();
    assert_eq!(verdicts.recv().await.unwrap()[0].health, Health::Up);
    drop(runner);
    while verdicts.recv().await.is_some() {}
}
