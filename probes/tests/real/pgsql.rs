use std::fs;
use std::path::PathBuf;

use probes::Tls;
use probes::kinds::pgsql::Pgsql;
use probes::spec::{DatabaseLogin, ProbeKind, Secret};

use crate::certificate::{Certificate, NOT_TRUSTED};
use crate::process::Place;
use crate::trouble::is_told_right_in_trouble;
use crate::{is_down, is_up};

/// Run by the single-user server, one statement a line.
const USERS: &str = "\
create role probe login password 'secret'
create role open login
create role strict login password 'secret'
set password_encryption = 'md5'
create role older login password 'secret'
create database shop
";

/// Who must prove what.
const ACCESS: &str = "\
host all open all trust
hostssl all strict all scram-sha-256
host all strict all reject
host all older all md5
host all nowhere all reject
host all all all scram-sha-256
";

fn login(user: &str, password: &str, database: &str) -> Pgsql {
    Pgsql {
        login: Some(DatabaseLogin {
            user: user.to_owned(),
            password: Secret(password.to_owned()),
            database: Some(database.to_owned()),
        }),
        ..Pgsql::default()
    }
}

fn querying(query: &str, expect: Option<&str>) -> ProbeKind {
    ProbeKind::Pgsql(Pgsql {
        query: Some(query.to_owned()),
        expect: expect.map(str::to_owned),
        ..login("probe", "secret", "shop")
    })
}

/// The newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql");
    let versions = versions.expect("no PostgreSQL here; run `cargo lab install`");
    let newest = versions.map(|entry| entry.unwrap().path()).max();
    newest.unwrap().join("bin")
}

#[tokio::test]
async fn a_server_lets_in_whom_it_knows_by_every_method() {
    let program = |name: &str| programs().join(name).to_str().unwrap().to_owned();
    let place = Place::owned_by(5432, "postgres");
    let data = place.path("data").to_str().unwrap().to_owned();
    place.run(
        place
            .command(&program("initdb"))
            .args(["-D", &data, "-U", "postgres", "--auth=trust", "--no-sync"])
            .args(["--no-locale", "--encoding=UTF8"]),
    );
    let users = place.write("users.sql", USERS);
    place.run(
        place
            .command(&program("postgres"))
            .args(["--single", "-D", &data, "postgres"])
            .stdin(fs::File::open(users).unwrap()),
    );
    place.write("data/pg_hba.conf", ACCESS);
    let files = Certificate::new(&place);
    let mut command = place.command(&program("postgres"));
    command
        .args(["-D", &data, "-F"])
        .args(["-c", &format!("listen_addresses={}", place.address.ip())])
        .args(["-c", &format!("port={}", place.address.port())])
        .args(["-c", "unix_socket_directories=", "-c", "ssl=on"])
        .args(["-c", &format!("ssl_cert_file={}", files.certificate)])
        .args(["-c", &format!("ssl_key_file={}", files.key)])
        .args(["-c", "shared_buffers=1MB"]);
    let mut server = place.start(&mut command, "ready to accept connections");
    let address = server.address();
    let kind = |user, password| ProbeKind::Pgsql(login(user, password, "shop"));

    is_up(address, ProbeKind::Pgsql(Pgsql::default())).await;
    is_up(address, kind("probe", "secret")).await;
    is_up(address, kind("older", "secret")).await;
    is_up(address, kind("open", "")).await;
    is_up(address, querying("select 1", None)).await;
    is_up(address, querying("select null, 'it is fine'", Some("fine"))).await;

    let over = |tls| {
        ProbeKind::Pgsql(Pgsql {
            query: Some("select version from pg_stat_ssl where ssl".to_owned()),
            expect: Some("TLSv1.".to_owned()),
            tls: Some(tls),
            ..login("strict", "secret", "shop")
        })
    };
    is_up(address, over(files.tls())).await;
    is_down(address, over(Tls::default()), NOT_TRUSTED).await;
    is_down(
        address,
        kind("strict", "secret"),
        "the login failed: pg_hba.conf rejects",
    )
    .await;

    let words = r#"the login failed: password authentication failed for user "probe""#;
    is_down(address, kind("probe", "wrong"), words).await;
    is_down(
        address,
        kind("older", "wrong"),
        "the login failed: password auth",
    )
    .await;
    is_down(
        address,
        kind("nowhere", "x"),
        "the login failed: pg_hba.conf rejects",
    )
    .await;
    let missing = ProbeKind::Pgsql(login("probe", "secret", "missing"));
    is_down(address, missing, "the login failed: database").await;
    let none = querying("select 1 where false", None);
    is_down(address, none, "expected a row, got none").await;
    let wrong = querying("select * from missing", None);
    is_down(address, wrong, "the query failed: relation").await;
    let differs = querying("select 'bad'", Some("fine"));
    is_down(address, differs, r#"expected "fine" in a row, got "bad""#).await;
    let fine = querying("select 'it is fine'", Some("fine"));
    is_told_right_in_trouble(&server, address, fine).await;
    is_told_right_in_trouble(&server, address, over(files.tls())).await;

    server.stop();
    let kind = ProbeKind::Pgsql(Pgsql::default());
    is_down(address, kind, "connection refused").await;
}
