//! Every section and key of the configuration: the one table that the parser, its suggestions and
//! the manual's reference come from.

use std::time::Duration;

use super::{duration, suggest};

/// A table of the file and what may stand in it.
#[derive(Debug)]
pub(super) struct Section {
    /// As it is written: `[heartbeat]`, `[[group]]`, or the key of an inline table.
    pub(super) header: &'static str,
    /// What it is for: whole sentences, for the manual and for who left it out.
    pub(super) doc: &'static str,
    /// In the order of the manual.
    pub(super) keys: &'static [&'static Key],
    /// Names that the design has and this version has not.
    pub(super) later: &'static [&'static str],
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) otherwise: Otherwise,
    /// What it sets: whole sentences, for the manual and for who left it out.
    pub(super) doc: &'static str,
}

/// What a key's value must be.
#[derive(Debug)]
pub(super) enum Kind {
    /// Any string.
    Text,
    /// What people and commands call a thing.
    Name,
    /// One of some words.
    Words(&'static [&'static str]),
    /// A whole number in a range, both ends included.
    Integer(u64, u64),
    /// A duration in a range, both ends included.
    Duration(Duration, Duration),
    /// An IP address.
    Address,
    /// An IP multicast address.
    Multicast,
    /// An IP address with its prefix length.
    Network,
    /// An IP address, with or without a port.
    AddressPort,
    /// The name of a network interface.
    Interface,
    /// An absolute path.
    Path,
    /// Only `true`.
    True,
    /// `true` or `false`.
    Bool,
    /// `true`, or one of some words.
    TrueOrWords(&'static [&'static str]),
    /// The name of a network interface, or an IP address of this host.
    Bind,
    /// `true`, or a table for more.
    TrueOrTable(&'static Section),
    /// HTTP status codes.
    Status,
    /// Several values of one kind.
    List(&'static Self),
    /// An inline table or `[table]`.
    Table(&'static Section),
    /// `[[tables]]`, or an array of inline tables.
    Tables(&'static Section),
}

/// What holds when a key is not given.
#[derive(Debug)]
pub(super) enum Otherwise {
    /// That is an error.
    Required,
    /// The manual's words for it.
    Is(#[cfg_attr(not(test), expect(dead_code, reason = "a test writes the manual"))] &'static str),
    /// A duration.
    Duration(Duration),
    /// A whole number.
    Integer(u64),
    /// A word or other text.
    Text(&'static str),
}

impl Section {
    /// What the section is called in messages.
    pub(super) fn title(&self) -> String {
        match self.header {
            "" => "the file".to_owned(),
            header => format!("`{header}`"),
        }
    }
}

impl Key {
    /// The duration that holds when none is given; zero for keys that have none.
    pub(super) fn default_duration(&self) -> Duration {
        match self.otherwise {
            Otherwise::Duration(duration) => duration,
            _ => Duration::ZERO,
        }
    }

    /// The number that holds when none is given; 0 for keys that have none.
    pub(super) fn default_integer(&self) -> u64 {
        match self.otherwise {
            Otherwise::Integer(integer) => integer,
            _ => 0,
        }
    }

    /// The text that holds when none is given; empty for keys that have none.
    pub(super) fn default_text(&self) -> &'static str {
        match self.otherwise {
            Otherwise::Text(text) => text,
            _ => "",
        }
    }
}

impl Kind {
    /// What is expected, for messages and the manual.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Name => "a name".to_owned(),
            Self::TrueOrWords(words) => {
                let words = words.iter().map(|word| format!("\"{word}\""));
                let all: Vec<_> = ["true".to_owned()].into_iter().chain(words).collect();
                suggest::either(&all)
            }
            Self::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                suggest::either(&words)
            }
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Duration(min, max) => format!(
                "a duration from {} to {}",
                duration::show(*min),
                duration::show(*max)
            ),
            Self::Address => "an IP address".to_owned(),
            Self::Multicast => "an IP multicast address".to_owned(),
            Self::Network => "an IP address with its prefix length".to_owned(),
            Self::AddressPort => "an IP address with or without a port".to_owned(),
            Self::Interface => "the name of a network interface".to_owned(),
            Self::Path => "an absolute path".to_owned(),
            Self::True => "true".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Bind => {
                "the name of a network interface, or an IP address of this host".to_owned()
            }
            Self::TrueOrTable(_) => "true or a table".to_owned(),
            Self::Status => "a status code, a range of them, or an array of these".to_owned(),
            Self::List(Self::Network) => "an array of IP networks".to_owned(),
            Self::List(kind) => format!("an array, each {}", kind.expected()),
            Self::Table(_) => "a table".to_owned(),
            Self::Tables(_) => "an array of tables".to_owned(),
        }
    }

    /// How a value is written, for messages about values of another type.
    pub(super) fn example(&self) -> Option<&'static str> {
        match self {
            Self::Duration(..) => Some("\"200ms\", \"6s\", \"5m\", \"1h\" or seconds as a number"),
            Self::Bind => Some("\"eth1\" or \"192.0.2.1\""),
            Self::Address => Some("\"192.0.2.80\" or \"2001:db8::80\""),
            Self::Multicast => Some("\"224.0.0.81\" or \"ff02::81\""),
            Self::Network => Some("\"192.0.2.80/24\" or \"2001:db8::80/64\""),
            Self::AddressPort => Some("\"192.0.2.99:80\" or \"[2001:db8::99]:80\""),
            Self::Status => Some("200, \"200-299\" or [200, \"300-399\"]"),
            Self::Text
            | Self::Name
            | Self::Words(_)
            | Self::Integer(..)
            | Self::Interface
            | Self::Path
            | Self::True
            | Self::Bool
            | Self::TrueOrWords(_)
            | Self::TrueOrTable(_)
            | Self::List(_)
            | Self::Table(_)
            | Self::Tables(_) => None,
        }
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const HOUR: Duration = secs(3600);

pub(super) mod cluster;
pub(super) mod ipvs;
pub(super) mod probe;
pub(super) mod service;

use cluster::{CLUSTER, CONTROL, DIRECTOR, GROUP, HEARTBEAT, REACHABILITY, WATCHDOG};
use ipvs::IPVS;
use service::VIRTUAL;

/// Every section, in the order of the manual.
#[cfg(test)]
pub(super) const SECTIONS: &[&Section] = &[
    &CLUSTER,
    &HEARTBEAT,
    &DIRECTOR,
    &cluster::PATH,
    &REACHABILITY,
    &GROUP,
    &cluster::VIP,
    &VIRTUAL,
    &service::SERVER,
    &probe::PROBE,
    &probe::STEP,
    &probe::REQUEST,
    &probe::TLS,
    &IPVS,
    &ipvs::SYNC,
    &ipvs::SYSCTL,
    &CONTROL,
    &WATCHDOG,
];

/// The file itself.
pub(super) const ROOT: Section = Section {
    header: "",
    doc: "",
    keys: &[
        &ROOT_CLUSTER,
        &ROOT_HEARTBEAT,
        &ROOT_DIRECTOR,
        &ROOT_REACHABILITY,
        &ROOT_GROUP,
        &ROOT_VIRTUAL,
        &ROOT_IPVS,
        &ROOT_CONTROL,
        &ROOT_WATCHDOG,
    ],
    later: &["failover"],
};

pub(super) const ROOT_CLUSTER: Key = Key {
    name: "cluster",
    kind: Kind::Table(&CLUSTER),
    otherwise: Otherwise::Required,
    doc: "",
};

pub(super) const ROOT_HEARTBEAT: Key = Key {
    name: "heartbeat",
    kind: Kind::Table(&HEARTBEAT),
    otherwise: Otherwise::Is("every key has its default"),
    doc: "",
};

pub(super) const ROOT_DIRECTOR: Key = Key {
    name: "director",
    kind: Kind::Tables(&DIRECTOR),
    otherwise: Otherwise::Required,
    doc: "",
};

pub(super) const ROOT_REACHABILITY: Key = Key {
    name: "reachability",
    kind: Kind::Table(&REACHABILITY),
    otherwise: Otherwise::Is("nothing is asked"),
    doc: "",
};

pub(super) const ROOT_GROUP: Key = Key {
    name: "group",
    kind: Kind::Tables(&GROUP),
    otherwise: Otherwise::Required,
    doc: "",
};

pub(super) const ROOT_VIRTUAL: Key = Key {
    name: "virtual",
    kind: Kind::Tables(&VIRTUAL),
    otherwise: Otherwise::Is("no virtual service"),
    doc: "",
};

pub(super) const ROOT_IPVS: Key = Key {
    name: "ipvs",
    kind: Kind::Table(&IPVS),
    otherwise: Otherwise::Is("the kernel's IPVS is set up as the host has it"),
    doc: "",
};

pub(super) const ROOT_WATCHDOG: Key = Key {
    name: "watchdog",
    kind: Kind::Table(&WATCHDOG),
    otherwise: Otherwise::Is("none"),
    doc: "",
};

pub(super) const ROOT_CONTROL: Key = Key {
    name: "control",
    kind: Kind::Table(&CONTROL),
    otherwise: Otherwise::Is("every key has its default"),
    doc: "",
};
