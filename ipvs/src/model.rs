//! IPVS objects as plain values: services, destinations and the table they make.

mod key;
mod sync;

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

pub use key::{DestinationKey, InvalidKey, ServiceKey};
pub use sync::{SyncDaemon, SyncRole, Timeouts};

/// Transport protocol of a virtual service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IPPROTO_TCP, 6.
    Tcp,
    /// IPPROTO_UDP, 17.
    Udp,
    /// IPPROTO_SCTP, 132.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// How a director forwards packets to a destination (`IP_VS_CONN_F_FWD_MASK`, linux/ip_vs.h).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Forwarding {
    /// Network address translation; the destination's way back leads through the director.
    Masquerade,
    /// Link-layer readdressing; the destination shares a network with the director and has the VIP.
    Direct,
    /// IP-in-IP; the destination has a tunnel and the VIP.
    Tunnel,
    /// The director's own stack. Kernels say so of some destinations that are local addresses,
    /// whatever was asked for.
    Local,
}

/// The name of no scheduler: a service that has it takes no new connections.
pub const SCHEDULER_NONE: &str = "none";

/// How a virtual service schedules connections.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Service {
    /// The kernel's name of the scheduler, at most 15 bytes.
    pub scheduler: String,
    /// Options of schedulers, and one-packet scheduling.
    pub flags: ServiceFlags,
    /// Whether clients return to the same destination.
    pub persistence: Option<Persistence>,
    /// A persistence engine such as `sip`, at most 15 bytes, that tells clients apart by what they
    /// say. Without persistence it is kept, and of no effect.
    pub engine: Option<String>,
}

impl Service {
    /// A service without flags and persistence.
    pub fn new(scheduler: impl Into<String>) -> Self {
        Self {
            scheduler: scheduler.into(),
            flags: ServiceFlags::default(),
            persistence: None,
            engine: None,
        }
    }
}

/// Flags that an operator may set on a service (`IP_VS_SVC_F_*`, linux/ip_vs.h).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct ServiceFlags {
    /// Schedule each datagram on its own.
    pub one_packet: bool,
    /// Scheduler flag 1: fallback for `sh` and `mh`.
    pub fallback: bool,
    /// Scheduler flag 2: hash the source port too, for `sh` and `mh`.
    pub port: bool,
    /// Scheduler flag 3: no scheduler of the kernel uses it.
    pub third: bool,
}

/// Affinity of clients to destinations.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Persistence {
    /// How long after its last connection a client is remembered, in seconds. The kernel counts
    /// in ticks: more than 4,294,967 s may come out as less.
    pub timeout: u32,
    /// Which clients count as one.
    pub granularity: Granularity,
}

/// Which clients count as one for persistence.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// IPv4 clients that are equal under this mask.
    Mask(Ipv4Addr),
    /// IPv6 clients that are equal in so many first bits, 1 to 128.
    Prefix(u8),
}

impl Granularity {
    /// Each client for itself.
    pub fn host(ipv6: bool) -> Self {
        if ipv6 {
            Self::Prefix(128)
        } else {
            Self::Mask(Ipv4Addr::BROADCAST)
        }
    }

    /// Clients that share a network with this prefix length, cut to what the family allows.
    pub fn network(ipv6: bool, prefix: u8) -> Self {
        if ipv6 {
            return Self::Prefix(prefix.clamp(1, 128));
        }
        let shift = 32 - u32::from(prefix.min(32));
        Self::Mask(Ipv4Addr::from_bits(
            u32::MAX.checked_shl(shift).unwrap_or(0),
        ))
    }
}

/// How a real server gets its share.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Destination {
    /// The way of the packets to it.
    pub forwarding: Forwarding,
    /// Its share, 0 to 2,147,483,647; 0 admits no new connections.
    pub weight: u32,
    /// What it shall weigh in the lookup table of scheduler `mh` while its weight is 0.
    ///
    /// There a destination of weight 0 keeps the places of its last weight, so that they are its
    /// own again when it returns. The kernel does not list that weight; a plan gives it to the
    /// destination before it takes the weight away. `None` leaves it to what happened before, and
    /// listings have it. Of no meaning while the weight is not 0, and to other schedulers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resting_weight: Option<u32>,
    /// No new connections above so many; 0 is no limit.
    pub upper_threshold: u32,
    /// New connections again below so many; 0 means three quarters of the upper threshold.
    pub lower_threshold: u32,
    /// How packets are wrapped; of meaning for [`Forwarding::Tunnel`] only.
    pub encapsulation: Encapsulation,
}

impl Destination {
    /// A destination without thresholds and with IP-in-IP for a tunnel.
    pub fn new(forwarding: Forwarding, weight: u32) -> Self {
        Self {
            forwarding,
            weight,
            resting_weight: None,
            upper_threshold: 0,
            lower_threshold: 0,
            encapsulation: Encapsulation::Ipip,
        }
    }
}

/// How packets for a tunnelled destination are wrapped (Linux 5.3 on; before, IP-in-IP only).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encapsulation {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port of the destination's tunnel, not 0.
        port: u16,
        /// `IP_VS_TUNNEL_ENCAP_FLAG_*`: 0 none, 1 checksum, 2 remote checksum offload.
        flags: u16,
    },
    /// Generic routing encapsulation.
    Gre {
        /// `IP_VS_TUNNEL_ENCAP_FLAG_*`: 0 none, 1 checksum.
        flags: u16,
    },
}

/// A service with its destinations.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// How it schedules.
    pub service: Service,
    /// Its real servers.
    pub destinations: BTreeMap<DestinationKey, Destination>,
}

/// All services by key.
pub type Table = BTreeMap<ServiceKey, Entry>;

/// What the kernel has counted for a service or destination.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Connections a second, as estimated by the kernel over some seconds.
    pub connection_rate: u64,
    /// Packets a second from clients, likewise.
    pub packet_rate_in: u64,
    /// Packets a second to clients, likewise.
    pub packet_rate_out: u64,
    /// Bytes a second from clients, likewise.
    pub byte_rate_in: u64,
    /// Bytes a second to clients, likewise.
    pub byte_rate_out: u64,
}

/// A service as the kernel lists it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListedService {
    /// Which one.
    pub key: ServiceKey,
    /// How it schedules.
    pub service: Service,
    /// Its counters.
    pub stats: Stats,
    /// Its destinations in the kernel's order.
    pub destinations: Vec<ListedDestination>,
}

/// A destination as the kernel lists it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListedDestination {
    /// Which one.
    pub key: DestinationKey,
    /// How it gets its share.
    pub destination: Destination,
    /// Connections that are established.
    pub active: u32,
    /// Connections in any other state.
    pub inactive: u32,
    /// Clients that are remembered.
    pub persistent: u32,
    /// Its counters.
    pub stats: Stats,
}

/// Facts about the kernel's IPVS.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Info {
    /// Major, minor and patch number.
    pub version: (u8, u8, u8),
    /// Buckets of the connection table.
    pub connection_table_size: u32,
}

/// A listing without its counters.
pub fn table(listing: &[ListedService]) -> Table {
    listing
        .iter()
        .map(|listed| {
            let destinations = listed
                .destinations
                .iter()
                .map(|listed| (listed.key, listed.destination))
                .collect();
            (
                listed.key,
                Entry {
                    service: listed.service.clone(),
                    destinations,
                },
            )
        })
        .collect()
}
