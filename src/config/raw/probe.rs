//! Reads a `probe` table: its kind is the key that is present.

use std::time::Duration;

use probes::ProbeSpec;
use probes::spec::ProbeKind;
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{At, Field, Table};
use super::text::quote;
use super::value::wrong_type;
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::duration;
use crate::config::schema::service as s;
use crate::config::schema::{Key, Kind};

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
    let port = table.integer(&s::PROBE_PORT, faults).optional();
    let timing = timing(table, faults);
    let fall = table.integer(&s::FALL, faults).or(small(&s::FALL));
    let rise = table.integer(&s::RISE, faults).or(small(&s::RISE));
    let (interval, timeout) = timing?;
    Some(ProbeSpec {
        kind: kind?,
        port: port?,
        interval,
        timeout,
        fall: fall?,
        rise: rise?,
    })
}

fn small(key: &Key) -> u32 {
    u32::try_from(key.default_integer()).unwrap_or(1)
}

fn timing(table: &Table<'_>, faults: &mut Faults) -> Option<(Duration, Duration)> {
    let interval = table.duration(&s::INTERVAL, faults);
    let timeout = table.duration(&s::TIMEOUT, faults);
    let length = interval.or(s::INTERVAL.default_duration())?;
    let limit = timeout.or(s::TIMEOUT.default_duration().min(length))?;
    if let Some(given) = timeout.given().filter(|_| limit > length) {
        let fault = Fault::new(
            &given.span,
            format!(
                "a probe's timeout of {} is above its interval of {}",
                duration::show(limit),
                duration::show(length)
            ),
        )
        .label(format!("expected at most {}", duration::show(length)));
        faults.add(match interval.given() {
            Some(interval) => fault.also(&interval.span, "the interval"),
            None => fault.help("set `interval` too: a probe ends before its next one starts"),
        });
        return None;
    }
    Some((length, limit))
}

/// The way of asking that each key stands for.
fn kinds(table: &Table<'_>) -> Vec<(&'static str, Span)> {
    let place = |key: &Key| table.key_span(key);
    let dialogue = place(&s::SEND)
        .map(|span| ("send", span))
        .or_else(|| place(&s::EXPECT).map(|span| ("expect", span)));
    [
        place(&s::TCP).map(|span| ("tcp", span)),
        dialogue,
        place(&s::HTTP).map(|span| ("http", span)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn kind(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let tcp = table.only_true(&s::TCP, faults);
    let send = table.text(&s::SEND, faults);
    let expect = table.text(&s::EXPECT, faults);
    let http = table.text(&s::HTTP, faults);
    let host = table.text(&s::HOST, faults);
    let status = status(table, faults);

    let kinds = kinds(table);
    match kinds.as_slice() {
        [] => {
            // A kind of a later version has been reported as such, and lost text may hold one.
            let named = s::PROBE.later.iter().any(|name| table.has(name));
            if !named && !faults.text_is_lost() {
                faults.add(
                    Fault::new(table.span(), "the probe does not say what to ask")
                        .label("expected one of `tcp`, `http`, `send`"),
                );
            }
            return None;
        }
        [_] => {}
        [(first, place), (second, other), ..] => {
            faults.add(
                Fault::new(
                    other,
                    format!("a probe asks in one way, not by `{first}` and `{second}`"),
                )
                .also(place, "the first way"),
            );
            return None;
        }
    }
    if !http.is_absent() {
        return http_get(&http, &host, status?, faults);
    }
    for key in [&s::HOST, &s::STATUS] {
        if let Some(span) = table.key_span(key) {
            let text = format!("`{}` has a meaning only with `http`", key.name);
            faults.add(Fault::new(&span, text).label("this probe has none"));
            return None;
        }
    }
    if !tcp.is_absent() {
        return tcp.value().map(|()| ProbeKind::TcpConnect);
    }
    Some(ProbeKind::SendExpect {
        send: send.or(String::new())?.into_bytes(),
        expect: expect.or(String::new())?.into_bytes(),
    })
}

fn http_get(
    http: &Field<String>,
    host: &Field<String>,
    status: Vec<(u16, u16)>,
    faults: &mut Faults,
) -> Option<ProbeKind> {
    let path = http.given()?;
    // A request line ends at a space or a line's end (RFC 9112, section 3).
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
    if !path.value.starts_with('/') || !plain(&path.value) {
        faults.add(
            Fault::new(
                &path.span,
                format!("{} cannot be asked for", quote(&path.value)),
            )
            .label("expected a path that begins with `/`, other characters written as %20"),
        );
        return None;
    }
    if let Some(host) = host.given()
        && (host.value.is_empty() || !plain(&host.value))
    {
        faults.add(
            Fault::new(
                &host.span,
                format!("{} is no host name", quote(&host.value)),
            )
            .label("expected the name that the site is asked by"),
        );
        return None;
    }
    Some(ProbeKind::HttpGet {
        path: path.value.clone(),
        host: host.optional()?,
        status,
    })
}

/// The ranges of status codes that are good; `None` when broken.
fn status(table: &Table<'_>, faults: &mut Faults) -> Option<Vec<(u16, u16)>> {
    let given = match table.any(&s::STATUS, faults) {
        Field::Absent => return range(s::STATUS.default_text()).map(|range| vec![range]),
        Field::Broken => return None,
        Field::Given(given) => given,
    };
    let mut ranges = match given.value.get_ref() {
        DeValue::Array(array) if !array.is_empty() => {
            let read: Vec<_> = array.iter().map(|item| status_item(item, faults)).collect();
            read.into_iter().collect::<Option<Vec<_>>>()?
        }
        DeValue::Array(_) => {
            faults.add(Fault::new(&given.span, "no status code is good").label("it is empty"));
            return None;
        }
        _ => vec![status_item(given.value, faults)?],
    };
    ranges.sort_unstable();
    ranges.dedup();
    Some(ranges)
}

fn status_item(item: &Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<(u16, u16)> {
    let (read, shown) = match item.get_ref() {
        DeValue::String(text) => (range(text), text.to_string()),
        DeValue::Integer(number) => (range(number.as_str()), number.to_string()),
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            return wrong_type(
                &s::STATUS,
                &Kind::Status,
                At {
                    value: item,
                    span: item.span(),
                },
                faults,
            );
        }
    };
    if read.is_none() {
        faults.add(
            Fault::new(
                &item.span(),
                format!("{} is no status code or range", quote(&shown)),
            )
            .label("expected codes from 100 to 599, such as 200 or \"200-299\""),
        );
    }
    read
}

/// `200` or `200-299`.
fn range(text: &str) -> Option<(u16, u16)> {
    let code = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|code| (100..=599).contains(code))
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (code(first)?, code(last)?),
        None => (code(text)?, code(text)?),
    };
    (first <= last).then_some((first, last))
}
