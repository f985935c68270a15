//! Names of services and destinations: as values, and as the text that people read and write.
//!
//! Their serialised form is that text, so that they can be keys of maps in JSON.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Protocol;

/// What tells a service from all others.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub enum ServiceKey {
    /// Packets to an address and port.
    Address {
        /// Their protocol.
        protocol: Protocol,
        /// The VIP.
        address: IpAddr,
        /// 0 means every port, which needs persistence.
        port: u16,
    },
    /// Packets that the packet filter has given a mark.
    FwMark {
        /// The mark, not 0.
        mark: u32,
        /// Whether IPv6 packets are meant; a mark stands for one address family.
        ipv6: bool,
    },
}

impl ServiceKey {
    /// Whether the service is one for IPv6.
    pub fn is_ipv6(&self) -> bool {
        match self {
            Self::Address { address, .. } => address.is_ipv6(),
            Self::FwMark { ipv6, .. } => *ipv6,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address {
                protocol,
                address: IpAddr::V4(address),
                port,
            } => {
                write!(f, "{protocol} {address}:{port}")
            }
            Self::Address {
                protocol,
                address: IpAddr::V6(address),
                port,
            } => {
                write!(f, "{protocol} [{address}]:{port}")
            }
            Self::FwMark { mark, ipv6: false } => write!(f, "fwmark {mark}"),
            Self::FwMark { mark, ipv6: true } => write!(f, "fwmark {mark} IPv6"),
        }
    }
}

impl FromStr for ServiceKey {
    type Err = InvalidKey;

    /// Reads what `Display` writes, in letters of either case.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let invalid = || InvalidKey(text.to_owned());
        let mut words = text.split(' ');
        let (kind, value) = words.next().zip(words.next()).ok_or_else(invalid)?;
        let rest: Vec<_> = words.collect();
        if kind.eq_ignore_ascii_case("fwmark") {
            let ipv6 = match rest.as_slice() {
                [] => false,
                [family] if family.eq_ignore_ascii_case("ipv6") => true,
                _ => return Err(invalid()),
            };
            return value
                .parse()
                .map(|mark| Self::FwMark { mark, ipv6 })
                .map_err(|_| invalid());
        }
        let protocol = match kind.to_ascii_lowercase().as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(invalid()),
        };
        match value.parse::<SocketAddr>() {
            Ok(socket) if rest.is_empty() => Ok(Self::Address {
                protocol,
                address: socket.ip(),
                port: socket.port(),
            }),
            Ok(_) | Err(_) => Err(invalid()),
        }
    }
}

impl From<ServiceKey> for String {
    fn from(key: ServiceKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for ServiceKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

/// What tells a destination from the others of its service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct DestinationKey {
    /// The real server's address.
    pub address: IpAddr,
    /// Its port. With direct forwarding and tunnels the service's counts.
    pub port: u16,
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

impl FromStr for DestinationKey {
    type Err = InvalidKey;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let socket: SocketAddr = text.parse().map_err(|_| InvalidKey(text.to_owned()))?;
        Ok(Self {
            address: socket.ip(),
            port: socket.port(),
        })
    }
}

impl From<DestinationKey> for String {
    fn from(key: DestinationKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for DestinationKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

/// A text that names no service or destination.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} names nothing; `TCP 192.0.2.80:80`, `fwmark 1` or `10.0.1.21:80` would")]
pub struct InvalidKey(String);
