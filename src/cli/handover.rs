//! `caribe handover` and `caribe standby`: what an operator orders the running daemon to do.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Exit;
use super::args::{HandoverArgs, StandbyArgs};
use super::format::{harmless, harmless_lines};
use super::output::{complain, print};
use super::status::socket;
use crate::control::{Client, Error, STANDBY, handover_of};
use crate::director::Done;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) fn handover(args: &HandoverArgs) -> Exit {
    let client = match socket(args.daemon.socket.as_deref(), args.daemon.config.as_deref()) {
        Ok(socket) => Client::new(socket),
        Err(message) => return failed(&message),
    };
    let body = json!({ "to": args.to });
    let until = Instant::now() + args.wait.unwrap_or_default();
    let mut told = false;
    loop {
        match client.order(&handover_of(&args.group), &body) {
            Ok((text, done)) => return show(args.json, &text, &handed_over(&done)),
            Err(Error::Refused {
                message,
                may_pass: true,
                ..
            }) if Instant::now() + PAUSE < until => {
                if !std::mem::replace(&mut told, true) {
                    complain(&format_args!("waiting: {}", harmless(&message)));
                }
                thread::sleep(PAUSE);
            }
            Err(error) => return refused(&format!("group {}", args.group), &error),
        }
    }
}

pub(super) fn standby(args: &StandbyArgs) -> Exit {
    let client = match socket(args.daemon.socket.as_deref(), args.daemon.config.as_deref()) {
        Ok(socket) => Client::new(socket),
        Err(message) => return failed(&message),
    };
    let body = json!({ "group": args.group, "undo": args.undo, "persist": args.persist });
    match client.order(STANDBY, &body) {
        Ok((text, done)) => show(args.json, &text, &standing_by(args, &done)),
        Err(error) => {
            let what = args.group.as_ref().map(|group| format!("group {group}"));
            refused(what.as_deref().unwrap_or("standby"), &error)
        }
    }
}

fn handed_over(done: &Done) -> String {
    let given = done.given.iter();
    given
        .map(|(group, to)| format!("group {group} handed over to {to}\n"))
        .collect()
}

fn standing_by(args: &StandbyArgs, done: &Done) -> String {
    let what = match &args.group {
        Some(group) => format!("group {group}"),
        None => "all groups".to_owned(),
    };
    if args.undo {
        return format!("this director no longer stands by in {what}\n");
    }
    let lasting = if args.persist {
        ", restarts included"
    } else {
        ""
    };
    let mut text = format!("this director stands by in {what}{lasting}\n");
    for (group, to) in &done.given {
        text.push_str(&format!("group {group} goes to {to}\n"));
    }
    for (group, why) in &done.kept {
        text.push_str(&format!(
            "group {group} stays here until another director can take it: {why}\n"
        ));
    }
    text
}

fn show(json: bool, text: &str, sentence: &str) -> Exit {
    let shown = if json {
        text
    } else {
        &harmless_lines(sentence)
    };
    print(shown).err().unwrap_or(Exit::Done)
}

fn refused(what: &str, error: &Error) -> Exit {
    match error {
        Error::Refused { message, .. } => failed(&harmless(&format!("{what}: {message}"))),
        error => {
            complain(error);
            Exit::from(error)
        }
    }
}

fn failed(message: &str) -> Exit {
    complain(&message);
    Exit::Failed
}
