//! The machine: inputs and time in, outputs and the next time out.

mod hearing;
mod judging;
mod speaking;
#[cfg(test)]
mod tests;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::event::{Event, Input, Left, Output};
use super::heartbeat::{Role, Station};
use super::liveness::{Deadlines, Peer, SentLog};
use super::ownership::{Group, Leaving};
use super::packet::Dropped;
use super::rules::{Rule, Rules};
use super::settings::Settings;
use super::status::Counters;
use crate::clock::Time;

/// A heartbeat that must be known is sent so many times, until every living peer has echoed it.
const URGENT_REPEATS: u32 = 4;

/// A refusal may be contradicted by a heartbeat for a tenth of a keepalive, but at least so long.
const MIN_GRACE: Duration = Duration::from_millis(2);

/// One director's judgement: who lives, and who owns which group.
///
/// Pure: it reads no clock, owns no socket, and the same inputs at the same times always give the
/// same outputs. See the [module](super) for the protocol and the contract.
#[derive(Debug)]
pub struct Machine {
    pub(super) settings: Settings,
    pub(super) session: u64,
    pub(super) born: Time,
    pub(super) now: Time,
    pub(super) peers: BTreeMap<String, Peer>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) hold: Option<Hold>,
    pub(super) counters: Counters,
    pub(super) rules: Rules,
    counter: u64,
    sent: SentLog,
    next_beat: Time,
    /// A peer has just been heard, and our own heartbeat is about due.
    joins: bool,
    /// The last heartbeat was sent because a peer was heard, and the next one waits for that.
    follows: bool,
    listening: Time,
    doubt: Option<Doubt>,
    stop: Stop,
    /// None of the reachability targets is reached.
    cut_off: bool,
    /// Where we answer for VIPs, or would.
    stations: BTreeSet<Station>,
    urgent: Option<Urgent>,
    /// Something has changed that the others must know at once.
    changed: bool,
    /// Somebody wants to know that it is heard.
    answer: bool,
    judge_at: Option<Time>,
    /// All groups shall be left to others, those of a later configuration too.
    pub(super) standby: bool,
    /// Handovers that an operator waits for, by group.
    asked: BTreeMap<String, u64>,
    outputs: VecDeque<Output>,
}

/// A time of listening before anything is taken.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) since: Time,
    pub(super) until: Time,
    /// Over when all of them have answered what was sent since.
    pub(super) awaiting: BTreeSet<String>,
}

/// After a pause, until the heartbeats that have been waiting in the sockets are read.
#[derive(Debug)]
struct Doubt {
    lasted: Duration,
    /// Peers that have been heard since, by a heartbeat sent after the pause or just
    /// before its end.
    heard: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// Not asked for.
    No,
    /// Groups are being left.
    Leaving,
    /// Nothing is held; the peers have until then to hear it.
    Telling { until: Time },
    /// Over.
    Done,
}

/// A heartbeat that must be known.
#[derive(Clone, Copy, Debug)]
struct Urgent {
    counter: u64,
    repeats: u32,
    next: Time,
}

impl Machine {
    /// A director that has just started: standby everywhere, and it has heard nobody.
    ///
    /// `session` must be random, and another one in each run of the daemon.
    #[must_use]
    pub fn new(settings: Settings, session: u64, now: Time) -> Self {
        Self::with_rules(settings, session, now, Rules::default())
    }

    pub(super) fn with_rules(settings: Settings, session: u64, now: Time, rules: Rules) -> Self {
        let peers = settings
            .peers
            .keys()
            .map(|name| (name.clone(), Peer::new(settings.paths)))
            .collect();
        let groups = settings
            .groups
            .iter()
            .map(|(name, group)| (name.clone(), Group::new(group.clone(), now)))
            .collect();
        let awaiting: BTreeSet<String> = settings.peers.keys().cloned().collect();
        let until = now + settings.timing.initdead;
        let waits = !awaiting.is_empty() && rules.keep(Rule::StartWaits);
        Self {
            hold: waits.then_some(Hold {
                since: now,
                until,
                awaiting,
            }),
            settings,
            session,
            born: now,
            now,
            peers,
            groups,
            counters: Counters::default(),
            rules,
            counter: 0,
            sent: SentLog::default(),
            next_beat: now,
            joins: false,
            follows: false,
            listening: now,
            doubt: None,
            stop: Stop::No,
            cut_off: false,
            stations: BTreeSet::new(),
            urgent: None,
            changed: false,
            answer: false,
            judge_at: None,
            standby: false,
            asked: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Tells the machine what has happened. Afterwards, drain [`poll_output`](Self::poll_output)
    /// and ask [`poll_timeout`](Self::poll_timeout) again.
    ///
    /// `now` never runs backwards: an earlier time is taken for the latest one.
    pub fn handle(&mut self, input: Input, now: Time) {
        if self.stop == Stop::Done {
            return;
        }
        self.now = self.now.max(now);
        self.notice_pause();
        match input {
            Input::Heartbeat {
                path,
                heartbeat,
                waited,
            } => {
                // When a timeout is due as well, others may be waiting in the sockets: to conclude
                // from the first what the next contradicts would be rash.
                let is_due = self.deadline().is_some_and(|at| at <= self.now);
                self.hear(path, &heartbeat, waited);
                if is_due || self.doubt.is_some() {
                    return;
                }
            }
            Input::Refused { path, peer } => {
                self.end_doubt();
                self.refused(path, peer);
            }
            Input::Local {
                group,
                fitness,
                ready,
            } => {
                self.end_doubt();
                if let Some(group) = self.groups.get_mut(&group) {
                    self.changed |= group.fitness != fitness || group.ready != ready;
                    group.fitness = fitness;
                    group.ready = ready;
                }
            }
            Input::CutOff(cut_off) => {
                self.end_doubt();
                if self.cut_off && !cut_off {
                    self.announce_all();
                }
                self.cut_off = cut_off;
            }
            Input::Stations(stations) => {
                self.end_doubt();
                self.stations = stations;
            }
            Input::Partial { group, partial } => {
                self.end_doubt();
                if let Some(group) = self.groups.get_mut(&group) {
                    // Whoever follows must know before it does.
                    self.changed |= group.partial != partial;
                    group.partial = partial;
                }
            }
            Input::Raised { group: _ } => self.end_doubt(),
            Input::Released { group } => {
                self.end_doubt();
                self.released(&group);
            }
            Input::Handover { id, group, to } => {
                self.end_doubt();
                self.hand_over(id, &group, to);
            }
            Input::Standby { id, group, on } => {
                self.end_doubt();
                self.stand_by(id, group.as_deref(), on);
            }
            Input::Settings(settings) => {
                self.end_doubt();
                self.reload(*settings);
            }
            Input::Stop => {
                self.end_doubt();
                if self.stop == Stop::No {
                    self.stop = Stop::Leaving;
                    self.changed = true;
                }
            }
            Input::Timeout => self.end_doubt(),
        }
        self.run();
    }

    /// When to give [`Input::Timeout`] if no other input comes before. Changes with every
    /// [`handle`](Self::handle), and with nothing else. A time that has passed means at once;
    /// `None` that nothing will happen any more.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let waits = !self.outputs.is_empty() || self.doubt.is_some();
        if waits {
            Some(self.now)
        } else {
            self.deadline()
        }
    }

    /// When something is to be done, whether or not anybody says anything.
    fn deadline(&self) -> Option<Time> {
        if self.stop == Stop::Done {
            return None;
        }
        let timing = self.deadlines();
        let telling = match self.stop {
            Stop::Telling { until } => Some(until),
            Stop::No | Stop::Leaving | Stop::Done => None,
        };
        let peers = self.peers.values().filter_map(|peer| peer.deadline(timing));
        peers
            .chain([self.next_beat])
            .chain(self.urgent.map(|urgent| urgent.next))
            .chain(self.hold.as_ref().map(|hold| hold.until))
            .chain(self.judge_at)
            .chain(telling)
            .min()
    }

    /// The next thing to do. They must be done in this order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Counts a datagram that [`Codec::decode`](super::Codec::decode) has refused.
    pub fn count_dropped(&mut self, why: Dropped) {
        *self.counters.dropped.entry(why).or_default() += 1;
    }

    /// When a peer was heard last.
    #[must_use]
    pub fn last_heard(&self, peer: &str) -> Option<Time> {
        self.peers.get(peer)?.heard
    }

    /// When a peer is late, or was: warntime after it was heard last.
    #[must_use]
    pub fn late_at(&self, peer: &str) -> Option<Time> {
        self.peers.get(peer)?.late_at(self.deadlines())
    }

    /// Whether what a peer says may wait to be read until this director speaks next, unless it asks
    /// for an answer: the peer has nothing to be taken over, and nobody waits for anything.
    #[must_use]
    pub fn lets_wait(&self, peer: &str) -> bool {
        let waits = self.hold.is_some()
            || self.doubt.is_some()
            || self.urgent.is_some()
            || self.stop != Stop::No
            || !self.asked.is_empty();
        let gives = || {
            self.groups
                .values()
                .any(|group| group.role == Role::Releasing)
        };
        let is_idle = |peer: &Peer| self.hears(peer) && !peer.held;
        !waits && !gives() && self.peers.get(peer).is_some_and(is_idle)
    }

    pub(super) fn hears(&self, peer: &Peer) -> bool {
        peer.hears(self.settings.deadtime(), self.now)
    }

    fn deadlines(&self) -> Deadlines {
        Deadlines {
            deadtime: self.settings.deadtime(),
            warntime: self.settings.timing.warntime,
            grace: (self.settings.keepalive() / 10).max(MIN_GRACE),
            listening: self.listening,
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn released(&mut self, name: &str) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        match group.role {
            Role::Standby | Role::Active => {}
            Role::Releasing if group.leaving != Some(Leaving::Removing) => {}
            Role::Releasing => {
                group.released(self.now);
                self.changed = true;
            }
        }
        if group.removed && group.role == Role::Standby {
            self.groups.remove(name);
        }
    }

    fn reload(&mut self, settings: Settings) {
        let Settings { cluster, node, .. } = std::mem::replace(&mut self.settings, settings);
        self.settings.cluster = cluster;
        self.settings.node = node;
        self.settings.peers.remove(&self.settings.node);
        let (peers, paths) = (&self.settings.peers, self.settings.paths);
        self.peers.retain(|name, _| peers.contains_key(name));
        for name in peers.keys() {
            self.peers.entry(name.clone()).or_default().set_paths(paths);
        }
        if let Some(hold) = &mut self.hold {
            hold.awaiting.retain(|name| peers.contains_key(name));
        }
        for (name, group) in &mut self.groups {
            group.removed = !self.settings.groups.contains_key(name);
        }
        self.groups
            .retain(|_, group| !group.removed || group.role != Role::Standby);
        for (name, settings) in &self.settings.groups {
            match self.groups.get_mut(name) {
                Some(group) => group.settings = settings.clone(),
                None => {
                    let mut group = Group::new(settings.clone(), self.now);
                    group.standby = self.standby;
                    self.groups.insert(name.clone(), group);
                }
            }
        }
        self.next_beat = self.now;
        self.changed = true;
    }

    fn leave(&mut self, name: &str, why: Left, offer: Option<String>) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let deadtime = self.settings.timing.deadtime;
        group.leave(&why, offer.clone(), deadtime, self.now);
        let group = name.to_owned();
        self.outputs.push_back(match offer {
            Some(to) => Output::Quiet { group, to, why },
            None => Output::Deactivate { group, why },
        });
        self.changed = true;
    }

    /// Draws the conclusions, and speaks if it is time to.
    fn run(&mut self) {
        self.expire();
        if self
            .hold
            .as_ref()
            .is_some_and(|h| h.awaiting.is_empty() || h.until <= self.now)
        {
            self.hold = None;
        }
        let after_send = self.judge();
        self.answer_handovers();
        let stopped = self.go_on_stopping();
        self.speak();
        self.outputs.extend(after_send);
        if stopped {
            self.stop = Stop::Done;
            self.outputs.push_back(Output::Stopped);
        }
    }
}
