//! Writes the reference part of caribe.toml(5) from the schema.

use super::compare;
use crate::config::duration;
use crate::config::raw::probe::goes_with;
use crate::config::schema::{Key, Kind, Otherwise, SECTIONS, Section};

const PAGE: &str = "man/caribe.toml.5";
const BEGIN: &str = ".\\\" begin of the reference\n";
const END: &str = ".\\\" end of the reference\n";

#[test]
fn the_manual_has_every_key_as_the_parser_knows_it() {
    let page = include_str!("../../../man/caribe.toml.5");
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    compare(PAGE, &format!("{before}{BEGIN}{}{END}{after}", reference()));
}

fn reference() -> String {
    SECTIONS.iter().map(|section| subsection(section)).collect()
}

fn subsection(section: &Section) -> String {
    let mut out = format!(".Ss {}\n{}", escape(section.header), sentences(section.doc));
    out.push_str(".Bl -tag -width Ds\n");
    for key in section.keys {
        out.push_str(&item(section, key));
    }
    out.push_str(".El\n");
    if !section.later.is_empty() {
        out.push_str(".Pp\nNot available in this version:\n");
        let count = section.later.len();
        for (i, name) in section.later.iter().enumerate() {
            let end = if i + 1 < count { " ," } else { " ." };
            out.push_str(&format!(".Ic {name}{end}\n"));
        }
    }
    out
}

fn item(section: &Section, key: &Key) -> String {
    let otherwise = match key.otherwise {
        Otherwise::Required => "Required.".to_owned(),
        Otherwise::Is(words) => format!("Otherwise: {words}."),
        Otherwise::Duration(default) => format!("Default: {}.", duration::show(default)),
        Otherwise::Integer(default) => format!("Default: {default}."),
        Otherwise::Text(default) => format!("Default: \"{default}\"."),
    };
    let values = match key.kind {
        // A table's keys follow under a heading of their own.
        Kind::Table(below) | Kind::Tables(below) | Kind::TrueOrTable(below) => {
            format!("{}; see {} below", key.kind.expected(), below.header)
        }
        _ => key.kind.expected(),
    };
    let mut out = format!(".It Ic {}\n", key.name);
    out.push_str(&sentences(key.doc));
    if section.header == "probe" {
        let ways = goes_with(key);
        if !ways.is_empty() && !ways.contains(&key.name) {
            out.push_str(&sentences(&format!("Goes with {}.", ways.join(", "))));
        }
    }
    out.push_str(&sentences(&format!("Value: {values}. {otherwise}")));
    out
}

/// One sentence a line, as mdoc wants it.
fn sentences(text: &str) -> String {
    let mut out = String::new();
    for sentence in text.split(". ") {
        out.push_str(escape(sentence).trim_end_matches('.'));
        out.push_str(".\n");
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('"', "\\(dq")
}
