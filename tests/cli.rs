//! The program `caribe` as a person or a script meets it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use caribe::control::Server;
use caribe::director::snapshot::{Counters, DirectorStatus, Liveness, ProbesStatus, Timing};
use caribe::director::{Operator, Sight, Snapshot};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

fn caribe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caribe"));
    command
        .args(arguments)
        .env_remove("CARIBE_LOG")
        .stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    ended(caribe(arguments).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A daemon that serves one snapshot.
struct Daemon {
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::bind(&folder.path().join("caribe.sock")).unwrap();
        server.listen().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let (_publisher, snapshots) = watch::channel(Arc::new(snapshot()));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let shutdown = async {
                let _ = stopped.await;
            };
            let (operator, _orders) = Operator::channel();
            runtime
                .block_on(server.serve(Sight::of(snapshots), operator, shutdown))
                .unwrap();
        });
        Self {
            folder,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn socket(&self) -> String {
        text(&self.folder.path().join("caribe.sock"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        node: "ha1".to_owned(),
        cluster: "web".to_owned(),
        version: "0.1.0".to_owned(),
        config: "00".to_owned(),
        uptime: Duration::from_secs(5),
        timing: Timing::default(),
        directors: vec![DirectorStatus {
            name: "ha2".to_owned(),
            priority: 100,
            local: false,
            liveness: Liveness::Unknown,
            hears_us: None,
            same_config: None,
            differing: Vec::new(),
            round_trip: None,
            rhythm: None,
            paths: Vec::new(),
        }],
        groups: Vec::new(),
        services: Vec::new(),
        probes: ProbesStatus::default(),
        sync: None,
        takeovers: Vec::new(),
        counters: Counters::default(),
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn file_in(folder: &TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let text = text(&path);
    (path, text)
}

#[test]
fn help_goes_to_standard_output_and_names_every_command() {
    let (code, stdout, stderr) = run(&["--help"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for command in ["run", "check", "status", "events", "tune", "key"] {
        assert!(
            stdout.contains(&format!("\n  {command}")),
            "{command}: {stdout}"
        );
    }
}

#[test]
fn every_command_has_help() {
    let commands: [&[&str]; 7] = [
        &["run"],
        &["check"],
        &["status"],
        &["events"],
        &["tune"],
        &["key"],
        &["key", "generate"],
    ];
    for command in commands {
        let (code, stdout, stderr) = run(&[command, &["--help"]].concat());
        assert_eq!((code, stderr.as_str()), (0, ""), "{command:?}");
        assert!(stdout.contains("Usage: caribe"), "{stdout}");
    }
}

#[test]
fn the_version_is_told() {
    assert_eq!(
        run(&["--version"]),
        (
            0,
            format!("caribe {}\n", env!("CARGO_PKG_VERSION")),
            "".into()
        )
    );
}

#[test]
fn a_wrong_command_line_is_refused_with_2_and_nothing_on_standard_output() {
    let wrong: [&[&str]; 10] = [
        &[],
        &["key"],
        &["start"],
        &["status", "--jsn"],
        &["status", "--json", "--problems"],
        &["status", "--interval", "0"],
        &["events", "--since", "yesterday"],
        &["tune", "--false-alarms", "1/decade"],
        &["run", "--log-level", "caribe=loud"],
        &["run", "--log-format", "xml"],
    ];
    for arguments in wrong {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
    assert!(run(&["status", "--jsn"]).2.contains("'--json'"));
    let (code, _, stderr) = ended(
        caribe(&["run"])
            .env("CARIBE_LOG", "caribe=loud")
            .output()
            .unwrap(),
    );
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn without_a_daemon_status_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (_, socket) = file_in(&folder, "none.sock");
    let (code, stdout, stderr) = run(&["status", "--socket", &socket]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(
        stderr.starts_with("caribe: caribe is not running here (no socket at "),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn status_shows_what_the_daemon_says() {
    let daemon = Daemon::start();
    let (code, stdout, stderr) = run(&["status", "--socket", &daemon.socket()]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.contains("\n1 problem:\n ! director ha2 has not been heard"),
        "{stdout}"
    );
    assert!(
        !stdout.contains('\x1b'),
        "colours without a terminal: {stdout}"
    );

    let (code, stdout, stderr) = run(&["status", "--json", "--socket", &daemon.socket()]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout.lines().count(), 1);
    assert_eq!(
        serde_json::from_str::<Snapshot>(&stdout).unwrap(),
        snapshot()
    );
}

#[test]
fn tune_refuses_to_advise_from_nothing() {
    let daemon = Daemon::start();
    let (code, stdout, stderr) = run(&["tune", "--socket", &daemon.socket()]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let expected = "caribe: too little has been heard: ha2 has not been heard yet\n";
    assert_eq!(stderr, expected);
}

#[test]
fn status_finds_the_socket_in_the_configuration() {
    let daemon = Daemon::start();
    let (path, file) = file_in(&daemon.folder, "caribe.toml");
    fs::write(
        &path,
        format!("[control]\nsocket = {:?}\n", daemon.socket()),
    )
    .unwrap();
    let (code, _, stderr) = run(&["status", "--config", &file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn status_repeats_until_its_reader_has_seen_enough() {
    let daemon = Daemon::start();
    let arguments = [
        "status",
        "--json",
        "--interval",
        "0.1",
        "--socket",
        &daemon.socket(),
    ];
    let mut child = caribe(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    while seen.iter().filter(|byte| **byte == b'\n').count() < 2 {
        let mut some = [0; 4096];
        let count = stdout.read(&mut some).unwrap();
        assert!(count > 0, "it ended by itself");
        seen.extend_from_slice(&some[..count]);
    }
    drop(stdout);
    let (code, _, stderr) = ended(child.wait_with_output().unwrap());
    assert_eq!(
        (code, stderr.as_str()),
        (0, ""),
        "a closed pipe is no failure"
    );
}

#[test]
fn a_full_disk_is_told() {
    let daemon = Daemon::start();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = caribe(&["status", "--socket", &daemon.socket()])
        .stdout(full)
        .output()
        .unwrap();
    let (code, _, stderr) = ended(output);
    assert_eq!(code, 1);
    assert!(
        stderr.starts_with("caribe: cannot write to standard output: "),
        "{stderr}"
    );
}

#[test]
fn a_key_is_written_once_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = file_in(&folder, "cluster.key");
    let (code, stdout, stderr) = run(&["key", "generate", &file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains(&file), "{stdout}");
    assert_eq!(
        path.metadata().unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let key = fs::read_to_string(&path).unwrap();
    assert!(!stdout.contains(key.trim()), "the key itself is shown");

    let (code, stdout, stderr) = run(&["key", "generate", &file]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("exists"), "{stderr}");
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
}

#[test]
fn a_key_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_, file) = file_in(&folder, "none/cluster.key");
    let (code, stdout, stderr) = run(&["key", "generate", &file]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("no such file or directory"), "{stderr}");
}

#[test]
fn what_the_system_refuses_is_told_in_words_and_not_by_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let (_, none) = file_in(&folder, "none/file");
    let (_, key) = file_in(&folder, "file/key");
    fs::write(folder.path().join("file"), "").unwrap();
    let here = folder.path().to_str().unwrap();
    for arguments in [
        &["check", "--no-host", &none][..],
        &["check", "--no-host", here],
        &["key", "generate", &none],
        &["key", "generate", &key],
        &["replay", &none],
        &["replay", here],
        &["run", "--config", &none],
        &["status", "--config", &none],
        &["status", "--socket", &none],
        &["status", "--socket", &key],
    ] {
        let (code, _, stderr) = run(arguments);
        assert_ne!(code, 0, "{arguments:?}");
        assert!(stderr.contains(here), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("os error"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_recording_of_another_version_is_replayed_and_told_to_be_one() {
    const START: &str = r#"{"start":{"version":"0.0.9","settings":{"cluster":"lab","node":"ha1","priority":100,"paths":1,"timing":{"keepalive":{"secs":1,"nanos":0},"deadtime":{"secs":3,"nanos":0},"warntime":{"secs":2,"nanos":0},"initdead":{"secs":9,"nanos":0},"port":539},"peers":{},"groups":{},"digest":{"whole":[0,0,0,0,0,0,0,0],"sections":[[0,0],[0,0],[0,0],[0,0],[0,0],[0,0],[0,0],[0,0],[0,0]]}},"session":1,"at":{"secs":1,"nanos":0}}}"#;
    const STEP: &str =
        r#"{"step":{"at":{"secs":0,"nanos":0},"input":{"CutOff":false},"outputs":[]}}"#;
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = file_in(&folder, "run.jsonl");
    fs::write(&path, format!("{START}\n{STEP}\n")).unwrap();
    let (_, stdout, stderr) = run(&["replay", &file]);
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("{file}:1: recorded by caribe 0.0.9, replayed by {version}\n");
    assert!(stderr.ends_with(&expected), "{stderr}");
    assert!(stdout.contains(": 1 run, 1 input"), "{stdout}");

    let own = START.replace("0.0.9", version);
    fs::write(&path, format!("{own}\n{STEP}\n")).unwrap();
    assert_eq!(run(&["replay", &file]).2, "");
}

#[test]
fn a_valid_configuration_is_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = file_in(&folder, "caribe.toml");
    fs::write(&path, CONFIGURATION).unwrap();
    let (code, stdout, stderr) = run(&["check", "--no-host", &file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let expected = "is valid: cluster web of 2 directors, 1 group, 1 virtual service\n";
    assert_eq!(stdout, format!("{file} {expected}"));

    let (code, stdout, stderr) = run(&["check", "--no-host", "--json", &file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&found["valid"], &found["errors"]),
        (&true.into(), &serde_json::json!([]))
    );
}

#[test]
fn an_invalid_configuration_is_refused_with_places() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = file_in(&folder, "caribe.toml");
    fs::write(&path, CONFIGURATION.replace("scheduler", "sheduler")).unwrap();
    let (code, stdout, stderr) = run(&["check", "--no-host", &file]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(
        stderr.contains("sheduler") && stderr.contains(&file),
        "{stderr}"
    );

    let (code, stdout, stderr) = run(&["check", "--no-host", "--json", &file]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(found["valid"], false);
    assert_eq!(found["errors"][0]["line"], 25, "{stdout}");
}

#[test]
fn a_configuration_is_checked_against_this_host() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = file_in(&folder, "caribe.toml");
    let (_, key) = file_in(&folder, "cluster.key");
    assert_eq!(run(&["key", "generate", &key]).0, 0);
    let text = CONFIGURATION.replace("/etc/caribe/cluster.key", &key);
    fs::write(&path, &text).unwrap();
    let (code, _, stderr) = run(&["check", "--node", "nobody", &file]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("nobody"), "{stderr}");
    // As that director it lacks what ha1 has.
    let lacks = |stderr: &str| {
        stderr.contains("warning: group web: this host has no interface none0\n")
            && stderr.contains("no interface of this host has the address 192.0.2.11")
    };
    let (code, stdout, stderr) = run(&["check", "--node", "ha1", &file]);
    assert!(code == 0 && lacks(&stderr), "{stderr}");
    assert!(stdout.ends_with("; this host is ha1\n"), "{stdout}");

    let name = rustix::system::uname()
        .nodename()
        .to_str()
        .unwrap()
        .to_owned();
    fs::write(&path, text.replace("\"ha1\"", &format!("{name:?}"))).unwrap();
    let (code, _, stderr) = run(&["check", &file]);
    assert!(code == 0 && lacks(&stderr), "{stderr}");

    let broadcast = |text: &str, own: &str| text.replace(own, "broadcast = \"203.0.113.255\"");
    let text = broadcast(
        &broadcast(&text, "udp = \"192.0.2.11\""),
        "udp = \"192.0.2.12\"",
    );
    fs::write(&path, text).unwrap();
    let (code, _, stderr) = run(&["check", "--node", "ha1", &file]);
    let told = "no interface of this host has the network of 203.0.113.255 of its path";
    assert!(code == 0 && stderr.contains(told), "{stderr}");
}

#[test]
fn a_tie_of_directors_and_a_serial_line_that_is_none_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = file_in(&folder, "caribe.toml");
    let tie = "warning: directors ha1, ha2 have the same priority 100: ha1 is preferred among them, \
               as its name sorts first\n";
    for (text, told) in [
        (CONFIGURATION.to_owned(), false),
        (CONFIGURATION.replace("150", "100"), true),
        (
            CONFIGURATION.replace("150", "100").replace(
                "name = \"web\"\nvips",
                "name = \"web\"\nprefer = \"ha2\"\nvips",
            ),
            false,
        ),
    ] {
        fs::write(&path, text).unwrap();
        let (code, _, stderr) = run(&["check", "--no-host", &file]);
        assert_eq!((code, stderr.contains(tie)), (0, told), "{stderr}");
    }

    let name = rustix::system::uname()
        .nodename()
        .to_str()
        .unwrap()
        .to_owned();
    let (_, key) = file_in(&folder, "cluster.key");
    assert_eq!(run(&["key", "generate", &key]).0, 0);
    let (_, device) = file_in(&folder, "ttyS9");
    let text = CONFIGURATION
        .replace("/etc/caribe/cluster.key", &key)
        .replace("\"ha1\"", &format!("{name:?}"))
        .replace("udp = \"192.0.2.11\"", &format!("serial = {device:?}"))
        .replace("udp = \"192.0.2.12\"", &format!("serial = {device:?}"));
    fs::write(&path, &text).unwrap();
    let (code, _, stderr) = run(&["check", &file]);
    let told =
        format!("cannot open the serial line {device} of its path: no such file or directory");
    assert!(code == 0 && stderr.contains(&told), "{stderr}");
    fs::write(&device, "").unwrap();
    let (code, _, stderr) = run(&["check", &file]);
    let told = format!("{device} of its path is no serial line");
    assert!(code == 0 && stderr.contains(&told), "{stderr}");
}

#[test]
fn a_missing_configuration_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_, file) = file_in(&folder, "none.toml");
    let (code, stdout, stderr) = run(&["check", &file]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(
        stderr.contains(&file) && stderr.contains("no such file"),
        "{stderr}"
    );
}

const CONFIGURATION: &str = r#"
[cluster]
name = "web"
keys = ["/etc/caribe/cluster.key"]

[[director]]
name = "ha1"
priority = 150
paths = [{ udp = "192.0.2.11" }]

[[director]]
name = "ha2"
priority = 100
paths = [{ udp = "192.0.2.12" }]

[[group]]
name = "web"
vips = [{ address = "192.0.2.80/24", interface = "none0" }]

[[virtual]]
name = "www"
group = "web"
address = "192.0.2.80"
port = 80
scheduler = "wlc"

[[virtual.server]]
address = "10.0.1.21"
"#;
