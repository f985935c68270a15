//! What the schema says of a key is what the parser does with it.

use super::{check, faults};
use crate::config::schema::{Key, Kind, Otherwise, SECTIONS, Section};

/// A file whose only content is one key of a section.
fn file_with(section: &Section, key: &Key, value: &str) -> String {
    let entry = format!("{} = {value}", key.name);
    match section.header {
        "director.paths" => format!("[[director]]\npaths = [{{ {entry} }}]\n"),
        "group.vips" => format!("[[group]]\nvips = [{{ {entry} }}]\n"),
        "probe" => format!("[[virtual]]\nprobe = {{ {entry} }}\n"),
        "probe.tls" => format!("[[virtual]]\nprobe = {{ tls = {{ {entry} }} }}\n"),
        "probe.steps" => format!("[[virtual]]\nprobe = {{ steps = [{{ {entry} }}] }}\n"),
        "probe.also" => {
            format!("[[virtual]]\nprobe = {{ http = \"/\", also = [{{ {entry} }}] }}\n")
        }
        "[[virtual.server]]" => format!("[[virtual]]\n[[virtual.server]]\n{entry}\n"),
        header => format!("{header}\n{entry}\n"),
    }
}

fn every_key() -> impl Iterator<Item = (&'static Section, &'static Key)> {
    SECTIONS
        .iter()
        .flat_map(|section| section.keys.iter().map(move |key| (*section, *key)))
}

#[test]
fn a_value_of_the_wrong_type_is_reported_for_every_key() {
    for (section, key) in every_key() {
        let found = faults(&file_with(section, key, "1979-05-27")).join("\n");
        let expected = format!("`{}` must be {}", key.name, key.kind.expected());
        assert!(
            found.contains(&expected),
            "{} {}:\n{found}",
            section.header,
            key.name
        );
    }
}

#[test]
fn every_word_of_the_schema_is_understood_and_no_other() {
    for (section, key) in every_key() {
        let Kind::Words(words) = key.kind else {
            continue;
        };
        let unknown = format!("unknown {} `", key.name);
        for word in words {
            let found = faults(&file_with(section, key, &format!("\"{word}\""))).join("\n");
            assert!(!found.contains(&unknown), "{word}:\n{found}");
        }
        let found = faults(&file_with(section, key, "\"nonsense\"")).join("\n");
        assert!(found.contains(&unknown), "{}:\n{found}", key.name);
    }
}

#[test]
fn the_ends_of_a_range_are_in_it_and_what_is_beyond_is_not() {
    for (section, key) in every_key() {
        let (min, max, unit) = match key.kind {
            Kind::Integer(min, max) => (min, max, ""),
            Kind::Duration(min, max) => (
                min.as_millis().try_into().unwrap(),
                max.as_millis().try_into().unwrap(),
                "ms",
            ),
            _ => continue,
        };
        let write = |number: u64| match unit {
            "" => number.to_string(),
            unit => format!("\"{number}{unit}\""),
        };
        let complaint = format!("`{}` is out of range", key.name);
        for good in [min, max] {
            let found = faults(&file_with(section, key, &write(good))).join("\n");
            assert!(!found.contains(&complaint), "{} {good}:\n{found}", key.name);
        }
        for bad in [min.checked_sub(1), Some(max + 1)].into_iter().flatten() {
            let found = faults(&file_with(section, key, &write(bad))).join("\n");
            assert!(found.contains(&complaint), "{} {bad}:\n{found}", key.name);
        }
    }
}

#[test]
fn a_required_key_that_is_missing_is_reported() {
    for (section, key) in every_key() {
        if !matches!(key.otherwise, Otherwise::Required) {
            continue;
        }
        let nothing = key_named("nothing-like-it");
        let found = faults(&file_with(section, &nothing, "1")).join("\n");
        let expected = format!("`{}` has no `{}`", section.header, key.name);
        assert!(found.contains(&expected), "{expected}:\n{found}");
    }
}

fn key_named(name: &'static str) -> Key {
    Key {
        name,
        kind: Kind::Text,
        otherwise: Otherwise::Is(""),
        doc: "",
    }
}

#[test]
fn what_comes_later_is_said_to_come_later() {
    for section in SECTIONS {
        for name in section.later {
            let key = key_named(name);
            let found = faults(&file_with(section, &key, "1")).join("\n");
            let expected = format!("key `{name}` in `{}` is not available", section.header);
            assert!(found.contains(&expected), "{expected}:\n{found}");
        }
    }
    let found = check("[[failover]]\nx = 1\n").unwrap_err().to_string();
    assert!(
        found.contains("` is not available in this version"),
        "{found}"
    );
}
