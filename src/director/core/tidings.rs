//! What the core hears of its threads, and what it tells: them, the history and the guard.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::ServiceKey;
use probes::Verdict;

use super::{Core, Known};
use crate::clock::{self, Time};
use crate::cluster;
use crate::config::model::{Director, Virtual};
use crate::director::events::What;
use crate::director::fitness::Services;
use crate::director::guard::{self, Charge};
use crate::director::pulse::{self, Command};
use crate::health::Health;
use crate::lvs;

impl Core {
    /// Takes what the heartbeat thread tells.
    /// Takes what the heartbeat thread knows; whether the table depends on it.
    pub(super) fn take(&mut self, mut report: pulse::Report) -> bool {
        let dropped = &report.cluster.counters.dropped;
        if let Some(reasons) = self.dropped.news(dropped, report.at) {
            tracing::warn!(reasons, "heartbeats dropped");
        }
        for (at, what) in std::mem::take(&mut report.happened).into_events(report.at) {
            if let Some(what) = self.late.sift(what, at) {
                self.happened(what, at);
            }
        }
        let busy = self.busy_directors(&report);
        self.last_pulse = Some(report);
        let before = std::mem::replace(&mut self.busy, busy);
        before != self.busy
    }

    /// Where the directors are that spread packets themselves, as far as it matters.
    fn busy_directors(&self, report: &pulse::Report) -> BTreeSet<IpAddr> {
        if !self.config.ipvs.stands_aside() {
            return BTreeSet::new();
        }
        let busy = report.cluster.peers.iter().filter(|peer| peer.holds);
        let busy = busy.filter_map(|peer| self.config.directors.get(&peer.name));
        busy.flat_map(Director::addresses).collect()
    }

    pub(super) fn look_at_table(&mut self) {
        let report = self.table_reports.borrow().clone();
        let now = clock::now();
        let changes = report.drift.saturating_sub(self.table.drift);
        if changes > 0 {
            self.happened(What::TableDrift { changes }, now);
        }
        let broken = report.error.is_some();
        if broken != self.table.broken {
            let what = match report.error.clone() {
                Some(problem) => What::TableFailed { problem },
                None => What::TableWorks,
            };
            self.happened(what, now);
        }
        self.table = Known {
            drift: report.drift,
            broken,
        };
    }

    /// Takes a verdict; whether the table depends on it.
    pub(super) fn judge(&mut self, verdict: Verdict) -> bool {
        for (service, server) in self.verdicts.servers_of(&verdict.target) {
            let service: &str = service;
            let before = self.verdicts.health_of(service, *server).health;
            let reason = verdict.reason.as_ref().map(ToString::to_string);
            match verdict.health {
                // That servers are up at a start is no news, and of ten thousand it would be a flood.
                probes::Health::Up if before == Health::Unknown => {
                    tracing::debug!(service, %server, "server is up");
                }
                probes::Health::Up if before != Health::Up => {
                    tracing::info!(service, %server, "server is up");
                    let (service, server) = (service.to_owned(), server.to_string());
                    self.happened(What::ServerUp { service, server }, clock::now());
                }
                probes::Health::Down if before != Health::Down => {
                    tracing::warn!(service, %server, reason, "server is down");
                    let what = What::ServerDown {
                        service: service.to_owned(),
                        server: server.to_string(),
                        reason,
                    };
                    self.happened(what, clock::now());
                }
                probes::Health::Up | probes::Health::Down | probes::Health::Unknown => {}
            }
        }
        self.verdicts.handle_verdict(verdict)
    }

    /// Adds to the history what happened at `at`.
    pub(super) fn happened(&self, what: What, at: Time) {
        let age = clock::now().saturating_sub(at);
        let wall = clock::wall().saturating_sub(age);
        self.history
            .send_modify(|history| Arc::make_mut(history).push(what, wall));
    }

    pub(super) fn tell_late(&mut self) {
        let now = clock::now();
        for what in self.late.due(now) {
            self.happened(what, now);
        }
    }

    /// Says of which services every server has been probed for the first time.
    pub(super) fn tell_complete(&mut self) {
        for service in self.config.virtuals.keys() {
            if self.complete.contains(service) || !self.verdicts.is_complete(service) {
                continue;
            }
            let servers = self.verdicts.subscriptions().servers_of_service(service);
            let (up, down): (Vec<_>, Vec<_>) = servers
                .map(|server| self.verdicts.health_of(service, server).health)
                .partition(|health| *health == Health::Up);
            if !(up.is_empty() && down.is_empty()) {
                let (up, down) = (up.len(), down.len());
                tracing::info!(service, up, down, "every server has been probed");
            }
            self.complete.insert(service.clone());
        }
    }

    /// Tells the heartbeat thread which groups this director could serve at once; whether it could
    /// be told.
    pub(super) fn tell_ready(&mut self) -> bool {
        let mut told = true;
        let report = self.table_reports.borrow().clone();
        let programmed =
            report.error.is_none() && report.generation == self.wanted.borrow().generation;
        let refused: BTreeSet<ServiceKey> = report.refusals.iter().map(|(key, _)| *key).collect();
        for name in self.config.groups.keys() {
            let all = || self.config.virtuals.values().filter(|v| v.group == *name);
            let is_refused =
                |service: &&Virtual| lvs::service_keys(service).any(|key| refused.contains(&key));
            let services = Services {
                of: all().count(),
                refused: all().filter(is_refused).count(),
                broken: report.broken,
            };
            let complete = || all().all(|service| self.verdicts.is_complete(&service.name));
            let ready = programmed && services.refused == 0 && complete();
            // A table that is being changed is one that serves.
            let known = self.ready.get(name);
            let was_ready = known.is_some_and(|(ready, _)| *ready);
            let ready = ready || (was_ready && report.error.is_none() && !programmed);
            if known != Some(&(ready, services)) {
                let command = Command::Ready {
                    group: name.clone(),
                    ready,
                    services,
                };
                if self.pulse.tell(command) {
                    self.ready.insert(name.clone(), (ready, services));
                } else {
                    told = false;
                }
            }
        }
        told
    }

    /// Tells the heartbeat thread how many reachability targets answer.
    pub(super) fn tell_reach(&mut self) {
        let reach = *self.reach.borrow_and_update();
        if let Some(news) = reach.filter(|_| reach != self.reach_told)
            && self.pulse.tell(Command::Reach(news))
        {
            self.reach_told = reach;
        }
    }

    /// Tells the guard whether a peer lives that would take over.
    pub(super) fn tell_guard(&mut self) {
        let (Some(guard), Some(report)) = (&mut self.guard, &self.last_pulse) else {
            return;
        };
        let mut peers = report.cluster.peers.iter();
        let succeeded = peers.any(|peer| peer.liveness == cluster::Liveness::Alive);
        let told = succeeded && !self.last_words.is_empty();
        let grace = guard::grace(&self.config, told);
        if guard.told().grace != grace {
            let before = guard.told().clone();
            guard.charge(&Charge {
                grace,
                last_words: self.last_words.clone(),
                ..before
            });
        }
    }
}
