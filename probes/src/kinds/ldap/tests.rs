use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::spec::{ProbeKind, Secret};
use crate::testing::{
    Authority, Server, ask, ask_briefly, drip, good, hold, reasons_of_misbehaviour,
};

fn outcome(id: u8, operation: u8, code: u8, words: &str) -> Vec<u8> {
    let fields = [
        ber::number(ber::ENUMERATED, code),
        ber::value(ber::OCTETS, b""),
        ber::value(ber::OCTETS, words.as_bytes()),
    ];
    message(id, &ber::value(operation, &fields.concat()))
}

fn entry(values: &[&str]) -> Vec<u8> {
    let values: Vec<_> = values
        .iter()
        .flat_map(|value| ber::value(ber::OCTETS, value.as_bytes()))
        .collect();
    let name = ber::value(ber::OCTETS, b"attribute");
    let attribute = ber::value(ber::SEQUENCE, &[name, ber::value(SET, &values)].concat());
    let name = ber::value(ber::OCTETS, b"dc=example");
    let fields = [name, ber::value(ber::SEQUENCE, &attribute)].concat();
    message(2, &ber::value(ENTRY, &fields))
}

fn bound() -> Vec<u8> {
    outcome(1, BOUND, 0, "")
}

fn done() -> Vec<u8> {
    outcome(2, DONE, 0, "")
}

fn login() -> Ldap {
    Ldap {
        login: Some(Login {
            user: "cn=probe,dc=example".to_owned(),
            password: Secret("secret".to_owned()),
        }),
        ..Ldap::default()
    }
}

fn searching(expect: Option<&str>) -> Ldap {
    Ldap {
        search: Some("dc=example".to_owned()),
        expect: expect.map(str::to_owned),
        ..Ldap::default()
    }
}

/// A server that sends one of these for each message, and closes when the client has parted.
async fn saying(replies: Vec<Vec<u8>>) -> Server {
    Server::new(move |mut stream| {
        let replies = replies.clone();
        async move {
            let mut message = [0; 1024];
            for reply in replies {
                let length = stream.read(&mut message).await.unwrap();
                assert!(
                    matches!(ber::length(&message[..length]), Ok(Some(whole)) if whole == length as u64)
                );
                drip(&mut stream, &reply).await;
            }
            let _ = stream.read(&mut message).await;
        }
    })
    .await
}

async fn is_good(replies: Vec<Vec<u8>>, ldap: Ldap) {
    let server = saying(replies).await;
    assert_eq!(ask(server.address(), ProbeKind::Ldap(ldap)).await, good());
}

async fn reason(replies: Vec<Vec<u8>>, ldap: Ldap) -> String {
    let server = saying(replies).await;
    let result = ask(server.address(), ProbeKind::Ldap(ldap)).await;
    result.unwrap_err().to_string()
}

#[test]
fn requests_are_as_the_rfc_has_them() {
    assert_eq!(
        message(1, &Ldap::default().bind()),
        b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"
    );
    assert_eq!(
        message(2, &search("")),
        b"\x30\x25\x02\x01\x02\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\
          \x01\x01\x00\x87\x0bobjectClass\x30\x00"
    );
    assert_eq!(
        message(3, &ber::value(UNBIND, &[])),
        b"\x30\x05\x02\x01\x03\x42\x00"
    );
    let named = login().bind();
    assert!(named.ends_with(b"\x04\x13cn=probe,dc=example\x80\x06secret"));
}

#[tokio::test]
async fn a_bind_is_enough_when_nothing_is_searched() {
    is_good(vec![bound()], Ldap::default()).await;
    is_good(vec![bound()], login()).await;
    let refused = outcome(1, BOUND, 48, "anonymous bind disallowed");
    is_good(vec![refused], Ldap::default()).await;
}

#[tokio::test]
async fn an_entry_with_the_expected_value_is_good() {
    is_good(
        vec![bound(), [entry(&["x"]), done()].concat()],
        searching(None),
    )
    .await;
    let reference = message(2, &ber::value(REFERENCE, b""));
    let long = "x".repeat(300);
    let found = [reference, entry(&[&long, "of example"]), done()].concat();
    is_good(vec![bound(), found], searching(Some("example"))).await;
}

#[tokio::test]
async fn what_a_server_refuses_is_said_in_words() {
    let refused = |code, words| vec![outcome(1, BOUND, code, words)];
    let table = [
        (
            refused(49, ""),
            login(),
            "the bind failed: invalid credentials",
        ),
        (
            refused(52, "going down"),
            Ldap::default(),
            "the bind failed: the server is unavailable (going down)",
        ),
        (refused(77, ""), login(), "the bind failed: result code 77"),
        (
            vec![bound(), outcome(2, DONE, 32, "")],
            searching(None),
            "the search failed: no such object",
        ),
        (
            vec![bound(), done()],
            searching(None),
            r#"expected the entry "dc=example", got none"#,
        ),
        (
            vec![bound(), [entry(&["x"]), done()].concat()],
            searching(Some("example")),
            r#"expected "example" in the entry, got other values"#,
        ),
        (
            vec![outcome(0, EXTENDED, 52, "shutdown")],
            login(),
            "the server ends the conversation: the server is unavailable (shutdown)",
        ),
        (
            vec![done()],
            login(),
            "expected the end of a bind, got another message",
        ),
        (
            vec![message(1, &ber::value(BOUND, b"\x0a"))],
            login(),
            "expected the end of a bind, got a message that cannot be read",
        ),
    ];
    for (replies, ldap, text) in table {
        assert_eq!(reason(replies, ldap).await, text);
    }
}

#[tokio::test]
async fn a_server_that_does_not_close_after_the_unbind_is_well_all_the_same() {
    let server = Server::new(|mut stream| async move {
        stream.write_all(&bound()).await.unwrap();
        hold(stream).await;
    })
    .await;
    let kind = ProbeKind::Ldap(Ldap::default());
    assert_eq!(ask_briefly(server.address(), kind).await, good());
}

#[tokio::test]
async fn misbehaving_servers_are_told_as_what_they_are() {
    for ldap in [Ldap::default(), login(), searching(None)] {
        let reasons = reasons_of_misbehaviour(ProbeKind::Ldap(ldap)).await;
        assert_eq!(
            reasons["silent"],
            "expected the end of a bind, got nothing and timed out after 1s"
        );
        assert!(reasons["garbage"].contains("nonsense"), "{reasons:?}");
        assert!(
            reasons["endless"].contains("whatever it takes"),
            "{reasons:?}"
        );
    }
}

#[tokio::test]
async fn tls_comes_before_the_bind() {
    let authority = Authority::new();
    let serve = |mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>| async move {
        let _ = stream.write_all(&bound()).await;
        let _ = stream.shutdown().await;
    };
    let kind = |tls| {
        ProbeKind::Ldap(Ldap {
            encryption: Some((Begin::AtOnce, tls)),
            ..Ldap::default()
        })
    };
    let server = authority.good().serve(serve).await;
    assert_eq!(ask(server.address(), kind(authority.tls())).await, good());
    let expired = authority.issue(&["127.0.0.1"], 2002).serve(serve).await;
    let failure = ask(expired.address(), kind(authority.tls())).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "the certificate has expired"
    );
}

#[tokio::test]
async fn a_server_that_does_not_begin_tls_is_told_so() {
    let asking = Ldap {
        encryption: Some((Begin::Asked, Tls::default())),
        ..Ldap::default()
    };
    let request = ber::value(EXTENDED_REQUEST, &ber::value(REQUEST_NAME, START_TLS));
    assert_eq!(
        message(TLS_ID, &request),
        b"\x30\x1d\x02\x01\x04\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
    );
    let refused = outcome(TLS_ID, EXTENDED, 2, "unsupported extended operation");
    assert_eq!(
        reason(vec![refused], asking.clone()).await,
        "the server does not begin TLS: protocol error (unsupported extended operation)"
    );
    // What follows the answer in clear could be anybody's.
    let early = [outcome(TLS_ID, EXTENDED, 0, ""), bound()].concat();
    let reason = reason(vec![early], asking).await;
    // As it is read with the answer, or after it.
    let words = ["expected the beginning of TLS", "expected TLS"];
    let told = words.iter().any(|words| reason.starts_with(words));
    assert!(told, "{reason}");
}

/// Lengths do not depend on how many bits a machine counts with.
#[test]
fn a_length_is_what_its_bytes_say_on_every_machine() {
    let table: [(&[u8], Option<u64>); 9] = [
        (b"\x30\x7f", Some(129)),
        (b"\x30\x81\x80", Some(131)),
        (b"\x30\x83\x01\x00\x00", Some(65_541)),
        (b"\x30\x84\x00\x00\x00\x0c", Some(18)),
        (b"\x30\x84\x7f\xff\xff\xff", Some(2_147_483_653)),
        (b"\x30\x84\xff\xff\xff\xfa", Some(4_294_967_296)),
        (b"\x30\x84\xff\xff\xff\xff", Some(4_294_967_301)),
        // No length at all, and more of it than LDAP has messages for.
        (b"\x30\x80", None),
        (b"\x30\x85\x01\x00\x00\x00\x00", None),
    ];
    for (input, expected) in table {
        assert_eq!(ber::length(input).ok().flatten(), expected, "{input:x?}");
        if expected.is_some() {
            let cut = &input[..input.len() - 1];
            assert!(matches!(ber::length(cut), Ok(None)), "{cut:x?}");
        }
        // Nothing follows, so that there is nothing to be taken.
        assert_eq!(ber::take(&mut { input }), None, "{input:x?}");
    }
}

#[tokio::test]
async fn a_message_that_is_longer_than_any_is_not_waited_for() {
    let table: [(&'static [u8], &str); 4] = [
        (
            b"\x30\x84\xff\xff\xff\xff\x02\x01\x01",
            r#"expected the end of a bind in 65536 bytes, got "0\x84\xff\xff\xff\xff\x02\x01\x01""#,
        ),
        (
            b"\x30\x84\xff\xff\xff\xfa",
            r#"expected the end of a bind in 65536 bytes, got "0\x84\xff\xff\xff\xfa""#,
        ),
        (
            b"\x30\x83\x00\xff\xfc",
            r#"expected the end of a bind in 65536 bytes, got "0\x83\x00\xff\xfc""#,
        ),
        (
            b"\x30\x88\x00\x00\x00\x01\x00\x00\x00\x00",
            r#"expected the end of a bind, got "0\x88\x00\x00\x00\x01\x00\x00\x00\x00""#,
        ),
    ];
    for (claim, text) in table {
        // It goes on for ever, and would be waited for until the end of time.
        let server = Server::new(move |mut stream| async move {
            stream.write_all(claim).await.unwrap();
            hold(stream).await;
        })
        .await;
        let asked = ask(server.address(), ProbeKind::Ldap(Ldap::default()));
        assert_eq!(asked.await.unwrap_err().to_string(), text);
    }
}

proptest! {
    #[test]
    fn values_of_any_length_are_read_as_they_are_written(length in 0_usize..70_000) {
        let content = vec![7; length];
        let whole = ber::value(ber::OCTETS, &content);
        let measured = ber::length(&whole).map_err(|_| TestCaseError::fail("no length"))?;
        prop_assert_eq!(measured, Some(whole.len() as u64));
        let mut rest = whole.as_slice();
        prop_assert_eq!(ber::take_tagged(&mut rest, ber::OCTETS), Some(content.as_slice()));
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn no_bytes_of_a_server_are_a_danger(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = read(&bytes);
        let message = ber::value(ber::SEQUENCE, &[b"\x02\x01\x01\x64".as_slice(), &bytes].concat());
        let _ = read(&message);
    }
}
