//! `caribe tune`: recommends keepalive and deadtime from what the running daemon has heard.

use serde_json::json;

use super::Exit;
use super::args::TuneArgs;
use super::format::{duration, harmless};
use super::output::{Screen, complain, print};
use super::status::socket;
use super::table::{Align, Table};
use crate::control::Client;
use crate::director::Snapshot;

mod advice;

use advice::{Advice, Choice, advise, milliseconds};

pub(super) fn tune(args: &TuneArgs) -> Exit {
    let socket = match socket(args.daemon.socket.as_deref(), args.daemon.config.as_deref()) {
        Ok(socket) => socket,
        Err(message) => {
            complain(&message);
            return Exit::Failed;
        }
    };
    let snapshot = match Client::new(socket).status() {
        Ok(snapshot) => snapshot,
        Err(err) => {
            complain(&err);
            return Exit::from(&err);
        }
    };
    let advice = match advise(&snapshot, args.false_alarms.a_second()) {
        Ok(advice) => advice,
        Err(refusal) => {
            complain(&refusal);
            return Exit::Failed;
        }
    };
    let text = if args.json {
        let advice = json!({ "false_alarms": args.false_alarms.to_string(), "advice": advice });
        format!("{advice}\n")
    } else {
        render(
            &snapshot,
            &advice,
            &args.false_alarms.to_string(),
            &Screen::of_stdout(),
        )
    };
    print(&text).err().unwrap_or(Exit::Done)
}

fn render(snapshot: &Snapshot, advice: &Advice, rate: &str, screen: &Screen) -> String {
    let mut peers = Table::new(&[
        ("DIRECTOR", Align::Left),
        ("WATCHED", Align::Left),
        ("HEARD", Align::Right),
        ("LOST", Align::Right),
        ("IN A ROW", Align::Right),
        ("LATEST BY", Align::Right),
        ("ALLOWED LATE BY", Align::Right),
        ("ALLOWED LOST", Align::Right),
    ]);
    for peer in &advice.peers {
        peers.row([
            peer.name.as_str().into(),
            duration(peer.watched).into(),
            peer.heard.to_string().into(),
            peer.lost.to_string().into(),
            peer.lost_in_a_row.to_string().into(),
            milliseconds(peer.latest_by).into(),
            milliseconds(peer.late_by).into(),
            peer.allowed_lost.to_string().into(),
        ]);
    }
    let mut choices = Table::new(&[
        ("", Align::Left),
        ("KEEPALIVE", Align::Right),
        ("DEADTIME", Align::Right),
    ]);
    let row = |what: &str, choice: &Choice| {
        [
            what.into(),
            milliseconds(choice.keepalive).into(),
            milliseconds(choice.deadtime).into(),
        ]
    };
    choices.row(row("now", &advice.now));
    choices.row(row("enough with this keepalive", &advice.enough));
    choices.row(row("recommended", &advice.recommended));

    let mut text = format!(
        "What {} has heard, for a rate of false alarms of at most {rate}:\n\n{}",
        harmless(&snapshot.node),
        peers.render(screen)
    );
    for left_out in &advice.left_out {
        text.push_str(&harmless(&format!("left out: {left_out}")));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&choices.render(screen));
    text.push_str(&format!(
        "\nDeadtime is the keepalives that may be lost, and one, and by how much the next heartbeat\n\
         may be late: ({} + 1) x {} + {} or more.\n",
        advice.lost,
        milliseconds(advice.recommended.keepalive),
        milliseconds(advice.late_by),
    ));
    if advice.now.deadtime < advice.enough.deadtime {
        text.push_str("The deadtime of now is too short for that: expect false alarms.\n");
    }
    text.push_str(
        "What has not happened yet is guessed from what has. Ask every director, after days with the\n\
         load of bad ones, and take the longest.\n",
    );
    text
}

#[cfg(test)]
mod tests;
