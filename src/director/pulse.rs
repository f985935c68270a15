//! The heartbeat thread: it owns the cluster machine, the VIPs and the sockets of both.
//!
//! Nothing else runs in it, and it waits for nothing but its own sockets and timers. Others reach
//! it by [`Pulse::tell`], which never waits either, and hear from it by reports, when something has
//! happened or somebody asks. It drops them rather than wait for somebody to read them: the next one
//! has all that is known again, and what has happened since the last one that was read.

mod command;
mod groups;
mod perform;
mod report;
mod takeover;
mod turn;
mod witnesses;

pub(super) use command::{Command, Teller};
pub(super) use report::Report;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::fitness::Reach;
use super::paths::Paths;
use super::realtime;
use super::recorder::Recorded;
use super::watchdog::Beats;
use crate::clock::{self, Time};
use crate::cluster::{Answer, Codec, Input, Station};
use crate::config::model::Config;
use crate::lvs::sync::{self, Duty};
use crate::vip::Vips;
use command::Ear;
use groups::Groups;
use report::{Known, Reporter};
use takeover::Chronicle;
use turn::Woken;
use witnesses::Witnesses;

/// What the thread is made of; opened where errors can still be told.
pub(super) struct Parts {
    /// The ways of heartbeats.
    pub(super) paths: Paths,
    /// The kernel's addresses.
    pub(super) vips: Vips,
    /// From and to datagrams.
    pub(super) codec: Codec,
    /// Who lives and who owns.
    pub(super) machine: Recorded,
    /// Whether this director has a group, for its kernel.
    pub(super) duty: Duty,
    /// Counts the thread's turns, for watchdogs.
    pub(super) beats: Beats,
}

/// The way to the running thread.
#[derive(Debug)]
pub(super) struct Pulse {
    teller: Teller,
    thread: JoinHandle<()>,
}

impl Pulse {
    /// Starts the thread. It ends, and the reports with it, after [`Command::Stop`].
    pub(super) fn spawn(
        parts: Parts,
        config: &Config,
    ) -> io::Result<(Self, mpsc::Receiver<Report>)> {
        let (teller, ear) = command::channel()?;
        let (reporter, receiver) = Reporter::new();
        let mut work = Work::new(
            parts,
            config,
            ear,
            reporter,
            Witnesses::new(config, teller.clone())?,
        );
        // Before anybody asks whether this director has a group.
        work.adopt(clock::now());
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || {
                if let Err(error) = realtime::raise_priority() {
                    tracing::warn!(error = %words::of(&error), "heartbeats run without real-time priority");
                }
                work.run();
            })?;
        Ok((Self { teller, thread }, receiver))
    }

    /// As of [`Teller::tell`].
    pub(super) fn tell(&self, command: Command) -> bool {
        self.teller.tell(command)
    }

    /// For others who have something to tell.
    pub(super) fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Waits for the thread's end.
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the heartbeat thread panicked");
        }
    }
}

/// What the thread runs.
struct Work {
    paths: Paths,
    vips: Vips,
    codec: Codec,
    machine: Recorded,
    duty: Duty,
    beats: Beats,
    groups: Groups,
    /// How many reachability targets answer, as was told last.
    reach: Option<Reach>,
    ear: Ear,
    reporter: Reporter,
    sent: u64,
    chronicle: Chronicle,
    witnesses: Witnesses,
    /// Operators who wait for an answer.
    asked: BTreeMap<u64, oneshot::Sender<Answer>>,
    last_asked: u64,
    /// Where VIPs are answered for here, as was told last.
    stations: BTreeSet<Station>,
    /// The peers that may serve groups, as was told last.
    holders: Vec<String>,
    keepalive: Duration,
    /// When anybody was heard last.
    heard: Time,
    busy_turns: u32,
    stopped: bool,
}

impl Work {
    fn new(
        parts: Parts,
        config: &Config,
        ear: Ear,
        reporter: Reporter,
        witnesses: Witnesses,
    ) -> Self {
        let Parts {
            paths,
            vips,
            codec,
            machine,
            duty,
            beats,
        } = parts;
        Self {
            paths,
            vips,
            codec,
            machine,
            duty,
            beats,
            groups: Groups::new(config, clock::now()),
            reach: None,
            ear,
            reporter,
            sent: 0,
            chronicle: Chronicle::default(),
            witnesses,
            asked: BTreeMap::new(),
            last_asked: 0,
            stations: BTreeSet::new(),
            holders: Vec::new(),
            keepalive: config.heartbeat.keepalive,
            heard: Time::ZERO,
            busy_turns: 0,
            stopped: false,
        }
    }

    fn run(&mut self) {
        let now = clock::now();
        self.tell_stations(now);
        self.tell_fitness(now);
        let mut woken = Woken::default();
        loop {
            self.beats.beat();
            let now = clock::now();
            self.note_first_packets(now);
            // What waits in the sockets comes first: after a pause it tells whether anybody has
            // taken over (see the machine's contract).
            self.receive(now, &woken);
            if woken.told {
                self.tell_stations(now);
            }
            // Now and then uncalled: whoever has gone calls nobody.
            if woken.called || now >= self.reporter.due() {
                self.obey(now);
            }
            let link = |name: &str| self.vips.link_index(name);
            self.sent += self.paths.handle_timeout(now, link);
            let due = self.machine.get().poll_timeout();
            if due.is_some_and(|due| due <= now) {
                self.machine.handle(Input::Timeout, now);
            }
            self.note_holders(now);
            let is_long = self.vips.is_due(now);
            self.carry_out(now);
            let is_long = self.report(now) || is_long;
            if self.stopped {
                return;
            }
            // A turn without such work takes no time that counts.
            let now = if is_long { clock::now() } else { now };
            woken = self.wait(now);
        }
    }

    fn obey(&mut self, now: Time) {
        self.ear.hush();
        while let Some(command) = self.ear.next() {
            match command {
                Command::Ready {
                    group,
                    ready,
                    services,
                } => {
                    self.groups.set_ready(&group, ready, services);
                    self.tell_fitness(now);
                }
                Command::Reach(reach) => {
                    self.reach = Some(reach);
                    self.tell_fitness(now);
                    let cut_off = reach.is_none();
                    self.machine.handle(Input::CutOff(cut_off), now);
                }
                Command::Handover { group, to, answer } => {
                    let id = self.note_asked(answer);
                    self.machine.handle(Input::Handover { id, group, to }, now);
                }
                Command::Standby { group, on, answer } => {
                    let id = self.note_asked(answer);
                    self.machine.handle(Input::Standby { id, group, on }, now);
                    self.reporter.note();
                }
                Command::Witness { group, witness } => self.witnesses.admit(group, witness),
                Command::Report { question } => self.reporter.ask(question),
                Command::Stop => self.machine.handle(Input::Stop, now),
            }
        }
    }

    /// Makes the kernel balance while this director has a group, and before its addresses are here.
    fn tell_duty(&self) {
        if let Err(error) = self.duty.set(self.groups.balances(), &mut sync::System) {
            tracing::warn!(error = %words::of(&error), "backup_only does not follow ownership");
        }
    }

    /// Tells soon which peers may serve groups, if others do than before.
    fn note_holders(&mut self, now: Time) {
        let machine = self.machine.get();
        let known = self.holders.iter().map(String::as_str);
        if !machine.holders(now).eq(known) {
            self.holders = machine.holders(now).map(str::to_owned).collect();
            self.reporter.note();
        }
    }

    fn note_asked(&mut self, answer: oneshot::Sender<Answer>) -> u64 {
        self.last_asked += 1;
        self.asked.insert(self.last_asked, answer);
        self.last_asked
    }

    /// Tells the others what is known, if that is due. Whether it was.
    fn report(&mut self, now: Time) -> bool {
        if now < self.reporter.due() && !self.stopped {
            return false;
        }
        self.tell_stations(now);
        let known = Known {
            cluster: self.machine.get().status(now),
            amiss: self.groups.amiss(),
            sent: self.sent,
            vip_counts: self.vips.counts(),
            takeovers: self.chronicle.takeovers().clone(),
        };
        let vips = self.reporter.has_news().then(|| self.vip_statuses());
        self.reporter.tell(known, vips, now);
        true
    }
}
