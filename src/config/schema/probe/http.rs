//! Keys of probes by HTTP.

use crate::config::schema::{Key, Kind, Otherwise};

pub(in crate::config) const HTTP: Key = Key {
    name: "http",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "A request for this path is made over HTTP. It begins with a slash. A redirection is an \
          answer like any other, and not followed.",
};

pub(in crate::config) const HTTPS: Key = Key {
    name: "https",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "The same over TLS. The server's certificate must be for host, or for its address.",
};

pub(in crate::config) const HOST: Key = Key {
    name: "host",
    kind: Kind::Text,
    otherwise: Otherwise::Is("the server's address"),
    doc: "The Host header.",
};

pub(in crate::config) const STATUS: Key = Key {
    name: "status",
    kind: Kind::Status,
    otherwise: Otherwise::Text("200-299"),
    doc: "The status codes that are good.",
};

pub(in crate::config) const METHOD: Key = Key {
    name: "method",
    kind: Kind::Text,
    otherwise: Otherwise::Is("GET, or POST with a body"),
    doc: "The method of the request.",
};

pub(in crate::config) const HEADERS: Key = Key {
    name: "headers",
    kind: Kind::List(&Kind::Text),
    otherwise: Otherwise::Is("none"),
    doc: "Further headers of the request, each a string such as \"Accept: text/html\". One of \
          the same name replaces what is sent otherwise.",
};

pub(in crate::config) const BODY: Key = Key {
    name: "body",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "The body of the request.",
};

pub(in crate::config) const CONTAINS: Key = Key {
    name: "contains",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "This text must occur in the first 64 KiB of the response's body.",
};

pub(in crate::config) const CONTAINS_NOT: Key = Key {
    name: "contains_not",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "This text must not occur there.",
};

pub(in crate::config) const REGEX: Key = Key {
    name: "regex",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "This regular expression must match there.",
};

pub(in crate::config) const REGEX_NOT: Key = Key {
    name: "regex_not",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "This regular expression must not match there.",
};

pub(in crate::config) const DIGEST: Key = Key {
    name: "digest",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "The digest that the response's body must have, in hexadecimal digits: 64 of them are \
          SHA-256, 32 are MD5 as keepalived's digest. The body may be 64 KiB long.",
};

pub(in crate::config) const VERSION: Key = Key {
    name: "version",
    kind: Kind::Words(&["1.0", "1.1"]),
    otherwise: Otherwise::Text("1.1"),
    doc: "The version of HTTP.",
};

pub(in crate::config) const ALSO: Key = Key {
    name: "also",
    kind: Kind::Tables(&super::REQUEST),
    otherwise: Otherwise::Is("none"),
    doc: "Further requests, each a table. They are made one after the other, each over a \
          connection of its own, and must all be answered well.",
};

pub(in crate::config) const PATH: Key = Key {
    name: "path",
    kind: Kind::Text,
    otherwise: Otherwise::Required,
    doc: "The path that is asked for. It begins with a slash.",
};
