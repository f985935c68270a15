//! Everything that the kernel's IPVS can be told to do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::model::{ServiceKey, SyncDaemon, SyncRole, Timeouts};

/// One command to the kernel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Change a service or a destination.
    Change(Change),
    /// Set the counters of a service and its destinations, or of all, back to zero.
    Zero(Option<ServiceKey>),
    /// Remove every service, whoever it belongs to.
    Flush,
    /// Set the timeouts that are not 0.
    SetTimeouts(Timeouts),
    /// Start a sync daemon.
    StartDaemon(SyncDaemon),
    /// Stop the sync daemon of a role.
    StopDaemon(SyncRole),
}

impl From<Change> for Command {
    fn from(change: Change) -> Self {
        Self::Change(change)
    }
}

impl fmt::Display for Command {
    /// The command and its object, such as "zero the counters of TCP 192.0.2.80:80".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => change.fmt(f),
            Self::Zero(Some(key)) => write!(f, "zero the counters of {key}"),
            Self::Zero(None) => f.write_str("zero all counters"),
            Self::Flush => f.write_str("flush the table"),
            Self::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
                write!(f, "set the timeouts to {tcp} {tcp_fin} {udp}")
            }
            Self::StartDaemon(daemon) => {
                write!(f, "start the sync {} on {}", daemon.role, daemon.interface)
            }
            Self::StopDaemon(role) => write!(f, "stop the sync {role}"),
        }
    }
}
