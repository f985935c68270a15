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

    fn tell(&mut self, name: &str, input: Input) {
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
                    if !self.paused.contains(&to) {
                        self.tell(&to, Input::Heartbeat { path: 0, heartbeat });
                    }
                }
                (_, Some((at, name))) => {
                    self.now = self.now.max(at);
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
fn after_a_partition_the_better_one_stays_and_announces() {
    let mut net = Net::pair();
    net.cut_both("a", "b");
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["a", "b"]);
    net.log.clear();
    net.cut.clear();
    net.run_for(millis(200));
    assert_eq!(net.active(), ["a"]);
    assert!(net.announced("a"));
    assert!(!net.announced("b"));
    assert!(matches!(&net.left("b")[..], [(_, Left::Conflict { rival })] if rival == "a"));
    let critical = |who: &str| {
        let log = net.log.iter().filter(|(_, name, _)| name == who);
        log.filter(|(_, _, o)| matches!(o, Output::Event(Event::Conflict { .. })))
            .count()
    };
    assert_eq!((critical("a"), critical("b")), (1, 1));
    let epochs = |who: &str| net.machines[who].groups["g"].seen;
    assert_eq!((epochs("a"), epochs("b")), (3, 3));
}

#[test]
fn who_has_left_before_it_is_heard_again_is_answered_by_an_announcement() {
    let mut net = Net::pair();
    net.cut_both("a", "b");
    net.run_for(millis(1000));
    // a hears b first, and leaves to who cannot know of it.
    net.cut.remove(&(name("b"), name("a")));
    net.run_for(millis(500));
    assert_eq!(net.active(), ["b"]);
    net.log.clear();
    net.cut.clear();
    net.run_for(millis(200));
    assert_eq!(net.active(), ["b"]);
    assert!(net.announced("b"), "neighbours may have asked a in between");
}

#[test]
fn who_reaches_something_again_announces_what_it_has() {
    let mut net = Net::pair();
    for cut_off in [true, false] {
        assert!(!net.announced("a"));
        net.tell("a", Input::CutOff(cut_off));
        net.run_for(millis(200));
    }
    assert!(net.announced("a"));
}

#[test]
fn whoever_is_not_heard_by_its_rival_leaves_though_it_ranks_higher() {
    let mut net = Net::pair();
    net.cut.insert((name("a"), name("b")));
    net.run_for(millis(500));
    assert_eq!(net.active(), ["b"]);
    let taken = net.taken("b")[0].0;
    assert_eq!(
        net.left("a"),
        [(taken + TRAVEL, Left::Deaf { rival: name("b") })]
    );
    net.cut.clear();
    net.run_for(millis(400));
    assert_eq!(net.active(), ["b"]);
}

#[test]
fn who_was_paused_leaves_before_it_says_a_word() {
    let mut net = Net::pair();
    net.paused.insert(name("a"));
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["a", "b"]);
    net.paused.clear();
    net.log.clear();
    let woken = net.now;
    net.tell("a", Input::Timeout);
    assert!(matches!(net.left("a")[..], [(at, Left::Paused { .. })] if at == woken));
    assert!(!net.log.iter().any(|(_, _, output)| match output {
        Output::Send(heartbeat) => heartbeat.claims["g"].role == Role::Active,
        _ => false,
    }));
    net.run_for(millis(200));
    assert_eq!(net.active(), ["b"]);
}

#[test]
fn who_was_paused_stays_when_it_hears_first_that_nobody_took_over() {
    let mut net = Net::pair();
    net.local("b", Fitness::UNFIT, true);
    net.run_for(millis(10));
    net.paused.insert(name("a"));
    net.run_for(millis(1000));
    net.paused.clear();
    let sent = net
        .log
        .iter()
        .rev()
        .find_map(|(_, who, output)| match output {
            Output::Send(heartbeat) if who == "b" => Some(heartbeat.clone()),
            _ => None,
        });
    net.tell(
        "a",
        Input::Heartbeat {
            path: 0,
            heartbeat: sent.unwrap(),
        },
    );
    assert_eq!(net.machines["a"].poll_timeout(), Some(net.now));
    net.run_for(millis(500));
    assert_eq!(net.left("a"), []);
    assert_eq!(net.active(), ["a"]);
}

#[test]
fn a_lone_director_that_was_paused_serves_again_after_deadtime() {
    let mut net = Net::pair();
    net.machines.remove("b");
    net.run_for(millis(1000));
    net.now += millis(2000);
    let woken = net.now;
    net.run_for(millis(1000));
    assert_eq!(net.left("a").len(), 1);
    assert_eq!(net.taken("a"), [(woken + DEADTIME, Taken::Unclaimed)]);
}

#[test]
fn a_restarted_director_is_known_at_once_and_does_not_take_what_another_has() {
    let mut net = Net::pair();
    net.start("b", &["a", "b"]);
    net.run_for(millis(300));
    assert_eq!(net.active(), ["a"]);
    let restarted = |output: &Output| {
        matches!(
            output,
            Output::Event(Event::PeerAlive {
                restarted: true,
                ..
            })
        )
    };
    assert_eq!(
        net.log
            .iter()
            .filter(|(_, _, output)| restarted(output))
            .count(),
        1
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
fn a_reload_leaves_removed_groups_and_takes_new_ones() {
    let mut net = Net::pair();
    for node in ["a", "b"] {
        let new = settings(node, &["a", "b"], &["h"]);
        net.tell(node, Input::Settings(Box::new(new)));
        net.local_of(node, "h", Fitness::FULL, true);
    }
    net.run_for(millis(50));
    assert_eq!(net.left("a"), [(net.now - millis(50), Left::Removed)]);
    for (node, role) in [("a", Role::Active), ("b", Role::Standby)] {
        let groups = &net.machines[node].groups;
        assert_eq!(groups.keys().collect::<Vec<_>>(), ["h"]);
        assert_eq!(groups["h"].role, role);
    }
}

#[test]
fn a_reload_that_changes_nothing_moves_nothing() {
    let mut net = Net::pair();
    for node in ["a", "b"] {
        let same = settings(node, &["a", "b"], &["g"]);
        net.tell(node, Input::Settings(Box::new(same)));
    }
    net.run_for(millis(1000));
    assert!(
        net.log
            .iter()
            .all(|(_, _, output)| matches!(output, Output::Send(_)))
    );
}

#[test]
fn a_director_that_joins_by_reload_is_heard_and_left_in_peace() {
    let mut net = Net::pair();
    net.start("c", &["a", "b", "c"]);
    for node in ["a", "b"] {
        let wider = settings(node, &["a", "b", "c"], &["g"]);
        net.tell(node, Input::Settings(Box::new(wider)));
    }
    net.run_for(millis(500));
    assert_eq!(net.active(), ["a"]);
    assert!(net.machines["a"].peers["c"].alive);
}

#[test]
fn unequal_configurations_are_told_by_both() {
    let mut net = Net::pair();
    let mut digest = Digest {
        whole: [9; 8],
        ..Digest::default()
    };
    digest.sections[5] = [9; 2];
    let other = Settings {
        digest,
        ..settings("b", &["a", "b"], &["g"])
    };
    net.tell("b", Input::Settings(Box::new(other)));
    net.run_for(millis(10));
    for (node, peer) in [("a", "b"), ("b", "a")] {
        let event = Output::Event(Event::Config {
            peer: name(peer),
            same: false,
            differing: vec![name("[[virtual]]")],
        });
        assert!(
            net.log
                .iter()
                .any(|(_, who, output)| who == node && *output == event)
        );
    }
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

/// A recorded run can be replayed: inputs and outputs survive JSON, and the same inputs give the
/// same outputs.
#[test]
fn a_recorded_run_replays_to_the_same_outputs() {
    let directors = ["a", "b"];
    let mut other = Machine::new(settings("b", &directors, &["g"]), 2, Duration::ZERO);
    let mut recorded: Vec<(Time, Input)> = Vec::new();
    for i in 0..20 {
        let now = i * KEEPALIVE;
        other.handle(Input::Timeout, now);
        while let Some(output) = other.poll_output() {
            if let Output::Send(heartbeat) = output {
                recorded.push((now, Input::Heartbeat { path: 0, heartbeat }));
            }
        }
        recorded.push((now, Input::Timeout));
    }
    recorded.push((20 * KEEPALIVE, Input::Stop));
    let run = |inputs: &[(Time, Input)]| {
        let mut machine = Machine::new(settings("a", &directors, &["g"]), 1, Duration::ZERO);
        let mut outputs = Vec::new();
        for (now, input) in inputs {
            machine.handle(input.clone(), *now);
            outputs.extend(std::iter::from_fn(|| machine.poll_output()));
        }
        outputs
    };
    let text = serde_json::to_string(&recorded).unwrap();
    let again: Vec<(Time, Input)> = serde_json::from_str(&text).unwrap();
    let outputs = run(&recorded);
    assert_eq!(run(&again), outputs);
    let text = serde_json::to_string(&outputs).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Output>>(&text).unwrap(), outputs);
}

impl Net {
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

#[test]
fn a_handover_by_command_is_answered_when_the_other_has_claimed() {
    let mut net = Net::pair();
    let begin = net.now;
    net.hand_over("a", None);
    net.run_for(millis(10));
    assert_eq!(
        net.taken("b"),
        [(begin + TRAVEL, Taken::Offered { by: name("a") })]
    );
    let (group, to) = (name("g"), name("b"));
    let done = Answer::HandedOver { group, to };
    assert_eq!(net.answers(), [(begin + 2 * TRAVEL, done)]);
    assert_eq!(net.role("a"), Role::Releasing, "it forwards for a moment");
    net.run_for(LINGER);
    assert_eq!(net.role("a"), Role::Standby);
    net.run_for(millis(5000));
    assert_eq!(net.active(), ["b"], "no failback undoes it");
    net.machines.remove("b");
    net.run_for(millis(500));
    assert_eq!(net.active(), ["a"], "but a failure does");
}

#[test]
fn a_handover_is_refused_with_the_reason() {
    let mut net = Net::pair();
    net.local("b", Fitness::FULL, false);
    net.run_for(millis(10));
    net.hand_over("a", None);
    net.hand_over("a", Some("a"));
    net.hand_over("a", Some("c"));
    net.hand_over("b", None);
    let group = name("h");
    net.tell(
        "a",
        Input::Handover {
            id: 1,
            group,
            to: None,
        },
    );
    let not_ready = Refusal::Unsuited([(name("b"), Unsuited::NotReady)].into());
    let owner = Some(name("a"));
    let expected = [
        not_ready,
        Refusal::Itself,
        Refusal::NoDirector,
        Refusal::NotActive { owner },
        Refusal::NoGroup,
    ];
    let answers: Vec<Answer> = net
        .answers()
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    assert_eq!(answers, expected.map(Answer::Refused));
    net.run_for(millis(500));
    assert_eq!(net.active(), ["a"]);
}

#[test]
fn what_nobody_claims_is_taken_back_and_announced_after_deadtime() {
    let mut net = Net::pair();
    let begin = net.now;
    net.hand_over("a", None);
    // The offer is lost, and so is everything that b would say.
    net.flying.clear();
    net.paused.insert(name("b"));
    net.run_for(DEADTIME);
    assert_eq!(net.active(), ["a"]);
    let taken = net.taken("a");
    assert!(
        matches!(&taken[..], [(at, Taken::Unclaimed)] if *at <= begin + DEADTIME),
        "{taken:?}"
    );
    let refused = Answer::Refused(Refusal::Unclaimed { by: name("b") });
    assert_eq!(net.answers(), [(taken[0].0, refused)]);
}

#[test]
fn who_stands_by_gives_up_and_takes_nothing_until_it_is_undone() {
    let mut net = Net::pair();
    let standby = |on| Input::Standby {
        id: 3,
        group: None,
        on,
    };
    net.tell("a", standby(true));
    net.run_for(LINGER + millis(50));
    assert_eq!(net.active(), ["b"]);
    assert!(net.machines["a"].status(net.now).groups[0].standby);
    net.machines.remove("b");
    net.run_for(millis(1000));
    assert_eq!(net.active(), [""; 0]);
    let group = Some(name("g"));
    net.tell(
        "a",
        Input::Standby {
            id: 4,
            group,
            on: false,
        },
    );
    assert_eq!(net.active(), [""; 0], "all were told together");
    net.tell("a", standby(false));
    assert_eq!(net.active(), ["a"]);
    let answers: Vec<Answer> = net
        .answers()
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    let none = || Answer::Standby {
        given: BTreeMap::new(),
        kept: BTreeMap::new(),
    };
    let given = [(name("g"), name("b"))].into();
    assert_eq!(
        answers,
        [
            Answer::Standby {
                given,
                kept: BTreeMap::new()
            },
            Answer::Refused(Refusal::AllStandBy),
            none()
        ]
    );
}

#[test]
fn who_stands_by_keeps_what_nobody_else_can_serve() {
    let mut net = Net::pair();
    net.local("b", Fitness::FULL, false);
    net.run_for(millis(10));
    net.tell(
        "a",
        Input::Standby {
            id: 3,
            group: None,
            on: true,
        },
    );
    let why = Refusal::Unsuited([(name("b"), Unsuited::NotReady)].into());
    let kept = [(name("g"), why)].into();
    let answer = Answer::Standby {
        given: BTreeMap::new(),
        kept,
    };
    assert_eq!(net.answers(), [(net.now, answer)]);
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["a"]);
    net.local("b", Fitness::FULL, true);
    net.run_for(millis(10));
    assert_eq!(net.active(), ["b"]);
}

#[test]
fn who_was_paused_in_a_handover_does_not_take_back() {
    let mut net = Net::pair();
    net.hand_over("a", None);
    net.paused.insert(name("a"));
    net.run_for(millis(1000));
    assert_eq!(net.active(), ["b"]);
    net.paused.clear();
    net.tell("a", Input::Timeout);
    net.run_for(millis(200));
    assert_eq!(net.active(), ["b"]);
    assert_eq!(net.role("a"), Role::Standby);
    let refused = Answer::Refused(Refusal::Leaving);
    assert!(matches!(&net.answers()[..], [(_, answer)] if *answer == refused));
}

/// A night with a takeover, a partition, a handover and a stop.
fn eventful_run() -> Vec<Line> {
    let mut net = Net::new(&["a", "b"]);
    net.run_for(millis(300));
    net.cut_both("a", "b");
    net.run_for(millis(400));
    net.cut.clear();
    net.run_for(millis(200));
    net.hand_over("a", None);
    net.run_for(LINGER + millis(50));
    net.machines.remove("b");
    net.run_for(millis(400));
    net.start("b", &["a", "b"]);
    net.run_for(millis(200));
    net.tell("a", Input::Stop);
    net.run_for(LINGER + millis(50));
    net.recorded
}

/// What was decided in a recorded run is decided again. After a change that is meant to decide
/// differently, `UPDATE=1 cargo test --lib cluster::` records anew.
#[test]
fn the_recorded_run_is_decided_as_it_was() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/eventful.jsonl");
    if std::env::var_os("UPDATE").is_some() {
        let lines = eventful_run();
        let text: Vec<String> = lines
            .iter()
            .map(|l| serde_json::to_string(l).unwrap())
            .collect();
        std::fs::write(file, text.join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(file).unwrap();
    let mut replay = Replay::default();
    for (number, line) in (1..).zip(text.lines()) {
        let difference = replay.feed(serde_json::from_str(line).unwrap());
        assert_eq!(difference, None, "line {number}");
    }
    let counted = replay.counted();
    assert_eq!((counted.runs, counted.lost), (1, 0));
    assert!(counted.steps > 50 && text.contains("Quiet") && text.contains("Conflict"));
}

#[test]
fn a_replay_shows_what_differs_and_stops_at_a_gap() {
    let mut lines = eventful_run();
    let at = lines.iter().position(|line| {
        matches!(line, Line::Step(step) if step.outputs.iter().any(|o| matches!(o, Output::Activate { .. })))
    });
    let Some(Line::Step(step)) = at.and_then(|at| lines.get_mut(at)) else {
        panic!("a becomes active");
    };
    let activate = step.outputs.pop();
    let mut replay = Replay::default();
    let differences: Vec<_> = lines
        .iter()
        .filter_map(|line| replay.feed(line.clone()))
        .collect();
    let [difference] = &differences[..] else {
        panic!("{differences:?}");
    };
    assert_eq!(
        (&difference.recorded[..], difference.replayed.last()),
        (&[][..], activate.as_ref())
    );

    replay.feed(Line::Lost(2));
    let before = replay.counted();
    assert_eq!(replay.feed(lines[1].clone()), None);
    let after = replay.counted();
    assert_eq!(
        (after.steps, after.skipped),
        (before.steps, before.skipped + 1)
    );
}
