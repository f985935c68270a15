//! The manual says of every command what the command says of itself.

use std::collections::{BTreeMap, BTreeSet};

use caribe::cli::{Cli, Exit};
use clap::{Command, CommandFactory};

const PAGE: &str = include_str!("../man/caribe.8");

/// The options of each subcommand, `-c, --config`, by its full name, `caribe run`.
fn defined() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    collect(&Cli::command(), "", &mut found);
    found
}

fn collect(command: &Command, parent: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let name = format!("{parent}{}", command.get_name());
    if command.get_subcommands().next().is_none() {
        let options = command.get_arguments().filter(|it| !it.is_positional());
        let names = options.map(|option| {
            let long = option.get_long().unwrap_or("(none)");
            match option.get_short() {
                Some(short) => format!("-{short}, --{long}"),
                None => format!("--{long}"),
            }
        });
        found.insert(name.clone(), names.collect());
    }
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        collect(subcommand, &format!("{name} "), found);
    }
}

/// The same, from the page: `.Ss` begins a subcommand, `.It Fl` tells an option of it.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    let mut current = None;
    for line in PAGE.lines() {
        if let Some(name) = line.strip_prefix(".Ss ") {
            found.insert(name.to_owned(), BTreeSet::new());
            current = Some(name.to_owned());
        } else if line.starts_with(".Sh ") {
            current = None;
        } else if let Some(rest) = line.strip_prefix(".It ")
            && let Some(options) = current.as_ref().and_then(|it| found.get_mut(it))
        {
            let names: Vec<String> = flags(rest).map(|flag| format!("-{flag}")).collect();
            if !names.is_empty() {
                options.insert(names.join(", "));
            }
        }
    }
    found
}

/// `c` and `-config` of `Fl c , Fl -config Ar FILE`.
fn flags(line: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let follows = |pair: &[&str]| pair[0] == "Fl";
    let found: Vec<&str> = words
        .windows(2)
        .filter(|it| follows(it))
        .map(|it| it[1])
        .collect();
    found.into_iter()
}

#[test]
fn the_manual_has_every_option_of_every_subcommand_and_no_other() {
    assert_eq!(documented(), defined());
}

#[test]
fn the_manual_names_no_flag_that_does_not_exist() {
    let mut known: BTreeSet<String> = ["-h", "--help", "-V", "--version"]
        .map(str::to_owned)
        .into();
    for options in defined().values() {
        known.extend(
            options
                .iter()
                .flat_map(|it| it.split(", "))
                .map(str::to_owned),
        );
    }
    for line in PAGE.lines() {
        for flag in flags(line.trim_start_matches('.')) {
            assert!(known.contains(&format!("-{flag}")), "-{flag} in {line:?}");
        }
    }
}

#[test]
fn the_manual_has_every_exit_status() {
    let section = PAGE.split(".Sh EXIT STATUS").nth(1).unwrap();
    let section = section.split(".Sh ").next().unwrap();
    let told: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix(".It "))
        .collect();
    let known = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::NoIpvs,
        Exit::NoRights,
    ];
    let known: Vec<String> = known.iter().map(|exit| (*exit as u8).to_string()).collect();
    assert_eq!(told, known);
}

#[test]
fn the_manual_has_every_path_of_the_api() {
    for path in [
        caribe::control::STATUS,
        caribe::control::EVENTS,
        caribe::control::HEALTH,
        caribe::control::READINESS,
    ] {
        assert!(PAGE.contains(&format!(".It Pa {path}\n")), "{path}");
    }
}
