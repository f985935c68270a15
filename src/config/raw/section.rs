//! Keys that a section does not know, and those that it misses.

use std::borrow::Cow;

use toml::Spanned;

use super::text::quote;
use crate::config::diagnostic::{Fault, Span};
use crate::config::schema::{Key, Kind, Section};
use crate::config::suggest;

/// A key that the section does not have, with what may have been meant.
pub(super) fn unknown_key(section: &Section, name: &Spanned<Cow<'_, str>>) -> Fault {
    let span = name.span();
    let what = if section.header.is_empty() {
        "section"
    } else {
        "key"
    };
    let place = if section.header.is_empty() {
        String::new()
    } else {
        format!(" in {}", section.title())
    };
    let name = name.get_ref();
    if section.later.contains(&name.as_ref()) {
        return Fault::new(
            &span,
            format!(
                "{what} {}{place} is not available in this version",
                quote(name)
            ),
        )
        .help("remove it, or comment it out");
    }
    let fault = Fault::new(&span, format!("unknown {what} {}{place}", quote(name)));
    let known = section.keys.iter().map(|key| key.name);
    match suggest::did_you_mean(name, known.clone()) {
        Some(help) => fault.label(format!("no such {what}")).help(help),
        None => fault.label(format!("no such {what}")).help(format!(
            "known are {}",
            known.collect::<Vec<_>>().join(", ")
        )),
    }
}

/// A key that the section must have.
pub(super) fn missing(section: &Section, key: &Key, span: &Span) -> Fault {
    match &key.kind {
        Kind::Table(below) | Kind::Tables(below) if section.header.is_empty() => {
            Fault::new(&(0..0), format!("section {} is missing", below.title())).help(below.doc)
        }
        kind => Fault::new(span, format!("{} has no `{}`", section.title(), key.name))
            .label(format!("`{}` is required: {}", key.name, kind.expected()))
            .help(first_sentence(key.doc)),
    }
}

fn first_sentence(doc: &str) -> &str {
    doc.split_once(". ")
        .map_or(doc, |(first, _)| first)
        .trim_end_matches('.')
}
