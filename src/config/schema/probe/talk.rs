//! Keys of probes that speak in lines: the operator's own, and those of known protocols.

use crate::config::schema::{Key, Kind, Otherwise};

pub(in crate::config) const SEND: Key = Key {
    name: "send",
    kind: Kind::Text,
    otherwise: Otherwise::Is("nothing is sent"),
    doc: "A connection is made and this text sent.",
};

pub(in crate::config) const EXPECT: Key = Key {
    name: "expect",
    kind: Kind::Text,
    otherwise: Otherwise::Is("any byte will do"),
    doc: "This text must occur in what the server says.",
};

pub(in crate::config) const MATCH: Key = Key {
    name: "match",
    kind: Kind::Words(&["contains", "prefix", "exact", "regex", "any"]),
    otherwise: Otherwise::Text("contains"),
    doc: "How expect is looked for in what the server has said so far: anywhere, at its \
          beginning, as all of it, to which nothing may come for 100 ms, as a regular expression \
          anywhere, or not at all, so that any byte will do.",
};

pub(in crate::config) const STEPS: Key = Key {
    name: "steps",
    kind: Kind::Tables(&super::STEP),
    otherwise: Otherwise::Is("the one step that send and expect make"),
    doc: "Several things that are sent and expected one after the other, each a table, in \
          place of send, expect and match.",
};

pub(in crate::config) const LIMIT: Key = Key {
    name: "limit",
    kind: Kind::Integer(1, 16 << 20),
    otherwise: Otherwise::Integer(65536),
    doc: "Bytes that the server may send in all.",
};

pub(in crate::config) const SMTP: Key = Key {
    name: "smtp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A mail server must greet, and take EHLO or HELO, and QUIT.",
};

pub(in crate::config) const SUBMISSION: Key = Key {
    name: "submission",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The same, of a mail server that takes mail from those who send it.",
};

pub(in crate::config) const IMAP: Key = Key {
    name: "imap",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An IMAP server must greet and take LOGOUT.",
};

pub(in crate::config) const IMAPS: Key = Key {
    name: "imaps",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The same over TLS from the start.",
};

pub(in crate::config) const POP3: Key = Key {
    name: "pop3",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A POP3 server must greet and take QUIT.",
};

pub(in crate::config) const POP3S: Key = Key {
    name: "pop3s",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The same over TLS from the start.",
};

pub(in crate::config) const FTP: Key = Key {
    name: "ftp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An FTP server must greet and take QUIT.",
};

pub(in crate::config) const NNTP: Key = Key {
    name: "nntp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A news server must greet and take QUIT.",
};

pub(in crate::config) const HELLO: Key = Key {
    name: "hello",
    kind: Kind::Text,
    otherwise: Otherwise::Is("the address literal [127.0.0.1]"),
    doc: "What the probe calls itself towards a mail server.",
};
