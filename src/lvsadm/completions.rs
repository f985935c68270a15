//! Completions for shells, from the table.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::request::Shell;
use super::table::{Argument, Command, Meaning, Offer, Rule, SCHEDULER_FLAGS, SWITCHES, Switch};

/// The script that a shell sources.
pub(super) fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

fn commands() -> impl Iterator<Item = (Command, &'static Switch)> {
    SWITCHES.iter().filter_map(|switch| match switch.meaning {
        Meaning::Command(command) => Some((command, switch)),
        Meaning::Option(_) => None,
    })
}

/// The switches that may follow a command.
fn options(command: Command) -> impl Iterator<Item = &'static Switch> {
    SWITCHES
        .iter()
        .filter(move |switch| may_follow(switch, command))
}

fn may_follow(switch: &Switch, command: Command) -> bool {
    use super::table::{Opt, Topic};
    let Meaning::Option(option) = switch.meaning else {
        return false;
    };
    let topic = match option {
        Opt::Ipv6 => Topic::Service,
        Opt::Sort => Topic::NoSort,
        _ => match option.topic() {
            Some(topic) => topic,
            None => return false,
        },
    };
    command.rule(topic) != Rule::Illegal
}

/// `-t --tcp-service`.
fn spellings(switch: &Switch) -> Vec<String> {
    let short = switch.short.iter().map(|letter| format!("-{letter}"));
    short.chain([format!("--{}", switch.long)]).collect()
}

fn joined<'a>(switches: impl Iterator<Item = &'a Switch>, by: &str) -> String {
    let spellings: Vec<String> = switches.flat_map(spellings).collect();
    spellings.join(by)
}

/// Words to be offered as an argument.
fn words(switch: &Switch) -> Vec<&'static str> {
    match switch.offer {
        Offer::Words(words) => words.to_vec(),
        Offer::SchedulerFlags => SCHEDULER_FLAGS.iter().map(|(name, ..)| *name).collect(),
        Offer::Nothing | Offer::Interfaces => Vec::new(),
    }
}

/// A shell's pattern of what begins with a command: `-L` may have more letters joined.
fn pattern(switch: &Switch, letters: &str) -> Vec<String> {
    let short = switch
        .short
        .iter()
        .map(|letter| format!("-{letter}{letters}"));
    let mut patterns: Vec<String> = short.collect();
    patterns.push(format!("--{}", switch.long));
    if switch.argument != Argument::None {
        patterns.push(format!("--{}={letters}", switch.long));
    }
    patterns
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

fn bash() -> String {
    let mut out = String::from(
        "# Completion for lvsadm in bash, by `lvsadm --completions bash`.\n\
         _lvsadm() {\n\
         \x20   local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n\
         \x20   local word command='' offered=''\n\
         \x20   COMPREPLY=()\n\
         \x20   case $previous in\n",
    );
    for switch in SWITCHES {
        let spellings = spellings(switch).join("|");
        let offered = match (switch.argument, switch.offer) {
            (Argument::None | Argument::Optional(_), _) => continue,
            (Argument::Needed(_), Offer::Interfaces) => "$(ls /sys/class/net)".to_owned(),
            (Argument::Needed(_), _) => words(switch).join(" "),
        };
        push(
            &mut out,
            format_args!(
                "        {spellings}) COMPREPLY=($(compgen -W \"{offered}\" -- \"$current\")); return ;;"
            ),
        );
    }
    out.push_str(
        "    esac\n\
         \x20   for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n\
         \x20       case $word in\n",
    );
    for (command, switch) in commands() {
        let pattern = pattern(switch, "*").join("|");
        push(
            &mut out,
            format_args!(
                "            {pattern}) command={}; break ;;",
                command.name()
            ),
        );
    }
    out.push_str("        esac\n    done\n    case $command in\n");
    for (command, _) in commands() {
        push(
            &mut out,
            format_args!(
                "        {}) offered='{}' ;;",
                command.name(),
                joined(options(command), " ")
            ),
        );
    }
    push(
        &mut out,
        format_args!(
            "        *) offered='{}' ;;",
            joined(commands().map(|(_, switch)| switch), " ")
        ),
    );
    out.push_str(
        "    esac\n\
         \x20   COMPREPLY=($(compgen -W \"$offered\" -- \"$current\"))\n\
         }\n\
         complete -F _lvsadm lvsadm\n",
    );
    out
}

fn zsh() -> String {
    let mut out = String::from(
        "#compdef lvsadm\n\
         # Completion for lvsadm in zsh, by `lvsadm --completions zsh`.\n\
         local word command=''\n\
         local -a offered\n\
         for word in ${words[2,CURRENT-1]}; do\n\
         \x20   case $word in\n",
    );
    for (command, switch) in commands() {
        let pattern = pattern(switch, "*").join("|");
        push(
            &mut out,
            format_args!("        {pattern}) command={}; break ;;", command.name()),
        );
    }
    out.push_str("    esac\ndone\ncase $command in\n");
    for (command, switch) in commands() {
        push(
            &mut out,
            format_args!("    {})\n        offered=(", command.name()),
        );
        for switch in std::iter::once(switch).chain(options(command)) {
            zsh_specifications(&mut out, switch);
        }
        out.push_str("        ) ;;\n");
    }
    out.push_str("    *)\n        offered=(\n");
    for (_, switch) in commands() {
        zsh_specifications(&mut out, switch);
    }
    out.push_str("        ) ;;\nesac\n_arguments -s -S $offered '*::'\n");
    out
}

/// What `_arguments` is told of a switch, for each of its spellings.
fn zsh_specifications(out: &mut String, switch: &Switch) {
    let excluded = match switch.meaning {
        Meaning::Command(_) => joined(commands().map(|(_, switch)| switch), " "),
        Meaning::Option(_) => spellings(switch).join(" "),
    };
    let help = one_line(switch).replace('[', "\\[").replace(']', "\\]");
    let action = match switch.offer {
        Offer::Nothing => String::new(),
        Offer::Interfaces => "_net_interfaces".to_owned(),
        Offer::SchedulerFlags => format!("_values -s , flag {}", words(switch).join(" ")),
        Offer::Words(_) => format!("({})", words(switch).join(" ")),
    };
    let argument = match switch.argument {
        Argument::None => String::new(),
        Argument::Needed(name) => format!(":{name}:{action}"),
        Argument::Optional(name) => format!("::{name}:{action}"),
    };
    for spelling in spellings(switch) {
        // `-` takes the argument joined or apart, `=` after two dashes likewise.
        let joint = match (switch.argument, spelling.starts_with("--")) {
            (Argument::None, _) => "",
            (_, true) => "=",
            (_, false) => "+",
        };
        push(
            out,
            format_args!("            '({excluded}){spelling}{joint}[{help}]{argument}'"),
        );
    }
}

fn fish() -> String {
    let mut out = String::from(
        "# Completion for lvsadm in fish, by `lvsadm --completions fish`.\n\
         # Whether the command on the line, or `none`, is among the arguments.\n\
         function __lvsadm_command\n\
         \x20   set -l words (commandline -opc)[2..-1]\n",
    );
    let with_argument = commands().map(|(_, switch)| switch);
    let with_argument = with_argument.filter(|switch| switch.argument != Argument::None);
    push(
        &mut out,
        format_args!(
            "    # While its argument is typed, a command can still be offered.\n    \
             contains -- \"$words[-1]\" {}; and set -e words[-1]\n    \
             for word in $words\n        switch $word",
            joined(with_argument, " ")
        ),
    );
    for (command, switch) in commands() {
        let patterns: Vec<String> = pattern(switch, "*")
            .into_iter()
            .map(|pattern| format!("'{pattern}'"))
            .collect();
        push(
            &mut out,
            format_args!(
                "            case {}\n                contains {} $argv\n                return",
                patterns.join(" "),
                command.name()
            ),
        );
    }
    out.push_str("        end\n    end\n    contains none $argv\nend\ncomplete -c lvsadm -f\n");
    for switch in SWITCHES {
        let condition = match switch.meaning {
            Meaning::Command(_) => "none".to_owned(),
            Meaning::Option(_) => {
                let names: BTreeSet<&str> = commands()
                    .filter(|(command, _)| may_follow(switch, *command))
                    .map(|(command, _)| command.name())
                    .collect();
                names.into_iter().collect::<Vec<_>>().join(" ")
            }
        };
        let mut line = format!("complete -c lvsadm -n '__lvsadm_command {condition}'");
        for letter in switch.short {
            line.push_str(&format!(" -s {letter}"));
        }
        line.push_str(&format!(" -l {}", switch.long));
        match (switch.argument, switch.offer) {
            (Argument::None | Argument::Optional(_), _) => {}
            (Argument::Needed(_), Offer::Interfaces) => {
                line.push_str(" -x -a '(ls /sys/class/net)'");
            }
            (Argument::Needed(_), _) if words(switch).is_empty() => line.push_str(" -x"),
            (Argument::Needed(_), _) => {
                line.push_str(&format!(" -x -a '{}'", words(switch).join(" ")));
            }
        }
        push(&mut out, format_args!("{line} -d '{}'", one_line(switch)));
    }
    out
}

/// The explanation without what quotes would end.
fn one_line(switch: &Switch) -> String {
    switch.help.replace('\n', " ").replace('\'', "")
}
