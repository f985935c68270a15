//! The machine: inputs and time in, outputs and the next time out.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::event::{DeathCause, Event, Input, Left, Output};
use super::heartbeat::{Claim, Echo, Heartbeat, Role};
use super::liveness::{Accepted, Deadlines, Own, Peer, SentLog};
use super::ownership::{Group, Me, Verdict, View, earlier};
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
    listening: Time,
    doubt: Option<Doubt>,
    stop: Stop,
    /// None of the reachability targets is reached.
    cut_off: bool,
    urgent: Option<Urgent>,
    /// Something has changed that the others must know at once.
    changed: bool,
    /// Somebody wants to know that it is heard.
    answer: bool,
    judge_at: Option<Time>,
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
            listening: now,
            doubt: None,
            stop: Stop::No,
            cut_off: false,
            urgent: None,
            changed: false,
            answer: false,
            judge_at: None,
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
            Input::Heartbeat { path, heartbeat } => {
                // When a timeout is due as well, others may be waiting in the sockets: to conclude
                // from the first what the next contradicts would be rash.
                let is_due = self.deadline().is_some_and(|at| at <= self.now);
                self.hear(path, &heartbeat);
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
                self.cut_off = cut_off;
            }
            Input::Raised { group: _ } => self.end_doubt(),
            Input::Released { group } => {
                self.end_doubt();
                self.released(&group);
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

    pub(super) fn hears(&self, peer: &Peer) -> bool {
        peer.hears(self.settings.deadtime(), self.now)
    }

    fn deadlines(&self) -> Deadlines {
        Deadlines {
            deadtime: self.settings.deadtime(),
            grace: (self.settings.keepalive() / 10).max(MIN_GRACE),
            listening: self.listening,
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// A director that has not sent for longer than deadtime may have been taken for dead.
    fn notice_pause(&mut self) {
        let deadtime = self.settings.deadtime();
        let Some(last) = self.sent.last().filter(|_| self.doubt.is_none()) else {
            return;
        };
        if self.now <= last + deadtime || self.peers.is_empty() {
            return;
        }
        let lasted = self.now - last;
        self.event(Event::Paused { lasted });
        let alive: BTreeSet<String> = self
            .peers
            .iter()
            .filter(|(_, p)| p.alive)
            .map(|(name, _)| name.clone())
            .collect();
        let awaiting = if alive.is_empty() {
            self.peers.keys().cloned().collect()
        } else {
            alive
        };
        // Silence that was not listened to is no silence.
        self.listening = self.now;
        self.changed = true;
        let until = self
            .hold
            .as_ref()
            .map_or(self.now, |hold| hold.until)
            .max(self.now + deadtime);
        self.hold = Some(Hold {
            since: self.now,
            until,
            awaiting,
        });
        self.doubt = Some(Doubt {
            lasted,
            heard: BTreeSet::new(),
        });
        if self.rules.keep(Rule::PauseLeaves) {
            self.groups
                .values_mut()
                .for_each(|group| group.settled = false);
        }
    }

    /// Leaves every group that somebody may have taken during a pause.
    fn end_doubt(&mut self) {
        let Some(doubt) = self.doubt.take() else {
            return;
        };
        if !self.rules.keep(Rule::PauseLeaves) {
            self.hold = None;
            return;
        }
        // A peer that was dead may have come and taken over, and the others need not know yet.
        let all_heard = self.peers.keys().all(|peer| doubt.heard.contains(peer));
        let node = &self.settings.node;
        let mut left = Vec::new();
        for (name, group) in self
            .groups
            .iter_mut()
            .filter(|(_, g)| g.role == Role::Active)
        {
            let mut claims = self.peers.values().filter_map(|peer| peer.claims.get(name));
            let untouched = claims.all(|claim| {
                claim.role == Role::Standby
                    && claim.epoch <= group.epoch
                    && claim.owner.as_ref().is_none_or(|owner| owner == node)
            });
            if all_heard && untouched {
                group.settled = true;
            } else {
                left.push(name.clone());
            }
        }
        for name in left {
            self.leave(
                &name,
                Left::Paused {
                    lasted: doubt.lasted,
                },
                None,
            );
        }
    }

    fn hear(&mut self, path: usize, heartbeat: &Heartbeat) {
        let own = Own {
            name: &self.settings.node,
            session: self.session,
            sent: &self.sent,
            deadtime: self.settings.deadtime(),
            rules: self.rules,
        };
        let result = match self.peers.get_mut(&heartbeat.sender) {
            Some(peer) => peer.accept(path, heartbeat, own, self.now),
            None => Err(Dropped::Sender),
        };
        match result {
            Ok(accepted) => self.heard(path, heartbeat, accepted),
            Err(why) => self.count_dropped(why),
        }
    }

    fn heard(&mut self, path: usize, heartbeat: &Heartbeat, accepted: Accepted) {
        let sender = || heartbeat.sender.clone();
        self.counters.received += 1;
        if accepted.awoke || accepted.restarted {
            let (silence, restarted) = (accepted.silence, accepted.restarted);
            self.event(Event::PeerAlive {
                peer: sender(),
                silence,
                restarted,
            });
            self.changed = true;
        }
        if accepted.path_up {
            self.event(Event::PathUp {
                peer: sender(),
                path,
            });
        }
        let warntime = self.settings.timing.warntime;
        if let Some(interval) = accepted.interval.filter(|interval| *interval > warntime) {
            self.counters.late += 1;
            self.event(Event::Late {
                peer: sender(),
                path,
                interval,
            });
        }
        if let Some(hold) = &mut self.hold
            && accepted.echoed.is_some_and(|sent| sent >= hold.since)
        {
            hold.awaiting.remove(&heartbeat.sender);
        }
        if let Some(doubt) = &mut self.doubt
            && accepted.age <= 2 * self.settings.timing.keepalive
        {
            doubt.heard.insert(sender());
        }
        if accepted.newest {
            self.learn(heartbeat);
        }
    }

    fn learn(&mut self, heartbeat: &Heartbeat) {
        self.answer |= heartbeat.answer;
        for (name, claim) in &heartbeat.claims {
            let Some(group) = self.groups.get_mut(name) else {
                continue;
            };
            group.seen = group.seen.max(claim.epoch);
            group.settled |= claim.role == Role::Active;
        }
        let holds_none = heartbeat
            .claims
            .values()
            .all(|claim| claim.role == Role::Standby);
        let Some(peer) = self.peers.get_mut(&heartbeat.sender) else {
            return;
        };
        if peer.alive && heartbeat.stopping && holds_none {
            peer.die(DeathCause::Stopped, self.now);
            let (peer, silence) = (heartbeat.sender.clone(), Duration::ZERO);
            self.event(Event::PeerDead {
                peer,
                silence,
                cause: DeathCause::Stopped,
            });
            self.changed = true;
        }
    }

    fn refused(&mut self, path: usize, name: String) {
        let Some(peer) = self.peers.get_mut(&name) else {
            return;
        };
        if peer.refuse(path, self.now) {
            self.event(Event::Refused { peer: name, path });
            // Whoever is there after all shall say so at once.
            self.changed = true;
        }
    }

    fn released(&mut self, name: &str) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        match group.role {
            Role::Standby | Role::Active => {}
            Role::Releasing => {
                group.released(self.settings.timing.deadtime, self.now);
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
                    self.groups
                        .insert(name.clone(), Group::new(settings.clone(), self.now));
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
        group.leave(&why, offer, self.settings.timing.deadtime, self.now);
        self.outputs.push_back(Output::Deactivate {
            group: name.to_owned(),
            why,
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
        let stopped = self.go_on_stopping();
        self.speak();
        self.outputs.extend(after_send);
        if stopped {
            self.stop = Stop::Done;
            self.outputs.push_back(Output::Stopped);
        }
    }

    fn expire(&mut self) {
        let timing = self.deadlines();
        let mut events = Vec::new();
        for (name, peer) in &mut self.peers {
            let name = || name.clone();
            let (down, death) = peer.expire(timing, self.now);
            events.extend(
                down.into_iter()
                    .map(|path| Event::PathDown { peer: name(), path }),
            );
            if let Some(cause) = death {
                let silence = peer.heard.map_or(Duration::ZERO, |heard| self.now - heard);
                events.push(Event::PeerDead {
                    peer: name(),
                    silence,
                    cause,
                });
                self.changed = true;
            }
            let hears_us = peer.hears(timing.deadtime, self.now);
            if peer.hears_us != hears_us {
                peer.hears_us = hears_us;
                events.push(Event::Hears {
                    peer: name(),
                    hears_us,
                });
            }
            let same = peer.digest.map(|digest| digest == self.settings.digest);
            if let Some(same) = same.filter(|_| peer.same_config != same) {
                peer.same_config = Some(same);
                events.push(Event::Config { peer: name(), same });
            }
        }
        events.into_iter().for_each(|event| self.event(event));
    }

    /// Judges every group. What must not be done before the others are told is returned.
    fn judge(&mut self) -> Vec<Output> {
        let me = Me {
            name: &self.settings.node,
            priority: self.settings.priority,
            stopping: self.stop != Stop::No,
            waiting: self.hold.is_some(),
            cut_off: self.cut_off,
            start_ends: self.born + self.settings.timing.initdead,
            deadtime: self.settings.timing.deadtime,
            rules: self.rules,
        };
        let timing = self.deadlines();
        let mut left = Vec::new();
        let mut after = Vec::new();
        self.judge_at = None;
        for (name, group) in &mut self.groups {
            let views = views(&self.peers, name, timing, self.now);
            let heard = group.heard_owner(me.name).map(str::to_owned);
            let (came, went) = group.note_rivals(&views);
            self.changed |= !came.is_empty();
            let event = |event| Output::Event(event);
            let to = |rival: String| (name.clone(), rival);
            for (group, rival) in came.into_iter().map(to) {
                self.outputs
                    .push_back(event(Event::Conflict { group, rival }));
            }
            let mut announce = group.role == Role::Active && !went.is_empty();
            for (group, rival) in went.into_iter().map(to) {
                self.outputs
                    .push_back(event(Event::ConflictOver { group, rival }));
            }
            let (verdict, at) = group.judge(me, &views, self.now);
            self.judge_at = earlier(self.judge_at, at);
            match verdict {
                Verdict::Keep => announce |= group.prevail(&views, self.rules),
                Verdict::Unfit => {
                    self.outputs.push_back(event(Event::Unfit {
                        group: name.clone(),
                    }));
                }
                Verdict::Take(why) => {
                    group.take(&why, self.rules, self.now);
                    self.counters.takeovers += 1;
                    let (group, epoch) = (name.clone(), group.epoch);
                    after.push(Output::Activate { group, epoch, why });
                    self.changed = true;
                }
                Verdict::Leave(why, offer) => {
                    announce = false;
                    left.push((name.clone(), why, offer));
                }
            }
            if announce {
                after.push(Output::Announce {
                    group: name.clone(),
                });
                self.changed = true;
            }
            self.changed |= heard.as_deref() != group.heard_owner(me.name);
        }
        for (name, why, offer) in left {
            self.leave(&name, why, offer);
        }
        after
    }

    /// Whether a stop is over.
    fn go_on_stopping(&mut self) -> bool {
        let holds_none = self
            .groups
            .values()
            .all(|group| group.role == Role::Standby);
        match self.stop {
            Stop::No | Stop::Done => false,
            Stop::Leaving if !holds_none => false,
            Stop::Leaving => {
                self.changed = true;
                let until = self.now + self.settings.keepalive();
                self.stop = Stop::Telling { until };
                false
            }
            Stop::Telling { until } => until <= self.now || self.urgent_is_known(),
        }
    }

    fn urgent_is_known(&self) -> bool {
        self.urgent.is_none_or(|urgent| {
            self.peers
                .values()
                .filter(|peer| peer.alive)
                .all(|peer| peer.knows(urgent.counter))
        })
    }

    /// Sends a heartbeat if it is time for one, or if there is something to say at once.
    fn speak(&mut self) {
        if self.urgent_is_known() {
            self.urgent = None;
        }
        let urgently = self.changed && self.rules.keep(Rule::ChangesAreUrgent);
        let again = self.urgent.is_some_and(|urgent| urgent.next <= self.now);
        if !urgently && !again && !self.answer && self.next_beat > self.now {
            return;
        }
        self.counter += 1;
        let pause = self.settings.keepalive() / URGENT_REPEATS;
        let next = self.now + pause;
        self.urgent = match self.urgent {
            _ if urgently => Some(Urgent {
                counter: self.counter,
                repeats: URGENT_REPEATS - 1,
                next,
            }),
            Some(urgent) if again => (urgent.repeats > 1).then_some(Urgent {
                repeats: urgent.repeats - 1,
                next,
                ..urgent
            }),
            kept => kept,
        };
        self.changed = false;
        self.answer = false;
        self.next_beat = self.now + self.settings.keepalive();
        self.sent
            .add(self.counter, self.now, self.settings.deadtime());
        self.counters.sent += 1;
        let heartbeat = self.heartbeat();
        self.outputs.push_back(Output::Send(heartbeat));
    }

    fn heartbeat(&self) -> Heartbeat {
        let echoes: BTreeMap<String, Echo> = self
            .peers
            .iter()
            .filter_map(|(name, peer)| Some((name.clone(), peer.echo(self.counter, self.now)?)))
            .collect();
        let claims = self
            .groups
            .iter()
            .map(|(name, group)| {
                let claim = Claim {
                    role: group.role,
                    epoch: if group.role == Role::Standby {
                        group.seen
                    } else {
                        group.epoch
                    },
                    standing: group.standing(self.settings.priority),
                    owner: group.heard_owner(&self.settings.node).map(str::to_owned),
                    offer: group.offered.as_ref().map(|(to, _)| to.clone()),
                };
                (name.clone(), claim)
            })
            .collect();
        Heartbeat {
            sender: self.settings.node.clone(),
            session: self.session,
            counter: self.counter,
            clock: Duration::from_micros(
                u64::try_from((self.now - self.born).as_micros()).unwrap_or(u64::MAX),
            ),
            digest: self.settings.digest,
            stopping: self.stop != Stop::No,
            answer: self.urgent.is_some(),
            echoes,
            claims,
        }
    }
}

/// The peers as far as one group is concerned.
fn views<'a>(
    peers: &'a BTreeMap<String, Peer>,
    group: &str,
    timing: Deadlines,
    now: Time,
) -> Vec<View<'a>> {
    peers
        .iter()
        .map(|(name, peer)| View {
            name,
            alive: peer.alive,
            death: peer.death,
            stopping: peer.stopping,
            hears_us: peer.hears(timing.deadtime, now),
            deaf_at: peer.deaf_at(timing),
            claim: peer.claims.get(group),
        })
        .collect()
}
