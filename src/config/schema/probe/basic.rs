//! Keys of probes that say little, and of those that others do.

use crate::config::schema::{Key, Kind, Otherwise};

pub(in crate::config) const TCP: Key = Key {
    name: "tcp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A connection is made; nothing is sent.",
};

pub(in crate::config) const UDP: Key = Key {
    name: "udp",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "A datagram with this text is sent over UDP, and one that has expect in it must come back.",
};

pub(in crate::config) const REPLY: Key = Key {
    name: "reply",
    kind: Kind::Bool,
    otherwise: Otherwise::Is("true"),
    doc: "Whether a datagram must come back. With false only the word (ICMP) that nobody listens \
          on the port, or of a router that there is no way, is a failure, which a firewall may keep \
          back; a probe then takes all of timeout.",
};

pub(in crate::config) const ICMP: Key = Key {
    name: "icmp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An echo request is sent (ping), and must be answered. A router, or the server, that says \
          why it is not delivered makes the probe fail at once, and is named with the reason.",
};

pub(in crate::config) const EXEC: Key = Key {
    name: "exec",
    kind: Kind::List(&Kind::Text),
    otherwise: Otherwise::Is("none"),
    doc: "This command is run, with its arguments; no shell is. It has a process group of its \
          own, which is killed when timeout is over. Status 0 is up; of the output the first 4 \
          KiB are kept for the reason. In it, {address} and {port} stand for those of the \
          server, {service}, {virtual_address} and {virtual_port} for those of the virtual. \
          Its environment has PATH, ADDRESS and PORT.",
};

pub(in crate::config) const ENVIRONMENT: Key = Key {
    name: "environment",
    kind: Kind::List(&Kind::Text),
    otherwise: Otherwise::Is("none"),
    doc: "Further variables of the command's environment, each a string such as \
          \"NAME=value\".",
};

pub(in crate::config) const DYNAMIC_WEIGHT: Key = Key {
    name: "dynamic_weight",
    kind: Kind::Bool,
    otherwise: Otherwise::Is("false"),
    doc: "With true a status of 2 to 255 is up, and the server's weight is the status less 2.",
};

pub(in crate::config) const AGENT: Key = Key {
    name: "agent",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An agent on the server says in a line, as HAProxy's do, what share of its weight the \
          server can take, or that it is up, ready, draining, in maintenance, down, failed or \
          stopped.",
};

pub(in crate::config) const ON: Key = Key {
    name: "on",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The server is up; nobody is asked.",
};

pub(in crate::config) const OFF: Key = Key {
    name: "off",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The server is down; nobody is asked.",
};
