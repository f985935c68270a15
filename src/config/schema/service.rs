//! The sections about virtual services: virtual, server.

use super::probe::PROBE;
use super::{Key, Kind, Otherwise, Section, secs};

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
