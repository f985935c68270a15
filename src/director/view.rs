//! Makes the snapshot of everything that is known.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ipvs::{DestinationKey, ListedDestination, ServiceKey, SyncRole};

use super::pulse;
use super::snapshot::{
    Counters, DirectorStatus, GroupStatus, Health, Liveness, PathStatus, ProbesStatus, Role,
    ServerStatus, ServiceStatus, Snapshot, SyncStatus, Timing, Took,
};
use crate::clock::Time;
use crate::cluster;
use crate::config::model::{BACKUP_ONLY, Config, Match, Server, Virtual};
use crate::health::{self, Verdicts};
use crate::lvs::{self, sync::Duty};

/// Everything that a snapshot is made of.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// The running configuration.
    pub(super) config: &'a Config,
    /// This director's name.
    pub(super) node: &'a str,
    /// When the daemon started.
    pub(super) started: Time,
    /// What the heartbeat thread knows.
    pub(super) pulse: Option<&'a pulse::Report>,
    /// What probes have found.
    pub(super) verdicts: &'a Verdicts,
    /// How the probes keep up.
    pub(super) probes: probes::Stats,
    /// What the kernel's table holds.
    pub(super) table: &'a lvs::Report,
    /// Whether this director has a group, as its kernel was told.
    pub(super) duty: &'a Duty,
}

type Listed<'a> = BTreeMap<ServiceKey, Rows<'a>>;
type Rows<'a> = BTreeMap<DestinationKey, &'a ListedDestination>;

impl View<'_> {
    /// The snapshot at `now`.
    pub(super) fn snapshot(&self, now: Time) -> Snapshot {
        let listed: Listed<'_> = self
            .table
            .listing
            .iter()
            .map(|service| {
                let destinations = service.destinations.iter().map(|d| (d.key, d)).collect();
                (service.key, destinations)
            })
            .collect();
        let services = self.config.virtuals.values();
        Snapshot {
            node: self.node.to_owned(),
            cluster: self.config.cluster.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config.digest.to_string(),
            uptime: now.saturating_sub(self.started),
            timing: Timing {
                keepalive: self.config.heartbeat.keepalive,
                deadtime: self.config.heartbeat.deadtime,
                warntime: self.config.heartbeat.warntime,
            },
            directors: self.directors(now),
            groups: self.groups(now),
            services: services
                .map(|service| self.service(service, &listed, now))
                .collect(),
            probes: self.probes(),
            sync: self.sync(),
            takeovers: self
                .pulse
                .map(|pulse| pulse.takeovers.at(now))
                .unwrap_or_default(),
            counters: self.counters(),
        }
    }

    fn directors(&self, now: Time) -> Vec<DirectorStatus> {
        // Reports age until the next one comes.
        let age = |pulse: &pulse::Report| now.saturating_sub(pulse.at);
        self.config
            .directors
            .values()
            .map(|director| {
                let local = director.name == self.node;
                let peer = self.pulse.and_then(|pulse| {
                    pulse
                        .cluster
                        .peers
                        .iter()
                        .find(|peer| peer.name == director.name)
                });
                let age = self.pulse.map(age).unwrap_or_default();
                let paths = director
                    .paths
                    .iter()
                    .enumerate()
                    .map(|(index, configured)| {
                        let path = peer.and_then(|peer| peer.paths.get(index));
                        PathStatus {
                            kind: configured.kind().to_owned(),
                            address: configured.place(self.config.heartbeat.port),
                            liveness: if local {
                                Liveness::Alive
                            } else {
                                path.map_or(Liveness::Unknown, |path| liveness(path.liveness))
                            },
                            silence: path
                                .and_then(|path| path.silence)
                                .map(|silence| silence + age),
                            round_trip: path.and_then(|path| path.round_trip),
                            intervals: path.map(|path| path.intervals.clone()).unwrap_or_default(),
                            late: path.map_or(0, |path| path.late),
                            lost: path.map_or(0, |path| path.lost),
                        }
                    });
                DirectorStatus {
                    name: director.name.clone(),
                    priority: director.priority,
                    local,
                    liveness: if local {
                        Liveness::Alive
                    } else {
                        peer.map_or(Liveness::Unknown, |peer| liveness(peer.liveness))
                    },
                    hears_us: peer.map(|peer| peer.hears_us),
                    same_config: peer.and_then(|peer| peer.same_config),
                    differing: peer.map(|peer| peer.differing.clone()).unwrap_or_default(),
                    round_trip: peer.and_then(|peer| peer.round_trip),
                    rhythm: peer.map(|peer| peer.rhythm.clone()),
                    paths: paths.collect(),
                }
            })
            .collect()
    }

    fn groups(&self, now: Time) -> Vec<GroupStatus> {
        let Some(pulse) = self.pulse else {
            return Vec::new();
        };
        let age = now.saturating_sub(pulse.at);
        pulse
            .cluster
            .groups
            .iter()
            .map(|group| {
                let role = match group.role {
                    cluster::Role::Standby => Role::Standby,
                    // Until its last VIP is gone.
                    cluster::Role::Active | cluster::Role::Releasing => Role::Active,
                };
                GroupStatus {
                    name: group.name.clone(),
                    role,
                    owner: group.owner.clone(),
                    epoch: group.epoch,
                    fit: group.fitness.is_fit(),
                    fitness: group.fitness.0,
                    amiss: pulse.amiss.get(&group.name).cloned().unwrap_or_default(),
                    standby: group.standby,
                    handing_to: group.handing_to.clone(),
                    ready: group.ready,
                    since: group.since + age,
                    reason: group.reason.clone(),
                    vips: pulse.vips.get(&group.name).cloned().unwrap_or_default(),
                }
            })
            .collect()
    }

    fn service(&self, service: &Virtual, listed: &Listed<'_>, now: Time) -> ServiceStatus {
        let (address, protocol) = match &service.matches {
            Match::Address {
                address,
                ports,
                protocol,
            } => {
                let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
                let host = if address.is_ipv6() {
                    format!("[{address}]")
                } else {
                    address.to_string()
                };
                (format!("{host}:{}", ports.join(",")), Some(*protocol))
            }
            Match::FwMark { mark, .. } => (format!("fwmark {mark}"), None),
        };
        let mut servers = Vec::new();
        let mut problem = self.table.error.clone();
        for key in lvs::service_keys(service) {
            let there = listed.get(&key);
            for server in &service.servers {
                servers.push(self.server(service, server, key, there, now));
            }
            if let Some(sorry) = service.sorry {
                servers.push(sorry_server(service, lvs::sorry_key(key, sorry), there));
            }
            let refusal = self
                .table
                .refusals
                .iter()
                .find(|(service, _)| *service == key);
            problem = problem.or_else(|| refusal.map(|(_, refusal)| refusal.clone()));
        }
        ServiceStatus {
            name: service.name.clone(),
            group: service.group.clone(),
            address,
            protocol,
            scheduler: service.scheduler.clone(),
            problem,
            servers,
        }
    }

    fn server(
        &self,
        service: &Virtual,
        server: &Server,
        key: ServiceKey,
        there: Option<&Rows<'_>>,
        now: Time,
    ) -> ServerStatus {
        let place = lvs::destination_key(key, server);
        let row = there.and_then(|destinations| destinations.get(&place));
        let known = self
            .verdicts
            .health_of(&service.name, SocketAddr::new(place.address, place.port));
        ServerStatus {
            address: place.address,
            port: place.port,
            sorry: false,
            forward: server.forward.unwrap_or(service.forward),
            weight: server.weight,
            kernel_weight: row.map(|row| row.destination.weight),
            health: match known.health {
                health::Health::Up => Health::Up,
                health::Health::Down => Health::Down,
                health::Health::Unknown => Health::Unknown,
                health::Health::Unchecked => Health::Unchecked,
            },
            reason: known
                .reason
                .map(ToString::to_string)
                .or_else(|| known.warning.map(str::to_owned)),
            since: known.since.map(|since| now.saturating_sub(since)),
            took: known.times.as_ref().map(took),
            active_connections: row.map_or(0, |row| row.active),
            inactive_connections: row.map_or(0, |row| row.inactive),
        }
    }

    fn probes(&self) -> ProbesStatus {
        let stats = self.probes;
        ProbesStatus {
            targets: stats.targets,
            running: stats.running,
            started: stats.started,
            delay_p50: stats.delay_within(50),
            delay_p99: stats.delay_within(99),
            delay_max: stats.delay_max,
            late: stats.late,
            overran: stats.overran,
            not_run: stats.not_run,
        }
    }

    fn sync(&self) -> Option<SyncStatus> {
        let configured = &self.config.ipvs;
        if configured.sync.is_none() && configured.sysctls.is_empty() {
            return None;
        }
        let report = &self.table.sync;
        let runs = |role| report.daemons.iter().any(|daemon| daemon.role == role);
        let sync = configured.sync.as_ref();
        let mut sysctls = report.sysctls.clone();
        // A takeover changes it between two rounds.
        if let Some(value) = sysctls.get_mut(BACKUP_ONLY)
            && configured.stands_aside()
            && report.problems.is_empty()
        {
            self.duty.value().clone_into(value);
        }
        Some(SyncStatus {
            interface: sync.map(|sync| sync.interface.clone()),
            id: sync.map_or(0, |sync| sync.id),
            sending: runs(SyncRole::Sender),
            receiving: runs(SyncRole::Receiver),
            sysctls,
            lacking: report.lacking.iter().cloned().collect(),
            problems: report.problems.clone(),
        })
    }

    fn counters(&self) -> Counters {
        let Some(pulse) = self.pulse else {
            return Counters::default();
        };
        let counted = &pulse.cluster.counters;
        Counters {
            heartbeats_sent: pulse.sent,
            heartbeats_received: counted.received,
            dropped: counted
                .dropped
                .iter()
                .map(|(why, n)| (why.to_string(), *n))
                .collect(),
            late: counted.late,
            takeovers: counted.takeovers,
            table_changes: self.table.changes,
            drift_repaired: self.table.drift + self.table.sync.drift,
            vips_restored: pulse.vip_counts.lost,
            vips_claimed: pulse.vip_counts.claimed,
            vips_defended: pulse.vip_counts.defended,
        }
    }
}

fn sorry_server(
    service: &Virtual,
    place: DestinationKey,
    there: Option<&Rows<'_>>,
) -> ServerStatus {
    let row = there.and_then(|destinations| destinations.get(&place));
    ServerStatus {
        address: place.address,
        port: place.port,
        sorry: true,
        forward: service.forward,
        weight: 0,
        kernel_weight: row.map(|row| row.destination.weight),
        health: Health::Unchecked,
        reason: None,
        since: None,
        took: None,
        active_connections: row.map_or(0, |row| row.active),
        inactive_connections: row.map_or(0, |row| row.inactive),
    }
}

fn took(times: &probes::Times) -> Took {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    Took {
        connect_us: times.connect.map(micros),
        tls_us: times.tls.map(micros),
        first_byte_us: times.first_byte.map(micros),
        whole_us: micros(times.whole),
    }
}

fn liveness(liveness: cluster::Liveness) -> Liveness {
    match liveness {
        cluster::Liveness::Unknown => Liveness::Unknown,
        cluster::Liveness::Alive => Liveness::Alive,
        cluster::Liveness::Dead(_) => Liveness::Dead,
    }
}
