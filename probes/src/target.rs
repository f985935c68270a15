//! What is probed: an address, and what is asked there.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ProbeSpec;
use crate::kinds::tcp::Tcp;
use crate::spec::ProbeKind;

/// An address, and what is asked there how often. A clone shares the specification.
///
/// Equal targets are one probe, however many servers of however many services depend on it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Target {
    address: SocketAddr,
    spec: Arc<ProbeSpec>,
}

impl Target {
    /// The target that tells whether `server` works. An address or port in `spec` replaces the
    /// server's, and is not kept apart: servers that are asked at the same place in the same way
    /// share a target. An IPv4 address in the form of an IPv6 one (RFC 4291, section 2.5.5.2) is one
    /// of IPv4.
    #[must_use]
    pub fn new(mut server: SocketAddr, spec: impl Into<Arc<ProbeSpec>>) -> Self {
        let mut spec = spec.into();
        if spec.port.is_some() || spec.address.is_some() {
            let spec = Arc::make_mut(&mut spec);
            if let Some(port) = spec.port.take() {
                server.set_port(port);
            }
            if let Some(address) = spec.address.take() {
                server.set_ip(address);
            }
        }
        server.set_ip(server.ip().to_canonical());
        Self {
            address: server,
            spec,
        }
    }

    /// Where the probe goes.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is asked and how often; its `address` and `port` are `None`.
    #[must_use]
    pub fn spec(&self) -> &ProbeSpec {
        &self.spec
    }

    /// What is asked where the whole is not, if there are such times: whether it can be connected to.
    pub(crate) fn light(&self) -> Option<Self> {
        (self.spec.connects > 0).then(|| Self {
            address: self.address,
            spec: Arc::new(ProbeSpec {
                kind: ProbeKind::Tcp(Tcp),
                ..ProbeSpec::clone(&self.spec)
            }),
        })
    }

    /// A number that a target keeps over reloads and restarts of the same program, and that
    /// spreads even neighbouring addresses evenly.
    pub(crate) fn stable_hash(&self) -> u64 {
        let mut hasher = StableHasher(FNV_OFFSET);
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.spec.kind, self.address)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a with the finalizer of SplitMix64. The standard library's default hasher promises no
/// fixed result, and FNV alone leaves near inputs near.
struct StableHasher(u64);

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    fn finish(&self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_place_in_the_specification_replaces_the_servers() {
        let mut spec = testing::spec();
        let direct = Target::new("[2001:db8::1]:8080".parse().unwrap(), spec.clone());
        spec.port = Some(8080);
        let overridden = Target::new("[2001:db8::1]:80".parse().unwrap(), spec.clone());
        assert_eq!(overridden, direct);
        spec.address = Some("2001:db8::1".parse().unwrap());
        let elsewhere = Target::new("192.0.2.1:80".parse().unwrap(), spec);
        assert_eq!(elsewhere, direct);
        assert_eq!(overridden.address(), "[2001:db8::1]:8080".parse().unwrap());
        let mapped = Target::new("[::ffff:192.0.2.1]:80".parse().unwrap(), testing::spec());
        assert_eq!(mapped.address(), "192.0.2.1:80".parse().unwrap());
    }

    #[test]
    fn neighbouring_addresses_fall_evenly_into_every_part_of_an_interval() {
        let mut parts = [0_u32; 10];
        for host in 0..10_000_u32 {
            let target = testing::target(host);
            parts[usize::try_from(target.stable_hash() % 10).unwrap()] += 1;
        }
        for count in parts {
            assert!((850..=1150).contains(&count), "{parts:?}");
        }
    }
}
