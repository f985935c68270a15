//! What goes wrong, when, and how it is mended.

use std::time::Duration;

use super::{Action, DEADTIME, Datagram, GROUPS, KEEPALIVE, Local, NAMES, World};
use crate::clock::Time;
use crate::cluster::{Codec, Fitness, Input, Keys};

#[derive(Clone, Debug)]
pub(super) enum Fault {
    Start(usize),
    /// The daemon dies; its host lives and refuses.
    Crash(usize),
    /// The host dies.
    PowerOff(usize),
    Stop(usize),
    Pause(usize),
    Resume(usize),
    Fitness {
        host: usize,
        group: usize,
        fitness: u16,
    },
    Ready {
        host: usize,
        group: usize,
        ready: bool,
    },
    /// An operator hands a group over, to a certain director or to any.
    Handover {
        host: usize,
        group: usize,
        to: Option<usize>,
    },
    /// An operator makes a director stand by, in one group or all, or undoes that.
    Standby {
        host: usize,
        group: Option<usize>,
        on: bool,
    },
    /// It reaches none of its targets, or some again; its links may be cut too, or not.
    CutOff {
        host: usize,
        cut_off: bool,
    },
    /// The clock leaps ahead, as that of a guest that goes on elsewhere may.
    Leap(usize, Duration),
    Cut {
        links: Vec<(usize, usize, usize)>,
        cut: bool,
    },
    Bad {
        links: Vec<(usize, usize, usize)>,
        loss: u8,
        duplicates: u8,
        slow: bool,
    },
    /// Old datagrams come again, anywhere.
    Replay(usize),
    /// A director's datagrams come back to it.
    Reflect(usize),
    /// Datagrams of the right form, signed with another key.
    Forge,
    /// Somebody forges refusals of a director that lives.
    FalseRefusal {
        host: usize,
        peer: usize,
    },
}

impl World {
    pub(super) fn plan_faults(&mut self, end: Time) {
        let count = self.rng.usize(1..8);
        for _ in 0..count {
            let from = Duration::from_millis(self.rng.u64(1500..5000));
            let until = from + Duration::from_millis(self.rng.u64(20..1600));
            let until = until.min(end);
            let host = self.rng.usize(0..self.hosts.len());
            let group = self.rng.usize(0..GROUPS.len());
            let first = if self.plan.steady { 5 } else { 0 };
            match self.rng.u8(first..20) {
                0 => {
                    // Now and then it is back before it was missed.
                    let soon = from + Duration::from_millis(self.rng.u64(1..150));
                    let until = if self.rng.bool() { soon } else { until };
                    self.fault(from, Fault::Crash(host), until, Fault::Start(host));
                    self.at(until + KEEPALIVE, Action::Fault(Fault::Replay(30)));
                    self.at(until + 2 * KEEPALIVE, Action::Fault(Fault::Replay(30)));
                }
                1 => self.fault(from, Fault::PowerOff(host), until, Fault::Start(host)),
                2 => self.fault(from, Fault::Stop(host), until, Fault::Start(host)),
                3 => self.fault(from, Fault::Pause(host), until, Fault::Resume(host)),
                4 if self.rng.u8(0..4) == 0 => {
                    let by = Duration::from_millis(self.rng.u64(1..5000));
                    self.at(from, Action::Fault(Fault::Leap(host, by)));
                }
                4 => self.fault(from, Fault::Pause(host), until, Fault::Resume(host)),
                5 => {
                    let fitness = [0, 0, 500][self.rng.usize(0..3)];
                    let good = Fault::Fitness {
                        host,
                        group,
                        fitness: 1000,
                    };
                    if self.rng.bool() {
                        let host = self.rng.usize(0..self.hosts.len());
                        let ready = |ready| Fault::Ready { host, group, ready };
                        self.fault(from - 7 * KEEPALIVE, ready(false), until, ready(true));
                    }
                    self.fault(
                        from,
                        Fault::Fitness {
                            host,
                            group,
                            fitness,
                        },
                        until,
                        good,
                    );
                }
                6 => {
                    let good = Fault::Ready {
                        host,
                        group,
                        ready: true,
                    };
                    self.fault(
                        from,
                        Fault::Ready {
                            host,
                            group,
                            ready: false,
                        },
                        until,
                        good,
                    );
                }
                7..=10 => {
                    let links = self.some_links(host);
                    let cut = Fault::Cut {
                        links: links.clone(),
                        cut: true,
                    };
                    self.fault(from, cut, until, Fault::Cut { links, cut: false });
                }
                11 => {
                    let links = self.all_links();
                    let bad = Fault::Bad {
                        links: links.clone(),
                        loss: self.rng.u8(0..60),
                        duplicates: self.rng.u8(0..50),
                        slow: self.rng.bool(),
                    };
                    let good = Fault::Bad {
                        links,
                        loss: 0,
                        duplicates: 0,
                        slow: false,
                    };
                    self.fault(from, bad, until, good);
                }
                12 => {
                    let count = self.rng.usize(1..60);
                    let again = if self.rng.bool() {
                        Fault::Reflect(host)
                    } else {
                        Fault::Forge
                    };
                    self.fault(from, Fault::Replay(count), until, again);
                }
                13 | 14 => {
                    let to = self.rng.bool().then(|| self.rng.usize(0..self.hosts.len()));
                    let again = Fault::Handover { host, group, to };
                    // Wherever the group is, one of these meets its owner.
                    for host in 0..self.hosts.len() {
                        self.at(from, Action::Fault(Fault::Handover { host, group, to }));
                    }
                    self.at(until, Action::Fault(again));
                }
                15 | 16 => {
                    let group = self.rng.bool().then_some(group);
                    let standby = |on| Fault::Standby { host, group, on };
                    self.fault(from, standby(true), until, standby(false));
                }
                17 | 18 => {
                    let cut_off = |cut_off| Fault::CutOff { host, cut_off };
                    self.fault(from, cut_off(true), until, cut_off(false));
                    if self.rng.u8(0..4) > 0 {
                        let mut links = self.all_links();
                        links.retain(|(a, b, _)| *a == host || *b == host);
                        let cut = |cut| Fault::Cut {
                            links: links.clone(),
                            cut,
                        };
                        // Probes of targets take longer than heartbeats to tell, or not so long.
                        let early = Duration::from_millis(self.rng.u64(0..400));
                        self.fault(from - early, cut(true), until, cut(false));
                    }
                }
                _ => {
                    let peer = self.rng.usize(0..self.hosts.len());
                    let refusal = Fault::FalseRefusal { host, peer };
                    self.fault(from, refusal, until, Fault::Replay(30));
                }
            }
        }
    }

    fn fault(&mut self, from: Time, fault: Fault, until: Time, end: Fault) {
        self.at(from, Action::Fault(fault));
        self.at(until, Action::Fault(end));
    }

    /// Mends everything.
    pub(super) fn heal(&mut self) {
        self.links.clear();
        self.disturb();
        for host in 0..self.hosts.len() {
            self.at(self.now, Action::Fault(Fault::Resume(host)));
            self.at(self.now, Action::Fault(Fault::Start(host)));
            let cut_off = false;
            self.at(self.now, Action::Fault(Fault::CutOff { host, cut_off }));
            for group in 0..GROUPS.len() {
                let ready = Fault::Ready {
                    host,
                    group,
                    ready: true,
                };
                self.at(self.now, Action::Fault(ready));
                let fit = Fault::Fitness {
                    host,
                    group,
                    fitness: 1000,
                };
                self.at(self.now, Action::Fault(fit));
                let group = Some(group);
                let on = false;
                self.at(self.now, Action::Fault(Fault::Standby { host, group, on }));
            }
            let (group, on) = (None, false);
            self.at(self.now, Action::Fault(Fault::Standby { host, group, on }));
        }
    }

    pub(super) fn apply(&mut self, fault: Fault) -> Result<(), String> {
        if self.plan.trace {
            println!("{:?} {fault:?}", self.now);
        }
        match fault {
            Fault::Start(i) => {
                for group in GROUPS {
                    let (fitness, ready) = (Fitness::FULL, true);
                    let local = Local {
                        fitness,
                        ready,
                        since: self.now,
                    };
                    self.hosts[i].local.entry(group.to_owned()).or_insert(local);
                }
                return self.start(i);
            }
            Fault::Crash(i) => self.kill(i),
            Fault::PowerOff(i) => {
                self.kill(i);
                self.hosts[i].power = false;
            }
            Fault::Stop(i) => {
                self.checks.stopping(i, self.hosts[i].generation);
                if !self.hosts[i].paused {
                    return self.tell(i, Input::Stop);
                }
            }
            Fault::Pause(i) => {
                self.disturb();
                if self.hosts[i].run.is_some() {
                    self.hosts[i].paused = true;
                    self.note_paused(i);
                }
            }
            Fault::Resume(i) => return self.resume(i),
            Fault::Fitness {
                host,
                group,
                fitness,
            } => {
                return self.set_local(host, group, |local| local.fitness = Fitness(fitness));
            }
            Fault::Ready { host, group, ready } => {
                return self.set_local(host, group, |local| local.ready = ready);
            }
            Fault::Handover { host, group, to } => {
                if self.hosts[host].run.is_none() || self.hosts[host].paused {
                    return Ok(());
                }
                self.seq += 1;
                let (id, group) = (self.seq, GROUPS[group].to_owned());
                self.note_asked(id, host, Some(group.clone()));
                let to = to.map(|to| NAMES[to].to_owned());
                return self.tell(host, Input::Handover { id, group, to });
            }
            Fault::Standby { host, group, on } => {
                if self.hosts[host].run.is_none() || self.hosts[host].paused {
                    return Ok(());
                }
                self.seq += 1;
                let id = self.seq;
                self.note_asked(id, host, None);
                return self.set_standby(id, host, group, on);
            }
            Fault::CutOff { host, cut_off } => return self.cut_off(host, cut_off),
            Fault::Leap(i, by) => {
                self.disturb();
                self.note_paused(i);
                self.hosts[i].ahead += by;
                self.checks.leapt.insert(i);
            }
            Fault::Cut { links, cut } => {
                self.disturb();
                for link in links {
                    let link = self.links.entry(link).or_default();
                    link.cuts = if cut {
                        link.cuts + 1
                    } else {
                        link.cuts.saturating_sub(1)
                    };
                }
            }
            Fault::Bad {
                links,
                loss,
                duplicates,
                slow,
            } => {
                self.disturb();
                for link in links {
                    let link = self.links.entry(link).or_default();
                    (link.loss, link.duplicates, link.slow) = (loss, duplicates, slow);
                }
            }
            Fault::Replay(count) => {
                for _ in 0..count.min(self.recorded.len()) {
                    // The latest are the most dangerous.
                    let count = self.recorded.len();
                    let first = if self.rng.bool() {
                        count.saturating_sub(40)
                    } else {
                        0
                    };
                    let datagram = self.recorded[self.rng.usize(first..count)].clone();
                    // Now and then to somebody, or by a path, that it was not meant for.
                    let path = self.rng.usize(0..self.paths);
                    let to = self.rng.usize(0..self.hosts.len());
                    let datagram = match self.rng.u8(0..3) {
                        0 => Datagram { path, ..datagram },
                        1 => Datagram { to, ..datagram },
                        _ => datagram,
                    };
                    self.inject(datagram)?;
                }
            }
            Fault::Reflect(i) => {
                let own: Vec<Datagram> = self
                    .recorded
                    .iter()
                    .rev()
                    .filter(|d| d.from == i)
                    .take(20)
                    .cloned()
                    .collect();
                for datagram in own {
                    self.inject(Datagram { to: i, ..datagram })?;
                }
            }
            Fault::Forge => {
                let Some(last) = self.recorded.last().cloned() else {
                    return Ok(());
                };
                let sender = &self.hosts[last.from];
                let receiver = &self.hosts[last.to];
                let Ok(mut heartbeat) = receiver.codec.decode(last.path, &last.bytes) else {
                    return Ok(());
                };
                heartbeat.counter += 1000;
                let forger = Codec::new(&sender.settings, Keys::new("guess", [])).expect("small");
                let bytes = forger.encode(last.path, &heartbeat).into();
                let before = self.report.delivered;
                self.inject(Datagram {
                    bytes,
                    ..last.clone()
                })?;
                let mut flipped = last.bytes.to_vec();
                let byte = self.rng.usize(0..flipped.len());
                flipped[byte] ^= 1 << self.rng.u8(0..8);
                self.inject(Datagram {
                    bytes: flipped.into(),
                    ..last
                })?;
                if self.report.delivered != before {
                    return Err("a forged heartbeat was trusted".to_owned());
                }
            }
            Fault::FalseRefusal { host, peer } => {
                self.disturb();
                self.checks.slandered.insert((host, peer));
                for path in 0..self.paths {
                    if !self.hosts[host].paused {
                        let peer = NAMES[peer].to_owned();
                        self.tell(host, Input::Refused { path, peer })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Somebody who has recorded everything sends some of it again: what is old, or what the
    /// receiver has sent itself.
    pub(super) fn attack(&mut self) -> Result<(), String> {
        let old = self.now.saturating_sub(3 * DEADTIME);
        let count = self
            .recorded
            .partition_point(|datagram| datagram.sent < old);
        for _ in 0..4 {
            if count > 0 {
                let datagram = self.recorded[self.attacks.usize(0..count)].clone();
                let path = self.attacks.usize(0..self.paths);
                self.inject(Datagram { path, ..datagram })?;
            }
            if !self.recorded.is_empty() {
                let datagram = self.recorded[self.attacks.usize(0..self.recorded.len())].clone();
                self.inject(Datagram {
                    to: datagram.from,
                    ..datagram
                })?;
            }
        }
        let at = self.now + Duration::from_nanos(self.attacks.u64(10_000_000..40_000_000));
        self.at(at, Action::Attack);
        Ok(())
    }

    fn inject(&mut self, datagram: Datagram) -> Result<(), String> {
        self.report.injected += 1;
        self.deliver(datagram)
    }

    fn disturb(&mut self) {
        self.disturbed = self.now;
    }

    /// Whether nothing is wrong with network and scheduling, nor was lately.
    pub(super) fn is_clean(&self) -> bool {
        self.now > self.disturbed + 4 * DEADTIME
            && self.hosts.iter().all(|host| !host.paused)
            && self
                .links
                .values()
                .all(|l| l.cuts == 0 && l.loss == 0 && !l.slow)
            || self.disturbed == Duration::ZERO
    }

    fn resume(&mut self, i: usize) -> Result<(), String> {
        if !self.hosts[i].paused {
            return Ok(());
        }
        self.disturb();
        self.hosts[i].paused = false;
        self.note_resumed(i);
        let inbox = std::mem::take(&mut self.hosts[i].inbox);
        // A driver reads its sockets first. One that does not, at least notices a long pause.
        let pause = self.now.saturating_sub(self.checks.paused_at(i));
        if self.rng.bool() && pause > DEADTIME + KEEPALIVE {
            self.tell(i, Input::Timeout)?;
        }
        for datagram in inbox {
            self.deliver(datagram)?;
        }
        self.tell(i, Input::Timeout)?;
        let told = |(group, local): (&String, &Local)| self.hosts[i].told(group, *local);
        let inputs: Vec<Input> = self.hosts[i].local.iter().map(told).collect();
        for input in inputs {
            self.tell(i, input)?;
        }
        let cut_off = self.hosts[i].cut_off.is_some();
        self.tell(i, Input::CutOff(cut_off))
    }

    fn set_local(
        &mut self,
        host: usize,
        group: usize,
        change: impl FnOnce(&mut Local),
    ) -> Result<(), String> {
        let now = self.now;
        let group = GROUPS[group].to_owned();
        let Some(local) = self.hosts[host].local.get_mut(&group) else {
            return Ok(());
        };
        let before = (local.fitness, local.ready);
        change(local);
        if before != (local.fitness, local.ready) {
            local.since = now;
        }
        let local = *local;
        self.note_local(host, &group);
        if self.hosts[host].paused {
            return Ok(());
        }
        self.tell(host, self.hosts[host].told(&group, local))
    }

    /// As the daemon does: the fitness first.
    fn cut_off(&mut self, host: usize, cut_off: bool) -> Result<(), String> {
        let since = self.hosts[host].cut_off;
        self.hosts[host].cut_off = cut_off.then(|| since.unwrap_or(self.now));
        let now = self.now;
        for group in 0..GROUPS.len() {
            self.set_local(host, group, |local| local.since = now)?;
        }
        if self.hosts[host].paused {
            return Ok(());
        }
        self.tell(host, Input::CutOff(cut_off))
    }

    fn set_standby(
        &mut self,
        id: u64,
        host: usize,
        group: Option<usize>,
        on: bool,
    ) -> Result<(), String> {
        let now = self.now;
        // All groups together are undone together.
        let all = self.hosts[host]
            .run
            .as_ref()
            .is_some_and(|machine| machine.standby);
        let concerned = GROUPS
            .iter()
            .enumerate()
            .filter(|(i, _)| group.is_none_or(|g| g == *i));
        for (_, name) in concerned.filter(|_| on || group.is_none() || !all) {
            let known = &mut self.hosts[host];
            if on {
                known.standby.insert((*name).to_owned());
            } else {
                known.standby.remove(*name);
            }
            if let Some(local) = known.local.get_mut(*name) {
                local.since = now;
            }
            self.note_local(host, name);
        }
        let group = group.map(|group| GROUPS[group].to_owned());
        self.tell(host, Input::Standby { id, group, on })
    }

    fn all_links(&self) -> Vec<(usize, usize, usize)> {
        let hosts = 0..self.hosts.len();
        hosts
            .clone()
            .flat_map(|a| hosts.clone().map(move |b| (a, b)))
            .filter(|(a, b)| a != b)
            .flat_map(|(a, b)| (0..self.paths).map(move |path| (a, b, path)))
            .collect()
    }

    /// A partition, a cut cable, a network that is gone, or one direction only.
    fn some_links(&mut self, host: usize) -> Vec<(usize, usize, usize)> {
        let kind = self.rng.u8(0..5);
        let other = self.rng.usize(0..self.hosts.len());
        let path = self.rng.usize(0..self.paths);
        let side: Vec<bool> = self.hosts.iter().map(|_| self.rng.bool()).collect();
        let mut links = self.all_links();
        links.retain(|(a, b, p)| match kind {
            0 => *a == host || *b == host,
            1 => *a == host,
            2 => (*a == host && *b == other) || (*b == host && *a == other),
            3 => *p == path,
            _ => side[*a] != side[*b],
        });
        links
    }
}
