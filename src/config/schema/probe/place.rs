//! Keys of every probe: where it goes, how often, and what its results come to.

use crate::config::schema::{HOUR, Key, Kind, Otherwise, ms, secs};

pub(in crate::config) const PROBE_ADDRESS: Key = Key {
    name: "address",
    kind: Kind::Address,
    otherwise: Otherwise::Is("the server's"),
    doc: "The address to probe, if it is another than the server's.",
};

pub(in crate::config) const PROBE_PORT: Key = Key {
    name: "port",
    kind: Kind::Integer(1, 65535),
    otherwise: Otherwise::Is("the server's"),
    doc: "The port to probe. Required when neither the virtual nor the server has one, which is so \
          with fwmark. A virtual with several ports has each server probed on each of them unless \
          this is given.",
};

pub(in crate::config) const BIND: Key = Key {
    name: "bind",
    kind: Kind::Bind,
    otherwise: Otherwise::Is("as the host's routes say"),
    doc: "From where the probe comes.",
};

pub(in crate::config) const MARK: Key = Key {
    name: "mark",
    kind: Kind::Integer(1, u32::MAX as u64),
    otherwise: Otherwise::Is("none"),
    doc: "The firewall mark of the probe's packets, for rules and routes.",
};

pub(in crate::config) const INTERVAL: Key = Key {
    name: "interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Duration(secs(6)),
    doc: "Time from one probe's start to the next one's.",
};

pub(in crate::config) const FAST_INTERVAL: Key = Key {
    name: "fast_interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Is("as interval"),
    doc: "The same while failures or successes are being counted: after the first failure of a \
          server that is up, and the first success of one that is down. Must not be above interval.",
};

pub(in crate::config) const DOWN_INTERVAL: Key = Key {
    name: "down_interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Is("as interval"),
    doc: "The same while the server is down and fails.",
};

pub(in crate::config) const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration(ms(1), HOUR),
    otherwise: Otherwise::Duration(secs(2)),
    doc: "Time for a whole probe. Must not be above interval; when it is not given and interval is \
          shorter than its default, it is interval.",
};

pub(in crate::config) const FALL: Key = Key {
    name: "fall",
    kind: Kind::Integer(1, 1000),
    otherwise: Otherwise::Integer(2),
    doc: "Failures in a row that turn a server down.",
};

pub(in crate::config) const RISE: Key = Key {
    name: "rise",
    kind: Kind::Integer(1, 1000),
    otherwise: Otherwise::Integer(1),
    doc: "Successes in a row that turn it up again.",
};

pub(in crate::config) const CONNECTS: Key = Key {
    name: "connects",
    kind: Kind::Integer(0, 1_000_000),
    otherwise: Otherwise::Integer(0),
    doc: "While a server is well, so many probes only connect between one that is made in full \
          and the next, as ldirectord does with a number for its checktype. Some servers note \
          such connections in their logs.",
};
