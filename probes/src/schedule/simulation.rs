//! Many servers that live and die under a schedule, in simulated time.

mod model;

use std::collections::{BTreeMap, BTreeSet};

use self::model::Model;
use super::*;
use crate::kinds::expect::Expect;
use crate::kinds::tcp::Tcp;
use crate::testing;
use crate::{Answer, ProbeSpec};

/// A schedule among servers, and the model that sees all of it.
struct World {
    seed: u64,
    schedule: Schedule,
    model: Model,
    now: Time,
    /// Results on their way, by their time.
    arriving: BTreeSet<(Time, ProbeId)>,
    /// What will come of each probe.
    coming: BTreeMap<ProbeId, Option<bool>>,
    /// Those that are not well.
    servers: BTreeMap<SocketAddr, Server>,
    starts: Vec<(Time, Target)>,
}

#[derive(Clone, Copy)]
enum Server {
    Works,
    Refuses,
    Silent,
    /// As chance will have it, now and then without descriptors.
    Wavers,
}

impl World {
    fn new(seed: u64, concurrency: usize) -> Self {
        let limits = Limits {
            concurrency: NonZeroUsize::new(concurrency).unwrap(),
        };
        Self {
            seed,
            schedule: Schedule::new(limits),
            model: Model::new(concurrency),
            now: Time::from_secs(1000),
            arriving: BTreeSet::new(),
            coming: BTreeMap::new(),
            servers: BTreeMap::new(),
            starts: Vec::new(),
        }
    }

    fn set_targets(&mut self, targets: BTreeSet<Target>) {
        self.schedule.handle_targets(targets.clone(), self.now);
        let said = self.said();
        self.model.targets(&targets, &said, self.now);
        assert_eq!(self.schedule.stats().targets, targets.len());
    }

    /// Takes what the schedule says, and lets the servers answer.
    fn said(&mut self) -> Vec<Output> {
        let said: Vec<Output> = std::iter::from_fn(|| self.schedule.poll_output()).collect();
        for output in &said {
            match output {
                Output::Start { probe, target } => {
                    let (takes, good) = self.answer(target);
                    self.arriving.insert((self.now + takes, *probe));
                    self.coming.insert(*probe, good);
                    self.starts.push((self.now, target.clone()));
                }
                Output::Cancel { probe } => {
                    self.coming.remove(probe);
                }
                Output::Verdict(_) => {}
            }
        }
        said
    }

    /// What comes of a probe that starts at this moment, and after how long: the same in each world
    /// with the same seed.
    fn answer(&self, target: &Target) -> (Duration, Option<bool>) {
        let mut random =
            fastrand::Rng::with_seed(self.seed ^ target.stable_hash() ^ nanos(self.now));
        let soon = Duration::from_micros(random.u64(100..20_000));
        let server = self.servers.get(&target.address());
        match server.copied().unwrap_or(Server::Works) {
            Server::Works => (soon, Some(true)),
            Server::Refuses => (soon, Some(false)),
            Server::Silent => (target.spec().timeout, Some(false)),
            Server::Wavers => (soon, [None, Some(true), Some(false)][random.usize(..3)]),
        }
    }

    /// Lets time pass until `end`.
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
            assert!(next >= self.now, "due in the past: {next:?}");
            self.now = next;
            if report == Some(next) {
                self.report();
            } else {
                self.schedule.handle_timeout(self.now);
                let said = self.said();
                self.model.outputs(&said, self.now);
            }
        }
        self.now = end;
        assert_eq!(self.schedule.stats().running, self.model.running());
    }

    fn report(&mut self) {
        let Some((at, probe)) = self.arriving.pop_first() else {
            return;
        };
        // The report of a probe that has been cancelled, or of the one before it.
        if !self.model.is_wanted(probe) {
            return;
        }
        let Some(good) = self.coming.remove(&probe) else {
            return;
        };
        let result = match good {
            Some(true) => Ok(Answer::good()),
            Some(false) => Err(Failure::Protocol("bad".to_owned())),
            None => Err(Failure::NotRun("no descriptors".to_owned())),
        };
        let report = Report {
            result,
            times: Times::default(),
        };
        self.schedule.handle_report(probe, report, at);
        let said = self.said();
        self.model.result(probe, good, &said, at);
    }
}

/// A seed, printed so that a failure can be repeated.
fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    seed
}

/// A probe of one of `hosts`, every so many milliseconds.
fn random_target(random: &mut fastrand::Rng, hosts: u32, interval: (u64, u64)) -> Target {
    let kinds = [ProbeKind::Tcp(Tcp), ProbeKind::Expect(Expect::default())];
    let mut sometimes = |part: u32, whole: Duration| (random.u8(..3) == 0).then(|| whole / part);
    let whole = Duration::from_millis(interval.1);
    let (fast_interval, down_interval) = (sometimes(8, whole), sometimes(2, whole));
    let spec = ProbeSpec {
        kind: kinds[random.usize(..kinds.len())].clone(),
        interval: Duration::from_millis(random.u64(interval.0..interval.1)),
        fast_interval,
        down_interval,
        // Some probes take longer than their interval.
        timeout: Duration::from_millis(random.u64(50..interval.0 * 3 / 2)),
        fall: random.u32(0..5),
        rise: random.u32(0..5),
        ..testing::spec()
    };
    Target::new(testing::address(random.u32(..hosts)), spec)
}

/// Services that subscribe to targets, some of them to the same.
struct Subscribers {
    random: fastrand::Rng,
    pool: Vec<Target>,
    services: Vec<BTreeSet<Target>>,
    /// Of how many targets one service has some.
    share: usize,
}

impl Subscribers {
    fn new(seed: u64, pool: Vec<Target>, services: usize, share: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // Between them they want all, each of them besides what it takes at random.
        let mut services = vec![BTreeSet::new(); services];
        for target in &pool {
            let service = random.usize(..services.len());
            services[service].insert(target.clone());
        }
        let mut this = Self {
            random,
            pool,
            services,
            share,
        };
        for service in 0..this.services.len() {
            let more = this.some();
            this.services[service].extend(more);
        }
        this
    }

    fn some(&mut self) -> Vec<Target> {
        let count = self.pool.len() / self.share;
        let random = &mut self.random;
        let chosen = (0..count).map(|_| self.pool[random.usize(..self.pool.len())].clone());
        chosen.collect()
    }

    fn union(&self) -> BTreeSet<Target> {
        self.services.iter().flatten().cloned().collect()
    }

    /// A service comes, leaves, or is given other timing.
    fn change(&mut self) {
        let at = self.random.usize(..self.services.len());
        match self.random.u8(..3) {
            0 => {
                let comes = self.some().into_iter().collect();
                self.services.push(comes);
            }
            1 => {
                self.services.swap_remove(at);
                if self.services.is_empty() {
                    self.services.push(BTreeSet::new());
                }
            }
            _ => {
                let interval = Duration::from_millis(self.random.u64(500..5000));
                let fall = self.random.u32(1..4);
                let other = |target: &Target| {
                    let spec = ProbeSpec {
                        interval,
                        fall,
                        ..target.spec().clone()
                    };
                    Target::new(target.address(), spec)
                };
                self.services[at] = self.services[at].iter().map(other).collect();
            }
        }
    }
}

/// Lets servers change, services come and go, and the configuration be reloaded. Where places are
/// few, a probe may have to wait for a `turn` of each target between them.
fn live(world: &mut World, subscribers: &mut Subscribers, rounds: u32, turn: Duration) {
    let mut random = fastrand::Rng::with_seed(world.seed ^ 2);
    let places = u32::try_from(world.model.concurrency).unwrap();
    let mut patience = Duration::ZERO;
    let mut reload = |world: &mut World, targets: BTreeSet<Target>| {
        let rounds = u32::try_from(targets.len()).unwrap() / places + 2;
        patience = patience.max(turn * rounds);
        world.set_targets(targets);
        patience
    };
    let mut patience = reload(world, subscribers.union());
    for _ in 0..rounds {
        world.run_until(world.now + Duration::from_millis(random.u64(1..2000)));
        world.model.check_nobody_starves(world.now, patience);
        for _ in 0..subscribers.pool.len() / 40 {
            let address = subscribers.pool[random.usize(..subscribers.pool.len())].address();
            let states = [
                Server::Works,
                Server::Refuses,
                Server::Silent,
                Server::Wavers,
            ];
            world
                .servers
                .insert(address, states[random.usize(..states.len())]);
        }
        if random.bool() {
            subscribers.change();
            patience = reload(world, subscribers.union());
        }
    }
}

#[test]
fn twenty_thousand_targets_live_through_reloads_as_promised() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed ^ 1);
    let pool = (0..20_000).map(|_| random_target(&mut random, 15_000, (2000, 20_000)));
    let mut subscribers = Subscribers::new(seed, pool.collect(), 100, 500);
    let mut world = World::new(seed, 100_000);
    live(&mut world, &mut subscribers, 30, Duration::ZERO);
    assert_eq!(world.schedule.stats().late, 0);
    let (starts, changes) = (world.model.starts, world.model.changes);
    assert!(starts > 50_000 && changes > 20_000, "{starts}, {changes}");
}

#[test]
fn few_targets_live_through_many_reloads_as_promised() {
    let first = seed();
    for seed in (0..100).map(|it| first.wrapping_add(it)) {
        let mut random = fastrand::Rng::with_seed(seed ^ 1);
        let pool = (0..60).map(|_| random_target(&mut random, 40, (200, 3000)));
        let mut subscribers = Subscribers::new(seed, pool.collect(), 6, 10);
        let mut world = World::new(seed, 1000);
        live(&mut world, &mut subscribers, 30, Duration::ZERO);
    }
}

/// Who is due longest is first to have a place. So nobody waits for longer than all that were due
/// before need to have had theirs.
#[test]
fn few_places_are_had_in_turn() {
    let first = seed();
    for seed in (0..100).map(|it| first.wrapping_add(it)) {
        let mut random = fastrand::Rng::with_seed(seed ^ 1);
        let pool = (0..60).map(|_| random_target(&mut random, 40, (200, 3000)));
        let mut subscribers = Subscribers::new(seed, pool.collect(), 6, 10);
        let mut world = World::new(seed, random.usize(1..8));
        // No probe takes longer.
        let turn = Duration::from_millis(300);
        live(&mut world, &mut subscribers, 30, turn);
    }
}

#[test]
fn who_comes_and_goes_moves_nobody_else() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed ^ 1);
    let mut some = |count: u32, hosts| -> BTreeSet<Target> {
        let targets = (0..count).map(|_| random_target(&mut random, hosts, (500, 5000)));
        targets.collect()
    };
    let stay = some(500, 400);
    let visits: Vec<BTreeSet<Target>> = (0..40).map(|_| some(100, 400)).collect();

    let mut quiet = World::new(seed, 10_000);
    let mut busy = World::new(seed, 10_000);
    quiet.set_targets(stay.clone());
    busy.set_targets(stay.clone());
    for visitors in &visits {
        let now = quiet.now + Duration::from_millis(random.u64(1..1000));
        quiet.run_until(now);
        busy.run_until(now);
        busy.set_targets(stay.union(visitors).cloned().collect());
        // Who subscribes to what others have already is no news.
        let before = (busy.schedule.poll_timeout(), busy.schedule.stats());
        busy.set_targets(stay.union(visitors).cloned().collect());
        assert_eq!(
            (busy.schedule.poll_timeout(), busy.schedule.stats()),
            before
        );
    }
    let own = |world: &World| -> BTreeSet<(Time, Target)> {
        let starts = world.starts.iter();
        let own = starts.filter(|(_, target)| stay.contains(target));
        own.cloned().collect()
    };
    assert!(own(&quiet).len() > 2000);
    assert!(own(&quiet) == own(&busy), "somebody was moved");
    assert!(busy.starts.len() > quiet.starts.len());
}

#[test]
fn twenty_thousand_targets_are_known_at_once_and_then_spread_evenly() {
    let mut world = World::new(seed(), 1000);
    world.set_targets((0..20_000).map(testing::target).collect());
    world.run_until(world.now + Duration::from_secs(1));
    assert_eq!(world.model.changes, 20_000);

    world.run_until(world.now + Duration::from_secs(9));
    let begin = world.now;
    world.starts.clear();
    world.run_until(begin + Duration::from_secs(12));
    assert_eq!(world.starts.len(), 40_000, "twice each");
    let mut buckets = [0_u32; 120];
    for (start, _) in &world.starts {
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
    for host in 0..500 {
        world.servers.insert(testing::address(host), Server::Silent);
    }
    world.set_targets((0..500).map(testing::target).collect());
    // 10 places, 2 s each: 5 a second, so a round of 500 takes 100 s.
    world.run_until(world.now + Duration::from_secs(110));
    assert_eq!(world.model.changes, 500, "everyone had a turn");
    let stats = world.schedule.stats();
    assert!(
        stats.late > 400 && stats.delay_max > Duration::from_secs(90),
        "{stats:?}"
    );
}
