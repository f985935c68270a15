//! Reads a `probe` table: its kind is the key that is present.
//!
//! [`WAYS`] is the table of kinds. Each is read by one function from the keys that it has in the
//! table; every other key of the schema that is given beside them is an error with its place, told
//! here for all.

mod accounts;
mod basic;
mod dns;
mod exec;
mod http;
mod place;
mod talk;
mod tls;

use probes::ProbeSpec;
use probes::spec::ProbeKind;

use super::reader::{At, Field, Table};
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::schema::{Key, probe as s};

/// A way of asking.
pub(in crate::config) struct Way {
    /// The keys of which any chooses it.
    by: &'static [&'static Key],
    /// The keys that have a meaning with it, in groups.
    with: &'static [Keys],
    read: fn(&Table<'_>, &mut Faults) -> Option<ProbeKind>,
}

type Keys = &'static [&'static Key];

/// What is asked for by HTTP, and what must come.
const REQUEST: Keys = &[
    &s::HOST,
    &s::METHOD,
    &s::HEADERS,
    &s::BODY,
    &s::VERSION,
    &s::STATUS,
    &s::CONTAINS,
    &s::CONTAINS_NOT,
    &s::REGEX,
    &s::REGEX_NOT,
    &s::DIGEST,
    &s::ALSO,
];
/// Who logs in.
const LOGIN: Keys = &[&s::USER, &s::PASSWORD];
/// What a database is asked once somebody has.
const QUERY: Keys = &[&s::DATABASE, &s::QUERY, &s::EXPECT];
/// What a directory is asked for.
const ENTRY: Keys = &[&s::SEARCH, &s::EXPECT];
/// TLS from the start, or for databases as their protocols have it.
const TLS: Keys = &[&s::TLS_KEY];
/// TLS from the start or later.
const ANY_TLS: Keys = &[&s::TLS_KEY, &s::STARTTLS];
/// Not every probe is made in full: for what is well when it can be connected to. A server of MySQL
/// is not among them, since it shuts out hosts that connect and leave.
const CONNECTS: Keys = &[&s::CONNECTS];

/// Every way of asking, in the order of the manual.
pub(in crate::config) const WAYS: &[Way] = &[
    Way {
        by: &[&s::TCP],
        with: &[],
        read: basic::tcp,
    },
    Way {
        by: &[&s::SEND, &s::EXPECT, &s::STEPS],
        with: &[&[&s::MATCH, &s::LIMIT], ANY_TLS, CONNECTS],
        read: talk::send_expect,
    },
    Way {
        by: &[&s::HTTP],
        with: &[REQUEST, CONNECTS],
        read: http::http,
    },
    Way {
        by: &[&s::HTTPS],
        with: &[REQUEST, TLS, CONNECTS],
        read: http::https,
    },
    Way {
        by: &[&s::UDP],
        with: &[&[&s::EXPECT, &s::REPLY]],
        read: basic::udp,
    },
    Way {
        by: &[&s::MYSQL],
        with: &[LOGIN, QUERY, TLS],
        read: accounts::mysql,
    },
    Way {
        by: &[&s::PGSQL],
        with: &[LOGIN, QUERY, TLS, CONNECTS],
        read: accounts::pgsql,
    },
    Way {
        by: &[&s::REDIS],
        with: &[LOGIN, &[&s::QUERY, &s::EXPECT], TLS, CONNECTS],
        read: accounts::redis,
    },
    Way {
        by: &[&s::LDAP],
        with: &[LOGIN, ENTRY, ANY_TLS, CONNECTS],
        read: accounts::ldap,
    },
    Way {
        by: &[&s::LDAPS],
        with: &[LOGIN, ENTRY, TLS, CONNECTS],
        read: accounts::ldaps,
    },
    Way {
        by: &[&s::RADIUS],
        with: &[LOGIN, &[&s::SECRET]],
        read: accounts::radius,
    },
    Way {
        by: &[&s::SIP],
        with: &[LOGIN, &[&s::TRANSPORT, &s::HOST, &s::STATUS], TLS],
        read: accounts::sip,
    },
    Way {
        by: &[&s::DNS],
        with: &[&[&s::RECORD, &s::RCODE, &s::ANSWERS, &s::TRANSPORT]],
        read: dns::dns,
    },
    Way {
        by: &[&s::ICMP],
        with: &[],
        read: basic::icmp,
    },
    Way {
        by: &[&s::SMTP],
        with: &[LOGIN, ANY_TLS, CONNECTS, &[&s::HELLO]],
        read: talk::smtp,
    },
    Way {
        by: &[&s::SUBMISSION],
        with: &[LOGIN, ANY_TLS, CONNECTS, &[&s::HELLO]],
        read: talk::submission,
    },
    Way {
        by: &[&s::IMAP],
        with: &[LOGIN, ANY_TLS, CONNECTS],
        read: talk::imap,
    },
    Way {
        by: &[&s::POP3],
        with: &[LOGIN, ANY_TLS, CONNECTS],
        read: talk::pop3,
    },
    Way {
        by: &[&s::FTP],
        with: &[LOGIN, ANY_TLS, CONNECTS],
        read: talk::ftp,
    },
    Way {
        by: &[&s::NNTP],
        with: &[LOGIN, ANY_TLS, CONNECTS],
        read: talk::nntp,
    },
    Way {
        by: &[&s::IMAPS],
        with: &[LOGIN, TLS, CONNECTS],
        read: talk::imaps,
    },
    Way {
        by: &[&s::POP3S],
        with: &[LOGIN, TLS, CONNECTS],
        read: talk::pop3s,
    },
    Way {
        by: &[&s::EXEC],
        with: &[&[&s::ENVIRONMENT, &s::USER, &s::DYNAMIC_WEIGHT]],
        read: exec::exec,
    },
    Way {
        by: &[&s::AGENT],
        with: &[&[&s::SEND]],
        read: basic::agent,
    },
    Way {
        by: &[&s::ON],
        with: &[],
        read: basic::on,
    },
    Way {
        by: &[&s::OFF],
        with: &[],
        read: basic::off,
    },
];

/// The keys that have a meaning with every way.
const COMMON: Keys = &[
    &s::PROBE_ADDRESS,
    &s::PROBE_PORT,
    &s::BIND,
    &s::MARK,
    &s::INTERVAL,
    &s::FAST_INTERVAL,
    &s::DOWN_INTERVAL,
    &s::TIMEOUT,
    &s::FALL,
    &s::RISE,
];

/// Reads the probe that stands under `key`, if there is one.
pub(super) fn read(table: &Table<'_>, key: &Key, faults: &mut Faults) -> Field<ProbeSpec> {
    match table.table(key, faults) {
        Field::Absent => Field::Absent,
        Field::Broken => Field::Broken,
        Field::Given(At { value, span }) => match probe(&value, faults) {
            Some(value) => Field::Given(At { value, span }),
            None => Field::Broken,
        },
    }
}

fn probe(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeSpec> {
    let kind = kind(table, faults);
    let place = place::place(table, faults);
    let timing = place::timing(table, faults);
    let fall = table.integer(&s::FALL, faults).or(small(&s::FALL));
    let rise = table.integer(&s::RISE, faults).or(small(&s::RISE));
    let connects = table.integer(&s::CONNECTS, faults).or(small(&s::CONNECTS));
    let (place, timing) = (place?, timing?);
    Some(ProbeSpec {
        address: place.address,
        port: place.port,
        source: place.source,
        interval: timing.interval,
        fast_interval: timing.fast,
        down_interval: timing.down,
        timeout: timing.timeout,
        fall: fall?,
        rise: rise?,
        connects: connects?,
        ..ProbeSpec::new(kind?)
    })
}

fn small(key: &Key) -> u32 {
    u32::try_from(key.default_integer()).unwrap_or(1)
}

impl Way {
    /// What messages call it.
    fn name(&self) -> &'static str {
        self.by.first().map_or("", |key| key.name)
    }

    fn takes(&self, key: &Key) -> bool {
        let mut own = self.by.iter().chain(self.with.iter().copied().flatten());
        own.any(|own| own.name == key.name)
    }

    /// The keys that are there and choose it.
    fn chosen_by(&self, table: &Table<'_>) -> Vec<(&'static Key, Span)> {
        self.by
            .iter()
            .filter_map(|key| table.key_span(key).map(|span| (*key, span)))
            .collect()
    }
}

/// The ways with which a key has a meaning; none for one that goes with all.
pub(in crate::config) fn goes_with(key: &Key) -> Vec<&'static str> {
    if COMMON.iter().any(|common| common.name == key.name) {
        return Vec::new();
    }
    let ways = WAYS.iter().filter(|way| way.takes(key));
    ways.map(Way::name).collect()
}

fn kind(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let given: Vec<_> = WAYS
        .iter()
        .map(|way| (way, way.chosen_by(table)))
        .filter(|(_, by)| !by.is_empty())
        .collect();
    // A key may choose one way, and add to another that is chosen by one of its own.
    let meant: Vec<_> = given
        .iter()
        .filter(|(way, by)| {
            !given.iter().any(|(other, _)| {
                other.name() != way.name() && by.iter().all(|(key, _)| other.takes(key))
            })
        })
        .collect();
    let [(way, by)] = meant.as_slice() else {
        table.check_values(faults);
        no_way(table, &meant, faults);
        return None;
    };
    let kind = (way.read)(table, faults);
    let mut fits = true;
    for key in s::PROBE.keys {
        let known = way.takes(key) || COMMON.iter().any(|common| common.name == key.name);
        if let Some(span) = table.key_span(key).filter(|_| !known) {
            faults.add(stray(key, &span, by.first()));
            fits = false;
        }
    }
    kind.filter(|_| fits)
}

/// A key that has no meaning with the way that is chosen.
fn stray(key: &Key, span: &Span, chosen: Option<&(&'static Key, Span)>) -> Fault {
    let ways = goes_with(key);
    let ways: Vec<_> = ways.iter().map(|way| format!("`{way}`")).collect();
    let text = format!(
        "`{}` has a meaning only with {}",
        key.name,
        crate::config::suggest::either(&ways)
    );
    let fault = Fault::new(span, text);
    match chosen {
        Some((chosen, place)) => fault
            .label(format!("not with `{}`", chosen.name))
            .also(place, "what this probe asks"),
        None => fault,
    }
}

/// Says that a probe asks nothing, or too much.
fn no_way(table: &Table<'_>, meant: &[&(&Way, Vec<(&'static Key, Span)>)], faults: &mut Faults) {
    let mut first_keys = meant.iter().filter_map(|(_, by)| by.first());
    if let (Some((first, place)), Some((second, other))) = (first_keys.next(), first_keys.next()) {
        let text = format!(
            "a probe asks in one way, not by `{}` and `{}`",
            first.name, second.name
        );
        faults.add(Fault::new(other, text).also(place, "the first way"));
        return;
    }
    // A kind that is misspelt, or of a later version, has been reported as such, and lost text may
    // hold one.
    let later = s::PROBE.later.iter().any(|name| table.has(name));
    let mut kinds = WAYS.iter().flat_map(|way| way.by);
    let named = later || kinds.any(|key| table.has_instead(key));
    if !named && !faults.text_is_lost() {
        let names: Vec<_> = WAYS.iter().map(|way| format!("`{}`", way.name())).collect();
        faults.add(
            Fault::new(table.span(), "the probe does not say what to ask")
                .label(format!("expected one of {}", names.join(", "))),
        );
    }
}
