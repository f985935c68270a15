//! Which options a command needs, allows or forbids.

use super::{Command, Meaning, Opt, SWITCHES};

/// What commands demand or forbid: an option, or several of which one can be given.
///
/// The order is that in which a command line is checked, and so decides which of its faults is
/// told.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::lvsadm) enum Topic {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    RealServer,
    Forwarding,
    Weight,
    UpperThreshold,
    LowerThreshold,
    SyncInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConnections,
    NoSort,
    SyncId,
    Exact,
    OnePacket,
    Engine,
    SchedulerFlags,
    SyncGroup,
    SyncPort,
    SyncTtl,
    SyncLength,
    TunnelInfo,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
    Json,
    Watch,
    Replace,
}

/// What a command makes of a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::lvsadm) enum Rule {
    Needed,
    /// Only one topic of these at a time.
    Exclusive,
    Allowed,
    Illegal,
}

impl Command {
    /// Its name in messages.
    pub(in crate::lvsadm) fn name(self) -> &'static str {
        match self {
            Self::AddService => "add-service",
            Self::EditService => "edit-service",
            Self::DeleteService => "delete-service",
            Self::Clear => "flush",
            Self::Restore => "restore",
            Self::Save => "save",
            Self::AddServer => "add-server",
            Self::EditServer => "edit-server",
            Self::DeleteServer => "delete-server",
            Self::List => "list",
            Self::Zero => "zero",
            Self::Set => "set",
            Self::StartDaemon => "start-daemon",
            Self::StopDaemon => "stop-daemon",
            Self::Help => "help",
            Self::Version => "version",
            Self::Completions => "completions",
        }
    }

    /// What it makes of a topic.
    pub(in crate::lvsadm) fn rule(self, topic: Topic) -> Rule {
        let (needed, exclusive, allowed) = self.rules();
        if needed.contains(&topic) {
            Rule::Needed
        } else if exclusive.contains(&topic) {
            Rule::Exclusive
        } else if allowed.contains(&topic) {
            Rule::Allowed
        } else {
            Rule::Illegal
        }
    }

    /// Topics that it needs, that exclude each other, and that it allows.
    fn rules(self) -> (&'static [Topic], &'static [Topic], &'static [Topic]) {
        use Topic::{
            Connection, Daemon, Engine, Exact, Forwarding, Json, LowerThreshold, Netmask, NoSort,
            Numeric, OnePacket, Persistent, PersistentConnections, Rate, RealServer, Replace,
            Scheduler, SchedulerFlags, Service, Stats, SyncGroup, SyncId, SyncInterface,
            SyncLength, SyncPort, SyncTtl, Thresholds, Timeout, TunnelChecksum, TunnelInfo,
            TunnelNoChecksum, TunnelPort, TunnelRemoteChecksum, TunnelType, UpperThreshold, Watch,
            Weight,
        };
        match self {
            Self::AddService | Self::EditService => (
                &[Service],
                &[],
                &[
                    Scheduler,
                    Persistent,
                    Netmask,
                    OnePacket,
                    Engine,
                    SchedulerFlags,
                ],
            ),
            Self::DeleteService => (&[Service], &[], &[]),
            Self::AddServer | Self::EditServer => (
                &[Service, RealServer],
                &[],
                &[
                    Forwarding,
                    Weight,
                    UpperThreshold,
                    LowerThreshold,
                    TunnelType,
                    TunnelPort,
                    TunnelNoChecksum,
                    TunnelChecksum,
                    TunnelRemoteChecksum,
                ],
            ),
            Self::DeleteServer => (&[Service, RealServer], &[], &[]),
            Self::Restore => (&[], &[], &[Replace]),
            Self::Save => (&[], &[], &[Numeric]),
            Self::List => (
                &[],
                &[Connection, Service, Timeout, Daemon],
                &[
                    Numeric,
                    Stats,
                    Rate,
                    Thresholds,
                    PersistentConnections,
                    NoSort,
                    Exact,
                    TunnelInfo,
                    Json,
                    Watch,
                    // Of no effect, but allowed.
                    SyncId,
                ],
            ),
            Self::Zero => (&[], &[], &[Service]),
            Self::StartDaemon => (
                &[],
                &[],
                &[
                    SyncInterface,
                    SyncId,
                    SyncGroup,
                    SyncPort,
                    SyncTtl,
                    SyncLength,
                ],
            ),
            Self::StopDaemon => (&[], &[], &[SyncId]),
            Self::Clear | Self::Set | Self::Help | Self::Version | Self::Completions => {
                (&[], &[], &[])
            }
        }
    }
}

impl Topic {
    /// All, in the order in which they are checked.
    pub(in crate::lvsadm) const ALL: [Self; 37] = [
        Self::Numeric,
        Self::Connection,
        Self::Service,
        Self::Scheduler,
        Self::Persistent,
        Self::Netmask,
        Self::RealServer,
        Self::Forwarding,
        Self::Weight,
        Self::UpperThreshold,
        Self::LowerThreshold,
        Self::SyncInterface,
        Self::Timeout,
        Self::Daemon,
        Self::Stats,
        Self::Rate,
        Self::Thresholds,
        Self::PersistentConnections,
        Self::NoSort,
        Self::SyncId,
        Self::Exact,
        Self::OnePacket,
        Self::Engine,
        Self::SchedulerFlags,
        Self::SyncGroup,
        Self::SyncPort,
        Self::SyncTtl,
        Self::SyncLength,
        Self::TunnelInfo,
        Self::TunnelType,
        Self::TunnelPort,
        Self::TunnelNoChecksum,
        Self::TunnelChecksum,
        Self::TunnelRemoteChecksum,
        Self::Json,
        Self::Watch,
        Self::Replace,
    ];

    /// Its name in messages: of a single option its own.
    pub(in crate::lvsadm) fn name(self) -> &'static str {
        match self {
            Self::Service => "service-address",
            Self::Forwarding => "forwarding-method",
            _ => SWITCHES
                .iter()
                .find(|switch| match switch.meaning {
                    Meaning::Option(option) => option.topic() == Some(self),
                    Meaning::Command(_) => false,
                })
                .map_or("", |switch| switch.long),
        }
    }
}

impl Opt {
    /// What it counts as; none for options that are never checked against the command.
    pub(in crate::lvsadm) fn topic(self) -> Option<Topic> {
        Some(match self {
            Self::Ipv6 | Self::Sort => return None,
            Self::Tcp | Self::Udp | Self::Sctp | Self::FwMark => Topic::Service,
            Self::Gatewaying | Self::Tunnelling | Self::Masquerading => Topic::Forwarding,
            Self::Scheduler => Topic::Scheduler,
            Self::Engine => Topic::Engine,
            Self::Persistent => Topic::Persistent,
            Self::Netmask => Topic::Netmask,
            Self::SchedulerFlags => Topic::SchedulerFlags,
            Self::OnePacket => Topic::OnePacket,
            Self::RealServer => Topic::RealServer,
            Self::TunnelType => Topic::TunnelType,
            Self::TunnelPort => Topic::TunnelPort,
            Self::TunnelNoChecksum => Topic::TunnelNoChecksum,
            Self::TunnelChecksum => Topic::TunnelChecksum,
            Self::TunnelRemoteChecksum => Topic::TunnelRemoteChecksum,
            Self::Weight => Topic::Weight,
            Self::UpperThreshold => Topic::UpperThreshold,
            Self::LowerThreshold => Topic::LowerThreshold,
            Self::Connection => Topic::Connection,
            Self::Timeout => Topic::Timeout,
            Self::Daemon => Topic::Daemon,
            Self::Stats => Topic::Stats,
            Self::Rate => Topic::Rate,
            Self::Exact => Topic::Exact,
            Self::Thresholds => Topic::Thresholds,
            Self::PersistentConnections => Topic::PersistentConnections,
            Self::TunnelInfo => Topic::TunnelInfo,
            Self::NoSort => Topic::NoSort,
            Self::Numeric => Topic::Numeric,
            Self::Json => Topic::Json,
            Self::Watch => Topic::Watch,
            Self::Replace => Topic::Replace,
            Self::SyncId => Topic::SyncId,
            Self::SyncLength => Topic::SyncLength,
            Self::SyncInterface => Topic::SyncInterface,
            Self::SyncGroup => Topic::SyncGroup,
            Self::SyncPort => Topic::SyncPort,
            Self::SyncTtl => Topic::SyncTtl,
        })
    }
}
