use probes::Tls;
use probes::kinds::redis::{Login, Redis};
use probes::spec::{ProbeKind, Secret};

use crate::certificate::{Certificate, NOT_TRUSTED};
use crate::process::{Place, Process};
use crate::trouble::is_told_right_in_trouble;
use crate::{is_down, is_up};

fn server(port: u16, options: &[&str]) -> Process {
    let place = Place::new(port);
    let mut command = place.command("/usr/bin/redis-server");
    let address = place.address;
    command
        .args(["--bind", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no"])
        .args(options);
    place.start(&mut command, "Ready to accept connections")
}

fn login(user: Option<&str>, password: &str) -> ProbeKind {
    ProbeKind::Redis(Redis {
        login: Some(Login {
            user: user.map(str::to_owned),
            password: Secret(password.to_owned()),
        }),
        ..Redis::default()
    })
}

fn asking(command: &[&str], expect: &str) -> ProbeKind {
    ProbeKind::Redis(Redis {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        expect: Some(expect.to_owned()),
        ..Redis::default()
    })
}

#[tokio::test]
async fn an_open_server_answers() {
    let mut server = server(6379, &[]);
    let address = server.address();
    is_up(address, ProbeKind::Redis(Redis::default())).await;
    is_up(address, asking(&["INFO", "replication"], "role:master")).await;
    is_up(address, asking(&["CONFIG", "GET", "port"], "6379")).await;
    let other = asking(&["INFO", "replication"], "role:slave");
    is_down(address, other, r#"expected "role:slave" in the reply"#).await;
    let wrong = asking(&["NOSUCH"], "x");
    is_down(address, wrong, "the server says: ERR unknown command").await;
    is_down(address, login(Some("nobody"), "x"), "WRONGPASS").await;
    let role = asking(&["INFO", "replication"], "role:master");
    is_told_right_in_trouble(&server, address, role).await;
    server.stop();
    is_down(
        address,
        ProbeKind::Redis(Redis::default()),
        "connection refused",
    )
    .await;
}

#[tokio::test]
async fn a_server_with_a_password_wants_the_right_one() {
    let server = server(6380, &["--requirepass", "right"]);
    let address = server.address();
    is_up(address, ProbeKind::Redis(Redis::default())).await;
    is_up(address, login(None, "right")).await;
    is_up(address, login(Some("default"), "right")).await;
    is_down(address, login(None, "wrong"), "the login failed: WRONGPASS").await;
    let asked = asking(&["GET", "x"], "x");
    is_down(address, asked, "the server says: NOAUTH").await;
}

#[tokio::test]
async fn a_server_with_tls_is_asked_over_it() {
    let place = Place::new(6381);
    let files = Certificate::new(&place);
    let mut command = place.command("/usr/bin/redis-server");
    command
        .args(["--bind", &place.address.ip().to_string(), "--port", "0"])
        .args(["--tls-port", &place.address.port().to_string()])
        .args(["--tls-cert-file", &files.certificate])
        .args(["--tls-key-file", &files.key])
        .args(["--tls-ca-cert-file", &files.ca])
        .args(["--tls-auth-clients", "no"])
        .args(["--save", "", "--appendonly", "no"]);
    let server = place.start(&mut command, "Ready to accept connections");
    let kind = |tls| {
        ProbeKind::Redis(Redis {
            tls: Some(tls),
            ..Redis::default()
        })
    };
    is_up(server.address(), kind(files.tls())).await;
    is_down(server.address(), kind(Tls::default()), NOT_TRUSTED).await;
    is_told_right_in_trouble(&server, server.address(), kind(files.tls())).await;
}
