use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::spec::ProbeKind;
use crate::testing::{Authority, Server, ask, drip, good, reasons_of_misbehaviour};

fn login(user: Option<&str>, password: &str) -> Redis {
    Redis {
        login: Some(Login {
            user: user.map(str::to_owned),
            password: Secret(password.to_owned()),
        }),
        ..Redis::default()
    }
}

fn asking(command: &str, expect: Option<&str>) -> Redis {
    Redis {
        command: command.split_whitespace().map(str::to_owned).collect(),
        expect: expect.map(str::to_owned),
        ..Redis::default()
    }
}

/// A server that says something for each command, whatever it is.
async fn saying(replies: &'static [&'static str]) -> Server {
    Server::new(move |stream| serve(stream, replies)).await
}

async fn serve(stream: TcpStream, replies: &'static [&'static str]) {
    let mut stream = BufReader::new(stream);
    for reply in replies {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let words: usize = line.trim_start_matches('*').trim().parse().unwrap();
        for _ in 0..2 * words {
            stream.read_line(&mut line).await.unwrap();
        }
        drip(&mut stream, reply.as_bytes()).await;
    }
    let _ = stream.read_line(&mut String::new()).await;
}

async fn reason(replies: &'static [&'static str], redis: Redis) -> String {
    let server = saying(replies).await;
    let result = ask(server.address(), ProbeKind::Redis(redis)).await;
    result.unwrap_err().to_string()
}

async fn is_good(replies: &'static [&'static str], redis: Redis) {
    let server = saying(replies).await;
    let result = ask(server.address(), ProbeKind::Redis(redis)).await;
    assert_eq!(result, good(), "{replies:?}");
}

#[test]
fn commands_are_arrays_of_strings() {
    let request = |redis: Redis| String::from_utf8(redis.request()).unwrap();
    assert_eq!(request(Redis::default()), "*1\r\n$4\r\nPING\r\n");
    assert_eq!(
        request(login(None, "a b")),
        "*2\r\n$4\r\nAUTH\r\n$3\r\na b\r\n*1\r\n$4\r\nPING\r\n"
    );
    assert_eq!(
        request(login(Some("probe"), "x\r\n")),
        "*3\r\n$4\r\nAUTH\r\n$5\r\nprobe\r\n$3\r\nx\r\n\r\n*1\r\n$4\r\nPING\r\n"
    );
    assert_eq!(
        request(asking("GET  health", None)),
        "*2\r\n$3\r\nGET\r\n$6\r\nhealth\r\n"
    );
}

#[tokio::test]
async fn a_server_that_answers_is_well() {
    is_good(&["+PONG\r\n"], Redis::default()).await;
    is_good(&["-NOAUTH Authentication required.\r\n"], Redis::default()).await;
    is_good(&["+OK\r\n", "+PONG\r\n"], login(None, "right")).await;
}

#[tokio::test]
async fn any_sort_of_reply_is_read_to_its_end() {
    let role = asking("INFO replication", Some("role:master"));
    is_good(
        &["$44\r\n# Replication\r\nrole:master\r\nconnected_slaves:\r\n"],
        role,
    )
    .await;
    is_good(&["+fine\r\n"], asking("GET health", Some("fine"))).await;
    is_good(&[":3\r\n"], asking("LLEN jobs", None)).await;
    let nested = asking("ROLE", Some("b\n7"));
    is_good(&["*3\r\n*2\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n:7\r\n"], nested).await;
}

#[tokio::test]
async fn a_reply_that_is_not_as_expected_is_quoted() {
    let get = || asking("GET health", None);
    let table = [
        (&["$-1\r\n"][..], get(), "expected a value, got nothing"),
        (&["*0\r\n"], get(), "expected a value, got nothing"),
        (
            &["$3\r\nbad\r\n"],
            asking("GET health", Some("fine")),
            r#"expected "fine" in the reply, got "bad""#,
        ),
        (
            &["-ERR wrong number of arguments\r\n"],
            get(),
            "the server says: ERR wrong number of arguments",
        ),
        (&["$-7\r\n"], get(), "expected a reply of Redis, got $-7"),
        (
            &["-LOADING Redis is loading the dataset in memory\r\n"],
            Redis::default(),
            "the server says: LOADING Redis is loading the dataset in memory",
        ),
        (
            &["-WRONGPASS invalid username-password pair\r\n"],
            login(Some("probe"), "wrong"),
            "the login failed: WRONGPASS invalid username-password pair",
        ),
        (
            &["+OK\r\n", "-NOAUTH Authentication required.\r\n"],
            login(None, "right"),
            "the server says: NOAUTH Authentication required.",
        ),
    ];
    for (replies, redis, text) in table {
        assert_eq!(reason(replies, redis).await, text);
    }
}

#[tokio::test]
async fn a_reply_that_promises_more_than_it_may_have_is_not_waited_for() {
    for endless in ["$99999999999999\r\n", "*99999999999999\r\n"] {
        let server = Server::new(move |mut stream| async move {
            let _ = stream.write_all(endless.as_bytes()).await;
            while stream.write_all(&b":1\r\n".repeat(1000)).await.is_ok() {}
        })
        .await;
        let kind = ProbeKind::Redis(asking("KEYS *", None));
        let text = ask(server.address(), kind).await.unwrap_err().to_string();
        let expected = "expected a reply of Redis in 65536 bytes";
        assert!(text.starts_with(expected), "{text}");
    }
}

#[tokio::test]
async fn misbehaving_servers_are_told_as_what_they_are() {
    let kinds = [Redis::default(), login(None, "x"), asking("GET x", None)];
    for kind in kinds {
        let reasons = reasons_of_misbehaviour(ProbeKind::Redis(kind)).await;
        assert!(reasons["silent"].ends_with("got nothing and timed out after 1s"));
        assert!(reasons["garbage"].contains("nonsense"), "{reasons:?}");
    }
}

#[tokio::test]
async fn tls_is_spoken_where_it_is_wanted() {
    let authority = Authority::new();
    let server = authority
        .good()
        .serve(|mut stream| async move {
            let _ = stream.write_all(b"+PONG\r\n").await;
            let _ = stream.shutdown().await;
        })
        .await;
    let kind = |tls| {
        ProbeKind::Redis(Redis {
            tls: Some(tls),
            ..Redis::default()
        })
    };
    assert_eq!(ask(server.address(), kind(authority.tls())).await, good());
    let failure = ask(server.address(), kind(Tls::default()))
        .await
        .unwrap_err();
    let expected = "the certificate is from an authority that is not trusted here";
    assert_eq!(failure.to_string(), expected);
}
