//! Keys of probes of name servers.

use probes::kinds::dns::{Rcode, Record};

use crate::config::schema::{Key, Kind, Otherwise};

pub(in crate::config) const DNS: Key = Key {
    name: "dns",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "A DNS server is asked for the records of this name. An IP address stands for the \
          name that its PTR records have.",
};

pub(in crate::config) const RECORD: Key = Key {
    name: "record",
    kind: Kind::Words(Record::WORDS),
    otherwise: Otherwise::Is("A, or PTR of an address"),
    doc: "The type of the records.",
};

pub(in crate::config) const RCODE: Key = Key {
    name: "rcode",
    kind: Kind::Words(Rcode::WORDS),
    otherwise: Otherwise::Text("noerror"),
    doc: "What the server must say of the question.",
};

pub(in crate::config) const ANSWERS: Key = Key {
    name: "answers",
    kind: Kind::List(&Kind::Text),
    otherwise: Otherwise::Is("any record will do, but with noerror there must be one"),
    doc: "What must be among the records, each as zone files write it, such as \"192.0.2.1\" \
          or \"10 mail.example.com\".",
};

pub(in crate::config) const TRANSPORT: Key = Key {
    name: "transport",
    kind: Kind::Words(&["udp", "tcp"]),
    otherwise: Otherwise::Text("udp"),
    doc: "Over what the server is asked.",
};
