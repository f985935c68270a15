//! One mistake at a time, and all that is said of it.

use super::{GOOD, check, compare};

const CASES: &str = include_str!("../../../tests/config/faults.txt");

/// Line, column and message of each fault, and the place of a second one.
fn sayings(text: &str) -> Vec<String> {
    let Err(report) = check(text) else {
        return vec!["accepted".to_owned()];
    };
    report
        .diagnostics()
        .iter()
        .map(|fault| {
            let (line, column) = (fault.line.unwrap(), fault.column.unwrap());
            let second = fault.related.as_ref();
            let second = second.map(|other| format!(" -> {}:{}", other.line, other.column));
            format!(
                "{line}:{column}: {}{}",
                fault.message,
                second.unwrap_or_default()
            )
        })
        .collect()
}

#[test]
fn every_mistake_is_reported_where_it_is_and_nothing_else() {
    let mut found = String::new();
    let mut old = String::new();
    for line in CASES.lines() {
        if line.starts_with("says ") {
            continue;
        }
        found.push_str(line);
        found.push('\n');
        let read = |text: &str| text.trim_start().replace("\\n", "\n");
        if let Some(text) = line.strip_prefix("replace") {
            old = read(text);
            assert!(GOOD.contains(&old), "good.toml has no {old}");
        } else if let Some(text) = line.strip_prefix("by") {
            for saying in sayings(&GOOD.replacen(&old, &read(text), 1)) {
                found.push_str(&format!("says    {saying}\n"));
            }
        }
    }
    compare("tests/config/faults.txt", &found);
}
