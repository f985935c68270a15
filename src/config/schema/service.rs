//! The sections about virtual services: virtual, server, probe.

use super::{HOUR, Key, Kind, Otherwise, Section, ms, secs};

pub(in super::super) const VIRTUAL: Section = Section {
    header: "[[virtual]]",
    doc: "A virtual service: traffic to an address and ports, or with a firewall mark, that is \
          spread over real servers. Either address with port or ports, or fwmark, is required.",
    keys: &[
        &VIRTUAL_NAME,
        &VIRTUAL_GROUP,
        &VIRTUAL_ADDRESS,
        &VIRTUAL_PORT,
        &PORTS,
        &PROTOCOL,
        &FWMARK,
        &FAMILY,
        &SCHEDULER,
        &FORWARD,
        &PERSISTENT,
        &SORRY,
        &ON_FAILURE,
        &VIRTUAL_PROBE,
        &SERVERS,
    ],
    later: &[],
};

pub(in super::super) const VIRTUAL_NAME: Key = Key {
    name: "name",
    kind: Kind::Name,
    otherwise: Otherwise::Required,
    doc: "What messages and commands call it.",
};

pub(in super::super) const VIRTUAL_GROUP: Key = Key {
    name: "group",
    kind: Kind::Name,
    otherwise: Otherwise::Required,
    doc: "The name of the group whose addresses it serves on.",
};

pub(in super::super) const VIRTUAL_ADDRESS: Key = Key {
    name: "address",
    kind: Kind::Address,
    otherwise: Otherwise::Is("none"),
    doc: "One of the group's virtual IP addresses.",
};

pub(in super::super) const VIRTUAL_PORT: Key = Key {
    name: "port",
    kind: Kind::Integer(1, 65535),
    otherwise: Otherwise::Is("none"),
    doc: "The port of the service.",
};

pub(in super::super) const PORTS: Key = Key {
    name: "ports",
    kind: Kind::List(&Kind::Integer(1, 65535)),
    otherwise: Otherwise::Is("none"),
    doc: "Several ports with the same servers, in place of port. Each is a service of its own for \
          the kernel.",
};

pub(in super::super) const PROTOCOL: Key = Key {
    name: "protocol",
    kind: Kind::Words(&["tcp", "udp"]),
    otherwise: Otherwise::Text("tcp"),
    doc: "The transport protocol. Has no meaning with fwmark.",
};

pub(in super::super) const FWMARK: Key = Key {
    name: "fwmark",
    kind: Kind::Integer(1, u32::MAX as u64),
    otherwise: Otherwise::Is("none"),
    doc: "Takes the packets that a firewall rule has given this mark, whatever their address, \
          port and protocol.",
};

pub(in super::super) const FAMILY: Key = Key {
    name: "family",
    kind: Kind::Words(&["ipv4", "ipv6"]),
    otherwise: Otherwise::Is(
        "that of the group's addresses if they have one, else of the first server",
    ),
    doc: "With fwmark only: the family of the packets.",
};

pub(in super::super) const SCHEDULER: Key = Key {
    name: "scheduler",
    kind: Kind::Words(&[
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf",
    ]),
    otherwise: Otherwise::Text("wlc"),
    doc: "How the kernel chooses a server for a new connection, by the kernel's name: round robin, \
          weighted round robin, least connections, weighted least connections, locality-based, \
          locality-based with replication, destination hash, source hash, Maglev hash, shortest \
          expected delay, never queue, weighted failover, weighted overflow.",
};

pub(in super::super) const FORWARD: Key = Key {
    name: "forward",
    kind: Kind::Words(&["direct", "nat", "tunnel"]),
    otherwise: Otherwise::Text("direct"),
    doc: "How packets reach the servers. With direct, a server shares a network with the directors \
          and answers by itself; with tunnel it may be elsewhere and answers by itself; both need \
          the virtual address on the server, where it must not answer ARP. With nat the servers' \
          way back must lead through the active director.",
};

pub(in super::super) const PERSISTENT: Key = Key {
    name: "persistent",
    kind: Kind::Duration(secs(1), secs(31 * 24 * 3600)),
    otherwise: Otherwise::Is("not persistent"),
    doc: "How long a client stays with the server that it was given, in whole seconds.",
};

pub(in super::super) const SORRY: Key = Key {
    name: "sorry",
    kind: Kind::AddressPort,
    otherwise: Otherwise::Is("connections are refused"),
    doc: "The server that takes over while no other is up, to say sorry. It is reached by the \
          virtual's forward, and its port is the virtual's unless given.",
};

pub(in super::super) const ON_FAILURE: Key = Key {
    name: "on_failure",
    kind: Kind::Words(&["remove", "quiesce"]),
    otherwise: Otherwise::Text("remove"),
    doc: "What becomes of a server that fails: it leaves the table and its connections break, or \
          it stays with weight 0 and its connections go on.",
};

pub(in super::super) const VIRTUAL_PROBE: Key = Key {
    name: "probe",
    kind: Kind::Table(&PROBE),
    otherwise: Otherwise::Is("servers are taken to be up"),
    doc: "How servers are checked.",
};

pub(in super::super) const SERVERS: Key = Key {
    name: "server",
    kind: Kind::Tables(&SERVER),
    otherwise: Otherwise::Is("none"),
    doc: "The real servers, each a [[virtual.server]] below its [[virtual]].",
};

pub(in super::super) const SERVER: Section = Section {
    header: "[[virtual.server]]",
    doc: "A real server of the virtual service above it.",
    keys: &[
        &SERVER_ADDRESS,
        &SERVER_PORT,
        &WEIGHT,
        &SERVER_FORWARD,
        &SERVER_PROBE,
    ],
    later: &[],
};

pub(in super::super) const SERVER_ADDRESS: Key = Key {
    name: "address",
    kind: Kind::Address,
    otherwise: Otherwise::Required,
    doc: "Where packets are sent. Its family is the service's, except with tunnel.",
};

pub(in super::super) const SERVER_PORT: Key = Key {
    name: "port",
    kind: Kind::Integer(1, 65535),
    otherwise: Otherwise::Is("the port of the service"),
    doc: "The server's port. Another than the service's only with nat.",
};

pub(in super::super) const WEIGHT: Key = Key {
    name: "weight",
    kind: Kind::Integer(0, i32::MAX as u64),
    otherwise: Otherwise::Integer(1),
    doc: "Share of new connections; 0 takes none.",
};

pub(in super::super) const SERVER_FORWARD: Key = Key {
    name: "forward",
    kind: FORWARD.kind,
    otherwise: Otherwise::Is("as the virtual says"),
    doc: "How packets reach this server.",
};

pub(in super::super) const SERVER_PROBE: Key = Key {
    name: "probe",
    kind: Kind::Table(&PROBE),
    otherwise: Otherwise::Is("as the virtual says"),
    doc: "How this server is checked.",
};

pub(in super::super) const PROBE: Section = Section {
    header: "probe",
    doc: "A table of a virtual or of a server. What it asks is chosen by the key that is present: \
          exactly one of tcp, http, or send with or without expect.",
    keys: &[
        &TCP,
        &SEND,
        &EXPECT,
        &HTTP,
        &HOST,
        &STATUS,
        &PROBE_PORT,
        &INTERVAL,
        &TIMEOUT,
        &FALL,
        &RISE,
    ],
    later: &["https", "udp", "dns", "icmp", "smtp", "exec"],
};

pub(in super::super) const TCP: Key = Key {
    name: "tcp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A connection is made; nothing is sent.",
};

pub(in super::super) const SEND: Key = Key {
    name: "send",
    kind: Kind::Text,
    otherwise: Otherwise::Is("nothing is sent"),
    doc: "A connection is made and this text sent.",
};

pub(in super::super) const EXPECT: Key = Key {
    name: "expect",
    kind: Kind::Text,
    otherwise: Otherwise::Is("any byte will do"),
    doc: "This text must occur in what the server says.",
};

pub(in super::super) const HTTP: Key = Key {
    name: "http",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "A GET request for this path is made over HTTP/1.1. It begins with a slash.",
};

pub(in super::super) const HOST: Key = Key {
    name: "host",
    kind: Kind::Text,
    otherwise: Otherwise::Is("the server's address"),
    doc: "With http: the Host header.",
};

pub(in super::super) const STATUS: Key = Key {
    name: "status",
    kind: Kind::Status,
    otherwise: Otherwise::Text("200-299"),
    doc: "With http: the status codes that are good.",
};

pub(in super::super) const PROBE_PORT: Key = Key {
    name: "port",
    kind: Kind::Integer(1, 65535),
    otherwise: Otherwise::Is("the server's"),
    doc: "The port to probe. Required when neither the virtual nor the server has one, which is so \
          with fwmark. A virtual with several ports has each server probed on each of them unless \
          this is given.",
};

pub(in super::super) const INTERVAL: Key = Key {
    name: "interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Duration(secs(6)),
    doc: "Time from one probe's start to the next one's.",
};

pub(in super::super) const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration(ms(1), HOUR),
    otherwise: Otherwise::Duration(secs(2)),
    doc: "Time for a whole probe. Must not be above interval; when it is not given and interval is \
          shorter than its default, it is interval.",
};

pub(in super::super) const FALL: Key = Key {
    name: "fall",
    kind: Kind::Integer(1, 1000),
    otherwise: Otherwise::Integer(2),
    doc: "Failures in a row that turn a server down.",
};

pub(in super::super) const RISE: Key = Key {
    name: "rise",
    kind: Kind::Integer(1, 1000),
    otherwise: Otherwise::Integer(1),
    doc: "Successes in a row that turn it up again.",
};
