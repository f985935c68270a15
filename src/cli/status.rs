//! `caribe status`: asks the running daemon what it sees, and shows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Exit;
use super::args::{DEFAULT_CONFIG, StatusArgs};
use super::format::{Style, harmless};
use super::output::{Screen, complain, print};
use crate::control::{Client, DEFAULT_SOCKET, Error};

mod problems;
mod report;
mod services;

pub(super) use problems::difference;
use report::Extent;

pub(super) fn status(args: &StatusArgs) -> Exit {
    let socket = match socket(args.socket.as_deref(), args.config.as_deref()) {
        Ok(socket) => socket,
        Err(message) => {
            complain(&message);
            return Exit::Failed;
        }
    };
    let client = Client::new(socket);
    let first = match show(&client, args) {
        Ok(text) => text,
        Err(err) => {
            complain(&err);
            return err.exit();
        }
    };
    match args.interval {
        None => print(&first).err().unwrap_or(Exit::Done),
        Some(interval) => repeat(&client, args, first, interval),
    }
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
enum Nothing {
    #[error(transparent)]
    Answered(#[from] Error),
    #[error("there is no virtual service `{0}`: `caribe status` shows all")]
    Known(String),
}

impl Nothing {
    fn exit(&self) -> Exit {
        match self {
            Self::Answered(err) => err.into(),
            Self::Known(_) => Exit::Failed,
        }
    }
}

fn show(client: &Client, args: &StatusArgs) -> Result<String, Nothing> {
    let answer = client.status_text()?;
    let snapshot = client.parse_status(&answer)?;
    if args.json {
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    let known = |name: &String| snapshot.services.iter().any(|it| it.name == *name);
    if let Some(stranger) = args.services.iter().find(|name| !known(name)) {
        return Err(Nothing::Known(stranger.clone()));
    }
    let extent = Extent {
        only_problems: args.problems,
        wide: args.wide || !args.services.is_empty(),
        services: &args.services,
    };
    Ok(report::render(&snapshot, extent, &Screen::of_stdout()))
}

/// Goes on while the daemon is away: whoever watches a restart wants to see it come back.
fn repeat(client: &Client, args: &StatusArgs, first: String, interval: Duration) -> Exit {
    let mut shown: Result<String, Nothing> = Ok(first);
    loop {
        let screen = if args.json {
            Screen::default()
        } else {
            Screen::of_stdout()
        };
        let printed = match (&shown, screen.size) {
            (Ok(text), Some((_, rows))) => print(&redraw(text, rows)),
            (Err(err), Some((_, rows))) => {
                let message = Style::Bad.paint(&harmless(&err.to_string()), screen.colour);
                print(&redraw(&message, rows))
            }
            (Ok(text), None) if args.json => print(text),
            (Ok(text), None) => print(&format!("{text}\n")),
            (Err(err), None) => {
                complain(err);
                Ok(())
            }
        };
        if let Err(exit) = printed {
            return exit;
        }
        thread::sleep(interval);
        shown = show(client, args);
    }
}

/// `text` from the top left corner over what is there, without a flicker (ECMA-48: CUP, EL, ED),
/// and no longer than the terminal.
fn redraw(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // The cursor rests in the row below the text.
    let room = rows.saturating_sub(1).max(1);
    let mut frame = "\x1b[H".to_owned();
    let shown = if lines.len() > room {
        room - 1
    } else {
        lines.len()
    };
    for line in &lines[..shown] {
        frame.push_str(line);
        frame.push_str("\x1b[K\n");
    }
    if shown < lines.len() {
        frame.push_str(&format!("... {} more lines\x1b[K\n", lines.len() - shown));
    }
    frame.push_str("\x1b[J");
    frame
}

/// The socket named, or that of the configuration named, or that of the usual configuration if
/// there is one, or the usual socket.
pub(super) fn socket(socket: Option<&Path>, config: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(socket) = socket {
        return Ok(socket.to_owned());
    }
    let configured = match config {
        Some(file) => configured_socket(file)?,
        // Status must work while the file is being edited, and for users who may not read it.
        None => configured_socket(Path::new(DEFAULT_CONFIG)).unwrap_or_default(),
    };
    Ok(configured.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)))
}

/// Reads no more of the file than this, so that a mistake elsewhere in it hides nothing.
fn configured_socket(file: &Path) -> Result<Option<PathBuf>, String> {
    let text = fs::read_to_string(file)
        .map_err(|err| format!("cannot read {}: {}", file.display(), words::of(&err)))?;
    let table: toml::Table = text.parse().map_err(|err: toml::de::Error| {
        format!(
            "{} is not TOML: {}; name the socket with --socket",
            file.display(),
            err.message()
        )
    })?;
    let socket = table
        .get("control")
        .and_then(|control| control.get("socket"));
    Ok(socket.and_then(toml::Value::as_str).map(PathBuf::from))
}

#[cfg(test)]
mod tests;
