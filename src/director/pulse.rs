//! The heartbeat thread: it owns the cluster machine, the VIPs and the sockets of both.
//!
//! Nothing else runs in it, and it waits for nothing but its own sockets and timers. Others reach
//! it by [`Pulse::tell`], which never waits either, and hear from it by reports that it drops
//! rather than wait for somebody to read them: the next one has all that is known again, and what
//! has happened since the last one that was read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::sync::{mpsc, oneshot};

use super::events::What;
use super::fitness::{Circumstances, Reach};
use super::journal;
use super::paths::{Paths, Received};
use super::pending::Pending;
use super::realtime;
use super::recorder::Recorded;
use super::snapshot::VipStatus;
use super::takeovers::{Claimed, Takeovers};
use super::watchdog::Beats;
use crate::clock::{self, Time};
use crate::cluster::{self, Answer, Codec, Dropped, Event, Input, Output, Taken};
use crate::config::model::{Config, Vip};
use crate::vip::{self, Vips};

/// Reports that may wait to be read.
const REPORTS: usize = 16;
/// Commands that may wait to be obeyed.
const COMMANDS: usize = 256;
/// So many turns in a row may find something due at once. More would be a fault of ours, which at
/// real-time priority must not take the host with it.
const BUSY_TURNS: u32 = 1000;
/// How long the thread then rests in each turn.
const BUSY_REST: Duration = Duration::from_millis(1);
/// Between two reports when nothing happens.
const REPORT: Duration = Duration::from_millis(500);
/// Between two reports when much happens.
const REPORT_PAUSE: Duration = Duration::from_millis(20);

/// A turn that comes later than planned by more than this looks into all sockets.
const DELAY: Duration = Duration::from_millis(5);

/// What others may tell the thread.
#[derive(Debug)]
pub(super) enum Command {
    /// Whether the probes of a group have run and its table is programmed.
    Ready {
        /// The group.
        group: String,
        /// Whether they have.
        ready: bool,
    },
    /// How many of the reachability targets answer.
    Reach(Reach),
    /// Hand a group over.
    Handover {
        /// The group.
        group: String,
        /// To whom; to the best candidate if it is not said.
        to: Option<String>,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// Leave groups to the others, or no longer.
    Standby {
        /// The group; all of them if it is not said.
        group: Option<String>,
        /// Whether it shall be so.
        on: bool,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// Give every group up and end.
    Stop,
}

/// What the thread knows.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// When it was made.
    pub(super) at: Time,
    /// Peers, groups and counters.
    pub(super) cluster: cluster::Status,
    /// The VIPs of each group, in configured order.
    pub(super) vips: Arc<BTreeMap<String, Vec<VipStatus>>>,
    /// What makes this director less than fully fit, by group.
    pub(super) amiss: BTreeMap<String, Vec<String>>,
    /// Datagrams that left, on all paths.
    pub(super) sent: u64,
    /// VIPs that somebody else removed.
    pub(super) lost: u64,
    /// The latest takeovers.
    pub(super) takeovers: Takeovers,
    /// What has happened since the report before.
    pub(super) happened: Pending,
}

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
    /// Counts the thread's turns, for watchdogs.
    pub(super) beats: Beats,
}

/// The way to the running thread.
#[derive(Debug)]
pub(super) struct Pulse {
    teller: Teller,
    thread: JoinHandle<()>,
}

/// Tells the thread something, from wherever.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    commands: SyncSender<Command>,
    wake: Arc<OwnedFd>,
}

impl Teller {
    /// Tells the thread something. False when it has too much to do to take it, or has ended.
    pub(super) fn tell(&self, command: Command) -> bool {
        let told = self.commands.try_send(command).is_ok();
        // A counter that is full has woken it already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        told
    }
}

impl Pulse {
    /// Starts the thread. It ends, and the reports with it, after [`Command::Stop`].
    pub(super) fn spawn(
        parts: Parts,
        config: &Config,
    ) -> io::Result<(Self, mpsc::Receiver<Report>)> {
        let (reports, receiver) = mpsc::channel(REPORTS);
        let (sender, commands) = sync_channel(COMMANDS);
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let theirs = wake.try_clone()?;
        let mut work = Work::new(parts, config, commands, theirs, reports);
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || {
                if let Err(error) = realtime::raise_priority() {
                    tracing::warn!(%error, "heartbeats run without real-time priority");
                }
                work.run();
            })?;
        Ok((
            Self {
                teller: Teller {
                    commands: sender,
                    wake: Arc::new(wake),
                },
                thread,
            },
            receiver,
        ))
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

/// Where a group's VIPs are on their way to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Left by an earlier run, and nobody has been heard yet who might have them.
    Adopted,
    /// Not here.
    Down,
    /// Being put.
    Raising,
    /// Here.
    Up,
    /// Here to forward, but not answered for: another director is taking the group over.
    Quiet,
    /// Being removed.
    Releasing,
}

#[derive(Debug)]
struct Group {
    vips: Vec<Vip>,
    links: Vec<String>,
    phase: Phase,
    ready: bool,
    /// What makes this director less than fully fit for it.
    amiss: Vec<String>,
}

struct Work {
    paths: Paths,
    vips: Vips,
    codec: Codec,
    machine: Recorded,
    beats: Beats,
    groups: BTreeMap<String, Group>,
    /// How many reachability targets answer, as was told last.
    reach: Option<Reach>,
    /// Until when an earlier run's VIPs may wait for a decision.
    adopted_until: Time,
    commands: Receiver<Command>,
    wake: OwnedFd,
    reports: mpsc::Sender<Report>,
    vip_status: Arc<BTreeMap<String, Vec<VipStatus>>>,
    /// Something has happened that the last report did not have.
    news: bool,
    reported: Option<Time>,
    sent: u64,
    takeovers: Takeovers,
    happened: Pending,
    /// When a peer was found to be gone, or first suspected to be.
    suspected: BTreeMap<String, Time>,
    /// Operators who wait for an answer.
    asked: BTreeMap<u64, oneshot::Sender<Answer>>,
    last_asked: u64,
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
        commands: Receiver<Command>,
        wake: OwnedFd,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let Parts {
            paths,
            vips,
            codec,
            machine,
            beats,
        } = parts;
        let groups = config
            .groups
            .iter()
            .map(|(name, group)| {
                let group = Group {
                    vips: group.vips.clone(),
                    links: group.monitor_links.clone(),
                    phase: Phase::Down,
                    ready: false,
                    amiss: Vec::new(),
                };
                (name.clone(), group)
            })
            .collect();
        Self {
            paths,
            vips,
            codec,
            machine,
            beats,
            groups,
            reach: None,
            adopted_until: clock::now() + config.heartbeat.initdead,
            commands,
            wake,
            reports,
            vip_status: Arc::default(),
            news: true,
            reported: None,
            sent: 0,
            takeovers: Takeovers::default(),
            happened: Pending::default(),
            suspected: BTreeMap::new(),
            asked: BTreeMap::new(),
            last_asked: 0,
            keepalive: config.heartbeat.keepalive,
            heard: Time::ZERO,
            busy_turns: 0,
            stopped: false,
        }
    }

    fn run(&mut self) {
        let now = clock::now();
        self.adopt(now);
        self.tell_fitness(now);
        let mut woken = Woken::default();
        while !self.stopped {
            self.beats.beat();
            let now = clock::now();
            // What waits in the sockets comes first: after a pause it tells whether anybody has
            // taken over (see the machine's contract).
            self.receive(now, &woken);
            // Now and then uncalled: whoever has gone calls nobody.
            if woken.called || now >= self.next_report() {
                self.obey(now);
            }
            let link = |name: &str| self.vips.link_index(name);
            self.sent += self.paths.handle_timeout(now, link);
            let due = self.machine.get().poll_timeout();
            if due.is_some_and(|due| due <= now) {
                self.machine.handle(Input::Timeout, now);
            }
            let is_long = self.vips.poll_timeout().is_some_and(|due| due <= now);
            self.carry_out(now);
            let is_long = self.report(now) || is_long;
            // A turn without such work takes no time that counts.
            let now = if is_long { clock::now() } else { now };
            woken = self.wait(now);
        }
    }

    /// Keeps VIPs that an earlier run has left until it is known whose they are; removes all others.
    fn adopt(&mut self, now: Time) {
        let mut keep = BTreeSet::new();
        for (name, group) in &mut self.groups {
            let here: Vec<&Vip> = group
                .vips
                .iter()
                .filter(|vip| self.vips.is_here(vip))
                .collect();
            if !here.is_empty() {
                tracing::info!(
                    group = name,
                    vips = here.len(),
                    "VIPs of an earlier run found"
                );
                keep.extend(here.into_iter().cloned());
                group.phase = Phase::Adopted;
            }
        }
        self.vips.remove_stale(&keep, now);
    }

    /// Reads the sockets that the wait has found readable. All of them when that may have changed
    /// since, or when somebody is about to be missed: nobody shall be judged by what is unread.
    fn receive(&mut self, now: Time, woken: &Woken) {
        let is_late = now > woken.planned + DELAY.min(self.keepalive / 2);
        let is_silent = now > self.heard + self.keepalive * 3 / 2;
        let readable = (!is_late && !is_silent).then_some(&woken.readable[..]);
        let (codec, machine) = (&self.codec, &mut self.machine);
        let heard = &mut self.heard;
        self.paths
            .receive(now, readable, |received| match received {
                Received::Datagram { path, bytes } => match codec.decode(path, bytes) {
                    Ok(heartbeat) => {
                        tracing::trace!(path, sender = heartbeat.sender, "heartbeat received");
                        *heard = now;
                        machine.handle(Input::Heartbeat { path, heartbeat }, now);
                    }
                    Err(reason) => {
                        tracing::trace!(path, %reason, "datagram dropped");
                        machine.count_dropped(reason);
                    }
                },
                Received::Damaged { path } => {
                    tracing::trace!(path, "frame damaged");
                    machine.count_dropped(Dropped::Damaged);
                }
                Received::Refused { path, peer } => {
                    machine.handle(Input::Refused { path, peer }, now);
                }
            });
    }

    fn obey(&mut self, now: Time) {
        let mut buffer = [0; 8];
        // Empty unless somebody has called.
        let _ = rustix::io::read(&self.wake, &mut buffer);
        loop {
            match self.commands.try_recv() {
                Ok(Command::Ready { group, ready }) => {
                    if let Some(known) = self.groups.get_mut(&group) {
                        known.ready = ready;
                    }
                    self.tell_fitness(now);
                }
                Ok(Command::Reach(reach)) => {
                    self.reach = Some(reach);
                    self.tell_fitness(now);
                    let cut_off = reach.is_none();
                    self.machine.handle(Input::CutOff(cut_off), now);
                }
                Ok(Command::Handover { group, to, answer }) => {
                    let id = self.note_asked(answer);
                    self.machine.handle(Input::Handover { id, group, to }, now);
                }
                Ok(Command::Standby { group, on, answer }) => {
                    let id = self.note_asked(answer);
                    self.machine.handle(Input::Standby { id, group, on }, now);
                    self.news = true;
                }
                // Without anybody to obey there is nobody to serve for.
                Ok(Command::Stop) => self.machine.handle(Input::Stop, now),
                Err(TryRecvError::Disconnected) => {
                    self.machine.handle(Input::Stop, now);
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    fn note_asked(&mut self, answer: oneshot::Sender<Answer>) -> u64 {
        self.last_asked += 1;
        self.asked.insert(self.last_asked, answer);
        self.last_asked
    }

    /// Tells the machine how well each group can be served here.
    fn tell_fitness(&mut self, now: Time) {
        for (name, group) in &mut self.groups {
            let links = group.links.iter().map(String::as_str);
            let circumstances = Circumstances {
                links_down: links.filter(|link| !self.vips.is_up(link)).collect(),
                reach: self.reach,
            };
            let assessed = circumstances.assess();
            if group.amiss != assessed.amiss {
                tracing::info!(
                    group = name,
                    fitness = assessed.fitness.0,
                    amiss = assessed.amiss.join(", "),
                    "fitness has changed"
                );
                let what = What::Fitness {
                    group: name.clone(),
                    fitness: assessed.fitness.0,
                    amiss: assessed.amiss.clone(),
                };
                self.happened.push(what, now);
            }
            let local = Input::Local {
                group: name.clone(),
                fitness: assessed.fitness,
                ready: group.ready,
            };
            self.machine.handle(local, now);
            group.amiss = assessed.amiss;
        }
        self.news = true;
    }

    /// Does what the machine asks for, and one turn of the VIPs' work: more waits until heartbeats
    /// have been looked after again.
    fn carry_out(&mut self, now: Time) {
        self.drain(now);
        if self.vips.poll_timeout().is_some_and(|due| due <= now) {
            self.vips.handle_timeout(now);
        }
        while let Some(output) = self.vips.poll_output() {
            self.observe(output, now);
        }
        self.advance(now);
        self.drain(now);
        if self.takeovers.is_waiting() && !self.vips.is_announcing() {
            self.note_announced();
        }
    }

    fn drain(&mut self, now: Time) {
        while let Some(output) = self.machine.poll_output() {
            self.perform(output, now);
        }
    }

    fn perform(&mut self, output: Output, now: Time) {
        match output {
            Output::Send(heartbeat) => {
                let mut refused = Vec::new();
                self.sent += self.paths.send(
                    now,
                    |path| self.codec.encode(path, &heartbeat),
                    |path, peer| refused.push((path, peer.to_owned())),
                );
                for (path, peer) in refused {
                    self.machine.handle(Input::Refused { path, peer }, now);
                }
            }
            Output::Activate {
                group: name,
                epoch,
                why,
            } => {
                tracing::info!(group = name, epoch, reason = %why, "active");
                self.note_claim(&name, epoch, &why);
                let what = What::GroupActive {
                    group: name.clone(),
                    epoch,
                    reason: why.to_string(),
                };
                self.happened.push(what, now);
                if let Some(group) = self.groups.get_mut(&name) {
                    group.phase = Phase::Raising;
                    self.vips.put(&group.vips, now);
                }
                self.news = true;
            }
            Output::Quiet {
                group: name,
                to,
                why,
            } => {
                tracing::info!(group = name, to, reason = %why, "handing over");
                let what = What::GroupOffered {
                    group: name.clone(),
                    to,
                    reason: why.to_string(),
                };
                self.happened.push(what, now);
                if let Some(group) = self.groups.get_mut(&name) {
                    group.phase = Phase::Quiet;
                    self.vips.quiet(&group.vips, now);
                }
                self.news = true;
            }
            Output::Deactivate { group: name, why } => {
                tracing::info!(group = name, reason = %why, "standby");
                let what = What::GroupStandby {
                    group: name.clone(),
                    reason: why.to_string(),
                };
                self.happened.push(what, now);
                if let Some(group) = self.groups.get_mut(&name) {
                    group.phase = Phase::Releasing;
                    self.vips.take(&group.vips, now);
                }
                self.news = true;
            }
            Output::Announce { group: name } => {
                tracing::info!(group = name, "announcing again");
                if let Some(group) = self.groups.get(&name) {
                    self.vips.announce(&group.vips, now);
                }
            }
            Output::Event(event) => {
                journal::event(&event);
                self.happened.push(journal::what(&event), now);
                self.note_suspicion(&event, now);
                self.news = true;
            }
            Output::Answer { id, answer } => {
                if let Some(waiting) = self.asked.remove(&id) {
                    // Whoever has asked may have gone.
                    let _ = waiting.send(answer);
                }
            }
            Output::Stopped => self.stopped = true,
        }
    }

    fn note_claim(&mut self, group: &str, epoch: u64, why: &Taken) {
        let from = match why {
            Taken::Start | Taken::Unclaimed => None,
            Taken::Silence { of: from }
            | Taken::Refused { by: from }
            | Taken::Released { by: from }
            | Taken::Offered { by: from } => Some(from.clone()),
        };
        let at = clock::now();
        let heard = from
            .as_ref()
            .and_then(|from| self.machine.get().last_heard(from));
        let suspected = match why {
            Taken::Start | Taken::Unclaimed => None,
            // What is heard and believed in one turn.
            Taken::Released { .. } | Taken::Offered { .. } => heard,
            Taken::Silence { of: from } | Taken::Refused { by: from } => {
                self.suspected.get(from).copied()
            }
        };
        self.takeovers.claim(Claimed {
            group: group.to_owned(),
            epoch,
            reason: why.to_string(),
            from,
            heard,
            suspected,
            at,
        });
    }

    fn note_suspicion(&mut self, event: &Event, now: Time) {
        match event {
            Event::Refused { peer, .. } | Event::PeerDead { peer, .. } => {
                let heard = self.machine.get().last_heard(peer);
                let known = self.suspected.get(peer).copied();
                // A heartbeat has contradicted what was suspected before it.
                if known.is_none() || known < heard {
                    self.suspected.insert(peer.clone(), now);
                }
            }
            Event::PeerAlive { peer, .. } => {
                self.suspected.remove(peer);
            }
            Event::PathUp { .. }
            | Event::PathDown { .. }
            | Event::Late { .. }
            | Event::Hears { .. }
            | Event::Config { .. }
            | Event::Conflict { .. }
            | Event::ConflictOver { .. }
            | Event::Paused { .. }
            | Event::Unfit { .. } => {}
        }
    }

    fn note_announced(&mut self) {
        let now = clock::now();
        for takeover in self.takeovers.announced(now) {
            tracing::info!(
                group = takeover.group,
                epoch = takeover.epoch,
                heard_before_us = takeover.heard_before_us,
                suspected_before_us = takeover.suspected_before_us,
                addresses_after_us = takeover.addresses_after_us,
                announced_after_us = takeover.announced_after_us,
                "takeover complete"
            );
            self.happened.push(takeover.into(), now);
        }
        self.news = true;
    }

    fn observe(&mut self, output: vip::Output, now: Time) {
        self.news = true;
        match output {
            vip::Output::Put { vip, found } => {
                tracing::debug!(vip = %vip.address, interface = vip.interface, found, "VIP put");
            }
            vip::Output::Taken(place) => {
                let vip::Place { interface, address } = place;
                tracing::debug!(vip = %address, interface, "VIP removed");
            }
            vip::Output::Quieted(vip) => {
                tracing::debug!(vip = %vip.address, interface = vip.interface, "VIP quiet");
            }
            // Told by the VIPs themselves.
            vip::Output::Lost(vip) => {
                let what = What::VipLost {
                    address: vip.address.to_string(),
                    interface: vip.interface,
                };
                self.happened.push(what, now);
            }
            vip::Output::Failed(problem) => {
                let problem = problem.to_string();
                self.happened.push(What::VipFailed { problem }, now);
            }
            vip::Output::Link { interface, up } => {
                if up {
                    tracing::info!(interface, "link up");
                } else {
                    tracing::warn!(interface, "link down");
                }
                self.happened.push(What::Link { interface, up }, now);
                self.tell_fitness(now);
            }
        }
    }

    /// Moves groups on whose VIPs have arrived.
    fn advance(&mut self, now: Time) {
        let adopting = self
            .groups
            .values()
            .any(|group| group.phase == Phase::Adopted);
        let owned: BTreeSet<String> = if adopting {
            let groups = self.machine.get().status(now).groups;
            groups
                .into_iter()
                .filter(|g| g.owner.is_some())
                .map(|g| g.name)
                .collect()
        } else {
            BTreeSet::new()
        };
        for (name, group) in &mut self.groups {
            let failed = |vip: &Vip| self.vips.problem(vip).is_some();
            let vips = group.vips.len();
            match group.phase {
                Phase::Raising => {
                    if group
                        .vips
                        .iter()
                        .all(|vip| self.vips.is_present(vip) || failed(vip))
                    {
                        tracing::info!(group = name, vips, "VIPs are here");
                        group.phase = Phase::Up;
                        let here = clock::now();
                        self.takeovers.raised(name, here);
                        let what = What::VipsHere {
                            group: name.clone(),
                            vips,
                        };
                        self.happened.push(what, here);
                        self.machine.handle(
                            Input::Raised {
                                group: name.clone(),
                            },
                            now,
                        );
                    }
                }
                Phase::Releasing => {
                    if group
                        .vips
                        .iter()
                        .all(|vip| !self.vips.is_here(vip) || failed(vip))
                    {
                        tracing::info!(group = name, vips, "VIPs are gone");
                        let what = What::VipsGone {
                            group: name.clone(),
                            vips,
                        };
                        self.happened.push(what, now);
                        group.phase = Phase::Down;
                        self.machine.handle(
                            Input::Released {
                                group: name.clone(),
                            },
                            now,
                        );
                    }
                }
                Phase::Adopted => {
                    if owned.contains(name) || now >= self.adopted_until {
                        tracing::info!(group = name, "the VIPs that were found belong elsewhere");
                        group.phase = Phase::Down;
                        self.vips.take(&group.vips, now);
                    }
                }
                Phase::Down | Phase::Up | Phase::Quiet => {}
            }
        }
    }

    fn next_report(&self) -> Time {
        let pause = if self.news { REPORT_PAUSE } else { REPORT };
        self.reported.map_or(Time::ZERO, |at| at + pause)
    }

    /// Tells the others what is known, if that is due. Whether it was.
    fn report(&mut self, now: Time) -> bool {
        if now < self.next_report() && !self.stopped {
            return false;
        }
        if self.news {
            self.vip_status = Arc::new(self.vip_statuses());
        }
        let report = Report {
            at: now,
            cluster: self.machine.get().status(now),
            vips: Arc::clone(&self.vip_status),
            amiss: self
                .groups
                .iter()
                .map(|(name, group)| (name.clone(), group.amiss.clone()))
                .collect(),
            sent: self.sent,
            lost: self.vips.counts().lost,
            takeovers: self.takeovers.clone(),
            happened: std::mem::take(&mut self.happened),
        };
        self.reported = Some(now);
        // Nobody reads at the moment: said again in the next one.
        let unread = self.reports.try_send(report).err();
        self.news = unread.is_some();
        if let Some(unread) = unread {
            self.happened = unread.into_inner().happened;
        }
        true
    }

    fn vip_statuses(&self) -> BTreeMap<String, Vec<VipStatus>> {
        let status = |vip: &Vip| VipStatus {
            address: vip.address.to_string(),
            interface: vip.interface.clone(),
            present: self.vips.is_here(vip),
            problem: self.vips.problem(vip).map(ToString::to_string),
        };
        self.groups
            .iter()
            .map(|(name, group)| (name.clone(), group.vips.iter().map(status).collect()))
            .collect()
    }

    /// Waits for a datagram, news of the kernel, a command, or the next time that something is due.
    fn wait(&mut self, now: Time) -> Woken {
        let adopted = self
            .groups
            .values()
            .any(|group| group.phase == Phase::Adopted);
        let due = [
            self.machine.get().poll_timeout(),
            self.vips.poll_timeout(),
            self.paths.poll_timeout(),
            adopted.then_some(self.adopted_until),
            Some(self.next_report()),
        ];
        let due = due
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| self.next_report());
        let mut limit = due.saturating_sub(now);
        if limit.is_zero() {
            self.busy_turns = self.busy_turns.saturating_add(1);
        } else {
            self.busy_turns = 0;
        }
        if self.busy_turns >= BUSY_TURNS {
            if self.busy_turns == BUSY_TURNS {
                tracing::error!("the heartbeat thread finds no rest");
            }
            limit = BUSY_REST;
        }
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        let mut fds: Vec<PollFd<'_>> = self
            .paths
            .fds()
            .chain([self.vips.as_fd(), self.wake.as_fd()])
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        // Interrupted or not: the turn that follows finds out by itself what there is to do.
        let _ = poll(&mut fds, Some(&limit));
        let mut readable: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let called = readable.pop().unwrap_or(true);
        if readable.pop().unwrap_or(true) {
            self.vips.handle_readable(clock::now());
        }
        Woken {
            readable,
            called,
            planned: due.max(now),
        }
    }
}

/// What ended a wait.
#[derive(Debug)]
struct Woken {
    /// Which of the paths' descriptors have something, in their order.
    readable: Vec<bool>,
    /// Whether there are commands.
    called: bool,
    /// When it would have ended by itself.
    planned: Time,
}

impl Default for Woken {
    /// Nothing is known: everything is looked at.
    fn default() -> Self {
        Self {
            readable: Vec::new(),
            called: true,
            planned: Time::ZERO,
        }
    }
}
