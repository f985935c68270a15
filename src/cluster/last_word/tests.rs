use crate::clock::Time;
use crate::cluster::event::{DeathCause, Event, Input, Output, Taken};
use crate::cluster::machine::Machine;
use crate::cluster::sim::timing;
use crate::cluster::{Fitness, GroupSettings, PeerSettings};
use crate::config::model::{Digest, Failback};

use super::*;

const STEP: Duration = Duration::from_millis(1);

fn settings(node: &str, peer: &str, priority: u16) -> Settings {
    let group = GroupSettings {
        failback: Failback::Manual,
        preferred: false,
    };
    Settings {
        cluster: "test".to_owned(),
        node: node.to_owned(),
        priority,
        paths: 2,
        timing: timing(),
        peers: [(peer.to_owned(), PeerSettings { priority: 1 })].into(),
        groups: [("g".to_owned(), group)].into(),
        digest: Digest::default(),
    }
}

/// Two directors that hear each other on two paths; what each has done.
struct Two {
    now: Time,
    machines: [Option<Machine>; 2],
    done: [Vec<Output>; 2],
}

impl Two {
    fn settled() -> Self {
        let now = Duration::from_secs(1000);
        let mut two = Self {
            now,
            machines: [None, None],
            done: [Vec::new(), Vec::new()],
        };
        two.start(0, 1);
        two.start(1, 2);
        two.pass(1000);
        assert!(two.has_activated(0) && !two.has_activated(1));
        two.done = [Vec::new(), Vec::new()];
        two
    }

    fn start(&mut self, index: usize, session: u64) {
        let (node, peer, priority) = [("a", "b", 150), ("b", "a", 100)][index];
        let mut machine = Machine::new(settings(node, peer, priority), session, self.now);
        let (group, fitness, ready) = ("g".to_owned(), Fitness::FULL, true);
        machine.handle(
            Input::Local {
                group,
                fitness,
                ready,
            },
            self.now,
        );
        self.machines[index] = Some(machine);
    }

    fn pass(&mut self, steps: u32) {
        for _ in 0..steps {
            self.now += STEP;
            for index in 0..2 {
                let now = self.now;
                if let Some(machine) = &mut self.machines[index]
                    && machine.poll_timeout().is_some_and(|at| at <= now)
                {
                    machine.handle(Input::Timeout, now);
                }
                self.drain(index);
            }
        }
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.machines[index].as_mut().and_then(Machine::poll_output) {
            self.done[index].push(output.clone());
            let now = self.now;
            let input = match output {
                Output::Send(heartbeat) => {
                    self.hear(1 - index, heartbeat);
                    continue;
                }
                Output::Activate { group, .. } => Input::Raised { group },
                Output::Deactivate { group, .. } => Input::Released { group },
                _ => continue,
            };
            if let Some(machine) = &mut self.machines[index] {
                machine.handle(input, now);
            }
        }
    }

    /// By both paths.
    fn hear(&mut self, index: usize, heartbeat: Heartbeat) {
        let now = self.now;
        let Some(machine) = &mut self.machines[index] else {
            return;
        };
        for path in 0..2 {
            let heartbeat = heartbeat.clone();
            machine.handle(Input::heard(path, heartbeat), now);
        }
    }

    fn has_activated(&self, index: usize) -> bool {
        let activated = |output: &Output| matches!(output, Output::Activate { .. });
        self.done[index].iter().any(activated)
    }

    /// How the other died, each time.
    fn deaths(&self, index: usize) -> Vec<DeathCause> {
        let deaths = self.done[index].iter().filter_map(|output| match output {
            Output::Event(Event::PeerDead { cause, .. }) => Some(*cause),
            _ => None,
        });
        deaths.collect()
    }
}

#[test]
fn the_last_word_of_an_active_director_makes_its_peer_take_over_at_once() {
    let mut two = Two::settled();
    two.machines[0] = None;
    two.hear(1, Heartbeat::last_word(&settings("a", "b", 150), 1));
    two.drain(1);
    assert_eq!(two.deaths(1), [DeathCause::Refused]);
    let why = two.done[1].iter().find_map(|output| match output {
        Output::Activate { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why, Some(Taken::Refused { by: "a".to_owned() }));

    // Repeated, it changes nothing; and the next run is welcome.
    two.hear(1, Heartbeat::last_word(&settings("a", "b", 150), 1));
    two.pass(1000);
    assert_eq!(two.deaths(1).len(), 1);
    two.start(0, 3);
    two.pass(1000);
    assert_eq!(two.deaths(1).len(), 1);
    let alive = two.done[1].iter().any(
        |output| matches!(output, Output::Event(Event::PeerAlive { restarted, .. }) if *restarted),
    );
    assert!(alive, "the next run is heard");
    assert!(!two.has_activated(0), "and finds that it has been followed");
}

#[test]
fn the_last_word_of_another_session_is_none() {
    let mut two = Two::settled();
    for session in [7, 2] {
        two.hear(1, Heartbeat::last_word(&settings("a", "b", 150), session));
    }
    two.pass(1000);
    assert_eq!(two.deaths(1), []);
    assert!(!two.has_activated(1));
}

#[test]
fn a_last_word_is_no_loss_of_heartbeats() {
    let mut two = Two::settled();
    two.machines[0] = None;
    two.hear(1, Heartbeat::last_word(&settings("a", "b", 150), 1));
    let status = two.machines[1].as_ref().unwrap().status(two.now);
    assert_eq!(status.peers[0].rhythm.lost, 0);
    assert_eq!(status.peers[0].rhythm.returns, 0);
    assert!(status.peers[0].paths.iter().all(|path| path.lost == 0));
}
