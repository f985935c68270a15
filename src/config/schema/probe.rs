//! The section about probes. What may stand with what is in the table of ways, `raw/probe.rs`.

mod accounts;

pub(in super::super) use self::accounts::{
    DATABASE, LDAP, LDAPS, MYSQL, PGSQL, QUERY, RADIUS, REDIS, SEARCH, SECRET, SIP,
};
use super::{HOUR, Key, Kind, Otherwise, Section, ms, secs};

pub(in super::super) const PROBE: Section = Section {
    header: "probe",
    doc: "A table of a virtual or of a server. What it asks is chosen by the key that is present: \
          exactly one of tcp, send with or without expect, http, https, udp, mysql, pgsql, redis, ldap, ldaps, \
          radius, sip.",
    keys: &[
        &TCP,
        &SEND,
        &EXPECT,
        &HTTP,
        &HTTPS,
        &HOST,
        &STATUS,
        &UDP,
        &REPLY,
        &TRANSPORT,
        &MYSQL,
        &PGSQL,
        &REDIS,
        &LDAP,
        &LDAPS,
        &RADIUS,
        &SIP,
        &USER,
        &PASSWORD,
        &DATABASE,
        &QUERY,
        &SEARCH,
        &SECRET,
        &TLS_KEY,
        &PROBE_ADDRESS,
        &PROBE_PORT,
        &BIND,
        &MARK,
        &INTERVAL,
        &FAST_INTERVAL,
        &DOWN_INTERVAL,
        &TIMEOUT,
        &FALL,
        &RISE,
    ],
    later: &["dns", "icmp", "smtp", "exec"],
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

pub(in super::super) const HTTPS: Key = Key {
    name: "https",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "The same over TLS. The server's certificate must be for host, or for its address.",
};

pub(in super::super) const HOST: Key = Key {
    name: "host",
    kind: Kind::Text,
    otherwise: Otherwise::Is("the server's address"),
    doc: "The Host header.",
};

pub(in super::super) const STATUS: Key = Key {
    name: "status",
    kind: Kind::Status,
    otherwise: Otherwise::Text("200-299"),
    doc: "The status codes that are good.",
};

pub(in super::super) const UDP: Key = Key {
    name: "udp",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "A datagram with this text is sent over UDP, and one that has expect in it must come back.",
};

pub(in super::super) const REPLY: Key = Key {
    name: "reply",
    kind: Kind::Bool,
    otherwise: Otherwise::Is("true"),
    doc: "Whether a datagram must come back. With false only the word that nobody listens on the \
          port is a failure, which a firewall may keep back; a probe then takes all of timeout.",
};

pub(in super::super) const TRANSPORT: Key = Key {
    name: "transport",
    kind: Kind::Words(&["udp", "tcp"]),
    otherwise: Otherwise::Text("udp"),
    doc: "Over what the server is asked.",
};

pub(in super::super) const USER: Key = Key {
    name: "user",
    kind: Kind::Text,
    otherwise: Otherwise::Is("nobody logs in"),
    doc: "Who logs in.",
};

pub(in super::super) const PASSWORD: Key = Key {
    name: "password",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "Their password. The file is then nobody else's to read.",
};

pub(in super::super) const TLS_KEY: Key = Key {
    name: "tls",
    kind: Kind::TrueOrTable(&TLS),
    otherwise: Otherwise::Is("as the key that chooses says"),
    doc: "The conversation is encrypted from its start, and the server's certificate verified; a \
          table says how.",
};

pub(in super::super) const TLS: Section = Section {
    header: "probe.tls",
    doc: "How TLS is spoken with a server. Without any of it, the certificate must be from an \
          authority that this system trusts.",
    keys: &[
        &TLS_NAME,
        &TLS_VERIFY,
        &TLS_CA,
        &TLS_CERTIFICATE,
        &TLS_PRIVATE_KEY,
        &TLS_WARN,
    ],
    later: &[],
};

pub(in super::super) const TLS_NAME: Key = Key {
    name: "name",
    kind: Kind::Text,
    otherwise: Otherwise::Is("host if there is one, else the server's address"),
    doc: "What the server is called: it is told so (SNI), and its certificate must be for it.",
};

pub(in super::super) const TLS_VERIFY: Key = Key {
    name: "verify",
    kind: Kind::Bool,
    otherwise: Otherwise::Is("true"),
    doc: "Whether the certificate must be good. With false any will do, and ca has no meaning.",
};

pub(in super::super) const TLS_CA: Key = Key {
    name: "ca",
    kind: Kind::Path,
    otherwise: Otherwise::Is("those that the system trusts"),
    doc: "A PEM file with the authorities that are trusted, in place of the system's. It is read \
          anew every minute.",
};

pub(in super::super) const TLS_CERTIFICATE: Key = Key {
    name: "certificate",
    kind: Kind::Path,
    otherwise: Otherwise::Is("none"),
    doc: "A PEM file with the probe's own certificate, and those between it and an authority, for \
          servers that want one.",
};

pub(in super::super) const TLS_PRIVATE_KEY: Key = Key {
    name: "private_key",
    kind: Kind::Path,
    otherwise: Otherwise::Is("none"),
    doc: "A PEM file with the key of certificate.",
};

pub(in super::super) const TLS_WARN: Key = Key {
    name: "warn",
    kind: Kind::Duration(secs(0), secs(10 * 366 * 24 * 3600)),
    otherwise: Otherwise::Duration(secs(14 * 24 * 3600)),
    doc: "A certificate that expires in less than this is told in the status. Expired, it is a \
          failure.",
};

pub(in super::super) const PROBE_ADDRESS: Key = Key {
    name: "address",
    kind: Kind::Address,
    otherwise: Otherwise::Is("the server's"),
    doc: "The address to probe, if it is another than the server's.",
};

pub(in super::super) const PROBE_PORT: Key = Key {
    name: "port",
    kind: Kind::Integer(1, 65535),
    otherwise: Otherwise::Is("the server's"),
    doc: "The port to probe. Required when neither the virtual nor the server has one, which is so \
          with fwmark. A virtual with several ports has each server probed on each of them unless \
          this is given.",
};

pub(in super::super) const BIND: Key = Key {
    name: "bind",
    kind: Kind::Bind,
    otherwise: Otherwise::Is("as the host's routes say"),
    doc: "From where the probe comes.",
};

pub(in super::super) const MARK: Key = Key {
    name: "mark",
    kind: Kind::Integer(1, u32::MAX as u64),
    otherwise: Otherwise::Is("none"),
    doc: "The firewall mark of the probe's packets, for rules and routes.",
};

pub(in super::super) const INTERVAL: Key = Key {
    name: "interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Duration(secs(6)),
    doc: "Time from one probe's start to the next one's.",
};

pub(in super::super) const FAST_INTERVAL: Key = Key {
    name: "fast_interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Is("as interval"),
    doc: "The same while failures or successes are being counted: after the first failure of a \
          server that is up, and the first success of one that is down. Must not be above interval.",
};

pub(in super::super) const DOWN_INTERVAL: Key = Key {
    name: "down_interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Is("as interval"),
    doc: "The same while the server is down and fails.",
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
