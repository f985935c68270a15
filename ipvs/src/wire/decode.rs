//! Listings from the kernel, read in one pass over their attributes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZero;

use super::consts::{
    AF_INET, AF_INET6, ATTR_DAEMON, ATTR_DEST, ATTR_SERVICE, CTRL_ATTR_FAMILY_ID, GENL_HEADER,
    INFO_CONN_TAB_SIZE, INFO_VERSION, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, TIMEOUT_TCP,
    TIMEOUT_TCP_FIN, TIMEOUT_UDP, daemon, dest, forward, state, stats, svc, svc_flag, tunnel,
};
use crate::error::Error;
use crate::model::{
    Destination, DestinationKey, Encapsulation, Forwarding, Granularity, Info, ListedDestination,
    ListedService, Persistence, Protocol, Service, ServiceFlags, ServiceKey, Stats, SyncDaemon,
    SyncRole, Timeouts,
};
use crate::netlink::{Attribute, Attributes};

/// The number of a family.
pub(crate) fn decode_family(payload: &[u8]) -> Option<u16> {
    content(payload)?.find_kind(CTRL_ATTR_FAMILY_ID)?.u16()
}

/// Version and size of the kernel's IPVS.
pub(crate) fn decode_info(payload: &[u8]) -> Option<Info> {
    let attributes = content(payload)?;
    let [_, major, minor, patch] = attributes.find_kind(INFO_VERSION)?.u32()?.to_be_bytes();
    let connection_table_size = attributes.find_kind(INFO_CONN_TAB_SIZE)?.u32()?;
    Some(Info {
        version: (major, minor, patch),
        connection_table_size,
    })
}

/// The timeouts. A kernel without TCP or UDP in its IPVS leaves theirs out, which is read as 0.
pub(crate) fn decode_timeouts(payload: &[u8]) -> Option<Timeouts> {
    let attributes = content(payload)?;
    let seconds = |kind| {
        attributes
            .find_kind(kind)
            .map_or(Some(0), |attribute| attribute.u32())
    };
    Some(Timeouts {
        tcp: seconds(TIMEOUT_TCP)?,
        tcp_fin: seconds(TIMEOUT_TCP_FIN)?,
        udp: seconds(TIMEOUT_UDP)?,
    })
}

/// A sync daemon that runs.
pub(crate) fn decode_daemon(payload: &[u8]) -> Result<SyncDaemon, Error> {
    content(payload)
        .and_then(|attributes| attributes.find_kind(ATTR_DAEMON))
        .and_then(|nest| sync_daemon(&nest.nested()))
        .ok_or(Error::Unreadable("a sync daemon"))
}

fn sync_daemon(attributes: &Attributes<'_>) -> Option<SyncDaemon> {
    let role = match attributes.find_kind(daemon::STATE)?.u32()? {
        state::MASTER => SyncRole::Sender,
        state::BACKUP => SyncRole::Receiver,
        _ => return None,
    };
    let interface = attributes.find_kind(daemon::MCAST_IFN)?.str()?;
    let id = attributes.find_kind(daemon::SYNC_ID)?.u32()?;
    let mut listed = SyncDaemon::new(role, interface, id);
    for attribute in attributes.clone() {
        match attribute.kind {
            daemon::SYNC_MAXLEN => listed.max_length = attribute.u16().and_then(NonZero::new),
            daemon::MCAST_GROUP => listed.group = address(attribute.payload, false),
            daemon::MCAST_GROUP6 => listed.group = address(attribute.payload, true),
            daemon::MCAST_PORT => listed.port = attribute.u16().and_then(NonZero::new),
            daemon::MCAST_TTL => listed.ttl = attribute.u8().and_then(NonZero::new),
            _ => {}
        }
    }
    Some(listed)
}

/// A service without its destinations; none when its protocol is unknown to this version.
pub(crate) fn decode_service(payload: &[u8]) -> Result<Option<ListedService>, Error> {
    let fields = content(payload)
        .and_then(|attributes| attributes.find_kind(ATTR_SERVICE))
        .map(|nest| ServiceFields::read(nest.nested()));
    let unreadable = || Error::Unreadable("a service");
    let fields = fields.ok_or_else(unreadable)?;
    if fields.fwmark.is_none()
        && fields
            .protocol
            .is_some_and(|number| protocol(number).is_none())
    {
        return Ok(None);
    }
    fields.service().map(Some).ok_or_else(unreadable)
}

/// A destination of a service of the given family.
pub(crate) fn decode_destination(payload: &[u8], ipv6: bool) -> Result<ListedDestination, Error> {
    content(payload)
        .and_then(|attributes| attributes.find_kind(ATTR_DEST))
        .and_then(|nest| DestinationFields::read(nest.nested()).destination(ipv6))
        .ok_or(Error::Unreadable("a destination"))
}

fn content(payload: &[u8]) -> Option<Attributes<'_>> {
    payload.get(GENL_HEADER..).map(Attributes::new)
}

fn protocol(number: u16) -> Option<Protocol> {
    match number {
        IPPROTO_TCP => Some(Protocol::Tcp),
        IPPROTO_UDP => Some(Protocol::Udp),
        IPPROTO_SCTP => Some(Protocol::Sctp),
        _ => None,
    }
}

#[derive(Default)]
struct ServiceFields<'a> {
    family: Option<u16>,
    protocol: Option<u16>,
    address: Option<&'a [u8]>,
    port: Option<u16>,
    fwmark: Option<u32>,
    scheduler: Option<&'a str>,
    engine: Option<&'a str>,
    flags: Option<u32>,
    timeout: Option<u32>,
    netmask: Option<&'a [u8]>,
    stats: Option<Stats>,
    stats64: Option<Stats>,
}

impl<'a> ServiceFields<'a> {
    fn read(attributes: Attributes<'a>) -> Self {
        let mut fields = Self::default();
        for attribute in attributes {
            match attribute.kind {
                svc::AF => fields.family = attribute.u16(),
                svc::PROTOCOL => fields.protocol = attribute.u16(),
                svc::ADDR => fields.address = Some(attribute.payload),
                svc::PORT => fields.port = attribute.u16_be(),
                svc::FWMARK => fields.fwmark = attribute.u32(),
                svc::SCHED_NAME => fields.scheduler = attribute.str(),
                svc::PE_NAME => fields.engine = attribute.str(),
                svc::FLAGS => fields.flags = attribute.u32(),
                svc::TIMEOUT => fields.timeout = attribute.u32(),
                svc::NETMASK => fields.netmask = Some(attribute.payload),
                svc::STATS => fields.stats = Some(counters(attribute)),
                svc::STATS64 => fields.stats64 = Some(counters(attribute)),
                _ => {}
            }
        }
        fields
    }

    fn service(&self) -> Option<ListedService> {
        let ipv6 = is_ipv6(self.family?)?;
        let key = match self.fwmark {
            Some(mark) => ServiceKey::FwMark { mark, ipv6 },
            None => ServiceKey::Address {
                protocol: protocol(self.protocol?)?,
                address: address(self.address?, ipv6)?,
                port: self.port?,
            },
        };
        let flags = self.flags?;
        let persistence = if flags & svc_flag::PERSISTENT == 0 {
            None
        } else {
            Some(Persistence {
                timeout: self.timeout?,
                granularity: granularity(self.netmask?, ipv6)?,
            })
        };
        Some(ListedService {
            key,
            service: Service {
                scheduler: self.scheduler?.to_owned(),
                flags: ServiceFlags {
                    one_packet: flags & svc_flag::ONEPACKET != 0,
                    fallback: flags & svc_flag::SCHED1 != 0,
                    port: flags & svc_flag::SCHED2 != 0,
                    third: flags & svc_flag::SCHED3 != 0,
                },
                persistence,
                engine: self
                    .engine
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned),
            },
            stats: self.stats64.or(self.stats).unwrap_or_default(),
            destinations: Vec::new(),
        })
    }
}

#[derive(Default)]
struct DestinationFields<'a> {
    family: Option<u16>,
    address: Option<&'a [u8]>,
    port: Option<u16>,
    method: Option<u32>,
    weight: Option<u32>,
    upper: Option<u32>,
    lower: Option<u32>,
    active: Option<u32>,
    inactive: Option<u32>,
    persistent: Option<u32>,
    tunnel_type: Option<u8>,
    tunnel_port: Option<u16>,
    tunnel_flags: Option<u16>,
    stats: Option<Stats>,
    stats64: Option<Stats>,
}

impl<'a> DestinationFields<'a> {
    fn read(attributes: Attributes<'a>) -> Self {
        let mut fields = Self::default();
        for attribute in attributes {
            match attribute.kind {
                dest::ADDR_FAMILY => fields.family = attribute.u16(),
                dest::ADDR => fields.address = Some(attribute.payload),
                dest::PORT => fields.port = attribute.u16_be(),
                dest::FWD_METHOD => fields.method = attribute.u32(),
                dest::WEIGHT => fields.weight = attribute.u32(),
                dest::U_THRESH => fields.upper = attribute.u32(),
                dest::L_THRESH => fields.lower = attribute.u32(),
                dest::ACTIVE_CONNS => fields.active = attribute.u32(),
                dest::INACT_CONNS => fields.inactive = attribute.u32(),
                dest::PERSIST_CONNS => fields.persistent = attribute.u32(),
                dest::TUN_TYPE => fields.tunnel_type = attribute.u8(),
                dest::TUN_PORT => fields.tunnel_port = attribute.u16_be(),
                dest::TUN_FLAGS => fields.tunnel_flags = attribute.u16(),
                dest::STATS => fields.stats = Some(counters(attribute)),
                dest::STATS64 => fields.stats64 = Some(counters(attribute)),
                _ => {}
            }
        }
        fields
    }

    fn destination(&self, service_ipv6: bool) -> Option<ListedDestination> {
        let ipv6 = self.family.map_or(Some(service_ipv6), is_ipv6)?;
        let forwarding = match self.method? & forward::MASK {
            forward::MASQ => Forwarding::Masquerade,
            forward::TUNNEL => Forwarding::Tunnel,
            forward::DROUTE => Forwarding::Direct,
            // Cache bypass (4), which no tool sets on a destination, ends in the own stack too.
            _ => Forwarding::Local,
        };
        let flags = self.tunnel_flags.unwrap_or(0);
        let encapsulation = match self.tunnel_type.unwrap_or(tunnel::IPIP) {
            tunnel::GUE => Encapsulation::Gue {
                port: self.tunnel_port.unwrap_or(0),
                flags,
            },
            tunnel::GRE => Encapsulation::Gre { flags },
            _ => Encapsulation::Ipip,
        };
        Some(ListedDestination {
            key: DestinationKey {
                address: address(self.address?, ipv6)?,
                port: self.port?,
            },
            destination: Destination {
                forwarding,
                weight: self.weight?,
                resting_weight: None,
                upper_threshold: self.upper?,
                lower_threshold: self.lower?,
                encapsulation,
            },
            active: self.active.unwrap_or(0),
            inactive: self.inactive.unwrap_or(0),
            persistent: self.persistent.unwrap_or(0),
            stats: self.stats64.or(self.stats).unwrap_or_default(),
        })
    }
}

/// Counters of either width: `STATS` has 32 bits for most of them, `STATS64` 64 for all.
fn counters(nest: Attribute<'_>) -> Stats {
    let mut counted = Stats::default();
    for attribute in nest.nested() {
        let field = match attribute.kind {
            stats::CONNS => &mut counted.connections,
            stats::INPKTS => &mut counted.packets_in,
            stats::OUTPKTS => &mut counted.packets_out,
            stats::INBYTES => &mut counted.bytes_in,
            stats::OUTBYTES => &mut counted.bytes_out,
            stats::CPS => &mut counted.connection_rate,
            stats::INPPS => &mut counted.packet_rate_in,
            stats::OUTPPS => &mut counted.packet_rate_out,
            stats::INBPS => &mut counted.byte_rate_in,
            stats::OUTBPS => &mut counted.byte_rate_out,
            _ => continue,
        };
        *field = attribute
            .u64()
            .or_else(|| attribute.u32().map(u64::from))
            .unwrap_or(0);
    }
    counted
}

fn is_ipv6(family: u16) -> Option<bool> {
    match family {
        AF_INET => Some(false),
        AF_INET6 => Some(true),
        _ => None,
    }
}

/// Reads `union nf_inet_addr`.
fn address(bytes: &[u8], ipv6: bool) -> Option<IpAddr> {
    if ipv6 {
        bytes
            .first_chunk::<16>()
            .map(|octets| Ipv6Addr::from(*octets).into())
    } else {
        bytes
            .first_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets).into())
    }
}

fn granularity(bytes: &[u8], ipv6: bool) -> Option<Granularity> {
    let bytes = bytes.first_chunk::<4>()?;
    if ipv6 {
        u8::try_from(u32::from_ne_bytes(*bytes))
            .ok()
            .map(Granularity::Prefix)
    } else {
        Some(Granularity::Mask(Ipv4Addr::from(*bytes)))
    }
}
