//! What the README shows is what the programs print.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../README.md");

/// What stands between a line and the end of its block.
fn block(first_line: &str) -> &'static str {
    let begin = format!("\n{first_line}\n");
    let (_, rest) = README
        .split_once(&begin)
        .unwrap_or_else(|| panic!("README.md has no line {first_line:?}"));
    let (text, _) = rest.split_once("\n```\n").unwrap();
    text
}

#[test]
fn a_broken_configuration_is_reported_as_the_readme_shows() {
    let command = "caribe check --no-host tests/config/broken.toml";
    let output = Command::new(env!("CARGO_BIN_EXE_caribe"))
        .args(command.split(' ').skip(1))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(block(&format!("$ {command}")), printed.trim_end());
}

#[test]
fn the_status_is_the_one_that_a_healthy_pair_shows() {
    let healthy = include_str!("../src/cli/status/tests/healthy.txt");
    assert_eq!(block("$ caribe status"), healthy.trim_end());
}

#[test]
fn every_file_that_the_readme_links_to_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links: Vec<&str> = README
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert!(links.len() > 5, "{links:?}");
    for link in links {
        assert!(root.join(link).exists(), "{link}");
    }
}
