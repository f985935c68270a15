use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::spec::ProbeKind;
use crate::testing::{Server, ask, ask_briefly, good, hold, refusing};

fn kind(send: &[u8], expect: &[u8]) -> ProbeKind {
    ProbeKind::Expect(Expect {
        send: send.to_vec(),
        expect: expect.to_vec(),
    })
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

proptest! {
    #[test]
    fn the_cuts_between_pieces_do_not_matter(
        reply in prop::collection::vec(prop::sample::select(vec![b'a', b'b']), 0..40),
        expect in prop::collection::vec(prop::sample::select(vec![b'a', b'b']), 1..6),
        cuts in prop::collection::vec(1_usize..6, 40),
    ) {
        let ask = Expect { send: Vec::new(), expect: expect.clone() };
        let mut length = 0;
        let mut found = false;
        for cut in cuts {
            let searched = length;
            length = (length + cut).min(reply.len());
            found = ask.comes_in(&reply[..length], searched);
            if found || length == reply.len() {
                break;
            }
        }
        let anywhere = reply.windows(expect.len()).any(|window| window == expect);
        prop_assert_eq!(found, anywhere);
    }
}
