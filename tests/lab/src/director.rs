//! A director of the lab: a host with its configuration, and the daemon on it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::host::unworkable;
use crate::{Host, Process, SOON, programs, until};

/// Where the configuration is put on the host.
pub const CONFIG: &str = "/etc/caribe/caribe.toml";
/// Where the key is put on the host.
pub const KEY: &str = "/etc/caribe/cluster.key";

/// A host that runs `caribe`, or has run it, or will.
#[derive(Debug)]
pub struct Director {
    /// The host.
    pub host: Host,
    process: Option<Process>,
}

impl Director {
    /// A director that does not run yet.
    ///
    /// # Panics
    ///
    /// When its files cannot be written.
    #[must_use]
    pub fn new(host: Host, config: &str, key: &str) -> Self {
        host.write(CONFIG, 0o644, config);
        host.write(KEY, 0o600, key);
        Self {
            host,
            process: None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Starts the daemon.
    ///
    /// # Panics
    ///
    /// When it runs already, or cannot be started.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name());
        let caribe = program("caribe");
        self.process = Some(self.host.spawn(&[&caribe, "run", "--config", CONFIG]));
    }

    /// Starts the daemon, in this and every later run with the shortest `initdead` that there is:
    /// it finds that nobody else is there, and takes its groups.
    ///
    /// # Panics
    ///
    /// When it runs already, or cannot be started.
    pub fn start_alone(&mut self) {
        self.host.sh(&format!(
            "deadtime=$(sed -n 's/^deadtime = //p' {CONFIG}) && \
             sed -i \"s/^initdead = .*/initdead = $deadtime/\" {CONFIG}"
        ));
        self.start();
    }

    /// Kills the daemon with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Asks the daemon to stop, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it does not stop, or not with status 0.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            let status = process.wait(SOON);
            assert!(
                status.success(),
                "{} stopped with {status}\n{}",
                self.name(),
                process.log()
            );
        }
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// The daemon's process; `None` while it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// What the daemon has logged since it was started last.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Runs `caribe` on the host.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn caribe(&self, args: &[&str]) -> String {
        let caribe = program("caribe");
        let argv: Vec<&str> = std::iter::once(caribe.as_str())
            .chain(args.iter().copied())
            .collect();
        self.host.exec(&argv).expect_success()
    }

    /// What the daemon says of itself; `None` while it does not answer.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        self.timed_status().map(|(status, _)| status)
    }

    /// What the daemon says of itself, and how long the answer took.
    #[must_use]
    pub fn timed_status(&self) -> Option<(Value, Duration)> {
        ask_status(&self.socket())
    }

    /// The daemon's socket, as seen from outside its host.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.host.path("/run/caribe/caribe.sock")
    }

    /// The director's role in a group, as it says itself.
    #[must_use]
    pub fn role(&self, group: &str) -> Option<String> {
        self.of_group(group, "role")
    }

    /// The director that owns a group, as this one says, or nothing if it knows of none.
    #[must_use]
    pub fn owner(&self, group: &str) -> Option<String> {
        self.of_group(group, "owner")
    }

    fn of_group(&self, group: &str, key: &str) -> Option<String> {
        Some(self.group(group)?[key].as_str()?.to_owned())
    }

    fn group(&self, name: &str) -> Option<Value> {
        let mut status = self.status()?;
        let groups = status.get_mut("groups")?.as_array_mut()?;
        let group = groups.iter_mut().find(|group| group["name"] == name)?;
        Some(group.take())
    }

    /// Whether the director says that it is active in a group.
    #[must_use]
    pub fn is_active(&self, group: &str) -> bool {
        self.role(group).as_deref() == Some("active")
    }

    /// The health of a real server by its address, as the director sees it.
    #[must_use]
    pub fn health(&self, address: &str) -> Option<String> {
        let status = self.status()?;
        let services = status.get("services")?.as_array()?;
        let mut servers = services
            .iter()
            .filter_map(|s| s["servers"].as_array())
            .flatten();
        let server = servers.find(|s| s["address"] == address)?;
        Some(server["health"].as_str()?.to_owned())
    }

    /// The kernel's table on the host, as `ipvsadm -L -n` prints it.
    #[must_use]
    pub fn table(&self) -> String {
        self.host.exec(&["ipvsadm", "-L", "-n"]).stdout
    }

    /// Waits until the director is active in a group, and each of its VIPs is there, or known to be
    /// none that it could have.
    ///
    /// # Panics
    ///
    /// When that takes longer than `limit`.
    #[track_caller]
    pub fn wait_active(&self, group: &str, limit: Duration) {
        until(
            &format!("{} is active in {group}", self.name()),
            limit,
            || self.group(group).is_some_and(|group| is_served(&group)),
        );
    }
}

fn is_served(group: &Value) -> bool {
    let vips = group["vips"].as_array();
    let mut vips = vips.into_iter().flatten();
    group["role"] == "active" && vips.all(|vip| vip["present"] == true || !vip["problem"].is_null())
}

/// Asks a daemon for its status; returns the answer and how long it took, or nothing if there is
/// no answer.
#[must_use]
pub fn ask_status(socket: &Path) -> Option<(Value, Duration)> {
    let start = Instant::now();
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let request = "GET /v1/status HTTP/1.1\r\nHost: caribe\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let took = start.elapsed();
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((serde_json::from_str(body).ok()?, took))
}

/// The path of a program of this build, as text.
#[must_use]
pub fn program(name: &str) -> String {
    let path = programs().join(name);
    match path.to_str() {
        Some(text) if path.exists() => text.to_owned(),
        _ => unworkable(&format!("{} has not been built", path.display())),
    }
}
