use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::kinds::dialogue::Protocol;
use crate::pattern::{Regex, SEARCHED};
use crate::spec::ProbeKind;
use crate::testing::{
    Authority, Server, ask, ask_briefly, drip, good, hold, read_line, reasons_of_misbehaviour,
    refusing,
};

fn step(send: &[u8], expect: &[u8]) -> Step {
    Step {
        send: send.to_vec(),
        expect: Pattern::Contains(expect.to_vec()),
    }
}

fn steps(steps: Vec<Step>) -> ProbeKind {
    ProbeKind::Expect(Expect {
        steps,
        ..Expect::default()
    })
}

fn kind(send: &[u8], expect: &[u8]) -> ProbeKind {
    steps(vec![step(send, expect)])
}

async fn reason(server: &Server, expect: &[u8]) -> String {
    ask(server.address(), kind(b"HELLO\r\n", expect))
        .await
        .unwrap_err()
        .to_string()
}

/// As [`reason`], of a server for which the probe's time runs out.
async fn reason_at_timeout(server: &Server, send: &[u8]) -> String {
    let failure = ask_briefly(server.address(), kind(send, b"HTTP"))
        .await
        .unwrap_err();
    failure.to_string()
}

#[tokio::test]
async fn a_reply_with_the_expected_bytes_anywhere_is_good() {
    for ip in ["127.0.0.1", "::1"] {
        let server = Server::at(ip, |mut stream| async move {
            let mut request = [0; 7];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(&request, b"HELLO\r\n");
            stream.write_all(b"well, HELLO yourself").await.unwrap();
            hold(stream).await;
        })
        .await;
        assert_eq!(
            ask(server.address(), kind(b"HELLO\r\n", b"HELLO")).await,
            good(),
            "{ip}"
        );
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_needs_nothing_sent() {
    let server = Server::new(|mut stream| async move {
        stream.write_all(b"220 ready\r\n").await.unwrap();
        hold(stream).await;
    })
    .await;
    assert_eq!(ask(server.address(), kind(b"", b"220")).await, good());
    assert_eq!(
        ask(server.address(), kind(b"", b"")).await,
        good(),
        "any byte will do"
    );
}

#[tokio::test]
async fn a_reply_that_comes_byte_by_byte_is_put_together() {
    let server = Server::new(|mut stream| async move {
        stream.set_nodelay(true).unwrap();
        for byte in b"HHTHTTHTTP" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        hold(stream).await;
    })
    .await;
    assert_eq!(ask(server.address(), kind(b"", b"HTTP")).await, good());
}

#[tokio::test]
async fn a_silent_server_is_timed_out() {
    let server = Server::new(hold).await;
    assert_eq!(
        reason_at_timeout(&server, b"").await,
        r#"expected "HTTP" in the reply, got nothing and timed out after 1s"#
    );
}

#[tokio::test]
async fn a_server_that_stops_halfway_is_quoted() {
    let server = Server::new(|mut stream| async move {
        stream.write_all(b"HTT").await.unwrap();
        hold(stream).await;
    })
    .await;
    assert_eq!(
        reason_at_timeout(&server, b"").await,
        r#"expected "HTTP" in the reply, got "HTT" and timed out after 1s"#
    );
}

#[tokio::test]
async fn garbage_is_quoted_printably() {
    let server = Server::new(|mut stream| async move {
        let mut request = [0; 7];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(b"421 closing\x1b\x00\xff").await.unwrap();
    })
    .await;
    assert_eq!(
        reason(&server, b"HTTP").await,
        r#"expected "HTTP" in the reply, got "421 closing\x1b\x00\xff" and the end of the connection"#
    );
}

#[tokio::test]
async fn a_server_that_closes_at_once_has_failed() {
    let server = Server::new(|stream| async move { drop(stream) }).await;
    // Whether the request still goes out, and whether the close comes as such or as a reset, is
    // the kernel's choice.
    let text = reason(&server, b"HTTP").await;
    assert!(
        text.contains("closed the connection")
            || text.contains("reset")
            || text.contains("broken pipe"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_never_stops_talking_is_cut_off() {
    let server =
        Server::new(
            |mut stream| async move { while stream.write_all(&[b'x'; 8192]).await.is_ok() {} },
        )
        .await;
    let text = reason(&server, b"HTTP").await;
    assert!(
        text.starts_with(r#"expected "HTTP" in the reply in 65536 bytes, got "xxx"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_never_reads_does_not_hold_a_large_request() {
    let server = Server::new(hold).await;
    let text = reason_at_timeout(&server, &vec![b'x'; 64 << 20]).await;
    assert_eq!(text, "timed out after 1s while sending");
}

#[tokio::test]
async fn a_refused_connection_is_called_so() {
    let socket = refusing("127.0.0.1");
    let result = ask(socket.local_addr().unwrap(), kind(b"", b"HTTP")).await;
    assert_eq!(result.unwrap_err().to_string(), "connection refused");
}

#[tokio::test]
async fn steps_follow_one_another() {
    let server = Server::new(|mut stream| async move {
        stream.write_all(b"220-one\r\n220 two\r\n").await.unwrap();
        while let command = read_line(&mut stream).await
            && !command.is_empty()
        {
            drip(&mut stream, format!("250 {command}\r\n").as_bytes()).await;
        }
    })
    .await;
    let prefix = |send: &[u8], expect: &[u8]| Step {
        send: send.to_vec(),
        expect: Pattern::Prefix(expect.to_vec()),
    };
    let good_steps = || {
        vec![
            step(b"", b"220 "),
            prefix(b"HELO me\r\n", b"250 HELO me\r\n"),
            prefix(b"NOOP\r\n", b"250 NOOP\r\n"),
        ]
    };
    assert_eq!(ask(server.address(), steps(good_steps())).await, good());
    let mut bad = good_steps();
    bad.push(prefix(b"QUIT\r\n", b"221"));
    let text = ask(server.address(), steps(bad)).await.unwrap_err();
    assert!(
        text.to_string()
            .starts_with(r#"expected a reply that begins with "221" of step 4, got "2"#),
        "{text}"
    );
}

#[tokio::test]
async fn the_conversation_may_be_encrypted_from_its_start_or_later() {
    let authority = Authority::new();
    let server = authority
        .good()
        .serve(|stream| async move {
            let (reader, mut writer) = tokio::io::split(stream);
            let mut reader = tokio::io::BufReader::new(reader);
            let command = read_line(&mut reader).await;
            let reply = format!("{command} yourself\r\n");
            let _ = writer.write_all(reply.as_bytes()).await;
            let _ = writer.shutdown().await;
        })
        .await;
    let encrypted = |encryption| {
        ProbeKind::Expect(Expect {
            encryption,
            steps: vec![step(b"HELLO\r\n", b"HELLO yourself")],
            ..Expect::default()
        })
    };
    let at_once = encrypted(Encryption::AtOnce(authority.tls()));
    assert_eq!(ask(server.address(), at_once).await, good());

    let acceptor = authority.good().acceptor();
    let server = Server::new(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            stream.write_all(b"220 ready\r\n").await.unwrap();
            assert!(read_line(&mut stream).await.starts_with("EHLO "));
            stream.write_all(b"250 STARTTLS\r\n").await.unwrap();
            assert_eq!(read_line(&mut stream).await, "STARTTLS");
            stream.write_all(b"220 go\r\n").await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(read_line(&mut stream).await, "HELLO");
            stream.write_all(b"HELLO yourself\r\n").await.unwrap();
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let asked = encrypted(Encryption::Asked(Protocol::Smtp, authority.tls()));
    assert_eq!(ask(server.address(), asked).await, good());
}

#[tokio::test]
async fn no_server_that_misbehaves_is_taken_for_a_good_one() {
    let reasons = reasons_of_misbehaviour(kind(b"HELLO\r\n", b"HELLO")).await;
    assert!(
        reasons["endless"].starts_with(r#"expected "HELLO" in the reply in 65536 bytes"#),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn an_expression_is_found_however_the_reply_comes_and_ends() {
    let long = "x".repeat(3000);
    let talk = [long.as_str(), "ab"].concat();
    for (closes, expected) in [(false, true), (true, true), (true, false)] {
        let reply = if expected { talk.clone() } else { long.clone() };
        let server = Server::new(move |mut stream| {
            let reply = reply.clone();
            async move {
                drip(&mut stream, reply.as_bytes()).await;
                if !closes {
                    hold(stream).await;
                }
            }
        })
        .await;
        let expression = Step {
            send: Vec::new(),
            expect: Pattern::Regex(Regex::new("a[b-d]$").unwrap()),
        };
        let result = ask(server.address(), steps(vec![expression])).await;
        match result {
            Ok(_) => assert!(expected),
            Err(failure) => {
                let text = failure.to_string();
                assert!(
                    !expected && text.ends_with("the end of the connection"),
                    "{text}"
                );
            }
        }
    }
}

/// Asks for an expression, and counts the bytes that are searched for it, over and over again.
async fn searched(server: &Server) -> usize {
    SEARCHED.set(0);
    let kind = steps(vec![Step {
        send: Vec::new(),
        expect: Pattern::Regex(Regex::new("x+READY").unwrap()),
    }]);
    assert_eq!(ask(server.address(), kind).await, good());
    SEARCHED.get()
}

#[tokio::test]
async fn an_expression_is_searched_for_in_proportion_to_a_reply_that_comes_byte_by_byte() {
    let length = 20_000;
    let server = Server::new(move |mut stream| async move {
        drip(&mut stream, &vec![b'x'; length]).await;
        drip(&mut stream, b"READY").await;
        hold(stream).await;
    })
    .await;
    let searched = searched(&server).await;
    assert!((length..24 * length).contains(&searched), "{searched}");
}

/// In the 30 s that a probe has here there is room for a dozen pauses, each twice as long as the one
/// before.
#[tokio::test]
async fn an_expression_is_searched_for_in_proportion_to_a_reply_that_pauses_after_each_byte() {
    let length = 20_000;
    let server = Server::new(move |mut stream| async move {
        stream.write_all(&vec![b'x'; length]).await.unwrap();
        for byte in b"x".repeat(100).iter().chain(b"READY") {
            tokio::time::sleep(Duration::from_millis(8)).await;
            stream.write_all(&[*byte]).await.unwrap();
        }
        hold(stream).await;
    })
    .await;
    let searched = searched(&server).await;
    assert!((length..24 * length).contains(&searched), "{searched}");
}

#[tokio::test]
async fn the_limit_is_reached_with_its_last_byte_and_not_before() {
    const LIMIT: usize = 64 * 1024;
    let table = [
        (LIMIT - 1, true),
        (LIMIT, true),
        // Its last byte would be one too many.
        (LIMIT + 1, false),
    ];
    let regex = || Pattern::Regex(Regex::new("x+!").unwrap());
    for (length, found) in table {
        let reply = [vec![b'x'; length - 1], b"!".to_vec()].concat();
        for expect in [
            Pattern::Contains(b"x!".to_vec()),
            Pattern::Exact(reply.clone()),
            Pattern::Prefix(reply.clone()),
            regex(),
        ] {
            for closes in [false, true] {
                let said = reply.clone();
                let server = Server::new(move |mut stream| {
                    let said = said.clone();
                    async move {
                        let _ = stream.write_all(&said).await;
                        if !closes {
                            hold(stream).await;
                        }
                    }
                })
                .await;
                let step = Step {
                    send: Vec::new(),
                    expect: expect.clone(),
                };
                let result = ask(server.address(), steps(vec![step])).await;
                let reason = result.err().map(|failure| failure.to_string());
                let told = reason
                    .as_deref()
                    .is_some_and(|it| it.contains("in 65536 bytes"));
                assert_eq!((reason.is_none(), told), (found, !found), "{reason:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_reply_that_must_be_exact_has_no_more_to_it_however_it_is_cut() {
    let exact = || {
        steps(vec![Step {
            send: Vec::new(),
            expect: Pattern::Exact(b"pong".to_vec()),
        }])
    };
    for (reply, reason) in [
        ("pong", None),
        ("pong!", Some(r#"expected the reply "pong", got "pong!""#)),
        ("pint", Some(r#"expected the reply "pong", got "pi""#)),
    ] {
        for closes in [false, true] {
            let server = Server::new(move |mut stream| async move {
                drip(&mut stream, reply.as_bytes()).await;
                if !closes {
                    hold(stream).await;
                }
            })
            .await;
            let result = ask(server.address(), exact()).await;
            let told = result.err().map(|failure| failure.to_string());
            let good = match (&told, reason) {
                (Some(told), Some(reason)) => told.starts_with(&reason[..reason.len() - 1]),
                (told, reason) => told.is_none() && reason.is_none(),
            };
            assert!(good, "{reply}: {told:?}");
        }
    }
}
