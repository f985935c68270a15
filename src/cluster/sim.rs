//! A cluster in one process: machines on a bad network, at the mercy of a seed.

mod checks;
mod faults;
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;

use self::checks::Checks;
use super::rules::{Rule, Rules};
use super::{Codec, Fitness, GroupSettings, Input, Keys, Machine, Output, PeerSettings, Settings};
use crate::clock::Time;
use crate::config::model::{Digest, Failback, HeartbeatTiming};

pub(super) const KEEPALIVE: Duration = Duration::from_millis(100);
pub(super) const DEADTIME: Duration = Duration::from_millis(300);
const INITDEAD: Duration = Duration::from_millis(1000);
/// Of a healthy link.
const MAX_DELAY: Duration = Duration::from_micros(2000);
/// How late a timer fires at most.
const MAX_LATENESS: Duration = Duration::from_micros(1500);
/// Longest time that a healthy director takes to remove its VIPs.
const MAX_RELEASE: Duration = Duration::from_millis(5);
/// After the last fault everything must be in order within this time.
const SETTLE: Duration = Duration::from_millis(2500);
/// A socket holds so many datagrams for a process that does not run.
const INBOX: usize = 64;

const NAMES: [&str; 5] = ["ha1", "ha2", "ha3", "ha4", "ha5"];
const GROUPS: [&str; 2] = ["mail", "web"];

/// What a run did, to see that runs are no idle ones.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Report {
    /// When, who, in which group, and whether it became active.
    pub(super) moves: Vec<(Time, usize, String, bool)>,
    pub(super) delivered: u64,
    pub(super) injected: u64,
}

/// What a run is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) broken: Option<Rule>,
    pub(super) faults: bool,
    /// An attacker replays what it has seen and what is old, and reflects the rest.
    pub(super) attacker: bool,
    /// For comparisons: timers are never late, so that a spurious input cannot make them earlier;
    /// and nobody restarts or is paused, since replays can hold up a first acquaintance, and fill
    /// a socket that is not read.
    pub(super) steady: bool,
    /// Print what happens.
    pub(super) trace: bool,
}

/// A configuration.
#[derive(Clone)]
struct File {
    failback: Failback,
    preferred: Vec<Option<usize>>,
    /// What it says of each director.
    priorities: Vec<u16>,
    timing: HeartbeatTiming,
    digest: Digest,
}

impl File {
    fn draw(rng: &mut Rng, count: usize) -> Self {
        let failback = if rng.bool() {
            Failback::Auto {
                delay: Duration::from_millis(rng.u64(0..400)),
            }
        } else {
            Failback::Manual
        };
        let preferred = GROUPS
            .iter()
            .map(|_| rng.bool().then(|| rng.usize(0..count)))
            .collect();
        // In another file the directors may be ranked the other way round.
        let priorities = match rng.u8(0..4) {
            0 | 1 => (0..count).map(|_| 100).collect(),
            2 => (100..).step_by(10).take(count).collect(),
            _ => (100..)
                .step_by(10)
                .take(count)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect(),
        };
        Self {
            failback,
            preferred,
            priorities,
            timing: Self::draw_timing(rng),
            digest: Digest {
                whole: rng.u64(..).to_be_bytes(),
                ..Digest::default()
            },
        }
    }

    /// Never slower than [`KEEPALIVE`] and [`DEADTIME`], and such that everybody's deadtime is more
    /// than two keepalives of everybody else.
    fn draw_timing(rng: &mut Rng) -> HeartbeatTiming {
        if rng.bool() {
            return timing();
        }
        let millis = |range| Duration::from_millis(range);
        HeartbeatTiming {
            keepalive: millis(rng.u64(50..=100)),
            deadtime: millis(rng.u64(230..=300)),
            initdead: millis(rng.u64(600..=1000)),
            ..timing()
        }
    }
}

/// Who understands whom: nobody trusts a heartbeat of another cluster, or one signed with a key
/// that it does not have.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Tongue {
    Ours,
    OtherKey,
    OtherCluster,
}

impl Tongue {
    fn cluster(self) -> &'static str {
        match self {
            Self::Ours | Self::OtherKey => "sim",
            Self::OtherCluster => "simile",
        }
    }

    /// A host may sign with the key that is going or with the one that is coming; all verify both.
    fn keys(self, changed: bool) -> Keys {
        match (self, changed) {
            (Self::Ours | Self::OtherCluster, false) => Keys::new("secret", ["next"]),
            (Self::Ours | Self::OtherCluster, true) => Keys::new("next", ["secret"]),
            (Self::OtherKey, _) => Keys::new("other", []),
        }
    }
}

struct World {
    plan: Plan,
    rng: Rng,
    attacks: Rng,
    now: Time,
    seq: u64,
    hosts: Vec<Host>,
    paths: usize,
    links: BTreeMap<(usize, usize, usize), Link>,
    queue: BTreeMap<(Time, u64), Action>,
    recorded: Vec<Datagram>,
    /// Until when a fault of network or scheduling lasts.
    disturbed: Time,
    checks: Checks,
    report: Report,
}

struct Host {
    settings: Settings,
    codec: Codec,
    tongue: Tongue,
    run: Option<Machine>,
    /// Without power it does not even refuse.
    power: bool,
    /// Counts its daemon's runs.
    generation: u64,
    started: Time,
    ended: Time,
    paused: bool,
    inbox: Vec<Datagram>,
    lateness: Duration,
    /// Its clock is so far ahead of the world's: since boot, and hosts boot when they like.
    ahead: Duration,
    /// Groups whose VIPs it has, or is about to have.
    holds: BTreeSet<String>,
    /// Those that it only forwards for.
    quiet: BTreeSet<String>,
    /// Those whose VIPs are all there.
    serves: BTreeSet<String>,
    /// Groups that an operator wants it to leave to others.
    standby: BTreeSet<String>,
    /// Since when it reaches none of its targets.
    cut_off: Option<Time>,
    /// What its daemon was last told of that.
    told_cut_off: bool,
    local: BTreeMap<String, Local>,
}

#[derive(Clone, Copy)]
struct Local {
    fitness: Fitness,
    ready: bool,
    since: Time,
}

impl Host {
    /// What the daemon is told of a group: who reaches nothing is unfit for all.
    fn told(&self, group: &str, local: Local) -> Input {
        let reaches = self.cut_off.is_none();
        Input::Local {
            group: group.to_owned(),
            fitness: if reaches {
                local.fitness
            } else {
                Fitness::UNFIT
            },
            ready: local.ready,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Link {
    /// Overlapping cuts.
    cuts: u32,
    loss: u8,
    duplicates: u8,
    slow: bool,
}

#[derive(Clone)]
struct Datagram {
    id: u64,
    from: usize,
    to: usize,
    path: usize,
    sent: Time,
    generation: u64,
    bytes: Rc<Vec<u8>>,
}

enum Action {
    Deliver(Datagram),
    Tell {
        host: usize,
        generation: u64,
        input: Input,
    },
    Fault(faults::Fault),
    Attack,
}

/// Runs one seed. An error says what was violated.
pub(super) fn run(plan: Plan) -> Result<Report, String> {
    let mut world = World::new(plan);
    let end = Duration::from_millis(6500);
    if plan.faults {
        world.plan_faults(end);
    }
    for i in 0..world.hosts.len() {
        let at = Duration::from_millis(world.rng.u64(0..600));
        world.at(at, Action::Fault(faults::Fault::Start(i)));
    }
    if plan.attacker {
        world.at(Duration::from_nanos(1), Action::Attack);
    }
    world.run_until(end)?;
    world.heal();
    world.run_until(end + SETTLE)?;
    world.check_settled()?;
    world.run_until(end + SETTLE + DEADTIME)?;
    world.check_settled()?;
    Ok(world.report)
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let count = [2, 2, 2, 2, 2, 3, 3, 3, 4, 5][rng.usize(0..10)];
        let paths = 1 + rng.usize(0..4) / 3;
        let file = File::draw(&mut rng, count);
        // Now and then each director has a file of its own, or one of them another key or cluster.
        let unequal = rng.u8(0..4) == 0;
        let stranger = match rng.u8(0..32) {
            0 => Some((rng.usize(0..count), Tongue::OtherKey)),
            1 => Some((rng.usize(0..count), Tongue::OtherCluster)),
            _ => None,
        };
        let hosts = (0..count)
            .map(|i| {
                let file = if unequal {
                    File::draw(&mut rng, count)
                } else {
                    file.clone()
                };
                let File {
                    failback,
                    preferred,
                    priorities,
                    timing,
                    digest,
                } = file;
                let tongue = stranger
                    .filter(|(who, _)| *who == i)
                    .map_or(Tongue::Ours, |(_, tongue)| tongue);
                let groups = GROUPS.iter().zip(&preferred).map(|(group, preferred)| {
                    let preferred = *preferred == Some(i);
                    (
                        (*group).to_owned(),
                        GroupSettings {
                            failback,
                            preferred,
                        },
                    )
                });
                let peers = (0..count).filter(|j| *j != i).map(|j| {
                    (
                        NAMES[j].to_owned(),
                        PeerSettings {
                            priority: priorities[j],
                        },
                    )
                });
                let settings = Settings {
                    cluster: tongue.cluster().to_owned(),
                    node: NAMES[i].to_owned(),
                    priority: priorities[i],
                    paths,
                    timing,
                    peers: peers.collect(),
                    groups: groups.collect(),
                    digest,
                };
                let codec = Codec::new(&settings, tongue.keys(rng.bool())).expect("small");
                Host {
                    settings,
                    codec,
                    tongue,
                    run: None,
                    power: true,
                    generation: 0,
                    started: Duration::ZERO,
                    ended: Duration::ZERO,
                    paused: false,
                    inbox: Vec::new(),
                    lateness: Duration::from_micros(rng.u64(0..=1500)).min(if plan.steady {
                        Duration::ZERO
                    } else {
                        MAX_LATENESS
                    }),
                    ahead: Duration::from_millis(rng.u64(0..1_000_000)),
                    holds: BTreeSet::new(),
                    quiet: BTreeSet::new(),
                    serves: BTreeSet::new(),
                    standby: BTreeSet::new(),
                    cut_off: None,
                    told_cut_off: false,
                    local: BTreeMap::new(),
                }
            })
            .collect();
        let checks = Checks::default();
        let attacks = Rng::with_seed(!plan.seed);
        Self {
            plan,
            rng,
            attacks,
            now: Duration::ZERO,
            seq: 0,
            hosts,
            paths,
            links: BTreeMap::new(),
            queue: BTreeMap::new(),
            recorded: Vec::new(),
            disturbed: Duration::ZERO,
            checks,
            report: Report::default(),
        }
    }

    fn at(&mut self, time: Time, action: Action) {
        self.seq += 1;
        self.queue.insert((time, self.seq), action);
    }

    fn run_until(&mut self, end: Time) -> Result<(), String> {
        let mut idle = 0;
        loop {
            let timer = self
                .hosts
                .iter()
                .enumerate()
                .filter(|(_, host)| !host.paused)
                .filter_map(|(i, host)| {
                    let at = host.run.as_ref()?.poll_timeout()?;
                    let at = at.saturating_sub(host.ahead);
                    Some((
                        if at > self.now {
                            at + host.lateness
                        } else {
                            self.now
                        },
                        i,
                    ))
                })
                .min();
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let (at, host) = match (timer, next) {
                (Some((at, i)), None) => (at, Some(i)),
                (Some((at, i)), Some(next)) if at < next => (at, Some(i)),
                (_, Some(next)) => (next, None),
                (None, None) => (end, None),
            };
            if at >= end {
                self.now = end;
                return Ok(());
            }
            idle = if at > self.now { 0 } else { idle + 1 };
            if idle > 10_000 {
                return Err(format!("time stands still at {at:?}"));
            }
            self.now = self.now.max(at);
            match host {
                Some(i) => self.tell(i, Input::Timeout)?,
                None => self.act()?,
            }
            self.check_always()
                .map_err(|what| format!("{:?}: {what}", self.now))?;
        }
    }

    fn act(&mut self) -> Result<(), String> {
        match self.queue.pop_first() {
            Some((_, Action::Deliver(datagram))) => self.deliver(datagram),
            Some((
                _,
                Action::Tell {
                    host,
                    generation,
                    input,
                },
            )) => {
                if self.hosts[host].generation != generation || self.hosts[host].run.is_none() {
                    return Ok(());
                }
                if self.hosts[host].paused {
                    // It is in the midst of it.
                    let action = Action::Tell {
                        host,
                        generation,
                        input,
                    };
                    self.at(self.now + KEEPALIVE, action);
                    return Ok(());
                }
                match &input {
                    Input::Released { group } => {
                        let host = &mut self.hosts[host];
                        host.holds.remove(group);
                        host.serves.remove(group);
                        host.quiet.remove(group)
                    }
                    Input::Raised { group } => self.hosts[host].serves.insert(group.clone()),
                    _ => false,
                };
                if let Input::Released { group } = &input {
                    self.check_released(host, group)?;
                }
                self.tell(host, input)
            }
            Some((_, Action::Fault(fault))) => self.apply(fault),
            Some((_, Action::Attack)) => self.attack(),
            None => Ok(()),
        }
    }

    fn start(&mut self, i: usize) -> Result<(), String> {
        let session = self.rng.u64(..);
        let rules = Rules {
            broken: self.plan.broken,
        };
        let now = self.now;
        let host = &mut self.hosts[i];
        host.power = true;
        if host.run.is_some() {
            return Ok(());
        }
        host.generation += 1;
        host.started = now;
        host.inbox.clear();
        host.run = Some(Machine::with_rules(
            host.settings.clone(),
            session,
            now + host.ahead,
            rules,
        ));
        let told = |(group, local): (&String, &Local)| self.hosts[i].told(group, *local);
        let inputs: Vec<Input> = self.hosts[i].local.iter().map(told).collect();
        for input in inputs {
            self.tell(i, input)?;
        }
        if self.hosts[i].cut_off.is_some() {
            self.tell(i, Input::CutOff(true))?;
        }
        Ok(())
    }

    /// Ends the daemon's run without a word.
    fn kill(&mut self, i: usize) {
        let now = self.now;
        let host = &mut self.hosts[i];
        if host.run.take().is_some() {
            host.ended = now;
            self.checks.disorder = now;
        }
        host.paused = false;
        host.holds.clear();
        host.quiet.clear();
        host.serves.clear();
        host.standby.clear();
        host.inbox.clear();
    }

    fn deliver(&mut self, datagram: Datagram) -> Result<(), String> {
        let to = datagram.to;
        let host = &mut self.hosts[to];
        if host.run.is_none() {
            return Ok(());
        }
        if host.paused {
            if host.inbox.len() < INBOX {
                host.inbox.push(datagram);
            }
            return Ok(());
        }
        let decoded = host.codec.decode(datagram.path, &datagram.bytes);
        match decoded {
            Ok(heartbeat) => {
                let trusted = |host: &Host| host.run.as_ref().map_or(0, |m| m.counters.received);
                let before = trusted(host);
                self.checks.hearing = Some((datagram.clone(), heartbeat.clone()));
                let input = Input::Heartbeat {
                    path: datagram.path,
                    heartbeat: heartbeat.clone(),
                };
                self.tell(to, input)?;
                self.checks.hearing = None;
                if trusted(&self.hosts[to]) > before {
                    self.report.delivered += 1;
                    self.check_trusted(&datagram, &heartbeat)?;
                }
            }
            Err(why) => {
                if let Some(machine) = &mut host.run {
                    machine.count_dropped(why);
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, i: usize, input: Input) -> Result<(), String> {
        if let Input::CutOff(cut_off) = &input {
            self.hosts[i].told_cut_off = *cut_off;
        }
        let now = self.host_now(i);
        let Some(machine) = &mut self.hosts[i].run else {
            return Ok(());
        };
        machine.handle(input, now);
        while let Some(output) = self.hosts[i].run.as_mut().and_then(Machine::poll_output) {
            self.do_output(i, output)?;
        }
        Ok(())
    }

    /// What the clock of a host shows.
    fn host_now(&self, i: usize) -> Time {
        self.now + self.hosts[i].ahead
    }

    fn do_output(&mut self, i: usize, output: Output) -> Result<(), String> {
        if self.plan.trace && !matches!(output, Output::Send(_)) {
            println!("{:?} {} {output:?}", self.now, NAMES[i]);
        }
        let generation = self.hosts[i].generation;
        match output {
            Output::Send(heartbeat) => {
                self.check_said(i, &heartbeat)?;
                for path in 0..self.paths {
                    let bytes = Rc::new(self.hosts[i].codec.encode(path, &heartbeat));
                    for to in (0..self.hosts.len()).filter(|to| *to != i) {
                        self.send(i, to, path, &bytes);
                    }
                }
            }
            Output::Activate {
                group, epoch, why, ..
            } => {
                self.report.moves.push((self.now, i, group.clone(), true));
                self.check_taken(i, &group, epoch, &why)?;
                self.hosts[i].holds.insert(group.clone());
                self.hosts[i].quiet.remove(&group);
                let input = Input::Raised { group };
                let at = self.now + Duration::from_micros(self.fate(&[i]).u64(0..2000));
                self.at(
                    at,
                    Action::Tell {
                        host: i,
                        generation,
                        input,
                    },
                );
            }
            Output::Quiet { group, why, to } => {
                self.report.moves.push((self.now, i, group.clone(), false));
                self.check_left(i, &group, &why)?;
                if !self.hosts[i].holds.contains(&group) {
                    return Err(format!("{} gives {group}, which it has not", NAMES[i]));
                }
                self.note_offered(i, &group, &to);
                self.hosts[i].quiet.insert(group);
            }
            Output::Deactivate { group, why } => {
                if !self.hosts[i].quiet.contains(&group) {
                    self.report.moves.push((self.now, i, group.clone(), false));
                    self.check_left(i, &group, &why)?;
                }
                let micros = u64::try_from(MAX_RELEASE.as_micros()).unwrap_or(0);
                let at = self.now + Duration::from_micros(self.fate(&[i]).u64(1000..micros));
                let input = Input::Released { group };
                self.at(
                    at,
                    Action::Tell {
                        host: i,
                        generation,
                        input,
                    },
                );
            }
            Output::Announce { group } => {
                if !self.hosts[i].holds.contains(&group) {
                    return Err(format!("{} announces {group}, which it has not", NAMES[i]));
                }
            }
            Output::Event(_) | Output::Stations { .. } => {}
            Output::Answer { id, answer } => self.check_answer(i, id, &answer)?,
            Output::Stopped => {
                if !self.hosts[i].holds.is_empty() {
                    return Err(format!("{} stopped with VIPs", NAMES[i]));
                }
                self.kill(i);
            }
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, path: usize, bytes: &Rc<Vec<u8>>) {
        self.seq += 1;
        let datagram = Datagram {
            id: self.seq,
            from,
            to,
            path,
            sent: self.now,
            generation: self.hosts[from].generation,
            bytes: Rc::clone(bytes),
        };
        self.recorded.push(datagram.clone());
        let Some(delay) = self.passes(from, to, path, 0) else {
            return;
        };
        if self.hosts[to].power && self.hosts[to].run.is_none() {
            if let Some(back) = self.passes(to, from, path, 1) {
                let input = Input::Refused {
                    path,
                    peer: NAMES[to].to_owned(),
                };
                let generation = self.hosts[from].generation;
                let action = Action::Tell {
                    host: from,
                    generation,
                    input,
                };
                self.at(self.now + delay + back, action);
            }
            return;
        }
        let link = self
            .links
            .get(&(from, to, path))
            .copied()
            .unwrap_or_default();
        if self.fate(&[from, to, path]).u8(0..100) < link.duplicates
            && let Some(delay) = self.passes(from, to, path, 2)
        {
            self.at(self.now + delay, Action::Deliver(datagram.clone()));
        }
        self.at(self.now + delay, Action::Deliver(datagram));
    }

    /// How long a datagram travels, if it arrives.
    fn passes(&self, from: usize, to: usize, path: usize, copy: usize) -> Option<Duration> {
        let link = self
            .links
            .get(&(from, to, path))
            .copied()
            .unwrap_or_default();
        let mut fate = self.fate(&[from, to, path, copy]);
        let lost = fate.u8(0..100) < link.loss;
        let max = if link.slow { 80_000 } else { 1900 };
        let delay = Duration::from_micros(fate.u64(100..max));
        debug_assert!(link.slow || delay <= MAX_DELAY);
        (link.cuts == 0 && !lost && self.hosts[to].power).then_some(delay)
    }

    /// What chance has in store for somebody at this moment, whatever else happens.
    fn fate(&self, whose: &[usize]) -> Rng {
        let mut seed = Rng::with_seed(self.plan.seed).u64(..);
        let now = usize::try_from(self.now.as_nanos()).unwrap_or(usize::MAX);
        for part in whose.iter().chain([&now]) {
            let part = u64::try_from(*part).unwrap_or(u64::MAX);
            seed = Rng::with_seed(seed ^ part).u64(..);
        }
        Rng::with_seed(seed)
    }
}

pub(super) fn timing() -> HeartbeatTiming {
    HeartbeatTiming {
        keepalive: KEEPALIVE,
        deadtime: DEADTIME,
        warntime: Duration::from_millis(150),
        initdead: INITDEAD,
        port: 539,
    }
}
