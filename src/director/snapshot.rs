//! Everything an operator may ask about a running director, at one moment.
//!
//! The only source of `caribe status`, of the API and of metrics, so that they cannot disagree. In
//! JSON every time is a whole number of microseconds, and its name ends in `_us`.

use std::net::IpAddr;
use std::time::Duration;

use ipvs::{Forwarding, Protocol};
use serde::{Deserialize, Serialize};

use crate::clock::micros;
use crate::cluster::{Histogram, Rhythm};

/// A director as it sees itself, its peers, its groups and its services.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Snapshot {
    /// This director's name.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
    /// Version of the running program.
    pub version: String,
    /// Digest of the running configuration, in hex.
    pub config: String,
    /// How long the daemon has been running.
    #[serde(rename = "uptime_us", with = "micros")]
    pub uptime: Duration,
    /// How often it sends heartbeats, and when it takes a director for dead.
    pub timing: Timing,
    /// Every director of the configuration, this one included, by name.
    pub directors: Vec<DirectorStatus>,
    /// Every group, by name.
    pub groups: Vec<GroupStatus>,
    /// Every virtual service, by name.
    pub services: Vec<ServiceStatus>,
    /// How the probes of their servers keep up.
    pub probes: ProbesStatus,
    /// Connection sync and settings of the kernel's IPVS; `None` when neither is configured.
    pub sync: Option<SyncStatus>,
    /// The last 16 takeovers by this director and of each group the last one, the newest last; a
    /// handover to it is one too.
    pub takeovers: Vec<Takeover>,
    /// What has been dropped and repaired since the start.
    pub counters: Counters,
}

/// The running timing of heartbeats, of `[heartbeat]`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Timing {
    /// Between two heartbeats on a path.
    #[serde(rename = "keepalive_us", with = "micros")]
    pub keepalive: Duration,
    /// Silence on every path that means that a director is dead.
    #[serde(rename = "deadtime_us", with = "micros")]
    pub deadtime: Duration,
    /// Silence that is counted as late.
    #[serde(rename = "warntime_us", with = "micros")]
    pub warntime: Duration,
}

/// How a group came to this director, and when; times are told from its claim of the group.
///
/// Group and epoch together name a takeover.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Takeover {
    /// The group.
    pub group: String,
    /// Of the claim.
    pub epoch: u64,
    /// What made it so, in a few words.
    pub reason: String,
    /// The director that had it before, if any is known to have.
    pub from: Option<String>,
    /// How long ago it was claimed.
    #[serde(rename = "age_us", with = "micros")]
    pub age: Duration,
    /// The last heartbeat of the director that had it: microseconds before the claim.
    pub heard_before_us: Option<u64>,
    /// When that director was first late (warntime after its last heartbeat), or found to be gone
    /// or leaving, whichever was first: microseconds before the claim.
    pub suspected_before_us: Option<u64>,
    /// When the last of its addresses was here: microseconds after the claim; `None` until then.
    pub addresses_after_us: Option<u64>,
    /// When the last of them had been announced: microseconds after the claim; `None` until then.
    pub announced_after_us: Option<u64>,
    /// When the first packet to one of them came here: microseconds after the claim; `None` until
    /// then, and if none came within 10 s.
    #[serde(default)]
    pub first_packet_after_us: Option<u64>,
}

/// A director as this one knows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DirectorStatus {
    /// Its name.
    pub name: String,
    /// Its configured priority.
    pub priority: u16,
    /// Whether it is the one that answers.
    pub local: bool,
    /// Whether it lives.
    pub liveness: Liveness,
    /// Whether it says that it hears us; `None` for this director itself.
    pub hears_us: Option<bool>,
    /// Whether it runs the same configuration; `None` until heard, and for this director itself.
    pub same_config: Option<bool>,
    /// The sections in which its configuration differs, as far as they can be told.
    pub differing: Vec<String>,
    /// To it and back by the fastest path, as last measured; `None` until then, and for this
    /// director itself.
    #[serde(rename = "round_trip_us", with = "micros::option")]
    pub round_trip: Option<Duration>,
    /// How regularly its heartbeats have come, by whatever path; `None` for this director itself.
    pub rhythm: Option<Rhythm>,
    /// Its paths, in configured order. For this director itself: where it listens.
    pub paths: Vec<PathStatus>,
}

/// Whether a director lives.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// Heard within deadtime.
    Alive,
    /// Silent for longer than deadtime, or said that it stops.
    Dead,
    /// Not heard since this director started.
    Unknown,
}

/// One way to a director.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PathStatus {
    /// `udp`, `broadcast`, `multicast` or `serial`.
    pub kind: String,
    /// Where it leads: `192.0.2.11:539`, `239.1.2.3:539 on eth0`, `/dev/ttyS0 at 115200`.
    pub address: String,
    /// Whether heartbeats come in on it.
    pub liveness: Liveness,
    /// Since the last good heartbeat; `None` if there was none, and for this director itself.
    #[serde(rename = "silence_us", with = "micros::option")]
    pub silence: Option<Duration>,
    /// To the director by its fastest path, and back by this one, as last measured; `None` until
    /// then, and for this director itself.
    #[serde(rename = "round_trip_us", with = "micros::option")]
    pub round_trip: Option<Duration>,
    /// Between two heartbeats that came in on it, while it was up.
    pub intervals: Histogram,
    /// Intervals longer than warntime.
    pub late: u64,
    /// Heartbeats that did not come by it, while it was up; a slow serial line is not given all.
    pub lost: u64,
}

/// A group as this director sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// This director's role in it.
    pub role: Role,
    /// Who is active, as far as this director knows.
    pub owner: Option<String>,
    /// Grows with each change of owner.
    pub epoch: u64,
    /// Whether this director could serve it, and shall.
    pub fit: bool,
    /// How well: 1000 when nothing is amiss, 0 when it is unfit.
    pub fitness: u16,
    /// What is amiss: "eth1 has no carrier", "reaches none of 2 targets".
    pub amiss: Vec<String>,
    /// Whether an operator has told this director to stand by.
    pub standby: bool,
    /// The director that it is being handed over to.
    pub handing_to: Option<String>,
    /// Whether its probes have run and its table is programmed here.
    pub ready: bool,
    /// How long the role has been held.
    #[serde(rename = "since_us", with = "micros")]
    pub since: Duration,
    /// Why this role, in a few words; of a group without an owner, what keeps this director from
    /// taking it.
    pub reason: String,
    /// Its addresses.
    pub vips: Vec<VipStatus>,
}

/// A director's role in a group.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds the VIPs.
    Active,
    /// Ready to hold them.
    Standby,
}

/// An address of a group.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct VipStatus {
    /// With prefix length.
    pub address: String,
    /// Where it is put.
    pub interface: String,
    /// Whether this host carries it.
    pub present: bool,
    /// Whether the network is being asked if another host has it, before it is put.
    pub asking: bool,
    /// What prevents it, if anything does.
    pub problem: Option<String>,
}

/// A virtual service of the configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// The group whose addresses it serves on.
    pub group: String,
    /// `192.0.2.80:80`, `192.0.2.80:80,443`, `[2001:db8::80]:80` or `fwmark 1`.
    pub address: String,
    /// `None` for a firewall mark.
    pub protocol: Option<Protocol>,
    /// The kernel's name of the scheduler.
    pub scheduler: String,
    /// Whether the kernel's table is as desired; what differs otherwise.
    pub problem: Option<String>,
    /// Its real servers, in configured order, the sorry server last.
    pub servers: Vec<ServerStatus>,
}

/// A real server behind a virtual service.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ServerStatus {
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0 behind a firewall mark.
    pub port: u16,
    /// Whether it serves only while no other does.
    pub sorry: bool,
    /// How packets reach it.
    pub forward: Forwarding,
    /// As configured.
    pub weight: u32,
    /// In the kernel's table; `None` when it is not there.
    pub kernel_weight: Option<u32>,
    /// What its probe says.
    pub health: Health,
    /// Why, when it is not up: "connection refused".
    pub reason: Option<String>,
    /// How long it has been in this state.
    #[serde(rename = "since_us", with = "micros::option")]
    pub since: Option<Duration>,
    /// What the probe took that had the last verdict: the last that changed state, reason or weight.
    /// `None` before it.
    pub took: Option<Took>,
    /// Established connections that the kernel counts.
    pub active_connections: u32,
    /// Other connections that the kernel counts.
    pub inactive_connections: u32,
}

/// What a probe took, in microseconds from its start; `None` for what it did not come to or does not
/// have.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Took {
    /// Until the connection was made.
    pub connect_us: Option<u32>,
    /// Until TLS was agreed on.
    pub tls_us: Option<u32>,
    /// Until the server's first byte came.
    pub first_byte_us: Option<u32>,
    /// Until the result.
    pub whole_us: u32,
}

/// What a probe says of a server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Serves.
    Up,
    /// Does not serve.
    Down,
    /// No verdict yet.
    Unknown,
    /// Has no probe.
    Unchecked,
}

/// How the probes keep up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProbesStatus {
    /// Places that are asked, each once for all servers that depend on it.
    pub targets: usize,
    /// Probes that run at the moment.
    pub running: usize,
    /// Probes started so far.
    pub started: u64,
    /// How late half of them started at most, up to twice too much.
    #[serde(rename = "delay_p50_us", with = "micros")]
    pub delay_p50: Duration,
    /// How late 99 of 100 started at most, likewise.
    #[serde(rename = "delay_p99_us", with = "micros")]
    pub delay_p99: Duration,
    /// How late the latest started.
    #[serde(rename = "delay_max_us", with = "micros")]
    pub delay_max: Duration,
    /// Probes that started more than 100 ms late.
    pub late: u64,
    /// Probes that were still running when they were due again.
    pub overran: u64,
    /// Probes that this host could not run.
    pub not_run: u64,
}

/// What the kernel's IPVS was told beside its table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SyncStatus {
    /// Where connections are told and heard of; `None` when only settings are configured.
    pub interface: Option<String>,
    /// What tells clusters apart on it.
    pub id: u8,
    /// Whether this director tells of its connections.
    pub sending: bool,
    /// Whether it takes in those of others.
    pub receiving: bool,
    /// The configured settings below `net.ipv4.vs`, as the kernel has them.
    pub sysctls: std::collections::BTreeMap<String, String>,
    /// Configured settings that the kernel does not have.
    pub lacking: Vec<String>,
    /// What prevents that all is as configured.
    pub problems: Vec<String>,
}

/// What has been dropped and repaired since the start.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Counters {
    /// Heartbeats sent, on all paths.
    pub heartbeats_sent: u64,
    /// Good heartbeats received, on all paths.
    pub heartbeats_received: u64,
    /// Datagrams dropped, by reason.
    pub dropped: std::collections::BTreeMap<String, u64>,
    /// Heartbeats that came later than warntime.
    pub late: u64,
    /// Takeovers by this director.
    pub takeovers: u64,
    /// Changes that this director has made to the kernel's IPVS table, whatever their cause.
    #[serde(default)]
    pub table_changes: u64,
    /// Differences of the kernel's IPVS, its table and its connection sync, that were not ours and
    /// have been mended.
    pub drift_repaired: u64,
    /// VIPs that somebody removed and that have been put back.
    pub vips_restored: u64,
    /// Times that another host was found to answer for a VIP.
    #[serde(default)]
    pub vips_claimed: u64,
    /// Times that a VIP was announced against it.
    #[serde(default)]
    pub vips_defended: u64,
}
