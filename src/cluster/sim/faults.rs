//! What goes wrong, when, and how it is mended.

use std::time::Duration;

use super::{Action, GROUPS, KEEPALIVE, World};
use crate::clock::Time;

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
