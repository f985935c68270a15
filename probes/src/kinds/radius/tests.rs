use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::packet::tests::{answer, sealed};
use super::*;
use crate::spec::ProbeKind;
use crate::testing::{answering_the_second, ask, ask_briefly, close_port, good};

/// A server that makes of each request an answer.
async fn answering(reply: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let reply = reply(&buffer[..length]);
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    address
}

fn status() -> ProbeKind {
    ProbeKind::Radius(Radius {
        secret: Secret("shared".to_owned()),
        login: None,
    })
}

fn login() -> ProbeKind {
    ProbeKind::Radius(Radius {
        secret: Secret("shared".to_owned()),
        login: Some(Login {
            user: "probe".to_owned(),
            password: Secret("secret".to_owned()),
        }),
    })
}

#[tokio::test]
async fn a_server_that_accepts_is_well() {
    let server = answering(|request| answer("shared", request, 2, "")).await;
    assert_eq!(ask(server, status()).await, good());
    assert_eq!(ask(server, login()).await, good());
    let accounting = answering(|request| answer("shared", request, 5, "")).await;
    assert_eq!(ask(accounting, status()).await, good());
}

#[tokio::test]
async fn a_request_that_is_lost_is_sent_again() {
    for kind in [status(), login()] {
        let server = answering_the_second(|request| answer("shared", request, 2, "")).await;
        assert_eq!(ask(server, kind).await, good());
    }
}

#[tokio::test]
async fn what_a_server_refuses_is_said_in_words() {
    let table = [
        (login(), 3, "", "the login failed"),
        (login(), 3, "unknown user", "the login failed: unknown user"),
        (login(), 11, "", "the server wants more than a password"),
        (
            login(),
            11,
            "Token?\r\n",
            "the server wants more than a password: Token?",
        ),
        (
            login(),
            5,
            "",
            "expected an answer to a login, got one of an accounting server",
        ),
        (
            status(),
            3,
            "",
            "the server rejects the question for its status",
        ),
        (
            status(),
            3,
            "not for you",
            "the server rejects the question for its status: not for you",
        ),
        (
            status(),
            11,
            "",
            "the server wants a login to tell its status",
        ),
    ];
    for (kind, code, words, text) in table {
        let server = answering(move |request| answer("shared", request, code, words)).await;
        let failure = ask(server, kind).await.unwrap_err();
        assert!(failure.concerns_server(), "{text}");
        assert_eq!(failure.to_string(), text);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_signed_as_it_should_be_is_told_with_why() {
    let other_secret = "one that is signed with another secret";
    type Spoil = fn(&[u8], Vec<u8>) -> Vec<u8>;
    let table: [(Spoil, &str); 5] = [
        // The Response Authenticator, and the Message-Authenticator alone.
        (|_, reply| changed(reply, 4), other_secret),
        (
            |request, reply| sealed("shared", request, changed(reply, 22)),
            other_secret,
        ),
        (
            |request, reply| sealed("shared", request, changed(reply, 1)),
            "one to another request",
        ),
        // A code that no answer has, and an end in the middle of an attribute.
        (
            |request, reply| sealed("shared", request, changed(reply, 0)),
            "something else",
        ),
        (|_, reply| reply[..30].to_vec(), "something else"),
    ];
    for (spoil, why) in table {
        let server = answering(move |request| spoil(request, answer("shared", request, 2, "")));
        let failure = ask(server.await, login()).await.unwrap_err();
        assert!(failure.concerns_server(), "{why}");
        let text = failure.to_string();
        let expected = format!("expected an answer of RADIUS, got {why}: \"");
        assert!(text.starts_with(&expected), "{text}");
    }
}

fn changed(mut reply: Vec<u8>, at: usize) -> Vec<u8> {
    reply[at] ^= 0x40;
    reply
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_what_it_is() {
    let server = answering(|request| answer("another", request, 2, "")).await;
    let text = ask(server, login()).await.unwrap_err().to_string();
    assert!(text.contains("signed with another secret"), "{text}");
    let server = answering(|_| b"nonsense".to_vec()).await;
    let text = ask(server, login()).await.unwrap_err().to_string();
    assert_eq!(
        text,
        r#"expected an answer of RADIUS, got something else: "nonsense""#
    );
    let server = answering(|_| Vec::new()).await;
    let text = ask(server, status()).await.unwrap_err().to_string();
    assert_eq!(text, "expected an answer of RADIUS, got an empty datagram");
}

#[tokio::test]
async fn silence_is_told_with_what_may_be_its_reason() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    for kind in [login(), status()] {
        let failure = ask_briefly(server, kind).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "expected an answer, which a wrong secret does not get, got nothing and timed out after 1s"
        );
    }
    close_port(&socket).await;
    let failure = ask(server, login()).await.unwrap_err();
    assert_eq!(failure.to_string(), "port unreachable");
}

#[test]
fn a_login_must_have_room_in_its_attributes() {
    let fits = |user: usize, password: usize| {
        let login = Login {
            user: "x".repeat(user),
            password: Secret("x".repeat(password)),
        };
        fits(&login)
    };
    assert!(fits(1, 1) && fits(253, 128));
    assert!(!fits(0, 1) && !fits(254, 1) && !fits(1, 0) && !fits(1, 129));
}
