//! A command line while it is read, switch by switch.
//!
//! Some options mean something else after others, as in ipvsadm: a netmask after an IPv6 address
//! is a prefix length, and a real server without a port has that of the service before it.

mod finish;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZero;
use std::time::Duration;

use ipvs::{Forwarding, Granularity, Protocol, ServiceKey, SyncDaemon, SyncRole, Timeouts};

use super::{MAX_TIMEOUT, Mistake, Shell, wrong};
use crate::lvsadm::names::Resolver;
use crate::lvsadm::table::{Command, DEFAULT_INTERFACE, DEFAULT_PERSISTENCE, Opt, Topic};
use crate::lvsadm::values;

/// Longest name of a scheduler (`IP_VS_SCHEDNAME_MAXLEN`), of an interface (`IP_VS_IFNAME_MAXLEN`)
/// and of a persistence engine (`IP_VS_PENAME_MAXLEN`, linux/ip_vs.h), without the NUL.
const MAX_SCHEDULER: usize = 15;
const MAX_INTERFACE: usize = 15;
const MAX_ENGINE: usize = 16;
/// Largest message that fits a UDP packet.
const MAX_SYNC_LENGTH: i64 = 65535 - 20 - 8;
/// How often a listing may be drawn, in seconds.
const WATCH_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=86400.0;

/// What has been read so far.
pub(super) struct Draft {
    command: Command,
    given: Vec<Topic>,
    role: SyncRole,
    shell: Shell,
    timeouts: Timeouts,
    key: Option<ServiceKey>,
    scheduler: String,
    flags_text: String,
    one_packet: bool,
    persistence: Option<u32>,
    engine: Option<String>,
    granularity: Granularity,
    server: Option<(IpAddr, u16)>,
    forwarding: Forwarding,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    tunnel: &'static str,
    tunnel_port: u16,
    tunnel_flags: u16,
    watch: Option<Duration>,
    daemon: SyncDaemon,
}

impl Draft {
    /// A command with the argument that it may have.
    pub(super) fn new(command: Command, argument: &str) -> Result<Self, Mistake> {
        let role = match (command, argument) {
            (_, "master") => SyncRole::Sender,
            (_, "backup") => SyncRole::Receiver,
            (Command::StartDaemon, _) => return wrong("illegal start-daemon parameter specified"),
            (Command::StopDaemon, _) => return wrong("illegal start_daemon specified"),
            (_, _) => SyncRole::Sender,
        };
        let shell = match (command, argument) {
            (_, "zsh") => Shell::Zsh,
            (_, "fish") => Shell::Fish,
            (Command::Completions, shell) if shell != "bash" => {
                return wrong(format!(
                    "no completions for `{shell}': bash, zsh and fish have some"
                ));
            }
            (_, _) => Shell::Bash,
        };
        Ok(Self {
            command,
            given: Vec::new(),
            role,
            shell,
            timeouts: Timeouts::default(),
            key: None,
            scheduler: String::new(),
            flags_text: String::new(),
            one_packet: false,
            persistence: None,
            engine: None,
            granularity: Granularity::host(false),
            server: None,
            forwarding: Forwarding::Direct,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: "ipip",
            tunnel_port: 0,
            tunnel_flags: 0,
            watch: None,
            daemon: SyncDaemon::new(role, DEFAULT_INTERFACE, 0),
        })
    }

    /// Takes an option.
    pub(super) fn set(
        &mut self,
        option: Opt,
        argument: Option<&str>,
        resolver: &dyn Resolver,
    ) -> Result<(), Mistake> {
        if let Some(topic) = option.topic() {
            if self.given.contains(&topic) {
                return wrong(format!("multiple '{}' options specified", topic.name()));
            }
            self.given.push(topic);
        }
        let text = argument.unwrap_or("");
        match option {
            Opt::Tcp => self.set_service(Protocol::Tcp, text, resolver)?,
            Opt::Udp => self.set_service(Protocol::Udp, text, resolver)?,
            Opt::Sctp => self.set_service(Protocol::Sctp, text, resolver)?,
            Opt::FwMark => {
                let mark = number(text, 1..=u32::MAX.into()).ok_or_else(|| {
                    Mistake::Wrong(format!("invalid fwmark value `{text}' specified"))
                })?;
                self.key = Some(ServiceKey::FwMark { mark, ipv6: false });
            }
            Opt::Ipv6 => {
                let Some(ServiceKey::FwMark { ipv6, .. }) = &mut self.key else {
                    // The empty line is ipvsadm's.
                    return wrong("-6 used before -f\n");
                };
                *ipv6 = true;
                self.granularity = Granularity::host(true);
            }
            Opt::Scheduler => self.scheduler = cut(text, MAX_SCHEDULER),
            Opt::Engine => self.engine = Some(cut(text, MAX_ENGINE)).filter(|it| !it.is_empty()),
            Opt::Persistent => self.persistence = Some(persistence(argument)?),
            Opt::Netmask => self.set_netmask(text, resolver)?,
            Opt::SchedulerFlags => text.clone_into(&mut self.flags_text),
            Opt::OnePacket => self.one_packet = true,
            Opt::RealServer => self.set_server(text, resolver)?,
            Opt::Gatewaying => self.forwarding = Forwarding::Direct,
            Opt::Tunnelling => self.forwarding = Forwarding::Tunnel,
            Opt::Masquerading => self.forwarding = Forwarding::Masquerade,
            Opt::TunnelType => {
                self.tunnel = ["ipip", "gue", "gre"]
                    .into_iter()
                    .find(|name| *name == text)
                    .ok_or_else(|| illegal("tunnel type"))?;
            }
            Opt::TunnelPort => {
                self.tunnel_port =
                    number(text, 1..=0xffff).ok_or_else(|| illegal("tunnel port"))?;
            }
            Opt::TunnelNoChecksum => {}
            Opt::TunnelChecksum => self.tunnel_flags |= 1,
            Opt::TunnelRemoteChecksum => self.tunnel_flags |= 2,
            Opt::Weight => {
                self.weight = number(text, 0..=i32::MAX.into()).ok_or_else(|| illegal("weight"))?;
            }
            Opt::UpperThreshold => {
                self.upper_threshold =
                    number(text, 0..=i32::MAX.into()).ok_or_else(|| illegal("u_threshold"))?;
            }
            Opt::LowerThreshold => {
                self.lower_threshold =
                    number(text, 0..=i32::MAX.into()).ok_or_else(|| illegal("l_threshold"))?;
            }
            Opt::Watch => self.watch = Some(watch(text)?),
            Opt::SyncId => {
                self.daemon.id = number(text, 0..=255).ok_or_else(|| illegal("syncid"))?;
            }
            Opt::SyncLength => {
                self.daemon.max_length = non_zero(text, MAX_SYNC_LENGTH, "sync-maxlen")?;
            }
            Opt::SyncInterface if text.is_empty() => {}
            Opt::SyncInterface => self.daemon.interface = cut(text, MAX_INTERFACE),
            Opt::SyncGroup => self.daemon.group = Some(group(text)?),
            Opt::SyncPort => self.daemon.port = non_zero(text, 0xffff, "mcast-port")?,
            Opt::SyncTtl => {
                let ttl = number(text, 1..=255).and_then(NonZero::<u8>::new);
                self.daemon.ttl = Some(ttl.ok_or_else(|| illegal("mcast-ttl"))?);
            }
            // That they are given is all that there is to know.
            Opt::Connection
            | Opt::Timeout
            | Opt::Daemon
            | Opt::Stats
            | Opt::Rate
            | Opt::Exact
            | Opt::Thresholds
            | Opt::PersistentConnections
            | Opt::TunnelInfo
            | Opt::NoSort
            | Opt::Sort
            | Opt::Numeric
            | Opt::Json
            | Opt::Replace => {}
        }
        Ok(())
    }

    /// Takes the words that the command has a use for, and returns the others.
    pub(super) fn set_words<'a, 'b>(
        &mut self,
        words: &'a [&'b str],
    ) -> Result<&'a [&'b str], Mistake> {
        if self.command != Command::Set {
            return Ok(words);
        }
        let Some(([tcp, tcp_fin, udp], rest)) = words.split_first_chunk() else {
            return wrong("--set option requires 3 timeout values");
        };
        self.timeouts = Timeouts {
            tcp: timeout(tcp, 0)?,
            tcp_fin: timeout(tcp_fin, 0)?,
            udp: timeout(udp, 0)?,
        };
        Ok(rest)
    }

    fn set_service(
        &mut self,
        protocol: Protocol,
        text: &str,
        resolver: &dyn Resolver,
    ) -> Result<(), Mistake> {
        let Some((address, port)) = values::endpoint(text, Some(protocol), resolver) else {
            return wrong("illegal virtual server address[:port] specified");
        };
        if address.is_ipv6() {
            self.granularity = Granularity::host(true);
        }
        self.key = Some(ServiceKey::Address {
            protocol,
            address,
            port: port.unwrap_or(0),
        });
        Ok(())
    }

    fn set_server(&mut self, text: &str, resolver: &dyn Resolver) -> Result<(), Mistake> {
        let (protocol, service_port) = match self.key {
            Some(ServiceKey::Address { protocol, port, .. }) => (Some(protocol), port),
            Some(ServiceKey::FwMark { .. }) => (Some(Protocol::Tcp), 0),
            None => (None, 0),
        };
        let Some((address, port)) = values::endpoint(text, protocol, resolver) else {
            return wrong("illegal real server address[:port] specified");
        };
        self.server = Some((address, port.unwrap_or(service_port)));
        Ok(())
    }

    fn set_netmask(&mut self, text: &str, resolver: &dyn Resolver) -> Result<(), Mistake> {
        self.granularity = if self.key.is_some_and(|key| key.is_ipv6()) {
            let prefix = number(text, 1..=128);
            Granularity::Prefix(
                prefix
                    .ok_or_else(|| Mistake::Wrong("illegal ipv6 netmask specified".to_owned()))?,
            )
        } else {
            let Some(mask) = values::netmask(text, resolver) else {
                return wrong("illegal virtual server persistent mask specified");
            };
            Granularity::Mask(mask)
        };
        Ok(())
    }
}

fn illegal(what: &str) -> Mistake {
    Mistake::Wrong(format!("illegal {what} specified"))
}

/// A number that fits both the range and the type.
fn number<T: TryFrom<i64>>(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<T> {
    values::integer(text, range).and_then(|number| T::try_from(number).ok())
}

fn non_zero(text: &str, max: i64, what: &str) -> Result<Option<NonZero<u16>>, Mistake> {
    let number = number(text, 1..=max).and_then(NonZero::<u16>::new);
    number.map(Some).ok_or_else(|| illegal(what))
}

fn timeout(text: &str, min: i64) -> Result<u32, Mistake> {
    number(text, min..=MAX_TIMEOUT)
        .ok_or_else(|| Mistake::Wrong(format!("invalid timeout value `{text}' specified")))
}

fn persistence(argument: Option<&str>) -> Result<u32, Mistake> {
    argument.map_or(Ok(DEFAULT_PERSISTENCE), |text| timeout(text, 1))
}

fn watch(text: &str) -> Result<Duration, Mistake> {
    text.parse()
        .ok()
        .filter(|seconds| WATCH_SECONDS.contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| Mistake::Wrong(format!("invalid interval `{text}' specified")))
}

/// A multicast group of the family that its colons tell.
fn group(text: &str) -> Result<IpAddr, Mistake> {
    let (family, address) = if text.contains(':') {
        ("IPv6", text.parse().map(|it: Ipv6Addr| IpAddr::V6(it)))
    } else {
        ("IPv4", text.parse().map(|it: Ipv4Addr| IpAddr::V4(it)))
    };
    match address {
        Ok(address) if address.is_multicast() => Ok(address),
        Ok(_) | Err(_) => wrong(format!("invalid {family} mcast-group `{text}'")),
    }
}

/// What the kernel's structure has room for.
fn cut(text: &str, length: usize) -> String {
    text[..text.floor_char_boundary(length)].to_owned()
}
