//! Many servers that live and die under a schedule, in simulated time.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::kinds::expect::Expect;
use crate::kinds::tcp::Tcp;
use crate::testing;
use crate::{Answer, ProbeSpec};

/// A world of servers, each of which works, refuses or is silent.
struct World {
    random: fastrand::Rng,
    schedule: Schedule,
    now: Time,
    /// Results on their way, by their time.
    arriving: BTreeSet<(Time, ProbeId)>,
    running: BTreeMap<ProbeId, Target>,
    servers: BTreeMap<SocketAddr, Server>,
    verdicts: BTreeMap<Target, Health>,
    /// When each target became wanted.
    wanted: BTreeMap<Target, Time>,
    /// Starts after the first of each target.
    later_starts: Vec<Time>,
    started: BTreeSet<Target>,
}

#[derive(Clone, Copy)]
struct Server {
    state: State,
    since: Time,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Works,
    Refuses,
    Silent,
}

impl World {
    fn new(seed: u64, concurrency: usize) -> Self {
        let limits = Limits {
            concurrency: NonZeroUsize::new(concurrency).unwrap(),
        };
        Self {
            random: fastrand::Rng::with_seed(seed),
            schedule: Schedule::new(limits),
            now: Time::from_secs(1000),
            arriving: BTreeSet::new(),
            running: BTreeMap::new(),
            servers: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            wanted: BTreeMap::new(),
            later_starts: Vec::new(),
            started: BTreeSet::new(),
        }
    }

    fn set_targets(&mut self, targets: BTreeSet<Target>) {
        self.verdicts.retain(|target, _| targets.contains(target));
        self.wanted.retain(|target, _| targets.contains(target));
        for target in &targets {
            self.wanted.entry(target.clone()).or_insert(self.now);
            let server = Server {
                state: State::Works,
                since: self.now,
            };
            self.servers.entry(target.address()).or_insert(server);
        }
        self.schedule.handle_targets(targets, self.now);
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.schedule.poll_output() {
            match output {
                Output::Start { probe, target } => {
                    let takes = match self.servers[&target.address()].state {
                        State::Works | State::Refuses => {
                            Duration::from_micros(self.random.u64(100..20_000))
                        }
                        State::Silent => target.spec().timeout,
                    };
                    self.arriving.insert((self.now + takes, probe));
                    if !self.started.insert(target.clone()) {
                        self.later_starts.push(self.now);
                    }
                    self.running.insert(probe, target);
                }
                Output::Cancel { probe } => {
                    self.running.remove(&probe);
                }
                Output::Verdict(verdict) => {
                    self.verdicts.insert(verdict.target, verdict.health);
                }
            }
        }
    }

    /// Lets time pass until `end`, checking after every event.
    fn run_until(&mut self, end: Time) {
        loop {
            let report = self.arriving.first().map(|(at, _)| *at);
            let timeout = self.schedule.poll_timeout();
            let Some(next) = [report, timeout].into_iter().flatten().min() else {
                break;
            };
            if next > end {
                break;
            }
            assert!(
                next >= self.now,
                "due in the past: {next:?} at {:?}",
                self.now
            );
            self.now = next;
            if report == Some(next) {
                self.report();
            } else {
                self.schedule.handle_timeout(self.now);
            }
            self.take_outputs();
        }
        self.now = end;
    }

    fn report(&mut self) {
        let Some((at, probe)) = self.arriving.pop_first() else {
            return;
        };
        let Some(target) = self.running.remove(&probe) else {
            return;
        };
        let result = match self.servers[&target.address()].state {
            State::Works => Ok(Answer::good()),
            State::Refuses | State::Silent => Err(Failure::Protocol("bad".to_owned())),
        };
        let report = Report {
            result,
            times: Times::default(),
        };
        self.schedule.handle_report(probe, report, at);
    }

    /// Every server that has been as it is, and probed, for long enough is known to be so.
    fn check_verdicts(&self) {
        for (target, wanted) in &self.wanted {
            let health = self
                .verdicts
                .get(target)
                .copied()
                .unwrap_or(Health::Unknown);
            let server = self.servers[&target.address()];
            let (expected, needed) = match server.state {
                State::Works => (Health::Up, target.spec().rise),
                State::Refuses | State::Silent => (Health::Down, target.spec().fall),
            };
            // Half an interval more until a new target has found its grid, and a probe that began
            // before the change may be under way.
            let rounds = target.spec().interval * needed + target.spec().interval / 2;
            let slack = 2 * target.spec().timeout + Duration::from_millis(200);
            if self.now - server.since.max(*wanted) > rounds + slack {
                assert_eq!(health, expected, "{target} at {:?}", self.now);
            }
        }
    }
}

/// A seed, printed so that a failure can be repeated.
fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    seed
}

fn random_target(random: &mut fastrand::Rng, hosts: u32) -> Target {
    let kinds = [ProbeKind::Tcp(Tcp), ProbeKind::Expect(Expect::default())];
    let spec = ProbeSpec {
        kind: kinds[random.usize(..kinds.len())].clone(),
        interval: Duration::from_millis(random.u64(200..3000)),
        timeout: Duration::from_millis(random.u64(50..200)),
        fall: random.u32(1..4),
        rise: random.u32(1..4),
        ..testing::spec()
    };
    Target::new(testing::address(random.u32(..hosts)), spec)
}

#[test]
fn every_lasting_change_is_seen_in_time_through_reloads() {
    let seed = seed();
    let mut world = World::new(seed, 10_000);
    let mut random = fastrand::Rng::with_seed(seed ^ 1);
    let mut targets: BTreeSet<Target> = (0..300).map(|_| random_target(&mut random, 200)).collect();
    world.set_targets(targets.clone());
    for _ in 0..600 {
        let pause = Duration::from_millis(random.u64(1..400));
        world.run_until(world.now + pause);
        world.check_verdicts();
        match random.u8(..10) {
            0 => {
                targets.retain(|_| random.u8(..10) > 0);
                targets.extend((0..30).map(|_| random_target(&mut random, 200)));
                world.set_targets(targets.clone());
            }
            1..=6 => {
                let state = [State::Works, State::Refuses, State::Silent][random.usize(..3)];
                let address = testing::address(random.u32(..200));
                let now = world.now;
                if let Some(server) = world.servers.get_mut(&address)
                    && server.state != state
                {
                    *server = Server { state, since: now };
                }
            }
            _ => {}
        }
    }
    assert_eq!(world.schedule.stats().late, 0);
}

#[test]
fn twenty_thousand_targets_are_known_at_once_and_then_spread_evenly() {
    let mut world = World::new(seed(), 1000);
    world.set_targets((0..20_000).map(testing::target).collect());
    world.run_until(world.now + Duration::from_secs(1));
    assert_eq!(world.verdicts.len(), 20_000);

    world.run_until(world.now + Duration::from_secs(9));
    let begin = world.now;
    world.later_starts.clear();
    world.run_until(begin + Duration::from_secs(12));
    assert_eq!(world.later_starts.len(), 40_000, "twice each");
    let mut buckets = [0_u32; 120];
    for start in &world.later_starts {
        let bucket = (*start - begin).as_millis() / 100;
        buckets[usize::try_from(bucket).unwrap().min(119)] += 1;
    }
    // 333 on average; 100 more would be five standard deviations.
    assert!(
        buckets.iter().all(|count| (233..=433).contains(count)),
        "{buckets:?}"
    );
    assert!(world.schedule.stats().delay_max < Duration::from_secs(1));
}

#[test]
fn too_few_places_delay_probes_but_starve_none() {
    let mut world = World::new(seed(), 10);
    world.set_targets((0..500).map(testing::target).collect());
    for server in world.servers.values_mut() {
        server.state = State::Silent;
    }
    // 10 places, 2 s each: 5 a second, so a round of 500 takes 100 s.
    world.run_until(world.now + Duration::from_secs(110));
    assert_eq!(world.verdicts.len(), 500, "everyone had a turn");
    let stats = world.schedule.stats();
    assert!(
        stats.late > 400 && stats.delay_max > Duration::from_secs(90),
        "{stats:?}"
    );
}
