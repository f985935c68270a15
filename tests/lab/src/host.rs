//! A host: its own network, mounts and name, and the commands that run on it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::system::sethostname;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::namespaces::Namespaces;
use crate::{Lab, guest, links, until};

/// Settings of every host: quick, quiet neighbours, and IPv6 addresses that serve at once.
const SYSCTLS: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/ip_local_port_range", "10000 64999"),
];

/// Folders of which each host has its own, empty one.
const OWN_FOLDERS: &[&str] = &[
    "/run/caribe",
    "/etc/caribe",
    "/var/lib/caribe",
    "/var/lib/nginx",
    "/var/log/nginx",
];

/// A host of the lab. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    spaces: Arc<Namespaces>,
    out: PathBuf,
    spawned: Arc<AtomicU32>,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Done {
    /// The command, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Done {
    /// Standard output of a command that succeeded.
    ///
    /// # Panics
    ///
    /// When it failed; shows what it said.
    #[track_caller]
    #[must_use]
    pub fn expect_success(self) -> String {
        assert!(
            self.status.success(),
            "`{}` failed: {}\n{}{}",
            self.command,
            self.status,
            self.stdout,
            self.stderr
        );
        self.stdout
    }
}

impl Lab {
    /// A new host without any link but its loopback.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        let own = name.to_owned();
        let spaces = Namespaces::new(move || prepare(&own))
            .unwrap_or_else(|e| unworkable(&format!("host {name}: {e}")));
        let host = Host {
            name: name.to_owned(),
            spaces: Arc::new(spaces),
            out: self.out().to_owned(),
            spawned: Arc::default(),
        };
        host.sysctls(SYSCTLS);
        host
    }
}

/// Makes new namespaces a host.
fn prepare(name: &str) -> Result<(), String> {
    for folder in OWN_FOLDERS {
        guest::make(Path::new(folder))?;
        guest::attach("tmpfs", folder, "tmpfs", "")?;
    }
    // It shows the network of whoever mounted it.
    guest::attach("sysfs", "/sys", "sysfs", "")?;
    sethostname(name.as_bytes()).map_err(|e| format!("cannot set its name: {e}"))?;
    links::bring_up("lo").map_err(|e| format!("cannot bring up its loopback: {e}"))
}

impl Host {
    /// Its name, which is also its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The thread whose namespaces the host is: its number for `/proc`, nsenter(1) and `netns` of
    /// ip-link(8).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.spaces.keeper()
    }

    /// Starts a program on the host.
    fn start(&self, command: &mut Command) -> std::io::Result<Child> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.spaces.enter()?;
                command.spawn()
            });
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started; a failure of its own is told by the result.
    #[track_caller]
    pub fn exec(&self, argv: &[&str]) -> Done {
        self.exec_with_input(argv, "")
    }

    /// Runs a command to its end with `input` on its standard input.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn exec_with_input(&self, argv: &[&str], input: &str) -> Done {
        let command = format!("{}# {}", self.name, argv.join(" "));
        let mut child = self
            .start(
                command_of(argv)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped()),
            )
            .unwrap_or_else(|e| unworkable(&format!("`{command}` cannot be started: {e}")));
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input is none the worse for it.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child
            .wait_with_output()
            .unwrap_or_else(|e| unworkable(&format!("`{command}` cannot be waited for: {e}")));
        Done {
            command,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a shell script that has to succeed, and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.exec(&["sh", "-ec", script]).expect_success()
    }

    /// Runs lines of `ip`, as `ip -batch` takes them.
    ///
    /// # Panics
    ///
    /// When one fails.
    #[track_caller]
    pub fn ip(&self, lines: &[String]) {
        let _ = self
            .exec_with_input(&["ip", "-batch", "-"], &lines.join("\n"))
            .expect_success();
    }

    /// Sets a sysctl by its path below `/proc/sys`.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    pub fn sysctl(&self, key: &str, value: &str) {
        self.sysctls(&[(key, value)]);
    }

    #[track_caller]
    fn sysctls(&self, settings: &[(&str, &str)]) {
        self.inside(|| {
            for (key, value) in settings {
                let written = fs::write(Path::new("/proc/sys").join(key), value);
                if let Err(error) = written {
                    let name = &self.name;
                    unworkable(&format!("{name}: cannot set {key} to {value}: {error}"));
                }
            }
        });
    }

    /// Starts a program that stays. Its output goes to `HOST.PROGRAM[.N].log` among the results.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn spawn(&self, argv: &[&str]) -> Process {
        let program = Path::new(argv.first().unwrap_or(&""))
            .file_name()
            .unwrap_or_default();
        let number = self.spawned.fetch_add(1, Ordering::Relaxed);
        let log = self
            .out
            .join(format!("{}.{number}.{}.log", self.name, program.display()));
        let file = File::create(&log)
            .unwrap_or_else(|e| unworkable(&format!("cannot write {}: {e}", log.display())));
        let both = file
            .try_clone()
            .unwrap_or_else(|e| unworkable(&format!("cannot write {}: {e}", log.display())));
        let child = self
            .start(
                command_of(argv)
                    .stdin(Stdio::null())
                    .stdout(file)
                    .stderr(both),
            )
            .unwrap_or_else(|e| unworkable(&format!("{}: cannot start {argv:?}: {e}", self.name)));
        Process {
            what: format!("{}# {}", self.name, argv.join(" ")),
            child,
            log,
        }
    }

    /// Writes a file on the host, in a folder that is its own (`/etc/caribe`, `/run/caribe`).
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[track_caller]
    pub fn write(&self, path: &str, mode: u32, content: &str) {
        let there = self.path(path);
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&there)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .and_then(|()| fs::set_permissions(&there, Permissions::from_mode(mode)));
        if let Err(error) = written {
            unworkable(&format!("{}: cannot write {path}: {error}", self.name));
        }
    }

    /// Where a file of the host, one by its absolute path, is seen by this process.
    #[must_use]
    pub fn path(&self, absolute: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{absolute}", self.pid()))
    }

    /// Calls `action` on a thread that is in the host's network.
    ///
    /// # Panics
    ///
    /// When the network cannot be entered, or `action` panics.
    #[track_caller]
    pub fn inside<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let network = self.network();
        let done = std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                enter_network(&network);
                action()
            });
            thread.join()
        });
        match done {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Starts a thread that is in the host's network.
    ///
    /// # Panics
    ///
    /// When the network cannot be entered.
    #[track_caller]
    pub fn thread<T: Send + 'static>(
        &self,
        action: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let network = self.network();
        std::thread::spawn(move || {
            enter_network(&network);
            action()
        })
    }

    #[track_caller]
    fn network(&self) -> File {
        let path = format!("/proc/{}/ns/net", self.pid());
        File::open(&path)
            .unwrap_or_else(|e| unworkable(&format!("{}: cannot open {path}: {e}", self.name)))
    }
}

/// A program that runs on a host.
#[derive(Debug)]
pub struct Process {
    what: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // One that has ended already needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Whether it has ended, and how.
    #[must_use]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it goes on for longer than `limit`.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("`{}` ended", self.what);
        let child = &mut self.child;
        let mut status = ExitStatus::from_raw(0);
        until(&what, limit, || match child.try_wait() {
            Ok(Some(ended)) => {
                status = ended;
                true
            }
            Ok(None) | Err(_) => false,
        });
        status
    }

    /// What it has said up to this moment.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn command_of(argv: &[&str]) -> Command {
    let (name, args) = argv.split_first().unwrap_or((&"", &[]));
    let mut command = guest::command(name);
    command.args(args);
    command
}

/// Moves this thread to another network; programs and other threads stay where they are.
fn enter_network(network: &File) {
    if let Err(error) = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
    {
        unworkable(&format!("cannot enter a host's network: {error}"));
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a lab that cannot be built fails its test")]
pub(crate) fn unworkable(text: &str) -> ! {
    panic!("{text}")
}
