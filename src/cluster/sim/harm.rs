//! What each fault does to the world.

use std::time::Duration;

use super::faults::Fault;
use super::hosts::Local;
use super::network::Datagram;
use super::{Action, DEADTIME, GROUPS, KEEPALIVE, NAMES, World};
use crate::cluster::{Codec, Fitness, Input, Keys};

impl World {
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

    pub(super) fn disturb(&mut self) {
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
            self.tell_only(i, Input::Timeout)?;
        }
        self.read_waiting(i)?;
        for (arrived, datagram) in inbox {
            let waits = self.hosts[i].lets_wait(datagram.from);
            let waited = if waits {
                self.now - arrived
            } else {
                Duration::ZERO
            };
            self.read(&datagram, waited)?;
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
}
