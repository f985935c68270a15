//! The configuration as the rest of the daemon sees it: checked, complete, without defaults to fill in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use ipvs::{Forwarding, Protocol};
use probes::ProbeSpec;
use serde::{Deserialize, Serialize};

/// Directors of a cluster at most, so that one datagram holds what a heartbeat says of each.
pub const MAX_DIRECTORS: usize = 8;

/// Groups of a cluster at most, for the same reason.
pub const MAX_GROUPS: usize = 40;

/// Heartbeat paths of a director at most: each costs a datagram per keepalive and peer.
pub const MAX_PATHS: usize = 16;

/// Reachability targets at most: each is asked several times a second.
pub const MAX_TARGETS: usize = 16;

/// A configuration that has passed every check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Config {
    /// Who belongs together, and the keys that prove it.
    pub cluster: Cluster,
    /// How often directors tell each other that they live, and when silence means death.
    pub heartbeat: HeartbeatTiming,
    /// The hosts that run `caribe`, by name; never empty, at most [`MAX_DIRECTORS`].
    pub directors: BTreeMap<String, Director>,
    /// The units of ownership, by name; never empty, at most [`MAX_GROUPS`].
    pub groups: BTreeMap<String, Group>,
    /// The virtual services, by name.
    pub virtuals: BTreeMap<String, Virtual>,
    /// What the kernel's IPVS is told beside its table.
    pub ipvs: Ipvs,
    /// Hosts that only a director that is cut off does not reach. No address twice, at most
    /// [`MAX_TARGETS`].
    pub reachability: Vec<IpAddr>,
    /// Where the API listens.
    pub control: Control,
    /// What resets the host when heartbeats stop.
    pub watchdog: Watchdog,
    /// What two directors compare to know that they run the same settings.
    pub digest: Digest,
}

/// Digests of the meaning of a configuration: equal on two directors exactly when they run the
/// same settings, whatever their comments and order of keys.
#[derive(Clone, Copy, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Digest {
    /// The beginning of the SHA-256 of all of it.
    pub whole: [u8; 8],
    /// The beginnings of the SHA-256 of each of [`SECTIONS`]: enough to tell where two differ.
    pub sections: [[u8; 2]; SECTIONS.len()],
}

/// The sections of a configuration, as directors that differ name them.
pub const SECTIONS: [&str; 9] = [
    "[cluster]",
    "[heartbeat]",
    "[[director]]",
    "[reachability]",
    "[[group]]",
    "[[virtual]]",
    "[ipvs]",
    "[control]",
    "[watchdog]",
];

impl Digest {
    /// The sections in which two configurations differ. None may be found although they do: once in
    /// 65,536 times, or when they are of two versions of caribe.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<&'static str> {
        let both = self.sections.iter().zip(&other.sections);
        let differ = SECTIONS.iter().zip(both).filter(|(_, (a, b))| a != b);
        differ.map(|(name, _)| *name).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `[cluster]`
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Cluster {
    /// Heartbeats of another cluster are dropped.
    pub name: String,
    /// Key files: the first signs, all verify. Never empty.
    pub keys: Vec<PathBuf>,
}

/// `[heartbeat]`
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HeartbeatTiming {
    /// Between two heartbeats on a path.
    pub keepalive: Duration,
    /// Silence on every path that means a peer is dead; more than twice `keepalive`.
    pub deadtime: Duration,
    /// Silence that is logged as late; below `deadtime`.
    pub warntime: Duration,
    /// How long a fresh start waits for peers never heard; not below `deadtime`.
    pub initdead: Duration,
    /// UDP port of the heartbeats, on every director.
    pub port: u16,
}

/// `[[director]]`
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Director {
    /// The host's name, or what `--node` says.
    pub name: String,
    /// More is preferred.
    pub priority: u16,
    /// Path `i` of one director talks to path `i` of every other. Never empty, and every director
    /// has as many.
    pub paths: Vec<HeartbeatPath>,
}

impl Director {
    /// The addresses that its paths tell.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.paths.iter().filter_map(|path| match path {
            HeartbeatPath::Udp(address) => Some(*address),
            HeartbeatPath::Broadcast { .. }
            | HeartbeatPath::Multicast { .. }
            | HeartbeatPath::Serial { .. } => None,
        })
    }
}

/// One way for heartbeats between directors. Path `i` of all of them is of one kind.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum HeartbeatPath {
    /// UDP to the director's address on one network.
    Udp(IpAddr),
    /// UDP to everybody on one network.
    Broadcast {
        /// The same for all directors.
        address: Ipv4Addr,
        /// Where the director has that network; never `None` with 255.255.255.255.
        interface: Option<String>,
    },
    /// UDP to everybody who has joined a group.
    Multicast {
        /// The same for all directors.
        group: IpAddr,
        /// Where the director has the network.
        interface: String,
        /// Routers that may be passed, and one; above zero.
        ttl: u8,
    },
    /// A null modem cable to the only other director.
    Serial {
        /// The director's end of it.
        device: PathBuf,
        /// Bits a second: one of [`BAUD_RATES`], and the same at both ends.
        baud: u32,
    },
}

/// The speeds of a serial line, in bits a second.
pub const BAUD_RATES: [u32; 7] = [9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800];

impl HeartbeatPath {
    /// How messages and the configuration call its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Udp(_) => "udp",
            Self::Broadcast { .. } => "broadcast",
            Self::Multicast { .. } => "multicast",
            Self::Serial { .. } => "serial",
        }
    }

    /// Where it leads, with the heartbeats' UDP port: `192.0.2.11:539`, `239.1.2.3:539 on eth0`,
    /// `/dev/ttyS0 at 115200`.
    #[must_use]
    pub fn place(&self, port: u16) -> String {
        match self {
            Self::Udp(ip) => SocketAddr::new(*ip, port).to_string(),
            Self::Broadcast { address, interface } => {
                let on = interface.as_ref().map(|name| format!(" on {name}"));
                format!("{address}:{port}{}", on.unwrap_or_default())
            }
            Self::Multicast {
                group, interface, ..
            } => format!("{} on {interface}", SocketAddr::new(*group, port)),
            Self::Serial { device, baud } => format!("{} at {baud}", device.display()),
        }
    }
}

/// `[[group]]`
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Group {
    /// How messages and commands call it.
    pub name: String,
    /// What happens when a better director returns.
    pub failback: Failback,
    /// The director preferred for this group before any priority.
    pub prefer: Option<String>,
    /// How long its addresses are asked for when no director has held it lately; zero means that
    /// nobody is waited for.
    pub ask_first: Duration,
    /// The addresses that move together. Never empty, no address twice.
    pub vips: Vec<Vip>,
    /// Interfaces whose loss of carrier makes a director unfit.
    pub monitor_links: Vec<String>,
}

/// When a group goes back to a better director that has returned.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Failback {
    /// After the better director has been fit and ready for this long.
    Auto {
        /// Zero means at once.
        delay: Duration,
    },
    /// Only when an operator says so.
    Manual,
}

/// A virtual IP address and where it is put.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Vip {
    /// Address with its prefix length; the host part is kept.
    pub address: IpNet,
    /// The interface that carries it.
    pub interface: String,
    /// IPv4 only: the label that `ip addr` and old tools show, `eth0:1`.
    pub label: Option<String>,
}

/// `[[virtual]]`
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Virtual {
    /// How messages and commands call it.
    pub name: String,
    /// The group whose addresses it serves on.
    pub group: String,
    /// What of the traffic is its.
    pub matches: Match,
    /// The kernel's name of the scheduler.
    pub scheduler: String,
    /// How packets reach the servers, unless a server says otherwise.
    pub forward: Forwarding,
    /// How long a client stays with its server.
    pub persistent: Option<Duration>,
    /// Serves while no server is up. Port 0 stands for the service's own, where there is not one
    /// port: several, or a firewall mark.
    pub sorry: Option<SocketAddr>,
    /// What becomes of a server that fails.
    pub on_failure: OnFailure,
    /// How servers are checked; `None` means they are always up.
    pub probe: Option<Arc<ProbeSpec>>,
    /// The real servers, in the order of the file. No address and port twice.
    pub servers: Vec<Server>,
}

/// The traffic that a virtual service takes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Match {
    /// Packets to an address and one of some ports.
    Address {
        /// The VIP.
        address: IpAddr,
        /// Never empty, no port twice; each becomes an IPVS service of its own.
        ports: Vec<u16>,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// Packets that a firewall rule has marked.
    FwMark {
        /// Above zero.
        mark: u32,
        /// The family of the group's addresses that the mark stands for.
        ipv6: bool,
    },
}

/// What becomes of a server that fails its probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum OnFailure {
    /// It leaves the table; its connections break.
    Remove,
    /// It stays with weight 0; established connections go on.
    Quiesce,
}

/// `[[virtual.server]]`
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Server {
    /// Where packets are sent.
    pub address: IpAddr,
    /// `None`: the virtual's port.
    pub port: Option<u16>,
    /// Share of new connections; 0 takes none.
    pub weight: u32,
    /// Overrides the virtual's.
    pub forward: Option<Forwarding>,
    /// Overrides the virtual's.
    pub probe: Option<Arc<ProbeSpec>>,
}

/// `[ipvs]`
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Ipvs {
    /// How the directors tell each other of their connections; `None`: not at all.
    pub sync: Option<Sync>,
    /// Settings below `net.ipv4.vs`, by the kernel's names, each written as the kernel reads it.
    /// Those of a configuration with `sync` include the defaults that go with it.
    pub sysctls: BTreeMap<String, String>,
}

/// The setting whose value depends on whether a director stands by.
pub const BACKUP_ONLY: &str = "backup_only";

impl Ipvs {
    /// Whether the kernel shall leave packets alone while this director has no group
    /// ([`BACKUP_ONLY`]).
    #[must_use]
    pub fn stands_aside(&self) -> bool {
        stands_aside(&self.sysctls)
    }
}

/// The same of settings alone.
#[must_use]
pub fn stands_aside(sysctls: &BTreeMap<String, String>) -> bool {
    sysctls.get(BACKUP_ONLY).is_some_and(|value| value == "1")
}

/// `[ipvs.sync]`
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Sync {
    /// The interface that connections are told on, on every director.
    pub interface: String,
    /// Tells clusters apart; 0 takes in what comes with any id.
    pub id: u8,
    /// The multicast group.
    pub group: IpAddr,
    /// UDP port.
    pub port: NonZero<u16>,
    /// How many routers a message may pass, plus one.
    pub ttl: NonZero<u8>,
    /// Longest message in bytes; `None` leaves it to the kernel.
    pub maxlen: Option<NonZero<u16>>,
}

/// `[control]`
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Control {
    /// The Unix socket of the API.
    pub socket: PathBuf,
}

/// `[watchdog]`
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Watchdog {
    /// The kernel's watchdog that is to be fed.
    pub device: Option<PathBuf>,
}
