//! What operators are told of commands and options: all of it follows the one table.

use std::collections::BTreeSet;

use crate::lvsadm::table::{Argument, Meaning, Rule, SWITCHES, Section, Switch, Topic};
use crate::lvsadm::{completions, help, request::Shell};

const PAGE: &str = include_str!("../../../man/lvsadm.8");

/// `A , Fl -add-service` of a switch, as the page has it after its first `Fl`.
fn item(switch: &Switch) -> String {
    let letters = switch.short.iter().map(|letter| format!("Fl {letter} , "));
    let argument = match switch.argument {
        Argument::None => String::new(),
        Argument::Needed(name) => format!(" Ar {name}"),
        Argument::Optional(name) => format!(" Op Ar {name}"),
    };
    format!(
        ".It {}Fl -{}{argument}",
        letters.collect::<String>(),
        switch.long
    )
}

#[test]
fn the_manual_explains_every_switch_and_no_other() {
    let mut known: BTreeSet<String> = SWITCHES.iter().map(item).collect();
    // The one command whose arguments are not the switch's own.
    assert!(
        known.remove(".It Fl -set") && known.insert(".It Fl -set Ar tcp tcpfin udp".to_owned())
    );
    let told: BTreeSet<String> = PAGE
        .lines()
        .filter(|line| line.starts_with(".It Fl "))
        .map(str::to_owned)
        .collect();
    assert_eq!(told, known);
}

#[test]
fn help_explains_every_switch_in_lines_that_fit_a_terminal() {
    let text = help::text("lvsadm");
    for switch in SWITCHES {
        assert!(text.contains(&help::usage(switch)), "{}", switch.long);
    }
    let long = text.lines().skip(2).filter(|line| line.len() > 100);
    assert_eq!(long.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn every_topic_is_named_and_allowed_somewhere() {
    let mut names = BTreeSet::new();
    for topic in Topic::ALL {
        assert!(
            !topic.name().is_empty() && names.insert(topic.name()),
            "{topic:?}"
        );
        let used = SWITCHES.iter().any(|switch| match switch.meaning {
            Meaning::Command(command) => command.rule(topic) != Rule::Illegal,
            Meaning::Option(_) => false,
        });
        assert!(used, "{topic:?}");
    }
    for switch in SWITCHES {
        if let Meaning::Option(option) = switch.meaning
            && let Some(topic) = option.topic()
        {
            assert!(Topic::ALL.contains(&topic));
        }
        assert_eq!(
            switch.section == Section::Commands,
            matches!(switch.meaning, Meaning::Command(_))
        );
    }
}

#[test]
fn letters_and_names_are_unambiguous() {
    let mut seen = BTreeSet::new();
    for switch in SWITCHES {
        assert!(seen.insert(switch.long.to_owned()));
        for letter in switch.short {
            assert!(seen.insert(letter.to_string()), "{letter}");
        }
    }
}

#[test]
fn the_other_shells_know_every_switch() {
    for shell in [Shell::Zsh, Shell::Fish] {
        let script = completions::script(shell);
        for switch in SWITCHES {
            let name = match shell {
                Shell::Bash | Shell::Zsh => format!(")--{}", switch.long),
                Shell::Fish => format!(" -l {} ", switch.long),
            };
            assert!(script.contains(&name), "{shell:?}: {name}");
        }
        // Quotes are balanced in every line.
        for line in script.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.matches('\'').count().is_multiple_of(2), "{line}");
        }
    }
}
