//! Links that lose, delay, double and cut what is sent.

use std::rc::Rc;
use std::time::Duration;

use super::hosts::Host;
use super::{Action, INBOX, MAX_DELAY, NAMES, World};
use crate::clock::Time;
use crate::cluster::Input;
use crate::cluster::rules::Rule;

#[derive(Clone, Copy, Default)]
pub(super) struct Link {
    /// Overlapping cuts.
    pub(super) cuts: u32,
    pub(super) loss: u8,
    pub(super) duplicates: u8,
    pub(super) slow: bool,
}

#[derive(Clone)]
pub(super) struct Datagram {
    pub(super) id: u64,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) path: usize,
    pub(super) sent: Time,
    pub(super) generation: u64,
    pub(super) bytes: Rc<Vec<u8>>,
}

impl World {
    pub(super) fn deliver(&mut self, datagram: Datagram) -> Result<(), String> {
        let to = datagram.to;
        let host = &mut self.hosts[to];
        if host.run.is_none() {
            return Ok(());
        }
        if host.paused {
            if host.inbox.len() < INBOX {
                host.inbox.push((self.now, datagram));
            }
            return Ok(());
        }
        let waits = host.lets_wait(datagram.from);
        let reads_urgent = self.plan.broken != Some(Rule::UrgentIsRead);
        match host.codec.decode(datagram.path, &datagram.bytes) {
            Ok(heartbeat) if waits && !(heartbeat.answer && reads_urgent) => {
                host.waiting.push((self.now, datagram));
                Ok(())
            }
            Ok(_) => {
                self.read_waiting(to)?;
                self.read(&datagram, Duration::ZERO)
            }
            Err(_) => self.read(&datagram, Duration::ZERO),
        }
    }

    /// A daemon reads what it has let wait.
    pub(super) fn read_waiting(&mut self, i: usize) -> Result<(), String> {
        for (arrived, datagram) in std::mem::take(&mut self.hosts[i].waiting) {
            self.read(&datagram, self.now - arrived)?;
        }
        Ok(())
    }

    pub(super) fn read(&mut self, datagram: &Datagram, waited: Duration) -> Result<(), String> {
        let to = datagram.to;
        let host = &mut self.hosts[to];
        match host.codec.decode(datagram.path, &datagram.bytes) {
            Ok(heartbeat) => {
                let trusted = |host: &Host| host.run.as_ref().map_or(0, |m| m.counters.received);
                let before = trusted(host);
                self.checks.hearing = Some((datagram.clone(), heartbeat.clone()));
                let input = Input::Heartbeat {
                    path: datagram.path,
                    heartbeat: heartbeat.clone(),
                    waited,
                };
                self.tell_only(to, input)?;
                self.checks.hearing = None;
                if trusted(&self.hosts[to]) > before {
                    self.report.delivered += 1;
                    self.check_trusted(datagram, &heartbeat)?;
                }
            }
            Err(why) => {
                if let Some(machine) = &mut host.run {
                    machine.count_dropped(why);
                }
            }
        }
        Ok(())
    }

    pub(super) fn send(&mut self, from: usize, to: usize, path: usize, bytes: &Rc<Vec<u8>>) {
        self.seq += 1;
        let datagram = Datagram {
            id: self.seq,
            from,
            to,
            path,
            sent: self.now,
            generation: self.hosts[from].generation,
            bytes: Rc::clone(bytes),
        };
        self.recorded.push(datagram.clone());
        let Some(delay) = self.passes(from, to, path, 0) else {
            return;
        };
        if self.hosts[to].power && self.hosts[to].run.is_none() {
            if let Some(back) = self.passes(to, from, path, 1) {
                let input = Input::Refused {
                    path,
                    peer: NAMES[to].to_owned(),
                };
                let generation = self.hosts[from].generation;
                let action = Action::Tell {
                    host: from,
                    generation,
                    input,
                };
                self.at(self.now + delay + back, action);
            }
            return;
        }
        let link = self
            .links
            .get(&(from, to, path))
            .copied()
            .unwrap_or_default();
        if self.fate(&[from, to, path]).u8(0..100) < link.duplicates
            && let Some(delay) = self.passes(from, to, path, 2)
        {
            self.at(self.now + delay, Action::Deliver(datagram.clone()));
        }
        self.at(self.now + delay, Action::Deliver(datagram));
    }

    /// How long a datagram travels, if it arrives.
    pub(super) fn passes(
        &self,
        from: usize,
        to: usize,
        path: usize,
        copy: usize,
    ) -> Option<Duration> {
        let link = self
            .links
            .get(&(from, to, path))
            .copied()
            .unwrap_or_default();
        let mut fate = self.fate(&[from, to, path, copy]);
        let lost = fate.u8(0..100) < link.loss;
        let max = if link.slow { 80_000 } else { 1900 };
        let delay = Duration::from_micros(fate.u64(100..max));
        debug_assert!(link.slow || delay <= MAX_DELAY);
        (link.cuts == 0 && !lost && self.hosts[to].power).then_some(delay)
    }
}
