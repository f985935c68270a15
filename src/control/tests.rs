use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};

use super::server::Limits;
use super::*;
use crate::cluster::Refusal;
use crate::director::snapshot::{Counters, GroupStatus, ProbesStatus, Role, Timing};
use crate::director::{Done, History, Operator, Order, Refused, Request, Sight, Snapshot};

mod events;

fn snapshot() -> Snapshot {
    Snapshot {
        node: "ha1".to_owned(),
        cluster: "web".to_owned(),
        version: "0.1.0".to_owned(),
        config: "00".to_owned(),
        uptime: Duration::from_secs(5),
        timing: Timing::default(),
        directors: Vec::new(),
        groups: vec![GroupStatus {
            name: "web".to_owned(),
            role: Role::Standby,
            owner: None,
            epoch: 0,
            fit: true,
            fitness: 1000,
            amiss: Vec::new(),
            standby: false,
            handing_to: None,
            ready: false,
            since: Duration::ZERO,
            reason: String::new(),
            vips: Vec::new(),
        }],
        services: Vec::new(),
        probes: ProbesStatus::default(),
        sync: None,
        takeovers: Vec::new(),
        counters: Counters::default(),
    }
}

/// A server on a thread of its own, in a folder of its own.
struct Daemon {
    folder: TempDir,
    snapshots: Option<watch::Sender<Arc<Snapshot>>>,
    history: watch::Sender<Arc<History>>,
    stop: Option<oneshot::Sender<()>>,
    orders: Option<mpsc::Receiver<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start() -> Self {
        Self::start_with(Limits::default())
    }

    fn start_with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::bind_with(&folder.path().join("caribe.sock"), limits).unwrap();
        server.listen().unwrap();
        let history = watch::Sender::new(Arc::new(History::new(Duration::from_secs(7))));
        let server = server.with_history(history.subscribe());
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot()));
        let (stop, stopped) = oneshot::channel();
        let (operator, orders) = Operator::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let shutdown = async move {
                let _ = stopped.await;
            };
            runtime
                .block_on(server.serve(Sight::of(receiver), operator, shutdown))
                .unwrap();
        });
        Self {
            folder,
            snapshots: Some(snapshots),
            history,
            stop: Some(stop),
            orders: Some(orders),
            thread: Some(thread),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("caribe.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).unwrap()
    }

    /// What comes back for the bytes of `request`, until the server closes.
    fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream)
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read_answer(stream: &mut UnixStream) -> (u16, String) {
    let mut answer = Vec::new();
    // The server may close while a client still writes; what it said before counts.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .unwrap_or(0);
    (status, answer)
}

fn bind_in(folder: &TempDir) -> Result<Server, Error> {
    Server::bind(&folder.path().join("caribe.sock"))
}

#[test]
fn a_client_gets_the_latest_snapshot() {
    let daemon = Daemon::start();
    assert_eq!(daemon.client().status().unwrap(), snapshot());

    let next = Snapshot {
        uptime: Duration::from_secs(6),
        ..snapshot()
    };
    daemon
        .snapshots
        .as_ref()
        .unwrap()
        .send(Arc::new(next.clone()))
        .unwrap();
    assert_eq!(daemon.client().status().unwrap(), next);
}

#[test]
fn what_does_not_exist_is_told_with_what_does() {
    let daemon = Daemon::start();
    let Err(Error::Refused {
        status: 404,
        message,
        ..
    }) = daemon.client().get("/v1/statuss")
    else {
        panic!("a wrong path was answered");
    };
    assert_eq!(message, "there is no \"/v1/statuss\"");
    let (_, answer) = daemon.raw("GET / HTTP/1.0\r\n\r\n");
    assert!(
        answer.contains(r#"["/v1/status","/v1/events","/healthz","/readyz"]"#),
        "{answer}"
    );
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let daemon = Daemon::start();
    let (status, answer) = daemon.raw("DELETE /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status, 405);
    assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
}

#[test]
fn head_is_answered_without_a_body() {
    let daemon = Daemon::start();
    let (status, answer) = daemon.raw("HEAD /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status, 200);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_body_is_refused_without_reading_it() {
    let daemon = Daemon::start();
    let (status, _) =
        daemon.raw("GET /v1/status HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n");
    assert_eq!(status, 413);
}

#[test]
fn oversized_headers_are_refused() {
    let daemon = Daemon::start();
    let long = "x".repeat(20_000);
    let (status, _) = daemon.raw(&format!("GET / HTTP/1.1\r\nhost: x\r\na: {long}\r\n\r\n"));
    assert_eq!(status, 431);
    let many = "a: b\r\n".repeat(65);
    let (status, _) = daemon.raw(&format!("GET / HTTP/1.1\r\n{many}\r\n"));
    assert_eq!(status, 431);
    assert!(daemon.client().status().is_ok());
}

#[test]
fn nonsense_is_refused() {
    let daemon = Daemon::start();
    let (status, _) = daemon.raw("\0\0\0\0 nonsense\r\n\r\n");
    assert_eq!(status, 400);
}

#[test]
fn a_client_that_closes_its_sending_side_is_answered() {
    let daemon = Daemon::start();
    let mut stream = daemon.connect();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_answer(&mut stream).0, 200);
}

#[test]
fn a_client_that_says_nothing_holds_up_nobody() {
    let daemon = Daemon::start();
    let _silent = daemon.connect();
    let mut half = daemon.connect();
    half.write_all(b"GET /v1/sta").unwrap();
    assert_eq!(daemon.client().status().unwrap(), snapshot());
}

#[test]
fn slow_clients_are_cut_off_and_make_room() {
    let limits = Limits {
        connections: 1,
        headers_within: Duration::from_millis(20),
        ..Limits::default()
    };
    let daemon = Daemon::start_with(limits);
    let mut slow = daemon.connect();
    slow.write_all(b"GET /v1/sta").unwrap();
    assert_eq!(daemon.client().status().unwrap(), snapshot());
    // Closed by the server: reading ends.
    read_answer(&mut slow);
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let limits = Limits {
        connections: 1,
        answer_within: Duration::from_millis(50),
        ..Limits::default()
    };
    let daemon = Daemon::start_with(limits);
    // More than the buffers of a socket take.
    let huge = Snapshot {
        config: "0".repeat(8_000_000),
        ..snapshot()
    };
    daemon
        .snapshots
        .as_ref()
        .unwrap()
        .send(Arc::new(huge))
        .unwrap();
    let mut deaf = daemon.connect();
    deaf.write_all(b"GET /v1/status HTTP/1.0\r\n\r\n").unwrap();
    assert!(daemon.client().get(HEALTH).is_ok());
}

#[test]
fn ready_means_that_every_group_has_an_owner_and_could_be_taken() {
    let daemon = Daemon::start();
    let publish = |owner: Option<&str>, ready| {
        let mut next = snapshot();
        next.groups[0].owner = owner.map(str::to_owned);
        next.groups[0].ready = ready;
        daemon
            .snapshots
            .as_ref()
            .unwrap()
            .send(Arc::new(next))
            .unwrap();
    };
    let refusal = || match daemon.client().get(READINESS) {
        Err(Error::Refused {
            status: 503,
            message,
            ..
        }) => message,
        other => panic!("{other:?}"),
    };
    publish(None, true);
    assert_eq!(refusal(), "not ready: group web has no owner");
    publish(Some("ha2"), false);
    assert_eq!(
        refusal(),
        "not ready: group web is not ready on this director"
    );
    publish(Some("ha2"), true);
    let answer: Value = serde_json::from_slice(&daemon.client().get(READINESS).unwrap()).unwrap();
    assert_eq!(answer["ready"], true);
}

#[test]
fn the_last_words_of_a_director_that_has_ended_do_not_pass_for_the_present() {
    let mut daemon = Daemon::start();
    assert!(daemon.client().get(HEALTH).is_ok());
    drop(daemon.snapshots.take());
    for path in [STATUS, HEALTH, READINESS] {
        let answer = daemon.client().get(path);
        assert!(
            matches!(answer, Err(Error::Refused { status: 503, .. })),
            "{path}: {answer:?}"
        );
    }
}

#[test]
fn every_method_and_path_has_an_answer() {
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::OPTIONS,
        Method::CONNECT,
    ];
    let snapshot = snapshot();
    for method in &methods {
        for path in [STATUS, HEALTH, READINESS, "/", "*", "", "/v1/status/"] {
            for has_body in [false, true] {
                for snapshot in [None, Some(&snapshot)] {
                    let reply = router::answer(method, path, has_body, snapshot);
                    let body: Value = serde_json::from_slice(&reply.body).unwrap();
                    let told = reply.status == StatusCode::OK || body["error"].is_string();
                    assert!(told, "{method} {path} {}: {body}", reply.status);
                }
            }
        }
    }
}

#[test]
fn the_socket_has_mode_0660_and_its_folder_0755() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("caribe/caribe.sock");
    let _server = Server::bind(&socket).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&socket), 0o660);
    assert_eq!(mode(socket.parent().unwrap()), 0o755);
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("caribe.sock");
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let answer = Client::new(&socket).status();
    assert!(matches!(answer, Err(Error::Gone { .. })), "{answer:?}");
    drop(bind_in(&folder).unwrap());
    assert!(!socket.exists());
}

#[test]
fn a_second_server_is_refused_and_names_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let first = bind_in(&folder).unwrap();
    let Err(Error::AlreadyRunning { process, .. }) = bind_in(&folder) else {
        panic!("two servers on one socket");
    };
    assert_eq!(process, Some(std::process::id()));
    drop(first);
    assert!(bind_in(&folder).is_ok());
}

#[test]
fn a_socket_that_somebody_else_answers_on_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("caribe.sock");
    let _other = UnixListener::bind(&socket).unwrap();
    assert!(matches!(
        bind_in(&folder),
        Err(Error::AlreadyRunning { process: None, .. })
    ));
    assert!(UnixStream::connect(&socket).is_ok());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("caribe.sock");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(bind_in(&folder), Err(Error::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_clean_shutdown_removes_the_socket_but_not_a_successor_of_it() {
    let mut daemon = Daemon::start();
    daemon.stop();
    assert!(!daemon.socket().exists());

    let mut daemon = Daemon::start();
    // Held, so that its inode is not used again.
    let kept = daemon.folder.path().join("kept");
    std::fs::rename(daemon.socket(), kept).unwrap();
    let _successor = UnixListener::bind(daemon.socket()).unwrap();
    daemon.stop();
    assert!(daemon.socket().exists());
}

#[test]
fn a_client_without_a_daemon_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let err = Client::new(folder.path().join("none.sock"))
        .status()
        .unwrap_err();
    assert!(matches!(err, Error::NotRunning { .. }), "{err:?}");
    let text = err.to_string();
    assert!(
        text.starts_with("caribe is not running here (no socket at "),
        "{text}"
    );
    assert!(text.ends_with("or name another with --socket"), "{text}");
}

#[test]
fn a_daemon_that_does_not_answer_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("caribe.sock");
    let _stuck = UnixListener::bind(&socket).unwrap();
    let answer = Client::new(&socket)
        .with_timeout(Duration::from_millis(20))
        .status();
    assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}");
}

#[test]
fn an_answer_that_is_not_caribes_is_refused() {
    for text in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let answer = answer_from(text);
        assert!(
            matches!(answer, Err(Error::BadAnswer { .. })),
            "{text:?}: {answer:?}"
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_told_from_a_wrong_one() {
    for text in [
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}",
    ] {
        let answer = answer_from(text);
        assert!(
            matches!(answer, Err(Error::BrokenOff { .. })),
            "{text:?}: {answer:?}"
        );
    }
}

/// What a client makes of a server that says `text` and closes.
fn answer_from(text: &'static str) -> Result<Snapshot, Error> {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("caribe.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(text.as_bytes());
    });
    let answer = Client::new(&socket).status();
    other.join().unwrap();
    answer
}

#[test]
fn an_order_is_obeyed_and_answered() {
    let mut daemon = Daemon::start();
    let mut orders = daemon.orders.take().unwrap();
    let director = thread::spawn(move || {
        let given = [("web".to_owned(), "ha2".to_owned())].into();
        let done = Done {
            given,
            kept: [].into(),
        };
        let outcomes = [
            Ok(done),
            Err(Refused::Machine(Refusal::Leaving)),
            Err(Refused::Machine(Refusal::NoGroup)),
        ];
        for outcome in outcomes {
            let order = orders.blocking_recv().unwrap();
            let (group, to) = ("web".to_owned(), Some("ha2".to_owned()));
            assert_eq!(order.request, Request::Handover { group, to });
            order.answer.send(outcome).unwrap();
        }
        // Whoever waits for a director that is gone is told.
        drop(orders.blocking_recv());
    });
    let client = Client::new(daemon.folder.path().join("caribe.sock"));
    let order = || client.order(&handover_of("web"), &serde_json::json!({ "to": "ha2" }));
    let (text, done) = order().unwrap();
    assert_eq!(text, "{\"given\":{\"web\":\"ha2\"},\"kept\":{}}\n");
    assert_eq!(done.given["web"], "ha2");
    let statuses = [(409, true), (404, false), (503, false)];
    for (expected, again) in statuses {
        let Err(Error::Refused {
            status, may_pass, ..
        }) = order()
        else {
            panic!("refused");
        };
        assert_eq!((status, may_pass), (expected, again));
    }
    director.join().unwrap();
}
