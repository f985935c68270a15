use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::*;
use crate::testing::{self, Server, drip, hold, say};
use crate::{Shared, Target};

fn probing(server: &Server, timeout: Duration) -> Probing {
    let spec = crate::ProbeSpec {
        timeout,
        ..testing::spec()
    };
    Probing::new(
        Target::new(server.address(), spec),
        Shared::default(),
        Instant::now(),
    )
}

fn patient(server: &Server) -> Probing {
    probing(server, Duration::from_secs(30))
}

#[tokio::test]
async fn lines_end_with_either_end_and_however_they_are_cut() {
    let server = Server::new(|mut stream| async move {
        drip(&mut stream, b"one\r\ntwo\n\r\n\nlast\r\n").await;
        hold(stream).await;
    })
    .await;
    let mut probing = patient(&server);
    let mut session = probing.connect().await.unwrap();
    for line in ["one", "two", "", "", "last"] {
        let got = session.line("a line").await.unwrap();
        assert_eq!(got, line.as_bytes());
    }
}

#[tokio::test]
async fn what_comes_with_a_line_stays_for_the_next_reader() {
    let server = Server::new(|stream| say(stream, b"head\r\n0123456789rest")).await;
    let mut probing = patient(&server);
    let mut session = probing.connect().await.unwrap();
    assert_eq!(session.line("a line").await.unwrap(), b"head");
    assert_eq!(session.exactly(10, "digits").await.unwrap(), b"0123456789");
    assert_eq!(session.rest("the rest").await.unwrap(), b"rest");
    assert_eq!(session.rest("more").await.unwrap(), b"");
}

#[tokio::test]
async fn what_does_not_come_is_said_with_what_came() {
    let server = Server::new(|stream| say(stream, b"half a li")).await;
    let mut probing = patient(&server);
    let mut session = probing.connect().await.unwrap();
    let text = session.line("220").await.unwrap_err().to_string();
    let expected = r#"expected 220, got "half a li" and the end of the connection"#;
    assert_eq!(text, expected);
    let text = session.exactly(100, "a packet").await.unwrap_err();
    assert!(text.to_string().starts_with("expected a packet, got "));
}

#[tokio::test]
async fn a_server_that_waits_is_waited_for_until_the_timeout() {
    let server = Server::new(|mut stream| async move {
        stream.write_all(b"22").await.unwrap();
        hold(stream).await;
    })
    .await;
    let mut probing = probing(&server, Duration::from_millis(300));
    let mut session = probing.connect().await.unwrap();
    let text = session.line("220").await.unwrap_err().to_string();
    let expected = r#"expected 220, got "22" and timed out after 300ms"#;
    assert_eq!(text, expected);
}

#[tokio::test]
async fn no_more_is_read_than_the_limit() {
    let server =
        Server::new(
            |mut stream| async move { while stream.write_all(&[b'\n'; 4000]).await.is_ok() {} },
        )
        .await;
    let mut probing = patient(&server);
    let mut session = probing.connect().await.unwrap();
    session.set_limit(10_000);
    let text = session.exactly(20_000, "a packet").await.unwrap_err();
    assert!(
        text.to_string()
            .starts_with("expected a packet in 10000 bytes")
    );
    assert_eq!(session.input().len(), 10_000);
}

#[tokio::test]
async fn what_was_said_before_a_failed_send_is_still_read() {
    let server = Server::new(|stream| say(stream, b"421 too busy\r\n")).await;
    let mut probing = patient(&server);
    let mut session = probing.connect().await.unwrap();
    session.send(b"EHLO there\r\n").await.unwrap();
    assert_eq!(session.line("220").await.unwrap(), b"421 too busy");
}

#[tokio::test]
async fn nobody_speaks_before_tls_begins() {
    let server = Server::new(|stream| say(stream, b"220 go on\r\n250 injected\r\n")).await;
    let mut probing = patient(&server);
    let mut session = probing.connect().await.unwrap();
    session.line("220").await.unwrap();
    while session.input().is_empty() {
        session.fill().await.unwrap();
    }
    let failure = session.start_tls(&Tls::default(), None).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "expected the beginning of TLS, got 250 injected"
    );
}
