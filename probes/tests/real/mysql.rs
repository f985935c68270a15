use probes::Tls;
use probes::kinds::mysql::Mysql;
use probes::spec::{DatabaseLogin, ProbeKind, Secret};

use crate::certificate::{Certificate, NOT_TRUSTED};
use crate::process::Place;
use crate::trouble::is_told_right_in_trouble;
use crate::{is_down, is_up};

/// Run once by the server before it listens.
const USERS: &str = "\
create user probe@'%' identified by 'secret';
create database shop;
create table shop.health (state varchar(20));
insert into shop.health values ('bad'), ('it is fine');
grant select on shop.* to probe@'%';
create user strict@'%' identified by 'secret' require ssl;
create user other@'%' identified via ed25519 using password('secret');
";

fn login(user: &str, password: &str, database: Option<&str>) -> Mysql {
    Mysql {
        login: Some(DatabaseLogin {
            user: user.to_owned(),
            password: Secret(password.to_owned()),
            database: database.map(str::to_owned),
        }),
        ..Mysql::default()
    }
}

fn querying(query: &str, expect: Option<&str>) -> ProbeKind {
    ProbeKind::Mysql(Mysql {
        query: Some(query.to_owned()),
        expect: expect.map(str::to_owned),
        ..login("probe", "secret", Some("shop"))
    })
}

#[tokio::test]
async fn a_server_of_mariadb_lets_in_whom_it_knows() {
    let place = Place::owned_by(3306, "mysql");
    let data = format!("--datadir={}", place.path("data").display());
    place.run(place.command("/usr/bin/mariadb-install-db").args([
        "--no-defaults",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        &data,
    ]));
    let users = format!("--init-file={}", place.write("users.sql", USERS));
    let files = Certificate::new(&place);
    let mut command = place.command("/usr/sbin/mariadbd");
    command.args([
        "--no-defaults",
        &data,
        &users,
        &format!("--bind-address={}", place.address.ip()),
        &format!("--port={}", place.address.port()),
        &format!("--socket={}", place.path("socket").display()),
        &format!("--ssl-cert={}", files.certificate),
        &format!("--ssl-key={}", files.key),
        "--plugin-load-add=auth_ed25519",
        "--skip-name-resolve",
        "--innodb-buffer-pool-size=8M",
        "--max-connect-errors=2",
    ]);
    let mut server = place.start(&mut command, "ready for connections");
    let address = server.address();

    // More often than the server would forgive a client that does not answer its greeting.
    for _ in 0..5 {
        is_up(address, ProbeKind::Mysql(Mysql::default())).await;
    }
    is_up(address, ProbeKind::Mysql(login("probe", "secret", None))).await;
    is_up(
        address,
        ProbeKind::Mysql(login("probe", "secret", Some("shop"))),
    )
    .await;
    is_up(address, querying("select 1", None)).await;
    is_up(address, querying("select state from health", Some("fine"))).await;

    let over = |tls| {
        ProbeKind::Mysql(Mysql {
            query: Some("show status like 'Ssl_version'".to_owned()),
            expect: Some("TLSv1.".to_owned()),
            tls: Some(tls),
            ..login("strict", "secret", None)
        })
    };
    is_up(address, over(files.tls())).await;
    is_down(address, over(Tls::default()), NOT_TRUSTED).await;
    let bare = ProbeKind::Mysql(login("strict", "secret", None));
    is_down(address, bare, "the login failed: Access denied").await;

    let wrong = ProbeKind::Mysql(login("probe", "wrong", None));
    is_down(
        address,
        wrong,
        "the login failed: Access denied for user 'probe'",
    )
    .await;
    let elsewhere = ProbeKind::Mysql(login("probe", "secret", Some("mysql")));
    is_down(address, elsewhere, "the login failed: Access denied").await;
    let other = ProbeKind::Mysql(login("other", "secret", None));
    is_down(address, other, "client_ed25519").await;
    let none = querying("select * from health where state = 'none'", None);
    is_down(address, none, "expected a row, got none").await;
    let missing = querying("select * from missing", None);
    is_down(address, missing, "the query failed: Table 'shop.missing'").await;
    let differs = querying("select state from health limit 1", Some("fine"));
    is_down(address, differs, r#"expected "fine" in a row, got "bad""#).await;
    let fine = querying("select state from health", Some("fine"));
    is_told_right_in_trouble(&server, address, fine).await;
    is_told_right_in_trouble(&server, address, over(files.tls())).await;

    server.stop();
    let kind = ProbeKind::Mysql(Mysql::default());
    is_down(address, kind, "connection refused").await;
}
