//! What is known of one peer: which of its words to trust, and whether it lives.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::event::DeathCause;
use super::heartbeat::{Claim, Echo, Heartbeat, Role, Station};
use super::histogram::Histogram;
use super::packet::Dropped;
use super::rhythm::Rhythm;
use super::rules::{Rule, Rules};
use crate::clock::Time;
use crate::config::model::Digest;

/// Sessions of a peer that wait for proof. More are only ever seen under attack; then the one
/// heard longest ago makes room.
const MAX_CANDIDATES: usize = 4;

/// Two clocks may differ by one part in this many: the kernel slews a clock by at most 500 ppm
/// (adjtimex(2)), and both may be slewed, in opposite directions.
const CLOCK_DRIFT: u32 = 1000;

/// When this director's latest heartbeats were sent; what a peer echoes is looked up here.
#[derive(Debug, Default)]
pub(super) struct SentLog(VecDeque<(u64, Time)>);

impl SentLog {
    pub(super) fn add(&mut self, counter: u64, now: Time, deadtime: Duration) {
        while self
            .0
            .front()
            .is_some_and(|(_, sent)| *sent + deadtime <= now)
        {
            self.0.pop_front();
        }
        self.0.push_back((counter, now));
    }

    /// When the heartbeat was sent; `None` if never, or deadtime ago or longer.
    fn recent(&self, counter: u64, now: Time, deadtime: Duration) -> Option<Time> {
        let i = self
            .0
            .binary_search_by_key(&counter, |(sent, _)| *sent)
            .ok()?;
        let (_, sent) = self.0.get(i)?;
        (*sent + deadtime > now).then_some(*sent)
    }

    pub(super) fn last(&self) -> Option<Time> {
        self.0.back().map(|(_, sent)| *sent)
    }
}

/// What this director needs to know of itself to judge a heartbeat.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) name: &'a str,
    pub(super) session: u64,
    pub(super) sent: &'a SentLog,
    pub(super) keepalive: Duration,
    pub(super) warntime: Duration,
    pub(super) deadtime: Duration,
    pub(super) rules: Rules,
}

/// A heartbeat that is trusted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Accepted {
    /// The peer was not alive before; `silence` before this heartbeat.
    pub(super) awoke: bool,
    pub(super) silence: Option<Duration>,
    /// Another session was known.
    pub(super) restarted: bool,
    /// The path was down.
    pub(super) path_up: bool,
    /// Since the heartbeat before on this path, if the path was up.
    pub(super) interval: Option<Duration>,
    /// No newer one has been heard, so its claims count.
    pub(super) newest: bool,
    /// How old it is at least.
    pub(super) age: Duration,
    /// When the heartbeat of ours was sent that it proves to have been heard.
    pub(super) echoed: Option<Time>,
}

#[derive(Debug)]
struct Session {
    id: u64,
    /// The newest counter, and when it was heard.
    counter: u64,
    heard: Time,
    /// At the last proof: our time, and the sender's clock.
    base: (Time, Duration),
}

#[derive(Debug)]
struct Candidate {
    counter: u64,
    heard: Time,
}

/// One path to the peer.
#[derive(Debug, Default)]
pub(super) struct Path {
    counter: Option<u64>,
    pub(super) heard: Option<Time>,
    pub(super) up: bool,
    /// First refusal since the last heartbeat on it.
    refused: Option<Time>,
    /// Between two heartbeats, while it was up.
    pub(super) intervals: Histogram,
    /// Intervals longer than warntime.
    pub(super) late: u64,
    /// Heartbeats of the peer that did not come by it, while it was up.
    pub(super) lost: u64,
    /// To the peer by its fastest path, and back by this one, as last measured.
    pub(super) round_trip: Option<Duration>,
}

/// What is known of one peer.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) paths: Vec<Path>,
    session: Option<Session>,
    /// Former sessions, and since when nothing has been heard of them.
    retired: BTreeMap<u64, Time>,
    candidates: BTreeMap<u64, Candidate>,
    /// Our newest heartbeat that the peer has echoed: its counter and when it was sent.
    echoed: Option<(u64, Time)>,
    pub(super) round_trip: Option<Duration>,
    pub(super) rhythm: Rhythm,
    pub(super) alive: bool,
    /// Since when it has been alive, or dead.
    since: Time,
    pub(super) heard: Option<Time>,
    pub(super) death: Option<DeathCause>,
    /// What the last event said.
    pub(super) hears_us: bool,
    pub(super) digest: Option<Digest>,
    /// What the last event said.
    pub(super) same_config: Option<bool>,
    /// Its digest and ours, as compared last.
    pub(super) compared: Option<(Digest, Digest)>,
    pub(super) stopping: bool,
    pub(super) claims: BTreeMap<String, Claim>,
    /// What it claimed last was more than to stand by. Its last word, which others speak, is none.
    pub(super) held: bool,
    /// Where it said last that it answers for VIPs, alive or dead.
    pub(super) stations: BTreeSet<Station>,
}

impl Peer {
    /// Whether its host may serve a group still: it said last that it has one, or that it is leaving
    /// one. A host whose daemon is known to be gone does so for deadtime at most, in which its guard
    /// gives the groups up; one that is merely silent, until it is heard.
    pub(super) fn holds(&self, deadtime: Duration, now: Time) -> bool {
        let gone = self.death.is_some_and(|cause| cause != DeathCause::Silence);
        self.held && (self.alive || !gone || now < self.since + deadtime)
    }

    pub(super) fn new(paths: usize) -> Self {
        let mut peer = Self::default();
        peer.set_paths(paths);
        peer
    }

    pub(super) fn set_paths(&mut self, paths: usize) {
        self.paths.resize_with(paths, Path::default);
    }

    /// Judges a heartbeat that came in at `arrived`, and if it is trusted remembers what it says.
    pub(super) fn accept(
        &mut self,
        path: usize,
        heartbeat: &Heartbeat,
        own: Own<'_>,
        arrived: Time,
        now: Time,
    ) -> Result<Accepted, Dropped> {
        let proof = heartbeat
            .echoes
            .get(own.name)
            .filter(|echo| echo.session == own.session)
            .and_then(|echo| Some((*echo, own.sent.recent(echo.counter, now, own.deadtime)?)));
        let known = self.session.as_ref().filter(|s| s.id == heartbeat.session);
        let last = self.paths.get(path).ok_or(Dropped::Path)?.counter;
        let age = known.map_or(Duration::ZERO, |session| {
            let (time, clock) = session.base;
            (now + clock).saturating_sub(time.saturating_add(heartbeat.clock))
        });
        let mut restarted = false;
        if let Some(session) = known {
            let repeated = last.is_some_and(|last| heartbeat.counter <= last);
            if repeated && own.rules.keep(Rule::CounterGrows) {
                return Err(Dropped::Replayed);
            }
            let drift = now.saturating_sub(session.base.0) / CLOCK_DRIFT;
            let stale = proof.is_none() && age > own.deadtime + drift;
            if stale && own.rules.keep(Rule::StaleIsDropped) {
                return Err(Dropped::Stale);
            }
        } else {
            if let Some(silent) = self.retired.get_mut(&heartbeat.session)
                && own.rules.keep(Rule::SessionRetires)
            {
                *silent = now;
                return Err(Dropped::Session);
            }
            if proof.is_none() && own.rules.keep(Rule::SessionNeedsProof) {
                self.add_candidate(heartbeat, now);
                return Err(Dropped::Unproven);
            }
            restarted = self.session.is_some();
            self.begin_session(heartbeat, arrived);
        }
        let accepted = Accepted {
            restarted,
            age,
            echoed: proof.map(|(_, sent)| sent),
            ..Accepted::default()
        };
        Ok(self.remember(path, heartbeat, proof, accepted, own, arrived))
    }

    /// Somebody answered a heartbeat of ours that nobody listens there. Tells whether that is
    /// news.
    pub(super) fn refuse(&mut self, path: usize, now: Time) -> bool {
        let Some(path) = self.paths.get_mut(path).filter(|p| self.alive && p.up) else {
            return false;
        };
        let news = path.refused.is_none();
        path.refused.get_or_insert(now);
        news
    }

    /// Takes note of what deadtime has ended: paths that went down, and how the peer died if it
    /// did. Silence before `listening` does not count.
    pub(super) fn expire(
        &mut self,
        timing: Deadlines,
        now: Time,
    ) -> (Vec<usize>, Option<DeathCause>) {
        self.retired
            .retain(|_, silent| *silent + 2 * timing.deadtime > now);
        self.candidates
            .retain(|_, candidate| candidate.heard + timing.deadtime > now);
        let cause = if !self.alive {
            None
        } else if self.silent_at(timing).is_some_and(|at| at <= now) {
            Some(DeathCause::Silence)
        } else if self.refused_at(timing).is_some_and(|at| at <= now) {
            Some(DeathCause::Refused)
        } else {
            None
        };
        let mut down = Vec::new();
        for (i, path) in self
            .paths
            .iter_mut()
            .enumerate()
            .filter(|(_, path)| path.up)
        {
            if cause.is_some() || path.silent_at(timing).is_some_and(|at| at <= now) {
                path.up = false;
                path.refused = None;
                down.push(i);
            }
        }
        if let Some(cause) = cause {
            self.die(cause, now);
        }
        (down, cause)
    }

    /// The next time at which [`expire`](Self::expire) or [`hears_us`](Self::hears) may change.
    pub(super) fn deadline(&self, timing: Deadlines) -> Option<Time> {
        if !self.alive {
            return None;
        }
        let hears = self
            .echoed
            .filter(|_| self.hears_us)
            .map(|(_, sent)| sent + timing.deadtime);
        let paths = self
            .paths
            .iter()
            .filter(|path| path.up)
            .filter_map(|p| p.silent_at(timing));
        paths
            .chain(self.silent_at(timing))
            .chain(self.refused_at(timing))
            .chain(hears)
            .min()
    }

    pub(super) fn die(&mut self, cause: DeathCause, now: Time) {
        self.alive = false;
        self.since = now;
        self.death = Some(cause);
        self.paths.iter_mut().for_each(|path| path.up = false);
    }

    /// Whether it lives and has shown within deadtime that it hears us.
    pub(super) fn hears(&self, deadtime: Duration, now: Time) -> bool {
        self.alive && self.echoed.is_some_and(|(_, sent)| sent + deadtime > now)
    }

    /// Whether it lives and has been silent for longer than warntime.
    pub(super) fn is_late(&self, timing: Deadlines, now: Time) -> bool {
        self.alive && self.late_at(timing).is_some_and(|at| now > at)
    }

    /// When it has been silent for warntime, unless it is heard before. Silence before `listening`
    /// does not count.
    pub(super) fn late_at(&self, timing: Deadlines) -> Option<Time> {
        Some(self.heard?.max(timing.listening) + timing.warntime)
    }

    /// When a peer that speaks and does not hear us has had the time to.
    pub(super) fn deaf_at(&self, timing: Deadlines) -> Time {
        let echoed = self.echoed.map_or(self.since, |(_, sent)| sent);
        echoed.max(self.since).max(timing.listening) + timing.deadtime
    }

    /// The sections in which its configuration differs.
    pub(super) fn differing(&self) -> Vec<String> {
        let sections = self.compared.map(|(theirs, ours)| theirs.differing(&ours));
        let sections = sections.into_iter().flatten();
        sections.map(str::to_owned).collect()
    }

    /// Whether it has heard our heartbeat of this counter or a later one.
    pub(super) fn knows(&self, counter: u64) -> bool {
        self.echoed.is_some_and(|(echoed, _)| echoed >= counter)
    }

    /// What to echo to it. With no session yet, each candidate in its turn.
    pub(super) fn echo(&self, turn: u64, now: Time) -> Option<Echo> {
        let (id, counter, heard) = match &self.session {
            Some(session) => (session.id, session.counter, session.heard),
            None => {
                let turns = u64::try_from(self.candidates.len())
                    .ok()
                    .filter(|n| *n > 0)?;
                let i = usize::try_from(turn % turns).ok()?;
                let (id, candidate) = self.candidates.iter().nth(i)?;
                (*id, candidate.counter, candidate.heard)
            }
        };
        Some(Echo {
            session: id,
            counter,
            held: now.saturating_sub(heard),
        })
    }

    fn silent_at(&self, timing: Deadlines) -> Option<Time> {
        Some(self.heard?.max(timing.listening) + timing.deadtime)
    }

    fn refused_at(&self, timing: Deadlines) -> Option<Time> {
        let mut latest = None;
        for path in self.paths.iter().filter(|path| path.up) {
            latest = latest.max(Some(path.refused?));
        }
        Some(latest? + timing.grace)
    }

    fn add_candidate(&mut self, heartbeat: &Heartbeat, now: Time) {
        let counter = heartbeat.counter;
        if let Some(candidate) = self.candidates.get_mut(&heartbeat.session) {
            candidate.heard = now;
            candidate.counter = candidate.counter.max(counter);
            return;
        }
        if self.candidates.len() >= MAX_CANDIDATES {
            let oldest = self
                .candidates
                .iter()
                .min_by_key(|(_, c)| c.heard)
                .map(|(id, _)| *id);
            oldest.and_then(|id| self.candidates.remove(&id));
        }
        self.candidates.insert(
            heartbeat.session,
            Candidate {
                counter,
                heard: now,
            },
        );
    }

    fn begin_session(&mut self, heartbeat: &Heartbeat, now: Time) {
        if let Some(old) = self.session.take() {
            self.retired.insert(old.id, now);
        }
        self.session = Some(Session {
            id: heartbeat.session,
            counter: 0,
            heard: now,
            base: (now, heartbeat.clock),
        });
        self.candidates.clear();
        self.paths.iter_mut().for_each(|path| path.counter = None);
        self.claims.clear();
        self.echoed = None;
    }

    /// Counts a heartbeat, if it is the first of its counter, while the session goes on.
    fn listen_to_the_beat(&mut self, counter: u64, own: Own<'_>, now: Time) {
        let Some(session) = self.session.as_ref().filter(|s| s.counter > 0) else {
            return;
        };
        let gap = counter.saturating_sub(session.counter);
        if gap == 0 {
            return;
        }
        if self.alive {
            let interval = now.saturating_sub(session.heard);
            self.rhythm.add(interval, gap, own.keepalive, own.deadtime);
        } else if self.death == Some(DeathCause::Silence) {
            self.rhythm.returns += 1;
        }
    }

    fn remember(
        &mut self,
        path: usize,
        heartbeat: &Heartbeat,
        proof: Option<(Echo, Time)>,
        mut accepted: Accepted,
        own: Own<'_>,
        arrived: Time,
    ) -> Accepted {
        if !heartbeat.is_last_word() {
            self.listen_to_the_beat(heartbeat.counter, own, arrived);
        }
        let round_trip =
            proof.map(|(echo, sent)| arrived.saturating_sub(sent).saturating_sub(echo.held));
        if let Some(session) = &mut self.session {
            if proof.is_some() {
                session.base = (arrived, heartbeat.clock);
            }
            accepted.newest = session.counter < heartbeat.counter;
            if accepted.newest {
                session.counter = heartbeat.counter;
                session.heard = arrived;
            }
        }
        if let Some((echo, sent)) = proof
            && self
                .echoed
                .is_none_or(|(counter, _)| counter < echo.counter)
        {
            self.echoed = Some((echo.counter, sent));
            self.round_trip = round_trip;
        }
        accepted.silence = self.heard.map(|at| arrived.saturating_sub(at));
        // Who has said that it stops repeats it for a while, and its last word says that it died;
        // that is no life.
        let stopped = self.death == Some(DeathCause::Stopped) && !accepted.restarted
            || heartbeat.is_last_word();
        accepted.awoke = !self.alive && !stopped;
        if accepted.awoke {
            self.alive = true;
            self.since = arrived;
            self.death = None;
        }
        self.heard = self.heard.max(Some(arrived));
        if let Some(path) = self.paths.get_mut(path) {
            accepted.path_up = self.alive && !path.up;
            accepted.interval = path
                .heard
                .filter(|_| path.up)
                .map(|at| arrived.saturating_sub(at));
            if !heartbeat.is_last_word() {
                path.measure(heartbeat.counter, accepted.interval, own.warntime);
            }
            path.round_trip = round_trip.or(path.round_trip);
            path.counter = Some(heartbeat.counter);
            path.heard = Some(arrived);
            path.up = self.alive;
            path.refused = None;
        }
        if accepted.newest {
            self.digest = Some(heartbeat.digest);
            self.stopping = heartbeat.stopping;
            self.claims.clone_from(&heartbeat.claims);
            if !heartbeat.is_last_word() {
                let mut claims = heartbeat.claims.values();
                self.held = claims.any(|claim| claim.role != Role::Standby);
            }
        }
        accepted
    }
}

impl Path {
    /// Counts a heartbeat that came `interval` after the one before, while the path was up.
    fn measure(&mut self, counter: u64, interval: Option<Duration>, warntime: Duration) {
        let (Some(interval), Some(last)) = (interval, self.counter) else {
            return;
        };
        self.intervals.add(interval);
        self.late += u64::from(interval > warntime);
        let lost = counter.saturating_sub(last).saturating_sub(1);
        self.lost = self.lost.saturating_add(lost);
    }

    fn silent_at(&self, timing: Deadlines) -> Option<Time> {
        Some(self.heard?.max(timing.listening) + timing.deadtime)
    }
}

/// What deadlines are counted from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    pub(super) deadtime: Duration,
    pub(super) warntime: Duration,
    /// How long a refusal may be contradicted.
    pub(super) grace: Duration,
    /// Since when this director has been listening without a pause.
    pub(super) listening: Time,
}
