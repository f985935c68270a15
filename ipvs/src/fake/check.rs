//! What the kernel refuses, and the error number it does it with.

use std::net::{IpAddr, Ipv4Addr};

use super::Fake;
use crate::error::errno;
use crate::model::{
    Destination, DestinationKey, Encapsulation, Forwarding, Granularity, SCHEDULER_NONE, Service,
    ServiceKey, SyncDaemon,
};

/// `IP_VS_SCHEDNAME_MAXLEN`, without the NUL.
const LONGEST_SCHEDULER: usize = 15;

/// `IP_VS_PENAME_MAXLEN`, for which the kernel counts no NUL.
const LONGEST_ENGINE: usize = 16;

pub(super) fn key(key: &ServiceKey) -> Result<(), i32> {
    match key {
        ServiceKey::FwMark { mark: 0, .. } => Err(errno::EINVAL),
        ServiceKey::FwMark { .. } | ServiceKey::Address { .. } => Ok(()),
    }
}

pub(super) fn names(service: &Service) -> Result<(), i32> {
    let engine = service.engine.as_deref().unwrap_or_default();
    if service.scheduler.len() > LONGEST_SCHEDULER || engine.len() > LONGEST_ENGINE {
        return Err(errno::EINVAL);
    }
    Ok(())
}

pub(super) fn service(key: &ServiceKey, service: &Service, kernel: &Fake) -> Result<(), i32> {
    let has = |known: &std::collections::BTreeSet<String>, name: &str| {
        known.is_empty() || known.contains(name)
    };
    let scheduler = service.scheduler.as_str();
    if scheduler != SCHEDULER_NONE && !has(&kernel.schedulers, scheduler) {
        return Err(errno::ENOENT);
    }
    let engine = service.engine.as_deref().unwrap_or_default();
    if !engine.is_empty() && !has(&kernel.engines, engine) {
        return Err(errno::ENOENT);
    }
    let granularity = service.persistence.as_ref().map(|p| p.granularity);
    let length = match granularity {
        None => 128,
        Some(Granularity::Prefix(length)) => u32::from(length),
        Some(Granularity::Mask(mask)) => length(mask),
    };
    if key.is_ipv6() && !(1..=128).contains(&length) {
        return Err(errno::EINVAL);
    }
    Ok(())
}

/// A mask's bytes as the length of a prefix.
pub(super) fn length(mask: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(mask.octets())
}

/// Another family than the service's needs a tunnel, and no sync daemon.
pub(super) fn family(
    service: &ServiceKey,
    key: &DestinationKey,
    destination: &Destination,
    kernel: &Fake,
) -> Result<(), i32> {
    let mixed = service.is_ipv6() != key.address.is_ipv6();
    let tunnelled = destination.forwarding == Forwarding::Tunnel;
    if mixed && !(tunnelled && kernel.daemons.is_empty()) {
        return Err(errno::EINVAL);
    }
    Ok(())
}

pub(super) fn numbers(destination: &Destination) -> Result<(), i32> {
    let thresholds_crossed = destination.lower_threshold > destination.upper_threshold;
    if i32::try_from(destination.weight).is_err() || thresholds_crossed {
        return Err(errno::ERANGE);
    }
    let no_port = matches!(
        destination.encapsulation,
        Encapsulation::Gue { port: 0, .. }
    );
    if destination.forwarding == Forwarding::Tunnel && no_port {
        return Err(errno::EINVAL);
    }
    Ok(())
}

/// A new destination must have a host's address. Which broadcast addresses a network has, the
/// fake does not know.
pub(super) fn address(key: &DestinationKey) -> Result<(), i32> {
    let usable = match key.address {
        IpAddr::V4(address) => {
            !(address.is_unspecified() || address.is_broadcast() || address.is_multicast())
        }
        IpAddr::V6(address) => {
            let mapped = address.to_ipv4_mapped().is_some();
            !(address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || mapped)
        }
    };
    if usable { Ok(()) } else { Err(errno::EINVAL) }
}

pub(super) fn daemon(daemon: &SyncDaemon, kernel: &Fake) -> Result<(), i32> {
    if daemon.group.is_some_and(|group| !group.is_multicast()) {
        return Err(errno::EINVAL);
    }
    let mixed = kernel.table.iter().any(|(service, entry)| {
        let ipv6 = service.is_ipv6();
        entry
            .destinations
            .keys()
            .any(|key| key.address.is_ipv6() != ipv6)
    });
    if mixed {
        return Err(errno::EINVAL);
    }
    let known = kernel.interfaces.is_empty() || kernel.interfaces.contains_key(&daemon.interface);
    if !known {
        return Err(errno::ENODEV);
    }
    if kernel.daemons.iter().any(|runs| runs.role == daemon.role) {
        return Err(errno::EEXIST);
    }
    Ok(())
}
