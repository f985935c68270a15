//! `--help`, from the table.

use std::fmt::Write;

use super::table::{Argument, SWITCHES, Section, Switch};

/// Column in which explanations begin.
const COLUMN: usize = 32;

const FORMS: &[&str] = &[
    "-A|-E virtual-service [-s scheduler] [-b flags] [-p [timeout]] [-M netmask] [-o]",
    "-D virtual-service",
    "-C",
    "-R [--replace]",
    "-S [-n]",
    "-a|-e virtual-service -r address [-g|-i|-m] [-w weight] [-x connections] [-y connections]",
    "-d virtual-service -r address",
    "-L [virtual-service | -c | --timeout | --daemon] [listing options]",
    "-Z [virtual-service]",
    "--set tcp tcpfin udp",
    "--start-daemon master|backup [daemon options]",
    "--stop-daemon master|backup",
    "--completions bash|zsh|fish",
    "-h | -v",
];

/// The whole text.
pub(super) fn text(program: &str) -> String {
    let mut out = version();
    out.push_str("Usage:\n");
    for form in FORMS {
        push(&mut out, format_args!("  {program} {form}"));
    }
    push(
        &mut out,
        format_args!("Without arguments, {program} lists the table."),
    );
    for (section, title) in [
        (Section::Commands, "Commands:"),
        (Section::Service, "virtual-service:"),
        (Section::Options, "Options:"),
        (Section::Listing, "Listing options:"),
        (Section::Daemon, "Daemon options:"),
    ] {
        push(&mut out, format_args!("\n{title}"));
        for switch in SWITCHES.iter().filter(|switch| switch.section == section) {
            push_switch(&mut out, switch);
        }
    }
    out
}

/// The version, and whose place this takes.
pub(super) fn version() -> String {
    format!(
        "lvsadm v{} (in place of ipvsadm v1.31)\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// A switch as it is written: `-s, --scheduler scheduler`.
pub(super) fn usage(switch: &Switch) -> String {
    let mut usage = String::new();
    for letter in switch.short {
        usage.push_str(&format!("-{letter}, "));
    }
    usage.push_str(&format!("--{}", switch.long));
    match switch.argument {
        Argument::None => {}
        Argument::Needed(name) => usage.push_str(&format!(" {name}")),
        Argument::Optional(name) => usage.push_str(&format!(" [{name}]")),
    }
    usage
}

fn push_switch(out: &mut String, switch: &Switch) {
    let mut usage = usage(switch);
    if switch.short.is_empty() {
        usage.insert_str(0, "    ");
    }
    for line in switch.help.lines() {
        push(
            out,
            format_args!("  {usage:<width$} {line}", width = COLUMN - 3),
        );
        usage.clear();
    }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}
