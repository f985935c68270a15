//! Commands to the kernel.

use std::net::IpAddr;

use super::consts::{
    AF_INET, AF_INET6, ATTR_DAEMON, ATTR_DEST, ATTR_SERVICE, CTRL_ATTR_FAMILY_NAME,
    CTRL_CMD_GETFAMILY, FAMILY_NAME, FAMILY_VERSION, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP,
    TIMEOUT_TCP, TIMEOUT_TCP_FIN, TIMEOUT_UDP, command, daemon, dest, forward, state, svc,
    svc_flag, tunnel,
};
use crate::change::Change;
use crate::command::Command;
use crate::model::{
    Destination, DestinationKey, Encapsulation, Forwarding, Granularity, Protocol, Service,
    ServiceFlags, ServiceKey, SyncDaemon, SyncRole,
};
use crate::netlink::Writer;

/// Asks for the number of the family of IPVS.
pub(crate) fn family_request(out: &mut Vec<u8>) {
    out.clear();
    Writer::new(out)
        .raw(&[CTRL_CMD_GETFAMILY, 1, 0, 0])
        .str(CTRL_ATTR_FAMILY_NAME, FAMILY_NAME);
}

/// A command without arguments.
pub(crate) fn plain_request(out: &mut Vec<u8>, command: u8) {
    out.clear();
    header(&mut Writer::new(out), command);
}

/// A command about a service.
pub(crate) fn service_request(out: &mut Vec<u8>, command: u8, key: &ServiceKey) {
    out.clear();
    let mut message = Writer::new(out);
    header(&mut message, command);
    message.nested(ATTR_SERVICE, |nest| service_key(nest, key));
}

/// Writes a command.
pub(crate) fn encode(message: &mut Writer<'_>, command: &Command) {
    match command {
        Command::Change(change) => encode_change(message, change),
        Command::Zero(None) => header(message, command::ZERO),
        Command::Zero(Some(key)) => {
            header(message, command::ZERO);
            message.nested(ATTR_SERVICE, |nest| service_key(nest, key));
        }
        Command::Flush => header(message, command::FLUSH),
        Command::SetTimeouts(timeouts) => {
            header(message, command::SET_CONFIG);
            message
                .u32(TIMEOUT_TCP, timeouts.tcp)
                .u32(TIMEOUT_TCP_FIN, timeouts.tcp_fin)
                .u32(TIMEOUT_UDP, timeouts.udp);
        }
        Command::StartDaemon(daemon) => {
            header(message, command::NEW_DAEMON);
            message.nested(ATTR_DAEMON, |nest| sync_daemon(nest, daemon));
        }
        Command::StopDaemon(role) => {
            header(message, command::DEL_DAEMON);
            message.nested(ATTR_DAEMON, |nest| {
                nest.u32(daemon::STATE, sync_state(*role));
            });
        }
    }
}

/// Writes the command that carries out a change.
pub(crate) fn encode_change(message: &mut Writer<'_>, change: &Change) {
    match change {
        Change::AddService { key, service } => {
            whole_service(message, command::NEW_SERVICE, key, service);
        }
        Change::EditService { key, service } => {
            whole_service(message, command::SET_SERVICE, key, service);
        }
        Change::RemoveService { key } => {
            header(message, command::DEL_SERVICE);
            message.nested(ATTR_SERVICE, |nest| service_key(nest, key));
        }
        Change::AddDestination {
            service,
            key,
            destination,
        } => {
            whole_destination(message, command::NEW_DEST, service, key, destination);
        }
        Change::EditDestination {
            service,
            key,
            destination,
        } => {
            whole_destination(message, command::SET_DEST, service, key, destination);
        }
        Change::RemoveDestination { service, key } => {
            header(message, command::DEL_DEST);
            message.nested(ATTR_SERVICE, |nest| service_key(nest, service));
            message.nested(ATTR_DEST, |nest| destination_key(nest, key));
        }
    }
}

fn header(message: &mut Writer<'_>, command: u8) {
    message.raw(&[command, FAMILY_VERSION, 0, 0]);
}

fn whole_service(message: &mut Writer<'_>, command: u8, key: &ServiceKey, service: &Service) {
    header(message, command);
    message.nested(ATTR_SERVICE, |nest| {
        service_key(nest, key);
        nest.str(svc::SCHED_NAME, &service.scheduler);
        if let Some(engine) = &service.engine {
            nest.str(svc::PE_NAME, engine);
        }
        let persistence = service.persistence.as_ref();
        let flags = service_flags(service.flags, persistence.is_some());
        let mut pair = [0; 8];
        pair[..4].copy_from_slice(&flags.to_ne_bytes());
        pair[4..].copy_from_slice(&svc_flag::MASK.to_ne_bytes());
        nest.bytes(svc::FLAGS, &pair);
        nest.u32(
            svc::TIMEOUT,
            persistence.map_or(0, |persistence| persistence.timeout),
        );
        let granularity = persistence.map(|persistence| persistence.granularity);
        match granularity.unwrap_or_else(|| Granularity::host(key.is_ipv6())) {
            Granularity::Mask(mask) => nest.bytes(svc::NETMASK, &mask.octets()),
            Granularity::Prefix(length) => nest.u32(svc::NETMASK, length.into()),
        };
    });
}

fn service_flags(flags: ServiceFlags, persistent: bool) -> u32 {
    [
        (persistent, svc_flag::PERSISTENT),
        (flags.one_packet, svc_flag::ONEPACKET),
        (flags.fallback, svc_flag::SCHED1),
        (flags.port, svc_flag::SCHED2),
        (flags.third, svc_flag::SCHED3),
    ]
    .into_iter()
    .filter_map(|(set, bit)| set.then_some(bit))
    .sum()
}

fn service_key(nest: &mut Writer<'_>, key: &ServiceKey) {
    nest.u16(svc::AF, if key.is_ipv6() { AF_INET6 } else { AF_INET });
    match key {
        // The kernel would make a service for TCP 0.0.0.0:0 of it; without a mark it refuses.
        ServiceKey::FwMark { mark: 0, .. } => {}
        ServiceKey::FwMark { mark, .. } => {
            nest.u32(svc::FWMARK, *mark);
        }
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let protocol = match protocol {
                Protocol::Tcp => IPPROTO_TCP,
                Protocol::Udp => IPPROTO_UDP,
                Protocol::Sctp => IPPROTO_SCTP,
            };
            nest.u16(svc::PROTOCOL, protocol);
            nest.bytes(svc::ADDR, &address_bytes(*address));
            nest.u16_be(svc::PORT, *port);
        }
    }
}

fn whole_destination(
    message: &mut Writer<'_>,
    command: u8,
    service: &ServiceKey,
    key: &DestinationKey,
    destination: &Destination,
) {
    header(message, command);
    message.nested(ATTR_SERVICE, |nest| service_key(nest, service));
    message.nested(ATTR_DEST, |nest| {
        destination_key(nest, key);
        let method = match destination.forwarding {
            Forwarding::Masquerade => forward::MASQ,
            Forwarding::Direct => forward::DROUTE,
            Forwarding::Tunnel => forward::TUNNEL,
            Forwarding::Local => forward::LOCALNODE,
        };
        nest.u32(dest::FWD_METHOD, method);
        nest.u32(dest::WEIGHT, destination.weight);
        nest.u32(dest::U_THRESH, destination.upper_threshold);
        nest.u32(dest::L_THRESH, destination.lower_threshold);
        if destination.forwarding == Forwarding::Tunnel {
            let (kind, port, flags) = match destination.encapsulation {
                Encapsulation::Ipip => (tunnel::IPIP, 0, 0),
                Encapsulation::Gue { port, flags } => (tunnel::GUE, port, flags),
                Encapsulation::Gre { flags } => (tunnel::GRE, 0, flags),
            };
            nest.u8(dest::TUN_TYPE, kind);
            nest.u16_be(dest::TUN_PORT, port);
            nest.u16(dest::TUN_FLAGS, flags);
        }
    });
}

fn destination_key(nest: &mut Writer<'_>, key: &DestinationKey) {
    nest.u16(
        dest::ADDR_FAMILY,
        if key.address.is_ipv6() {
            AF_INET6
        } else {
            AF_INET
        },
    );
    nest.bytes(dest::ADDR, &address_bytes(key.address));
    nest.u16_be(dest::PORT, key.port);
}

fn sync_daemon(nest: &mut Writer<'_>, wanted: &SyncDaemon) {
    nest.u32(daemon::STATE, sync_state(wanted.role));
    nest.str(daemon::MCAST_IFN, &wanted.interface);
    nest.u32(daemon::SYNC_ID, wanted.id);
    if let Some(length) = wanted.max_length {
        nest.u16(daemon::SYNC_MAXLEN, length.get());
    }
    match wanted.group {
        Some(IpAddr::V4(group)) => {
            nest.bytes(daemon::MCAST_GROUP, &group.octets());
        }
        Some(IpAddr::V6(group)) => {
            nest.bytes(daemon::MCAST_GROUP6, &group.octets());
        }
        None => {}
    }
    if let Some(port) = wanted.port {
        nest.u16(daemon::MCAST_PORT, port.get());
    }
    if let Some(ttl) = wanted.ttl {
        nest.u8(daemon::MCAST_TTL, ttl.get());
    }
}

fn sync_state(role: SyncRole) -> u32 {
    match role {
        SyncRole::Sender => state::MASTER,
        SyncRole::Receiver => state::BACKUP,
    }
}

/// `union nf_inet_addr`.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
    }
}
