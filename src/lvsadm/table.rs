//! The one table of commands and options: what is read, explained, completed and documented.

mod rules;

pub(super) use rules::{Rule, Topic};

/// A command. Its place here is its place in `--help`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Command {
    AddService,
    EditService,
    DeleteService,
    Clear,
    Restore,
    Save,
    AddServer,
    EditServer,
    DeleteServer,
    List,
    Zero,
    Set,
    StartDaemon,
    StopDaemon,
    Help,
    Version,
    Completions,
}

/// What an option says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opt {
    Tcp,
    Udp,
    Sctp,
    FwMark,
    Ipv6,
    Scheduler,
    Engine,
    Persistent,
    Netmask,
    SchedulerFlags,
    OnePacket,
    RealServer,
    Gatewaying,
    Tunnelling,
    Masquerading,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
    Weight,
    UpperThreshold,
    LowerThreshold,
    Connection,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Exact,
    Thresholds,
    PersistentConnections,
    TunnelInfo,
    NoSort,
    Sort,
    Numeric,
    Json,
    Watch,
    Replace,
    SyncId,
    SyncLength,
    SyncInterface,
    SyncGroup,
    SyncPort,
    SyncTtl,
}

/// Whether an argument follows, and what it is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Argument {
    None,
    Needed(&'static str),
    Optional(&'static str),
}

/// What a shell can offer as an argument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offer {
    Nothing,
    Words(&'static [&'static str]),
    SchedulerFlags,
    Interfaces,
}

/// What a switch stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meaning {
    Command(Command),
    Option(Opt),
}

/// Where `--help` shows an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Section {
    Commands,
    Service,
    Options,
    Listing,
    Daemon,
}

/// One row: a switch as it is written and explained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    pub(super) meaning: Meaning,
    pub(super) section: Section,
    pub(super) long: &'static str,
    pub(super) short: &'static [char],
    pub(super) argument: Argument,
    pub(super) offer: Offer,
    pub(super) help: &'static str,
}

/// The kernel's schedulers (net/netfilter/ipvs/Kconfig).
pub(super) const SCHEDULERS: &[&str] = &[
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
];
/// Flags of schedulers, each with the one scheduler that knows it by this name, and its number.
pub(super) const SCHEDULER_FLAGS: &[(&str, Option<&'static str>, usize)] = &[
    ("flag-1", None, 0),
    ("flag-2", None, 1),
    ("flag-3", None, 2),
    ("sh-fallback", Some("sh"), 0),
    ("sh-port", Some("sh"), 1),
    ("mh-fallback", Some("mh"), 0),
    ("mh-port", Some("mh"), 1),
];
/// Shells for which there are completions.
pub(super) const SHELLS: &[&str] = &["bash", "zsh", "fish"];
/// The scheduler of a service that names none.
pub(super) const DEFAULT_SCHEDULER: &str = "wlc";
/// The interface of a sync daemon that names none.
pub(super) const DEFAULT_INTERFACE: &str = "eth0";
/// Seconds for which clients of a service with a bare `-p` are remembered.
pub(super) const DEFAULT_PERSISTENCE: u32 = 360;

const fn command(
    command: Command,
    long: &'static str,
    short: &'static [char],
    help: &'static str,
) -> Switch {
    Switch {
        meaning: Meaning::Command(command),
        section: Section::Commands,
        long,
        short,
        argument: Argument::None,
        offer: Offer::Nothing,
        help,
    }
}

const fn option(
    section: Section,
    option: Opt,
    long: &'static str,
    short: &'static [char],
    argument: Argument,
    help: &'static str,
) -> Switch {
    Switch {
        meaning: Meaning::Option(option),
        section,
        long,
        short,
        argument,
        offer: Offer::Nothing,
        help,
    }
}

impl Switch {
    const fn takes(self, argument: &'static str) -> Self {
        Self {
            argument: Needed(argument),
            ..self
        }
    }

    const fn offering(self, words: &'static [&'static str]) -> Self {
        Self {
            offer: Offer::Words(words),
            ..self
        }
    }
}

use Argument::{Needed, None as Alone, Optional};
use Section::{Daemon, Listing, Options, Service};

/// All switches, in the order of `--help`.
#[rustfmt::skip]
pub(super) const SWITCHES: &[Switch] = &[
    command(Command::AddService, "add-service", &['A'], "add a virtual service"),
    command(Command::EditService, "edit-service", &['E'], "change how a virtual service schedules"),
    command(Command::DeleteService, "delete-service", &['D'], "remove a virtual service and its real servers"),
    command(Command::Clear, "clear", &['C'], "remove everything"),
    command(Command::Restore, "restore", &['R'], "carry out command lines from standard input"),
    command(Command::Save, "save", &['S'], "print the table as command lines for -R"),
    command(Command::AddServer, "add-server", &['a'], "add a real server to a virtual service"),
    command(Command::EditServer, "edit-server", &['e'], "change a real server"),
    command(Command::DeleteServer, "delete-server", &['d'], "remove a real server"),
    command(Command::List, "list", &['L', 'l'], "list the table, or what an option asks for"),
    command(Command::Zero, "zero", &['Z'], "set the counters of a virtual service, or all, to zero"),
    command(Command::Set, "set", &[], "set the timeouts of connections: tcp tcpfin udp"),
    command(Command::StartDaemon, "start-daemon", &[], "start a daemon that synchronises connections").takes("state").offering(&["master", "backup"]),
    command(Command::StopDaemon, "stop-daemon", &[], "stop such a daemon").takes("state").offering(&["master", "backup"]),
    command(Command::Help, "help", &['h'], "print this help"),
    command(Command::Version, "version", &['v'], "print the version"),
    command(Command::Completions, "completions", &[], "print the completions for a shell").takes("shell").offering(SHELLS),

    option(Service, Opt::Tcp, "tcp-service", &['t'], Needed("address"), "TCP, host[:port]"),
    option(Service, Opt::Udp, "udp-service", &['u'], Needed("address"), "UDP, host[:port]"),
    option(Service, Opt::Sctp, "sctp-service", &[], Needed("address"), "SCTP, host[:port]"),
    option(Service, Opt::FwMark, "fwmark-service", &['f'], Needed("mark"), "packets with a firewall mark above 0"),
    option(Service, Opt::Ipv6, "ipv6", &['6'], Alone, "after -f: IPv6 packets with the mark"),

    option(Options, Opt::Scheduler, "scheduler", &['s'], Needed("scheduler"), "how connections are spread, wlc by default").offering(SCHEDULERS),
    Switch { offer: Offer::SchedulerFlags, ..option(Options, Opt::SchedulerFlags, "sched-flags", &['b'], Needed("flags"), "flags of the scheduler, separated by commas") },
    option(Options, Opt::Persistent, "persistent", &['p'], Optional("timeout"), "keep clients on their server for so many seconds"),
    option(Options, Opt::Netmask, "netmask", &['M'], Needed("netmask"), "clients equal under the mask, or prefix, are one"),
    option(Options, Opt::Engine, "pe", &[], Needed("engine"), "persistence engine").offering(&["sip"]),
    option(Options, Opt::OnePacket, "ops", &['o'], Alone, "schedule each UDP packet for itself"),
    option(Options, Opt::RealServer, "real-server", &['r'], Needed("address"), "the real server, host[:port]"),
    option(Options, Opt::Gatewaying, "gatewaying", &['g'], Alone, "forward by direct routing, the default"),
    option(Options, Opt::Tunnelling, "ipip", &['i'], Alone, "forward through a tunnel"),
    option(Options, Opt::Masquerading, "masquerading", &['m'], Alone, "forward by address translation"),
    option(Options, Opt::TunnelType, "tun-type", &[], Needed("type"), "the tunnel's encapsulation, ipip by default").offering(&["ipip", "gue", "gre"]),
    option(Options, Opt::TunnelPort, "tun-port", &[], Needed("port"), "the real server's port for gue"),
    option(Options, Opt::TunnelNoChecksum, "tun-nocsum", &[], Alone, "gue and gre without checksum, the default"),
    option(Options, Opt::TunnelChecksum, "tun-csum", &[], Alone, "gue and gre with checksum"),
    option(Options, Opt::TunnelRemoteChecksum, "tun-remcsum", &[], Alone, "gue with remote checksum offload"),
    option(Options, Opt::Weight, "weight", &['w'], Needed("weight"), "the real server's share, 1 by default"),
    option(Options, Opt::UpperThreshold, "u-threshold", &['x'], Needed("connections"), "no new connections above so many"),
    option(Options, Opt::LowerThreshold, "l-threshold", &['y'], Needed("connections"), "new connections again below so many"),
    option(Options, Opt::Replace, "replace", &[], Alone, "with -R: make the table equal to the input by the\nsmallest change"),

    option(Listing, Opt::Numeric, "numeric", &['n'], Alone, "addresses and ports as numbers"),
    option(Listing, Opt::Connection, "connection", &['c'], Alone, "the connections"),
    option(Listing, Opt::Timeout, "timeout", &[], Alone, "the timeouts of connections"),
    option(Listing, Opt::Daemon, "daemon", &[], Alone, "the daemons that synchronise connections"),
    option(Listing, Opt::Stats, "stats", &[], Alone, "the counters"),
    option(Listing, Opt::Rate, "rate", &[], Alone, "the counters' rates"),
    option(Listing, Opt::Exact, "exact", &['X'], Alone, "large counters in full"),
    option(Listing, Opt::Thresholds, "thresholds", &[], Alone, "the thresholds"),
    option(Listing, Opt::PersistentConnections, "persistent-conn", &[], Alone, "the clients that are remembered; with -c what\npersistence engines remember them by"),
    option(Listing, Opt::TunnelInfo, "tun-info", &[], Alone, "the tunnels' encapsulation"),
    option(Listing, Opt::NoSort, "nosort", &[], Alone, "in the kernel's order"),
    option(Listing, Opt::Sort, "sort", &[], Alone, "sorted, as it is without"),
    option(Listing, Opt::Json, "json", &[], Alone, "as JSON"),
    option(Listing, Opt::Watch, "watch", &[], Needed("seconds"), "again and again; without another option of these,\nwith the rates measured in between"),

    option(Daemon, Opt::SyncId, "syncid", &[], Needed("id"), "0 to 255, must agree; 0, the default, hears all"),
    option(Daemon, Opt::SyncLength, "sync-maxlen", &[], Needed("bytes"), "longest message, by default what fits a packet"),
    Switch { offer: Offer::Interfaces, ..option(Daemon, Opt::SyncInterface, "mcast-interface", &[], Needed("interface"), "interface for multicast, eth0 by default") },
    option(Daemon, Opt::SyncGroup, "mcast-group", &[], Needed("address"), "multicast group, 224.0.0.81 by default"),
    option(Daemon, Opt::SyncPort, "mcast-port", &[], Needed("port"), "UDP port, 8848 by default"),
    option(Daemon, Opt::SyncTtl, "mcast-ttl", &[], Needed("ttl"), "routers to pass plus one, 1 by default"),
];
