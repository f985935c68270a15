//! `caribe events`: what has happened to the running daemon, and what happens.

use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use super::Exit;
use super::args::{EventsArgs, Since};
use super::format::{Style, harmless};
use super::output::{Screen, complain, print};
use super::status::socket;
use crate::clock;
use crate::control::{Client, Error};
use crate::director::events::{Event, Position, What, rfc3339};

/// Between two attempts to reach a daemon that has gone away.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn events(args: &EventsArgs) -> Exit {
    let client = match socket(args.daemon.socket.as_deref(), args.daemon.config.as_deref()) {
        Ok(socket) => Client::new(socket),
        Err(message) => {
            complain(&message);
            return Exit::Failed;
        }
    };
    let mut shown = Shown::new(args);
    let mut away = false;
    loop {
        let answer = client.events(shown.latest, args.follow, |event| {
            away = false;
            shown.show(&event)
        });
        match (shown.end, answer) {
            (Some(exit), _) => return exit,
            (None, Ok(())) => return Exit::Done,
            // Whoever watches a restart wants to see it come back.
            (None, Err(err)) if args.follow && shown.latest.is_some() && passes(&err) => {
                if !std::mem::replace(&mut away, true) {
                    complain(&err);
                }
                thread::sleep(PAUSE);
            }
            (None, Err(err)) => {
                complain(&err);
                return Exit::from(&err);
            }
        }
    }
}

/// Whether the next attempt may do better.
fn passes(err: &Error) -> bool {
    match err {
        Error::NotRunning { .. }
        | Error::Gone { .. }
        | Error::Busy { .. }
        | Error::Timeout { .. }
        | Error::BrokenOff { .. }
        | Error::Refused { status: 503, .. } => true,
        Error::AlreadyRunning { .. }
        | Error::NotASocket { .. }
        | Error::System { .. }
        | Error::Denied { .. }
        | Error::BadAnswer { .. }
        | Error::Refused { .. } => false,
    }
}

/// What has been shown, and how.
struct Shown {
    json: bool,
    colour: bool,
    /// Nothing before it is shown.
    from: Option<String>,
    latest: Option<Position>,
    end: Option<Exit>,
}

impl Shown {
    fn new(args: &EventsArgs) -> Self {
        let (from, latest) = match args.since {
            None => (None, None),
            Some(Since::Age(age)) => (Some(rfc3339(clock::wall().saturating_sub(age))), None),
            Some(Since::Event(position)) => (None, Some(position)),
        };
        Self {
            json: args.json,
            colour: Screen::of_stdout().colour,
            from,
            latest,
            end: None,
        }
    }

    fn show(&mut self, event: &Event) -> ControlFlow<()> {
        self.latest = Some(event.id);
        if self.from.as_ref().is_some_and(|from| event.time < *from) {
            return ControlFlow::Continue(());
        }
        let line = if self.json {
            match serde_json::to_string(event) {
                Ok(json) => json,
                Err(err) => {
                    complain(&format_args!("cannot write an event as JSON: {err}"));
                    self.end = Some(Exit::Failed);
                    return ControlFlow::Break(());
                }
            }
        } else {
            line(event, self.colour)
        };
        match print(&format!("{line}\n")) {
            Ok(()) => ControlFlow::Continue(()),
            Err(exit) => {
                self.end = Some(exit);
                ControlFlow::Break(())
            }
        }
    }
}

/// `2026-11-20 10:31:02.123  ha1 is dead: ...`; part of it comes from peers and real servers.
fn line(event: &Event, colour: bool) -> String {
    let time = match (event.time.get(..10), event.time.get(11..23)) {
        (Some(date), Some(time)) => format!("{date} {time}"),
        _ => event.time.clone(),
    };
    let style = match event.what {
        What::GroupConflict { .. } | What::GroupUnserved { .. } => Style::Bad,
        What::Takeover { .. } => Style::Title,
        ref what if what.is_bad() => Style::Warning,
        _ => Style::Plain,
    };
    let what = style.paint(&harmless(&event.what.to_string()), colour);
    format!("{}  {what}", Style::Dim.paint(&harmless(&time), colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_and_the_words() {
        let event = Event {
            id: "6a1f0b2c-17".parse().unwrap(),
            time: "2026-11-20T10:31:02.123456Z".to_owned(),
            what: What::ServerDown {
                service: "www".to_owned(),
                server: "10.0.1.21:80".to_owned(),
                reason: Some("got \u{1b}[2J".to_owned()),
            },
        };
        assert_eq!(
            line(&event, false),
            "2026-11-20 10:31:02.123  10.0.1.21:80 of www is down: got \u{fffd}[2J"
        );
        let coloured = line(&event, true);
        assert!(coloured.starts_with("\u{1b}[2m2026-11-20 10:31:02.123\u{1b}[0m  \u{1b}[33m"));
    }
}
