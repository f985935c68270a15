//! A server that a test has started, and its place.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, geteuid, getpid, kill_process_group, set_child_subreaper, waitpgid,
};
use tempfile::TempDir;

/// A running server, which ends with this value.
pub(crate) struct Process {
    child: Child,
    /// All its processes, while there are any.
    group: Option<Pid>,
    address: SocketAddr,
    /// Goes with the server.
    _folder: TempDir,
}

/// Where a server of a test may be and write.
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    folder: TempDir,
    owner: Option<(u32, u32)>,
}

impl Place {
    /// A folder, and a port on an address that is this process's own: all of 127.0.0.0/8 is
    /// loopback, and nobody else is at 127.64.0.0/10.
    pub(crate) fn new(port: u16) -> Self {
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, 64 | (high & 63), middle, low.max(1));
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            address: SocketAddr::new(IpAddr::V4(ip), port),
            folder,
            owner: None,
        }
    }

    /// The same, with a folder that belongs to a user of this host where the test is root: for
    /// servers that refuse to be.
    pub(crate) fn owned_by(port: u16, user: &str) -> Self {
        let mut place = Self::new(port);
        if geteuid().is_root() {
            let (uid, gid) = user_of(user);
            chown(place.folder.path(), Some(uid), Some(gid)).unwrap();
            place.owner = Some((uid, gid));
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The same, for its owner's eyes only.
    pub(crate) fn write_privately(&self, name: &str, text: &str) -> String {
        let path = self.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self.give_to_owner(&path);
        path
    }

    /// Makes a folder in the folder, which is its owner's.
    pub(crate) fn make_folder(&self, name: &str) -> String {
        let path = self.path(name).to_str().unwrap().to_owned();
        fs::create_dir(&path).unwrap();
        self.give_to_owner(&path);
        path
    }

    fn give_to_owner(&self, path: &str) {
        if let Some((uid, gid)) = self.owner {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    /// A command of a package, in the folder, as its owner.
    pub(crate) fn command(&self, program: &str) -> Command {
        assert!(
            Path::new(program).exists(),
            "no {program} here; run `cargo lab install`"
        );
        // It shall not outlive a test that is killed.
        let mut command = Command::new("/usr/bin/setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", program])
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs a command that must succeed.
    pub(crate) fn run(&self, command: &mut Command) {
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts a server that says nothing, and waits until it takes connections.
    pub(crate) fn start_listening(self, command: &mut Command) -> Process {
        let log = self.path("output");
        let output = fs::File::create(&log).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        set_child_subreaper(Some(getpid())).unwrap();
        let child = command.process_group(0).spawn().unwrap();
        let mut process = Process {
            group: Some(Pid::from_child(&child)),
            child,
            address: self.address,
            _folder: self.folder,
        };
        while TcpStream::connect(process.address).is_err() {
            if process.child.try_wait().unwrap().is_some() {
                let said = fs::read_to_string(&log).unwrap_or_default();
                panic!("{command:?} has ended:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        process
    }

    /// Starts a server, and waits until it writes on its output that it is ready, in these words.
    pub(crate) fn start(self, command: &mut Command, ready: &str) -> Process {
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        // What a server has started comes to this process when the server is gone.
        set_child_subreaper(Some(getpid())).unwrap();
        let child = command.process_group(0).spawn().unwrap();
        // The command keeps the writing end, and would keep the pipe from ever ending.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process {
            group: Some(Pid::from_child(&child)),
            child,
            address: self.address,
            _folder: self.folder,
        };
        let mut lines = BufReader::new(reader);
        let mut said = String::new();
        loop {
            let begin = said.len();
            let read = lines.read_line(&mut said).unwrap_or(0);
            assert!(read > 0, "{command:?} has ended:\n{said}");
            if said[begin..].contains(ready) {
                break;
            }
        }
        // What it says later must go somewhere.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        process
    }
}

impl Process {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server from running, with all that it has started, until it may
    /// [go on](Self::go_on).
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
        // A signal is sent before each thread has obeyed it, and one that is at work may answer.
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.is_stopped() {
            assert!(Instant::now() < deadline, "the server did not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether each thread of each of its processes is stopped by a signal, or has ended.
    fn is_stopped(&self) -> bool {
        let group = self.group.unwrap().as_raw_pid().to_string();
        let processes = fs::read_dir("/proc").unwrap();
        processes
            .filter_map(|process| fs::read_dir(process.ok()?.path().join("task")).ok())
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok())
            .filter_map(|stat| {
                // proc(5): number, (name), state, parent, group. A name may have spaces.
                let (_, after_name) = stat.rsplit_once(") ")?;
                let mut fields = after_name.split(' ');
                let state = fields.next()?.to_owned();
                (fields.nth(1)? == group).then_some(state)
            })
            .all(|state| matches!(state.as_str(), "T" | "Z" | "X"))
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process_group(self.group.unwrap(), signal).unwrap();
    }

    /// Ends the server at once, with all that it has started; then nobody has its sockets.
    pub(crate) fn stop(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        kill_process_group(group, Signal::KILL).unwrap();
        self.child.wait().unwrap();
        // Its children are this process's by now.
        while waitpgid(group, WaitOptions::empty()).is_ok() {}
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// User and group numbers, from passwd(5).
fn user_of(name: &str) -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == name)
        .unwrap_or_else(|| panic!("no user {name} here; run `cargo lab install`"));
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
