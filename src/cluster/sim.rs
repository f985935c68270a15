//! A cluster in one process: machines on a bad network, at the mercy of a seed.

mod checks;
mod faults;
mod harm;
mod hosts;
mod neighbours;
mod network;
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;

use self::checks::Checks;
use self::hosts::{File, Host, Local, Tongue};
use self::network::{Datagram, Link};
use super::rules::{Rule, Rules};
use super::{Codec, GroupSettings, Input, Machine, Output, PeerSettings, Settings};
use crate::clock::Time;
use crate::config::model::HeartbeatTiming;

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
    /// Where clients and routers believe each group to be.
    believed: BTreeMap<&'static str, usize>,
    recorded: Vec<Datagram>,
    /// Until when a fault of network or scheduling lasts.
    disturbed: Time,
    checks: Checks,
    report: Report,
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
    /// A host announces that it has a group.
    Announce {
        host: usize,
        generation: u64,
        group: String,
    },
    /// Neighbours ask who has a group.
    Ask(&'static str),
}

/// Runs one seed. An error says what was violated.
pub(super) fn run(plan: Plan) -> Result<Report, String> {
    let mut world = World::new(plan);
    let end = Duration::from_millis(6500);
    if plan.faults {
        world.plan_faults(end);
        world.plan_questions(end);
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
                    waiting: Vec::new(),
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
            believed: BTreeMap::new(),
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
                if let Input::Raised { group } = &input {
                    self.announce(host, group);
                }
                self.tell(host, input)
            }
            Some((_, Action::Fault(fault))) => self.apply(fault),
            Some((_, Action::Attack)) => self.attack(),
            Some((
                _,
                Action::Announce {
                    host,
                    generation,
                    group,
                },
            )) => {
                self.announced(host, generation, &group);
                Ok(())
            }
            Some((_, Action::Ask(group))) => {
                self.ask(group);
                Ok(())
            }
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
        host.waiting.clear();
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
            self.checks.left_to_the_dead(now);
        }
        host.paused = false;
        host.holds.clear();
        host.quiet.clear();
        host.serves.clear();
        host.standby.clear();
        host.inbox.clear();
        host.waiting.clear();
    }

    /// Tells a daemon something; before that, what it has let wait.
    fn tell(&mut self, i: usize, input: Input) -> Result<(), String> {
        self.read_waiting(i)?;
        self.tell_only(i, input)
    }

    fn tell_only(&mut self, i: usize, input: Input) -> Result<(), String> {
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
                self.announce(i, &group);
            }
            Output::Watch { group } => {
                if self.hosts[i].holds.contains(&group) {
                    return Err(format!("{} watches {group}, which it has", NAMES[i]));
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
