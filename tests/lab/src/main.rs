//! The command behind `cargo lab`.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use lab::boot::{Console, Guest};
use lab::guest::Stage;
use lab::{Lab, guest, packages};

mod bench;
mod demo;
mod shell;

/// A verb of `cargo lab`.
struct Verb {
    name: &'static str,
    usage: &'static str,
    does: &'static str,
    action: Action,
}

enum Action {
    /// Done on the host, with the arguments that follow.
    Host(fn(&[String]) -> Result<u8, String>),
    /// Done in a guest, with the arguments that follow.
    Guest {
        console: Console,
        limit: Option<Duration>,
        body: fn(&Lab, &[String]) -> u8,
    },
    /// Done in a guest, with the arguments that follow, all programs built with optimisation.
    Measurement(fn(&Lab, &[String]) -> Result<(), String>),
}

const VERBS: &[Verb] = &[
    Verb {
        name: "demo",
        usage: "demo",
        does: "a pair of directors in front of three web servers, failing over before your eyes",
        action: Action::Guest {
            console: Console::Shown,
            limit: Some(Duration::from_secs(120)),
            body: demo::run,
        },
    },
    Verb {
        name: "test",
        usage: "test [ARGUMENT...]",
        does: "every test of the project; arguments go to `cargo test`",
        action: Action::Host(test),
    },
    Verb {
        name: "bench",
        usage: "bench ipvs|failover|probes [RUNS [ROW]]",
        does: "ipvsadm and ours, or keepalived and ours, side by side: medians and ratios",
        action: Action::Measurement(bench::run),
    },
    Verb {
        name: "sim",
        usage: "sim [--seeds N | --seed S]",
        does: "so many nights of simulated directors, 100,000 if not said; or one, step by step",
        action: Action::Host(sim),
    },
    Verb {
        name: "shell",
        usage: "shell",
        does: "a prompt inside, with the pair running; `ha1 CMD` runs a command on a host",
        action: Action::Guest {
            console: Console::Terminal,
            limit: None,
            body: shell::prompt,
        },
    },
    Verb {
        name: "run",
        usage: "run -- CMD [ARGUMENT...]",
        does: "one command inside, with the pair running; its status becomes ours",
        action: Action::Guest {
            console: Console::Shown,
            limit: Some(Duration::from_secs(600)),
            body: shell::run,
        },
    },
    Verb {
        name: "install",
        usage: "install",
        does: "only installs the packages that the others need, with apt-get",
        action: Action::Host(|_| Ok(0)),
    },
];

/// Something is missing or wrong on the command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let stage = guest::stage();
    if matches!(stage, Stage::Init) {
        guest::init();
    }
    let Some((name, mut rest)) = args.split_first() else {
        return usage("");
    };
    if let [first, others @ ..] = rest
        && first == "--"
    {
        rest = others;
    }
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        return help();
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        return usage(&format!("there is no `{name}`; "));
    };
    if rest.iter().any(|arg| arg == "--help") && verb.name != "run" {
        return help();
    }
    match (stage, &verb.action) {
        (Stage::Body(lab), Action::Guest { body, .. }) => return ExitCode::from(body(&lab, rest)),
        (Stage::Body(lab), Action::Measurement(body)) => {
            return body(&lab, rest).map_or_else(|e| complain(&e, 1), |()| ExitCode::SUCCESS);
        }
        _ => {}
    }
    if verb.name == "run" && rest.is_empty() {
        return usage("`run` needs a command; ");
    }
    if let Err(error) = packages::install_missing() {
        return complain(&error, USAGE);
    }
    let outcome = match verb.action {
        Action::Host(action) => action(rest),
        Action::Guest { console, limit, .. } => {
            cargo(&["build", "--quiet", "--package", "caribe", "--bins"], &[])
                .and_then(|()| boot(name, rest, console, limit, false))
        }
        Action::Measurement(_) if cfg!(debug_assertions) => optimised(&args),
        Action::Measurement(_) => bench::on_host(rest)
            .and_then(|()| boot(name, rest, Console::Shown, Some(bench::LIMIT), true)),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => complain(&error, 1),
    }
}

fn boot(
    name: &str,
    rest: &[String],
    console: Console,
    limit: Option<Duration>,
    metered: bool,
) -> Result<u8, String> {
    let args = std::iter::once(name.to_owned())
        .chain(rest.iter().cloned())
        .collect();
    let ended = Guest {
        name: name.to_owned(),
        args,
        limit,
        console,
        metered,
    }
    .run()?;
    if console == Console::Shown && ended.status != 0 {
        note(&format!(
            "status {}; logs are in {}",
            ended.status,
            ended.out.display()
        ));
    }
    Ok(u8::try_from(ended.status).unwrap_or(1))
}

/// Runs this program, and the others, as they are built for operators.
fn optimised(args: &[String]) -> Result<u8, String> {
    let fixed = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "lab",
        "--bin",
        "lab",
        "--",
    ];
    cargo(
        &[
            "build",
            "--quiet",
            "--release",
            "--package",
            "caribe",
            "--bins",
        ],
        &[],
    )?;
    // In our place: what ends us ends the guest.
    let error = cargo_command(&fixed, args).exec();
    Err(format!("cannot run cargo: {error}"))
}

fn test(args: &[String]) -> Result<u8, String> {
    cargo(&["test", "--workspace", "--locked"], args)?;
    Ok(0)
}

fn sim(args: &[String]) -> Result<u8, String> {
    let number = |text: &String| text.parse::<u64>().is_ok();
    let env = match args {
        [] => ("SEEDS", "100000"),
        [option, seeds] if option == "--seeds" && number(seeds) => ("SEEDS", seeds.as_str()),
        [option, seed] if option == "--seed" && number(seed) => ("SEED", seed.as_str()),
        _ => return Err("`sim` takes `--seeds N`, `--seed S` or nothing".to_owned()),
    };
    let test = "cluster::sim::tests::the_rules_hold_on_a_bad_network";
    let fixed = [
        "test",
        "--release",
        "--locked",
        "--package",
        "caribe",
        "--lib",
        test,
        "--",
        "--nocapture",
    ];
    run_cargo(&fixed, &[], &[env])?;
    Ok(0)
}

/// Runs cargo in the project's own folder.
fn cargo(fixed: &[&str], more: &[String]) -> Result<(), String> {
    run_cargo(fixed, more, &[])
}

fn run_cargo(fixed: &[&str], more: &[String], env: &[(&str, &str)]) -> Result<(), String> {
    let status = cargo_command(fixed, more)
        .envs(env.iter().copied())
        .status()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`cargo {}` failed", fixed.join(" ")))
    }
}

fn cargo_command(fixed: &[&str], more: &[String]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let mut command = Command::new(program);
    command
        .arg(fixed[0])
        .arg("--manifest-path")
        .arg(manifest)
        .args(&fixed[1..])
        .args(more);
    command
}

fn help() -> ExitCode {
    let mut text = "usage: cargo lab VERB\n\nverbs:\n".to_owned();
    for verb in VERBS {
        text.push_str(&format!("  {:<40}{}\n", verb.usage, verb.does));
    }
    // Whoever closed the pipe has read enough.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn usage(what: &str) -> ExitCode {
    let verbs: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let (last, others) = verbs.split_last().unwrap_or((&"", &[]));
    complain(
        &format!("{what}say one of {} or {last}", others.join(", ")),
        USAGE,
    )
}

fn complain(text: &str, status: u8) -> ExitCode {
    note(text);
    ExitCode::from(status)
}

fn note(text: &str) {
    let _ = writeln!(io::stderr(), "lab: {text}");
}
