//! Makes sense of one value: its type, its range.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::reader::At;
use crate::config::diagnostic::{Fault, Faults};
use crate::config::duration;
use crate::config::schema::{Key, Kind};

pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

pub(super) fn wrong_type<T>(
    key: &Key,
    kind: &Kind,
    value: At<&Spanned<DeValue<'_>>>,
    faults: &mut Faults,
) -> Option<T> {
    let element = if matches!(key.kind, Kind::List(_)) && !matches!(kind, Kind::List(_)) {
        "an element of "
    } else {
        ""
    };
    let found = type_of(value.value.get_ref());
    let fault = Fault::new(
        &value.span,
        format!("{element}`{}` must be {}", key.name, kind.expected()),
    )
    .label(format!("found {found}"));
    faults.add(match kind.example() {
        Some(example) => fault.help(format!("for example {example}")),
        None => fault,
    });
    None
}

pub(super) fn text_of(
    key: &Key,
    kind: &Kind,
    value: At<&Spanned<DeValue<'_>>>,
    faults: &mut Faults,
) -> Option<At<String>> {
    match value.value.get_ref() {
        DeValue::String(text) => Some(At {
            value: text.to_string(),
            span: value.span,
        }),
        _ => wrong_type(key, kind, value, faults),
    }
}

pub(super) fn integer_of<T: TryFrom<u64>>(
    key: &Key,
    kind: &Kind,
    value: At<&Spanned<DeValue<'_>>>,
    faults: &mut Faults,
) -> Option<At<T>> {
    let DeValue::Integer(integer) = value.value.get_ref() else {
        return wrong_type(key, kind, value, faults);
    };
    let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
    let in_range = number.filter(|number| match kind {
        Kind::Integer(min, max) => (min..=max).contains(&number),
        _ => true,
    });
    let Some(number) = in_range.and_then(|number| T::try_from(number).ok()) else {
        faults.add(
            Fault::new(&value.span, format!("`{}` is out of range", key.name))
                .label(format!("expected {}", kind.expected())),
        );
        return None;
    };
    Some(At {
        value: number,
        span: value.span,
    })
}

pub(super) fn duration_of(
    key: &Key,
    value: At<&Spanned<DeValue<'_>>>,
    faults: &mut Faults,
) -> Option<At<Duration>> {
    let read = match value.value.get_ref() {
        DeValue::String(text) => duration::parse(text),
        DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .map(Duration::from_secs),
        DeValue::Float(float) => float.as_str().parse().ok().and_then(duration::from_seconds),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return wrong_type(key, &key.kind, value, faults);
        }
    };
    let Some(duration) = read else {
        let fault = Fault::new(&value.span, format!("`{}` is no duration", key.name))
            .label("expected a number and a unit: ms, s, m or h");
        faults.add(match key.kind.example() {
            Some(example) => fault.help(format!("for example {example}")),
            None => fault,
        });
        return None;
    };
    if let Kind::Duration(min, max) = key.kind
        && !(min..=max).contains(&duration)
    {
        faults.add(
            Fault::new(&value.span, format!("`{}` is out of range", key.name))
                .label(format!("expected {}", key.kind.expected())),
        );
        return None;
    }
    Some(At {
        value: duration,
        span: value.span,
    })
}

pub(super) fn checked<T>(
    text: &At<String>,
    faults: &mut Faults,
    read: impl FnOnce(&At<String>) -> Result<T, Fault>,
) -> Option<At<T>> {
    match read(text) {
        Ok(value) => Some(At {
            value,
            span: text.span.clone(),
        }),
        Err(fault) => {
            faults.add(fault);
            None
        }
    }
}
