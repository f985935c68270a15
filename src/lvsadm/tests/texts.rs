//! What operators are told of commands and options: all of it follows the one table.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

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

/// What bash offers after the words of a line, the last of which is being typed.
fn offered(line: &str) -> BTreeSet<String> {
    let script = format!(
        "{}\nCOMP_WORDS=({line})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}}-1))\n_lvsadm\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        completions::script(Shell::Bash)
    );
    let mut bash = Command::new("bash")
        .arg("-s")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn set(words: &str) -> BTreeSet<String> {
    words.split_ascii_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_offers_what_may_follow() {
    assert_eq!(offered("lvsadm --add"), set("--add-service --add-server"));
    assert_eq!(offered("lvsadm -A -s w"), set("wrr wlc"));
    assert_eq!(offered("lvsadm -A --n"), set("--netmask"));
    assert_eq!(
        offered("lvsadm -Ln --s"),
        set("--stats --sort --sctp-service --syncid")
    );
    assert_eq!(offered("lvsadm -a --tun-type g"), set("gue gre"));
    assert_eq!(offered("lvsadm --start-daemon ''"), set("master backup"));
    assert_eq!(
        offered("lvsadm --start-daemon master --mcast-i"),
        set("--mcast-interface")
    );
    assert_eq!(offered("lvsadm -A -b sh-p"), set("sh-port"));
    assert!(offered("lvsadm --stop-daemon master --mcast").is_empty());
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
