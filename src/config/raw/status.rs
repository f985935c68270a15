//! Makes sense of HTTP status codes.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::At;
use super::text::quote;
use super::value::wrong_type;
use crate::config::diagnostic::{Fault, Faults};
use crate::config::schema::Key;

/// The ranges of status codes in a value: one, or an array of them.
pub(super) fn statuses_of(
    key: &Key,
    given: At<&Spanned<DeValue<'_>>>,
    faults: &mut Faults,
) -> Option<At<Vec<(u16, u16)>>> {
    let mut ranges = match given.value.get_ref() {
        DeValue::Array(array) if !array.is_empty() => {
            let read: Vec<_> = array
                .iter()
                .map(|item| status_of(key, item, faults))
                .collect();
            read.into_iter().collect::<Option<Vec<_>>>()?
        }
        DeValue::Array(_) => {
            faults.add(Fault::new(&given.span, "no status code is good").label("it is empty"));
            return None;
        }
        _ => vec![status_of(key, given.value, faults)?],
    };
    ranges.sort_unstable();
    ranges.dedup();
    Some(At {
        value: ranges,
        span: given.span,
    })
}

fn status_of(key: &Key, item: &Spanned<DeValue<'_>>, faults: &mut Faults) -> Option<(u16, u16)> {
    let (read, shown) = match item.get_ref() {
        DeValue::String(text) => (range(text), text.to_string()),
        DeValue::Integer(number) => (range(number.as_str()), number.to_string()),
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            return wrong_type(
                key,
                &key.kind,
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
pub(super) fn range(text: &str) -> Option<(u16, u16)> {
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
