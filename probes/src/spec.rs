//! What a probe does and how often: plain values, compared to share probes between services.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::kinds::ProbeKind;

/// A probe's kind, its place and its timing. Two services whose servers have equal address, port and
/// specification share one probe.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ProbeSpec {
    /// What is asked and what counts as a good answer.
    pub kind: ProbeKind,
    /// The address to probe when it is not the server's own.
    pub address: Option<IpAddr>,
    /// The port to probe when it is not the server's own.
    pub port: Option<u16>,
    /// From where the probe comes.
    pub source: Source,
    /// From one probe's start to the next one's.
    pub interval: Duration,
    /// The same after a failure that has not yet turned an up server down, or a success that has not
    /// yet turned a down server up; `None` is `interval`.
    pub fast_interval: Option<Duration>,
    /// The same while the server is down and stays so; `None` is `interval`.
    pub down_interval: Option<Duration>,
    /// For the whole probe.
    pub timeout: Duration,
    /// Failures in a row that turn an up server down; at least 1.
    pub fall: u32,
    /// Successes in a row that turn a down server up; at least 1.
    pub rise: u32,
    /// How many probes of a server that is well only connect, between one of `kind` and the next.
    pub connects: u32,
}

impl ProbeSpec {
    /// A probe of `kind` on the server's own address and port, every 6 s, for 2 s; 2 failures or 1
    /// success in a row count.
    #[must_use]
    pub fn new(kind: ProbeKind) -> Self {
        Self {
            kind,
            address: None,
            port: None,
            source: Source::default(),
            interval: Duration::from_secs(6),
            fast_interval: None,
            down_interval: None,
            timeout: Duration::from_secs(2),
            fall: 2,
            rise: 1,
            connects: 0,
        }
    }

    /// The same for a server of `service`; `None` if the service makes no difference.
    #[must_use]
    pub fn of_service(&self, service: &Service) -> Option<Self> {
        let kind = self.kind.of_service(service)?;
        Some(Self {
            kind,
            ..self.clone()
        })
    }
}

/// From where a probe comes; what is not given is for the host's routes to decide.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Source {
    /// An address of this host.
    pub address: Option<IpAddr>,
    /// A network interface of this host, and no other (`SO_BINDTODEVICE`, socket(7)).
    pub interface: Option<String>,
    /// The firewall mark of the probe's packets (`SO_MARK`, socket(7)); needs `CAP_NET_ADMIN`.
    pub mark: Option<u32>,
}

impl Source {
    /// Whether it names what this host may lose, and have again as another: a socket that was made
    /// for the one does not come from the other.
    pub(crate) fn may_go(&self) -> bool {
        self.address.is_some() || self.interface.is_some()
    }
}

/// The service that a server is probed for: what a command may be told of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// What the operator calls it.
    pub name: String,
    /// Its address; `None` behind a firewall mark.
    pub address: Option<IpAddr>,
    /// Its port; `None` behind a firewall mark.
    pub port: Option<u16>,
}

/// Who logs in.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Login {
    /// The user's name. What a protocol cannot carry in it is for the caller to refuse: line ends in
    /// protocols of lines, zero bytes in those of databases.
    pub user: String,
    /// Their password, within the same bounds.
    pub password: Secret,
}

/// Who logs in to a database, and to which.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct DatabaseLogin {
    /// The user's name, without zero bytes.
    pub user: String,
    /// May be empty, for a server that wants none.
    pub password: Secret,
    /// The database to use, without zero bytes; `None` for the server's choice: with MySQL none, with
    /// PostgreSQL the one that is called as the user.
    pub database: Option<String>,
}

/// A password: it is compared and serialised as any text, but never shown.
#[derive(Clone, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}
