//! A command, whose exit status says whether the server works.

mod identity;

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::failure::{Failure, Stage};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::{Answer, Weight};
use crate::spec::Service;
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;
use crate::users::{self, User};

/// Bytes of the output that are kept for the reason.
const OUTPUT: usize = 4096;
/// Where commands are found, as for a service of systemd (systemd.exec(5)).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a command in a process group of its own, which is killed when the probe's time is over.
///
/// Status 0 is up. Its standard input is empty; of its environment there are `PATH`, `ADDRESS`,
/// `PORT` and what is given here. In arguments and values, these stand for the server's address and
/// port, and the name, address and port of the service: `{address}`, `{port}`, `{service}`,
/// `{virtual_address}`, `{virtual_port}`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Exec {
    /// The command and its arguments; at least the command.
    pub argv: Vec<String>,
    /// Further variables of its environment.
    pub environment: Vec<(String, String)>,
    /// Who runs it, with all groups: a name of this host's, or a number; `None` for who runs this.
    pub user: Option<String>,
    /// A status of 2 to 255 is up, with a weight of the status less 2.
    pub dynamic_weight: bool,
}

/// What stands in braces for something of the server.
const OF_SERVER: [&str; 2] = ["{address}", "{port}"];
/// The same, of the service.
const OF_SERVICE: [&str; 3] = ["{service}", "{virtual_address}", "{virtual_port}"];

impl Exec {
    /// The first thing in braces that stands for nothing, if there is one.
    #[must_use]
    pub fn unknown_placeholder(text: &str) -> Option<&str> {
        let mut rest = text;
        while let Some(begin) = rest.find('{') {
            let end = rest[begin..].find('}')?;
            let word = &rest[begin..=begin + end];
            let name = &word[1..word.len() - 1];
            let like_one = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if like_one && !OF_SERVER.contains(&word) && !OF_SERVICE.contains(&word) {
                return Some(word);
            }
            rest = &rest[begin + 1..];
        }
        None
    }

    /// Looks up a [`user`](Self::user), which may take long.
    ///
    /// # Errors
    ///
    /// That this host has no such user, or why nobody knows, in words.
    pub fn check_user(user: &str) -> Result<(), String> {
        users::look_up(user).map(drop).map_err(Failure::into_words)
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        let values = self.environment.iter().map(|(_, value)| value);
        self.argv.iter().chain(values)
    }

    fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self {
            argv: self.argv.iter().map(|text| change(text)).collect(),
            environment: self
                .environment
                .iter()
                .map(|(name, value)| (name.clone(), change(value)))
                .collect(),
            ..self.clone()
        }
    }
}

impl Ask for Exec {
    const PORT: bool = false;

    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let (address, port) = (probing.address().ip(), probing.address().port());
        let (address, port) = (address.to_string(), port.to_string());
        let told = self.map(|text| text.replace("{address}", &address).replace("{port}", &port));
        let (reader, writer) = pipe().map_err(|error| not_run("a pipe", &error))?;
        let user = match &self.user {
            None => None,
            Some(name) => {
                let shared = probing.shared().clone();
                let found = probing
                    .during(Stage::Running, shared.users().get(name))
                    .await;
                // That nobody answers for a user says nothing of the server.
                Some(found.unwrap_or_else(|_| Err(users::unanswered(name)))?)
            }
        };
        let mut group = told.start(writer, &address, &port, user.as_deref())?;
        let mut output = Vec::new();
        let ended = run(&mut group.child, reader, &mut output);
        let status = match probing.during(Stage::Running, ended).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(not_run(&told.argv.join(" "), &error)),
            Err(failure) => return Err(with_output(failure.to_string(), &output)),
        };
        group.over = true;
        match (status.code(), self.dynamic_weight) {
            (Some(0), _) => Ok(Answer::good()),
            (Some(code @ 2..=255), true) => Ok(Answer {
                weight: Some(Weight::Exactly(code.unsigned_abs() - 2)),
                ..Answer::default()
            }),
            // "exit status: 1", "signal: 9 (SIGKILL)"
            _ => Err(with_output(status.to_string(), &output)),
        }
    }

    fn of_service(&self, service: &Service) -> Option<Self> {
        let names = |text: &&String| OF_SERVICE.iter().any(|word| text.contains(word));
        self.texts().find(names)?;
        // What a firewall mark does not have is left out, as a shell does.
        let address = service
            .address
            .map_or_else(String::new, |it| it.to_string());
        let port = service.port.map_or_else(String::new, |it| it.to_string());
        Some(self.map(|text| {
            text.replace("{service}", &service.name)
                .replace("{virtual_address}", &address)
                .replace("{virtual_port}", &port)
        }))
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        Vec::new()
    }
}

impl Exec {
    fn start(
        &self,
        output: OwnedFd,
        address: &str,
        port: &str,
        user: Option<&User>,
    ) -> Result<Group, Failure> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(Failure::NotRun("it has no command".to_owned()));
        };
        let errors = output
            .try_clone()
            .map_err(|error| not_run("a pipe", &error))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("ADDRESS", address)
            .env("PORT", port)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        if let Some(user) = user {
            identity::run_by(&mut command, user);
        }
        let child = command.spawn().map_err(|error| match &self.user {
            Some(user) => not_run(&format!("{program} as user {user}"), &error),
            None => not_run(program, &error),
        })?;
        Ok(Group { child, over: false })
    }
}

/// A command and all that it has started.
struct Group {
    child: Child,
    /// The command has ended by itself; what it has left behind is its own.
    over: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // It is not reaped before this, so that the number is still its own.
        let group = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group.and_then(Pid::from_raw)
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            let error = words::of(&error.into());
            tracing::debug!(%error, "a probe's command could not be killed");
        }
    }
}

/// Waits for the end of a command, and keeps what it says until then.
async fn run(
    child: &mut Child,
    mut reader: pipe::Receiver,
    output: &mut Vec<u8>,
) -> io::Result<std::process::ExitStatus> {
    let mut piece = [0; 1024];
    let mut open = true;
    let status = loop {
        tokio::select! {
            biased;
            read = reader.read(&mut piece), if open => {
                let length = read.unwrap_or(0);
                open = length > 0;
                keep(output, &piece[..length]);
            }
            status = child.wait() => break status?,
        }
    };
    // What was said last is there already.
    while open {
        match reader.try_read(&mut piece) {
            Ok(length) if length > 0 && output.len() < OUTPUT => keep(output, &piece[..length]),
            _ => open = false,
        }
    }
    Ok(status)
}

fn keep(output: &mut Vec<u8>, piece: &[u8]) {
    let room = OUTPUT.saturating_sub(output.len());
    output.extend_from_slice(&piece[..piece.len().min(room)]);
}

fn pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((pipe::Receiver::from_owned_fd(reader.into())?, writer.into()))
}

fn with_output(what: String, output: &[u8]) -> Failure {
    let output = output.trim_ascii();
    Failure::Told(if output.is_empty() {
        what
    } else {
        format!("{what}: {}", excerpt_of_output(output))
    })
}

/// All that was kept, on one line.
fn excerpt_of_output(output: &[u8]) -> String {
    let lines: Vec<_> = output
        .split(|byte| *byte == b'\n')
        .map(|line| line.trim_ascii())
        .filter(|line| !line.is_empty())
        .map(|line| String::from_utf8_lossy(line).escape_debug().to_string())
        .collect();
    lines.join("; ")
}

/// What cannot be started is not the server's fault.
fn not_run(what: &str, error: &io::Error) -> Failure {
    Failure::NotRun(format!("{what}: {}", words::of(error)))
}

#[cfg(test)]
mod tests;
