//! leafnode, which answers one connection on its standard input.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use probes::kinds::dialogue::{Dialogue, Protocol};
use probes::spec::{Login, ProbeKind, Secret};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::process::Place;
use crate::{is_down, is_up};

/// It knows its files by their places alone, so these are put there, for it only.
const START: &str = "mount --bind \"$1\" /etc/news/leafnode/config \
                     && mount --bind \"$2\" /var/spool/news \
                     && exec /usr/sbin/leafnode";

/// Runs a leafnode that is called `name` for each connection, as inetd(8) does.
async fn inetd(place: &Place, port: u16, name: &str) -> (SocketAddr, JoinHandle<()>) {
    let settings =
        format!("server = news.example.test\nexpire = 20\nallowstrangers = 1\nhostname = {name}\n");
    let settings = place.write_privately(&format!("config-{port}"), &settings);
    let spool = place.path("spool").to_str().unwrap().to_owned();
    let listener = TcpListener::bind((place.address.ip(), port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = stream.into_std().unwrap();
            stream.set_nonblocking(false).unwrap();
            let output = stream.try_clone().unwrap();
            let mut leafnode = Command::new("/usr/bin/unshare");
            leafnode
                .args(["--mount", "sh", "-c", START, "sh", &settings, &spool])
                .stdin(Stdio::from(OwnedFd::from(stream)))
                .stdout(Stdio::from(OwnedFd::from(output)))
                .stderr(Stdio::null());
            let mut leafnode = leafnode.spawn().unwrap();
            std::thread::spawn(move || leafnode.wait());
        }
    });
    (address, task)
}

#[tokio::test]
async fn leafnode_speaks_nntp() {
    let place = Place::owned_by(1119, "news");
    for folder in ["", "/leaf.node", "/message.id", "/interesting.groups"] {
        place.make_folder(&format!("spool{folder}"));
    }
    let (address, server) = inetd(&place, 1119, "news.probe-test.net").await;
    let nntp = Dialogue {
        protocol: Protocol::Nntp,
        encryption: None,
        login: None,
        hello: String::new(),
    };
    let plain = || ProbeKind::Dialogue(nntp.clone());
    is_up(address, plain()).await;
    let somebody = ProbeKind::Dialogue(Dialogue {
        login: Some(Login {
            user: "me".to_owned(),
            password: Secret("right".to_owned()),
        }),
        ..nntp.clone()
    });
    let words = "expected 281 or 381, got 500 Unknown command";
    is_down(address, somebody, words).await;
    // It serves nobody as long as it does not know its own name.
    let (nameless, _server) = inetd(&place, 1120, "localhost").await;
    is_down(
        nameless,
        plain(),
        "expected 200 or 201, got 503 Leafnode must have",
    )
    .await;
    server.abort();
    let _ = server.await;
    is_down(address, plain(), "connection refused").await;
}
