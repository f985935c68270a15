//! Connection timeouts and the daemons that synchronise connections between directors.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZero;

use serde::{Deserialize, Serialize};

/// How long idle connections are remembered, in seconds.
///
/// To the kernel, 0 means that a value stays as it is; it refuses more than 2,147,483 s or so
/// (`INT_MAX` divided by its ticks a second), and lists what was rounded to its ticks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Timeouts {
    /// TCP connections that are established.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcp_fin: u32,
    /// UDP flows.
    pub udp: u32,
}

/// What a sync daemon does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncRole {
    /// Multicasts the connections of this host (`IP_VS_STATE_MASTER`).
    Sender,
    /// Takes in those of another (`IP_VS_STATE_BACKUP`).
    Receiver,
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        })
    }
}

/// A sync daemon: a thread of the kernel, at most one for each role and network namespace.
///
/// What is `None` is the kernel's choice. Listed daemons have every value, except on kernels before
/// 4.3, which know role, interface and id only.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SyncDaemon {
    /// What it does.
    pub role: SyncRole,
    /// The interface that it multicasts on, at most 15 bytes.
    pub interface: String,
    /// Tells groups of directors apart, 0 to 255; a receiver with 0 takes messages of any id.
    pub id: u32,
    /// Longest message in bytes; by default what the interface's MTU allows.
    pub max_length: Option<NonZero<u16>>,
    /// Multicast group; by default 224.0.0.81.
    pub group: Option<IpAddr>,
    /// UDP port; by default 8848.
    pub port: Option<NonZero<u16>>,
    /// How many routers a message may pass, plus one; by default 1.
    pub ttl: Option<NonZero<u8>>,
}

impl SyncDaemon {
    /// A daemon whose further values the kernel chooses.
    pub fn new(role: SyncRole, interface: impl Into<String>, id: u32) -> Self {
        Self {
            role,
            interface: interface.into(),
            id,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }
    }
}
