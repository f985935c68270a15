mod operators;
mod partitions;
mod reload;
mod replay;
mod speaking;
mod vips;

use super::*;
use crate::cluster::event::{Answer, DeathCause, Refusal, Taken, Unsuited};
use crate::cluster::heartbeat::Heartbeat;
use crate::cluster::ownership::LINGER;
use crate::cluster::sim::{DEADTIME, KEEPALIVE, timing};
use crate::cluster::{Fitness, GroupSettings, Line, Liveness, PeerSettings, Replay, Start, Step};
use crate::config::model::{Digest, Failback};

const TRAVEL: Duration = Duration::from_millis(1);

fn millis(n: u64) -> Time {
    Duration::from_millis(n)
}

/// Directors `a`, `b`, ... on a network that carries everything in one millisecond, and that can
/// be cut. VIPs come and go in no time.
struct Net {
    now: Time,
    machines: BTreeMap<String, Machine>,
    /// Not run, but not dead.
    paused: BTreeSet<String>,
    cut: BTreeSet<(String, String)>,
    flying: Vec<(Time, String, Heartbeat)>,
    /// What has come and was let wait.
    waiting: Vec<(Time, String, Heartbeat)>,
    /// When whom something has woken.
    wakings: BTreeSet<(Time, String)>,
    log: Vec<(Time, String, Output)>,
    /// The run of `a`.
    recorded: Vec<Line>,
}

fn settings(node: &str, directors: &[&str], groups: &[&str]) -> Settings {
    let priority = |name: &str| 200 - u16::from(name.as_bytes()[0]);
    Settings {
        cluster: "test".to_owned(),
        node: node.to_owned(),
        priority: priority(node),
        paths: 1,
        timing: timing(),
        peers: directors
            .iter()
            .filter(|name| **name != node)
            .map(|name| {
                (
                    (*name).to_owned(),
                    PeerSettings {
                        priority: priority(name),
                    },
                )
            })
            .collect(),
        groups: groups
            .iter()
            .map(|name| {
                let failback = Failback::Auto { delay: millis(500) };
                (
                    (*name).to_owned(),
                    GroupSettings {
                        failback,
                        preferred: false,
                    },
                )
            })
            .collect(),
        digest: Digest::default(),
    }
}

impl Net {
    fn new(directors: &[&str]) -> Self {
        let now = Duration::from_secs(1000);
        let mut net = Self {
            now,
            machines: BTreeMap::new(),
            paused: BTreeSet::new(),
            cut: BTreeSet::new(),
            flying: Vec::new(),
            waiting: Vec::new(),
            wakings: BTreeSet::new(),
            log: Vec::new(),
            recorded: Vec::new(),
        };
        for name in directors {
            net.start(name, directors);
        }
        net
    }

    /// Two directors that have settled: `a` is active.
    fn pair() -> Self {
        let mut net = Self::new(&["a", "b"]);
        net.run_for(millis(500));
        assert_eq!(net.active(), ["a"]);
        net.read_waiting("a");
        net.log.clear();
        net
    }

    fn start(&mut self, name: &str, directors: &[&str]) {
        let session = u64::from(name.as_bytes()[0]) + u64::try_from(self.now.as_millis()).unwrap();
        let settings = settings(name, directors, &["g"]);
        if name == "a" {
            self.recorded.push(Line::Start(Box::new(Start {
                version: "0.1.0".to_owned(),
                settings: settings.clone(),
                session,
                at: self.now,
            })));
        }
        let machine = Machine::new(settings, session, self.now);
        self.machines.insert(name.to_owned(), machine);
        self.local(name, Fitness::FULL, true);
    }

    fn local(&mut self, name: &str, fitness: Fitness, ready: bool) {
        self.local_of(name, "g", fitness, ready);
    }

    fn local_of(&mut self, name: &str, group: &str, fitness: Fitness, ready: bool) {
        self.tell(
            name,
            Input::Local {
                group: group.to_owned(),
                fitness,
                ready,
            },
        );
    }

    /// Tells a director something; before that, what it has let wait.
    fn tell(&mut self, name: &str, input: Input) {
        self.read_waiting(name);
        self.tell_only(name, input);
    }

    fn read_waiting(&mut self, name: &str) {
        let waiting = self.waiting.extract_if(.., |(_, to, _)| *to == name);
        for (at, to, heartbeat) in waiting.collect::<Vec<_>>() {
            let input = Input::Heartbeat {
                path: 0,
                heartbeat,
                waited: self.now - at,
            };
            self.tell_only(&to, input);
        }
    }

    fn tell_only(&mut self, name: &str, input: Input) {
        let Some(machine) = self.machines.get_mut(name) else {
            return;
        };
        machine.handle(input.clone(), self.now);
        let outputs: Vec<Output> = std::iter::from_fn(|| machine.poll_output()).collect();
        if name == "a" {
            self.recorded.push(Line::Step(Box::new(Step {
                at: self.now,
                input,
                outputs: outputs.clone(),
            })));
        }
        for output in outputs {
            self.log.push((self.now, name.to_owned(), output.clone()));
            match output {
                Output::Send(heartbeat) => {
                    let to = self.machines.keys().filter(|to| *to != name);
                    let to = to.filter(|to| !self.cut.contains(&(name.to_owned(), (*to).clone())));
                    let at = self.now + TRAVEL;
                    self.flying
                        .extend(to.map(|to| (at, to.clone(), heartbeat.clone())));
                }
                Output::Activate { group, .. } => self.tell(name, Input::Raised { group }),
                Output::Deactivate { group, .. } => self.tell(name, Input::Released { group }),
                Output::Quiet { .. }
                | Output::Announce { .. }
                | Output::Watch { .. }
                | Output::Stations { .. }
                | Output::Event(_)
                | Output::Answer { .. }
                | Output::Stopped => {}
            }
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let arrival = self
                .flying
                .iter()
                .map(|(at, to, _)| (*at, to.clone()))
                .min();
            let arrival = arrival.filter(|(at, _)| *at <= end);
            let timers = self
                .machines
                .iter()
                .filter(|(name, _)| !self.paused.contains(*name));
            let timer = timers
                .filter_map(|(name, machine)| Some((machine.poll_timeout()?, name.clone())))
                .min()
                .filter(|(at, _)| *at <= end);
            match (arrival, timer) {
                (Some((at, to)), timer) if timer.as_ref().is_none_or(|(t, _)| at <= *t) => {
                    self.now = at;
                    let i = self
                        .flying
                        .iter()
                        .position(|f| (f.0, &f.1) == (at, &to))
                        .unwrap();
                    let (_, to, heartbeat) = self.flying.remove(i);
                    let machine = self.machines.get(&to);
                    let waits = machine.is_some_and(|to| to.lets_wait(&heartbeat.sender));
                    if self.paused.contains(&to) {
                        continue;
                    }
                    if waits && !heartbeat.answer {
                        self.waiting.push((at, to, heartbeat));
                    } else {
                        self.wakings.insert((at, to.clone()));
                        self.tell(&to, Input::heard(0, heartbeat));
                    }
                }
                (_, Some((at, name))) => {
                    self.now = self.now.max(at);
                    self.wakings.insert((self.now, name.clone()));
                    self.tell(&name, Input::Timeout);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn cut_both(&mut self, a: &str, b: &str) {
        self.cut.insert((a.to_owned(), b.to_owned()));
        self.cut.insert((b.to_owned(), a.to_owned()));
    }

    fn active(&self) -> Vec<&str> {
        let active = |m: &&Machine| m.groups["g"].role == Role::Active;
        self.machines
            .iter()
            .filter(|(_, m)| active(m))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    fn taken(&self, name: &str) -> Vec<(Time, Taken)> {
        let log = self.log.iter().filter(|(_, who, _)| who == name);
        log.filter_map(|(at, _, output)| match output {
            Output::Activate { why, .. } => Some((*at, why.clone())),
            _ => None,
        })
        .collect()
    }

    fn left(&self, name: &str) -> Vec<(Time, Left)> {
        let log = self.log.iter().filter(|(_, who, _)| who == name);
        let mut left: Vec<(Time, Left)> = log
            .filter_map(|(at, _, output)| match output {
                Output::Quiet { why, .. } | Output::Deactivate { why, .. } => {
                    Some((*at, why.clone()))
                }
                _ => None,
            })
            .collect();
        left.dedup_by(|(_, later), (_, before)| later == before);
        left
    }

    fn announced(&self, name: &str) -> bool {
        self.log
            .iter()
            .any(|(_, who, o)| who == name && matches!(o, Output::Announce { .. }))
    }

    fn hand_over(&mut self, from: &str, to: Option<&str>) {
        let (group, to) = (name("g"), to.map(name));
        self.tell(from, Input::Handover { id: 7, group, to });
    }

    fn answers(&self) -> Vec<(Time, Answer)> {
        let log = self.log.iter();
        log.filter_map(|(at, _, output)| match output {
            Output::Answer { answer, .. } => Some((*at, answer.clone())),
            _ => None,
        })
        .collect()
    }

    fn role(&self, name: &str) -> Role {
        self.machines[name].groups["g"].role
    }
}

fn name(name: &str) -> String {
    name.to_owned()
}

#[test]
fn the_better_one_takes_over_as_soon_as_both_have_been_heard() {
    let mut net = Net::new(&["a", "b"]);
    let begin = net.now;
    net.run_for(millis(500));
    assert_eq!(net.taken("b"), []);
    let taken = net.taken("a");
    assert!(matches!(&taken[..], [(at, Taken::Start)] if *at <= begin + KEEPALIVE + 4 * TRAVEL));
}

#[test]
fn alone_it_waits_for_initdead_to_the_moment() {
    let mut net = Net::new(&[]);
    net.start("a", &["a", "b"]);
    let begin = net.now;
    net.run_for(millis(2000));
    assert_eq!(net.taken("a"), [(begin + timing().initdead, Taken::Start)]);
}

#[test]
fn the_only_director_of_a_cluster_does_not_wait() {
    let mut net = Net::new(&["a"]);
    net.run_for(millis(1));
    assert_eq!(net.active(), ["a"]);
}

#[test]
fn silence_is_answered_the_moment_deadtime_has_passed() {
    let mut net = Net::pair();
    net.machines.remove("a");
    net.run_for(2 * TRAVEL);
    let heard = net.machines["b"].peers["a"].heard.unwrap();
    net.run_for(millis(400));
    assert_eq!(
        net.taken("b"),
        [(heard + DEADTIME, Taken::Silence { of: name("a") })]
    );
}

#[test]
fn a_takeover_is_said_before_the_vips_are_put() {
    let mut net = Net::pair();
    net.machines.remove("a");
    net.run_for(millis(400));
    let outputs: Vec<&Output> = net.log.iter().map(|(_, _, output)| output).collect();
    let activate = outputs
        .iter()
        .position(|o| matches!(o, Output::Activate { .. }))
        .unwrap();
    let Output::Send(heartbeat) = outputs[activate - 1] else {
        panic!("{outputs:?}")
    };
    assert_eq!(heartbeat.claims["g"].role, Role::Active);
    assert_eq!(heartbeat.claims["g"].epoch, 2);
}

#[test]
fn a_clean_stop_costs_one_travel() {
    let mut net = Net::pair();
    let begin = net.now;
    net.tell("a", Input::Stop);
    net.run_for(millis(50));
    assert_eq!(net.left("a"), [(begin, Left::Stop)]);
    assert_eq!(
        net.taken("b"),
        [(begin + TRAVEL, Taken::Offered { by: name("a") })]
    );
    net.run_for(LINGER);
    let stopped = net
        .log
        .iter()
        .find(|(_, _, output)| *output == Output::Stopped);
    assert_eq!(
        stopped.map(|(at, who, _)| (*at, who.as_str())),
        Some((begin + 2 * TRAVEL + LINGER + 2 * TRAVEL, "a"))
    );
    assert_eq!(net.machines["a"].poll_timeout(), None);
    let status = net.machines["b"].status(net.now);
    assert_eq!(
        status.peers[0].liveness,
        Liveness::Dead(DeathCause::Stopped)
    );
}

#[test]
fn a_stop_that_nobody_hears_ends_soon_after_deadtime() {
    let stopped = |net: &Net| {
        let mut log = net.log.iter();
        log.find(|(_, _, output)| *output == Output::Stopped)
            .map(|(at, _, _)| *at)
    };
    let mut net = Net::pair();
    net.machines.remove("b");
    net.run_for(2 * TRAVEL);
    net.read_waiting("a");
    let silent = net.machines["a"].peers["b"].heard.unwrap() + DEADTIME;
    net.tell("a", Input::Stop);
    net.run_for(millis(500));
    assert!(stopped(&net).is_some_and(|at| at >= silent && at <= silent + KEEPALIVE));

    // Nobody is waited for who is known to be gone.
    let mut net = Net::pair();
    net.machines.remove("b");
    net.run_for(millis(500));
    let begin = net.now;
    net.tell("a", Input::Stop);
    net.run_for(millis(500));
    assert!(stopped(&net).is_some_and(|at| at <= begin + KEEPALIVE));
}

#[test]
fn a_refused_peer_is_dead_after_a_moment() {
    let mut net = Net::pair();
    net.machines.remove("a");
    net.run_for(2 * TRAVEL);
    let refused = net.now;
    net.tell(
        "b",
        Input::Refused {
            path: 0,
            peer: name("a"),
        },
    );
    net.run_for(millis(50));
    assert_eq!(
        net.taken("b"),
        [(refused + KEEPALIVE / 10, Taken::Refused { by: name("a") })]
    );
}

#[test]
fn a_peer_that_lives_contradicts_a_forged_refusal() {
    let mut net = Net::pair();
    for _ in 0..20 {
        net.tell(
            "b",
            Input::Refused {
                path: 0,
                peer: name("a"),
            },
        );
        net.run_for(millis(37));
    }
    assert_eq!(net.taken("b"), []);
    assert_eq!(net.active(), ["a"]);
}

#[test]
fn the_unfit_leaves_at_once_and_the_fit_takes_it() {
    let mut net = Net::pair();
    let begin = net.now;
    net.local("a", Fitness::UNFIT, true);
    net.run_for(millis(50));
    assert_eq!(net.left("a"), [(begin, Left::Unfit { to: name("b") })]);
    assert_eq!(
        net.taken("b"),
        [(begin + TRAVEL, Taken::Offered { by: name("a") })]
    );
    net.local("a", Fitness::FULL, true);
    net.run_for(LINGER + millis(450));
    assert_eq!(net.active(), ["b"]);
    net.run_for(millis(50));
    assert_eq!(net.active(), ["a"], "failback after its delay");
}

#[test]
fn the_unfit_stays_while_nobody_is_ready() {
    let mut net = Net::pair();
    net.local("b", Fitness::FULL, false);
    net.run_for(2 * TRAVEL);
    net.local("a", Fitness::UNFIT, true);
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["a"]);
    let begin = net.now;
    net.local("b", Fitness::FULL, true);
    net.run_for(millis(10));
    assert_eq!(
        net.taken("b"),
        [(begin + 2 * TRAVEL, Taken::Offered { by: name("a") })]
    );
}

#[test]
fn a_start_waits_until_the_better_one_is_ready_but_not_longer_than_initdead() {
    let mut net = Net::new(&["a", "b"]);
    net.local("a", Fitness::FULL, false);
    net.run_for(millis(500));
    assert_eq!(
        net.active(),
        [""; 0],
        "both have been heard, and a is better"
    );
    net.local("a", Fitness::FULL, true);
    net.run_for(TRAVEL);
    assert_eq!(net.active(), ["a"]);

    let mut net = Net::new(&["a", "b"]);
    net.local("a", Fitness::FULL, false);
    net.run_for(timing().initdead - millis(1));
    assert_eq!(net.active(), [""; 0]);
    net.run_for(millis(1) + 2 * TRAVEL);
    assert_eq!(net.active(), ["b"], "the ready one serves");

    // One that cannot serve anyway is not waited for.
    let mut net = Net::new(&["a", "b"]);
    net.local("a", Fitness::UNFIT, false);
    net.run_for(millis(500));
    assert_eq!(net.active(), ["b"]);
}

#[test]
fn spurious_timeouts_do_nothing() {
    let mut net = Net::pair();
    let begin = net.machines["a"].status(net.now);
    for _ in 0..10 {
        net.tell("a", Input::Timeout);
        net.tell("b", Input::Timeout);
    }
    assert_eq!(net.log, []);
    assert_eq!(net.machines["a"].status(net.now), begin);
}

#[test]
fn late_heartbeats_are_told_with_their_interval() {
    let mut net = Net::pair();
    net.cut.insert((name("a"), name("b")));
    net.run_for(millis(170));
    net.cut.clear();
    net.run_for(millis(110));
    let late = net.log.iter().find_map(|(_, _, output)| match output {
        Output::Event(Event::Late { interval, .. }) => Some(*interval),
        _ => None,
    });
    assert!(late.is_some_and(|interval| interval > timing().warntime));
    assert_eq!(net.machines["b"].status(net.now).counters.late, 1);
}

#[test]
fn a_start_tells_whom_it_waits_for() {
    let mut net = Net::new(&[]);
    net.start("a", &["a", "b"]);
    net.run_for(millis(10));
    let reason = &net.machines["a"].status(net.now).groups[0].reason;
    assert!(
        reason.starts_with("waiting for b to answer, at most "),
        "{reason}"
    );
}
