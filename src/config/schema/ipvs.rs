//! The sections about the kernel's IPVS beside its table: ipvs, sync, sysctl.

use std::time::Duration;

use super::{HOUR, Key, Kind, Otherwise, Section, secs};
use crate::config::model;

pub(in super::super) const IPVS: Section = Section {
    header: "[ipvs]",
    doc: "What the kernel's IPVS is told beside its table of services. Optional; what is not \
          configured is left as the host has it.",
    keys: &[&IPVS_SYNC, &IPVS_SYSCTL],
    later: &[],
};

pub(in super::super) const IPVS_SYNC: Key = Key {
    name: "sync",
    kind: Kind::Table(&SYNC),
    otherwise: Otherwise::Is("a takeover breaks the connections that are established"),
    doc: "Connections are told to the other directors, and survive a takeover.",
};

pub(in super::super) const IPVS_SYSCTL: Key = Key {
    name: "sysctl",
    kind: Kind::Table(&SYSCTL),
    otherwise: Otherwise::Is("with sync the defaults below, without it nothing is set"),
    doc: "Settings of the kernel's IPVS.",
};

pub(in super::super) const SYNC: Section = Section {
    header: "[ipvs.sync]",
    doc: "Every director multicasts its connections and takes in those of the others, always, \
          whoever is active: so nothing is started in a takeover. The messages are neither \
          authenticated nor encrypted, so let them run on a network that only directors are on. \
          Whoever starts learns only of connections that have packets from then on. The kernel \
          cannot have this together with servers of another address family than their service.",
    keys: &[
        &SYNC_INTERFACE,
        &SYNC_ID,
        &SYNC_GROUP,
        &SYNC_PORT,
        &SYNC_TTL,
        &SYNC_MAXLEN,
    ],
    later: &[],
};

pub(in super::super) const SYNC_INTERFACE: Key = Key {
    name: "interface",
    kind: Kind::Interface,
    otherwise: Otherwise::Required,
    doc: "The interface to multicast on, on every director. It needs an address of the group's \
          family. One that does not exist yet is waited for.",
};

pub(in super::super) const SYNC_ID: Key = Key {
    name: "id",
    kind: Kind::Integer(0, 255),
    otherwise: Otherwise::Integer(0),
    doc: "Tells clusters apart that share a network. A director with 0 takes in what comes with \
          any id, so give each of several clusters one of its own.",
};

pub(in super::super) const SYNC_GROUP: Key = Key {
    name: "group",
    kind: Kind::Multicast,
    otherwise: Otherwise::Text("224.0.0.81"),
    doc: "The multicast group, such as \"ff02::81\" for IPv6. What family it is has nothing to do \
          with that of the connections.",
};

pub(in super::super) const SYNC_PORT: Key = Key {
    name: "port",
    kind: Kind::Integer(1, 65535),
    otherwise: Otherwise::Integer(8848),
    doc: "The UDP port; with more than one of sync_ports, the first of as many.",
};

pub(in super::super) const SYNC_TTL: Key = Key {
    name: "ttl",
    kind: Kind::Integer(1, 255),
    otherwise: Otherwise::Integer(1),
    doc: "How many routers a message may pass, plus one.",
};

pub(in super::super) const SYNC_MAXLEN: Key = Key {
    name: "maxlen",
    kind: Kind::Integer(44, 65487),
    otherwise: Otherwise::Is("the kernel's choice, what fits into 1500 bytes on the wire"),
    doc: "The longest message in bytes. Worth raising where the interface carries longer frames. \
          A connection is told when its message is full or two seconds old: with 44 there is one \
          in each message, told some 20 ms after the next one is established, at the price of a \
          packet for each.",
};

pub(in super::super) const SYSCTL: Section = Section {
    header: "[ipvs.sysctl]",
    doc: "Settings below net.ipv4.vs, under the kernel's own names. They are set at start, put \
          back when somebody changes them, shown by the status, and a clean stop restores what \
          was there before. One that the kernel does not have is told once and skipped.",
    keys: &[
        &SYNC_THRESHOLD,
        &SYNC_PERIOD,
        &SYNC_REFRESH_PERIOD,
        &SYNC_RETRIES,
        &SYNC_PERSIST_MODE,
        &SYNC_PORTS,
        &SYNC_QLEN_MAX,
        &SYNC_SOCK_SIZE,
        &BACKUP_ONLY,
        &EXPIRE_NODEST_CONN,
        &EXPIRE_QUIESCENT_TEMPLATE,
        &CONN_REUSE_MODE,
        &CONNTRACK,
        &NAT_ICMP_SEND,
        &PMTU_DISC,
        &RUN_ESTIMATION,
        &SCHEDULE_ICMP,
        &SLOPPY_TCP,
    ],
    later: &[],
};

/// Settings that are a number and mean what they say, and what each is when connections are
/// synchronised and the operator leaves it out.
pub(in super::super) const NUMBERS: &[(&Key, Option<u64>)] = &[
    (&SYNC_RETRIES, Some(1)),
    (&SYNC_PERSIST_MODE, None),
    (&SYNC_PORTS, None),
    (&SYNC_QLEN_MAX, None),
    (&SYNC_SOCK_SIZE, None),
    (&BACKUP_ONLY, None),
    (&EXPIRE_NODEST_CONN, Some(1)),
    (&EXPIRE_QUIESCENT_TEMPLATE, Some(1)),
    (&CONN_REUSE_MODE, None),
    (&CONNTRACK, None),
    (&NAT_ICMP_SEND, None),
    (&PMTU_DISC, None),
    (&RUN_ESTIMATION, None),
    (&SCHEDULE_ICMP, None),
    (&SLOPPY_TCP, None),
];

/// Whether a key means nothing to a host that tells nobody of its connections.
pub(in super::super) fn needs_sync(key: &Key) -> bool {
    key.name.starts_with("sync_") || key.name == BACKUP_ONLY.name
}

const AS_THE_HOST: Otherwise = Otherwise::Is("left as the host has it");
const ONE_WITH_SYNC: Otherwise = Otherwise::Is("1 with [ipvs.sync], else left as the host has it");
const INT_MAX: u64 = i32::MAX.unsigned_abs() as u64;

pub(in super::super) const SYNC_THRESHOLD: Key = Key {
    name: "sync_threshold",
    kind: Kind::Integer(0, INT_MAX),
    otherwise: Otherwise::Integer(3),
    doc: "The packet of a client, within each sync_period of them, with which its connection is \
          told. Must be below sync_period, unless that is 0.",
};

pub(in super::super) const SYNC_PERIOD: Key = Key {
    name: "sync_period",
    kind: Kind::Integer(0, INT_MAX),
    otherwise: Otherwise::Integer(0),
    doc: "After how many packets a connection is told again. With 0, time decides: a connection is \
          told as soon as it is established, a UDP flow with its first packet, and then \
          sync_refresh_period says when again. A short TCP connection costs as much as with the \
          kernel's own 50, a busy one less, a short UDP flow one record more; with 50, whatever \
          falls silent before its third packet, or after a message was lost, is left behind. With \
          0 here and in sync_refresh_period, a connection is told once, with packet \
          sync_threshold.",
};

pub(in super::super) const SYNC_REFRESH_PERIOD: Key = Key {
    name: "sync_refresh_period",
    kind: Kind::Duration(Duration::ZERO, HOUR),
    otherwise: Otherwise::Duration(secs(10)),
    doc: "A connection that has packets is told again after this long, in whole seconds, so that a \
          director that has just started learns of it. 0 leaves it to sync_period alone.",
};

pub(in super::super) const SYNC_RETRIES: Key = Key {
    name: "sync_retries",
    kind: Kind::Integer(0, 3),
    otherwise: Otherwise::Is("1 with [ipvs.sync]"),
    doc: "How often, within a sync_refresh_period, a connection is told once more, an eighth of it \
          apart, in case a message was lost.",
};

pub(in super::super) const SYNC_PERSIST_MODE: Key = Key {
    name: "sync_persist_mode",
    kind: Kind::Integer(0, 1),
    otherwise: AS_THE_HOST,
    doc: "With 1, of persistent services only is told which server a client has, not its \
          connections; wants sloppy_tcp.",
};

pub(in super::super) const SYNC_PORTS: Key = Key {
    name: "sync_ports",
    kind: Kind::Integer(1, 64),
    otherwise: AS_THE_HOST,
    doc: "Threads for each direction, each with a port of its own: 1, 2, 4, 8, 16, 32 or 64, the \
          same on every director. More than one is worth having above some 50,000 connections a \
          second.",
};

pub(in super::super) const SYNC_QLEN_MAX: Key = Key {
    name: "sync_qlen_max",
    kind: Kind::Integer(1, INT_MAX),
    otherwise: AS_THE_HOST,
    doc: "How many messages may wait to be sent.",
};

pub(in super::super) const SYNC_SOCK_SIZE: Key = Key {
    name: "sync_sock_size",
    kind: Kind::Integer(0, INT_MAX),
    otherwise: AS_THE_HOST,
    doc: "Bytes of the sockets' buffers; 0 is the host's default.",
};

pub(in super::super) const BACKUP_ONLY: Key = Key {
    name: model::BACKUP_ONLY,
    kind: Kind::Integer(0, 1),
    otherwise: Otherwise::Is(
        "1 where a server of a direct or tunnel service has the address of a director's path, else \
         left as the host has it",
    ),
    doc: "For directors that are real servers too: without it, the one that stands by spreads once \
          more what the active one sends to it, away again or back and forth. The kernel heeds it \
          wherever connections are taken in, which is on every director, so with 1 it is 1 in the \
          kernel while this director has no group, and 0 from before it puts the addresses of one \
          until it leaves the last. Who has any group spreads the packets of all: as a server it \
          gets no new connections from the other directors while there is another server, unless \
          the scheduler is dh, mh or sh, by which all choose alike. Directors are known by the \
          addresses of their paths: where servers are directors by other addresses, say 1, and let \
          one director have all groups. A nat service does without it.",
};

pub(in super::super) const EXPIRE_NODEST_CONN: Key = Key {
    name: "expire_nodest_conn",
    kind: Kind::Integer(0, 1),
    otherwise: ONE_WITH_SYNC,
    doc: "With 1, connections to a server that has left the table end at once, so that clients \
          connect anew; with 0 their packets vanish until the connection times out, or the server \
          is back.",
};

pub(in super::super) const EXPIRE_QUIESCENT_TEMPLATE: Key = Key {
    name: "expire_quiescent_template",
    kind: Kind::Integer(0, 1),
    otherwise: ONE_WITH_SYNC,
    doc: "With 1, new connections of a persistent client do not go to a server of weight 0.",
};

pub(in super::super) const CONN_REUSE_MODE: Key = Key {
    name: "conn_reuse_mode",
    kind: Kind::Integer(0, 3),
    otherwise: AS_THE_HOST,
    doc: "What becomes of a new connection from a client's address and port that the table has: \
          with 1 it is scheduled anew.",
};

pub(in super::super) const CONNTRACK: Key = Key {
    name: "conntrack",
    kind: Kind::Integer(0, 1),
    otherwise: AS_THE_HOST,
    doc: "With 1, the connections of IPVS are netfilter's too, for rules about packets of nat \
          services.",
};

pub(in super::super) const NAT_ICMP_SEND: Key = Key {
    name: "nat_icmp_send",
    kind: Kind::Integer(0, 1),
    otherwise: AS_THE_HOST,
    doc: "With 1, a nat server whose packet belongs to no connection is told so by ICMP.",
};

pub(in super::super) const PMTU_DISC: Key = Key {
    name: "pmtu_disc",
    kind: Kind::Integer(0, 1),
    otherwise: AS_THE_HOST,
    doc: "With 0, packets too long for a tunnel are fragmented whatever they say themselves.",
};

pub(in super::super) const RUN_ESTIMATION: Key = Key {
    name: "run_estimation",
    kind: Kind::Integer(0, 1),
    otherwise: AS_THE_HOST,
    doc: "With 0, the kernel keeps no rates of connections, packets and bytes, and spares itself \
          the work of it.",
};

pub(in super::super) const SCHEDULE_ICMP: Key = Key {
    name: "schedule_icmp",
    kind: Kind::Integer(0, 1),
    otherwise: AS_THE_HOST,
    doc: "With 1, ICMP errors that belong to no known connection reach the server that its packets \
          would reach.",
};

pub(in super::super) const SLOPPY_TCP: Key = Key {
    name: "sloppy_tcp",
    kind: Kind::Integer(0, 1),
    otherwise: AS_THE_HOST,
    doc: "With 1, any TCP packet of an unknown connection is scheduled, not only the first one. \
          With the schedulers sh and mh it reaches the server that the connection is with.",
};
