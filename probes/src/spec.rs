//! What a probe does and how often: plain values, compared to share probes between services.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A probe's kind and its timing. Two services whose servers have equal address, port and
/// specification share one probe.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ProbeSpec {
    /// What is asked and what counts as a good answer.
    pub kind: ProbeKind,
    /// The port to probe when it is not the server's own.
    pub port: Option<u16>,
    /// From one probe's start to the next one's.
    pub interval: Duration,
    /// For the whole probe.
    pub timeout: Duration,
    /// Failures in a row that turn an up server down; at least 1.
    pub fall: u32,
    /// Successes in a row that turn a down server up; at least 1.
    pub rise: u32,
}

/// What is asked and what counts as a good answer.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum ProbeKind {
    /// A connection is made.
    TcpConnect,
    /// Bytes are sent, others expected.
    SendExpect {
        /// Sent once connected; may be empty.
        send: Vec<u8>,
        /// Must occur in what the server says; empty means any byte.
        expect: Vec<u8>,
    },
    /// An HTTP/1.1 GET.
    HttpGet {
        /// Path and query, `/` at least.
        path: String,
        /// `Host` header; `None` sends the target's address.
        host: Option<String>,
        /// Status codes that are good, as inclusive ranges. Never empty.
        status: Vec<(u16, u16)>,
    },
}

impl fmt::Display for ProbeKind {
    /// One word for tables and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcpConnect => "tcp",
            Self::SendExpect { .. } => "send/expect",
            Self::HttpGet { .. } => "http",
        })
    }
}
