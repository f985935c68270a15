//! Keys that say how TLS is spoken.

use crate::config::schema::{Key, Kind, Otherwise, secs};

pub(in crate::config) const STARTTLS: Key = Key {
    name: "starttls",
    kind: Kind::TrueOrWords(&["smtp", "imap", "pop3", "ftp", "nntp"]),
    otherwise: Otherwise::Is("none"),
    doc: "The conversation is encrypted once the client has asked for it, as the protocol \
          says; LDAP calls it StartTLS. Where the protocol is not known otherwise, the word tells it; what is sent and \
          expected comes after that.",
};

pub(in crate::config) const TLS_KEY: Key = Key {
    name: "tls",
    kind: Kind::TrueOrTable(&super::TLS),
    otherwise: Otherwise::Is("as the key that chooses says"),
    doc: "The conversation is encrypted from its start, and the server's certificate verified; a \
          table says how.",
};

pub(in crate::config) const TLS_NAME: Key = Key {
    name: "name",
    kind: Kind::Text,
    otherwise: Otherwise::Is("host if there is one, else the server's address"),
    doc: "What the server is called: it is told so (SNI), and its certificate must be for it.",
};

pub(in crate::config) const TLS_VERIFY: Key = Key {
    name: "verify",
    kind: Kind::Bool,
    otherwise: Otherwise::Is("true"),
    doc: "Whether the certificate must be good. With false any will do, and ca has no meaning.",
};

pub(in crate::config) const TLS_CA: Key = Key {
    name: "ca",
    kind: Kind::Path,
    otherwise: Otherwise::Is("those that the system trusts"),
    doc: "A PEM file with the authorities that are trusted, in place of the system's. It is read \
          anew every minute.",
};

pub(in crate::config) const TLS_CERTIFICATE: Key = Key {
    name: "certificate",
    kind: Kind::Path,
    otherwise: Otherwise::Is("none"),
    doc: "A PEM file with the probe's own certificate, and those between it and an authority, for \
          servers that want one.",
};

pub(in crate::config) const TLS_PRIVATE_KEY: Key = Key {
    name: "private_key",
    kind: Kind::Path,
    otherwise: Otherwise::Is("none"),
    doc: "A PEM file with the key of certificate. Others than its owner and group must have no right \
          to it.",
};

pub(in crate::config) const TLS_WARN: Key = Key {
    name: "warn",
    kind: Kind::Duration(secs(0), secs(10 * 366 * 24 * 3600)),
    otherwise: Otherwise::Duration(secs(14 * 24 * 3600)),
    doc: "A certificate that expires in less than this is told in the status. Expired, it is a \
          failure.",
};
