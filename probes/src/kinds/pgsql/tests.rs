use postgres_protocol::message::backend::{
    AUTHENTICATION_TAG, DATA_ROW_TAG, ERROR_RESPONSE_TAG, READY_FOR_QUERY_TAG,
};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::spec::{ProbeKind, Secret};
use crate::testing::{Authority, Server, ask, drip, good, reasons_of_misbehaviour, say};

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

fn wants(method: u32, more: &[u8]) -> Vec<u8> {
    let body = [&method.to_be_bytes()[..], more].concat();
    message(AUTHENTICATION_TAG, &body)
}

fn ready() -> Vec<u8> {
    let parameter = message(b'S', b"server_version\x0015.0\0");
    [wants(0, b""), parameter, message(READY_FOR_QUERY_TAG, b"I")].concat()
}

fn refusal(state: &str, words: &str) -> Vec<u8> {
    let body = format!("SFATAL\0C{state}\0M{words}\0\0");
    message(ERROR_RESPONSE_TAG, body.as_bytes())
}

fn rows(values: &[&str]) -> Vec<u8> {
    let row = |value: &&str| {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        // A value that is not there, and one that is.
        let body = [b"\0\x02\xff\xff\xff\xff", &length[..], value.as_bytes()].concat();
        message(DATA_ROW_TAG, &body)
    };
    let rows: Vec<u8> = values.iter().flat_map(row).collect();
    let description = message(b'T', b"\0\0");
    let complete = message(b'C', b"SELECT\0");
    let end = message(READY_FOR_QUERY_TAG, b"I");
    [description, rows, complete, end].concat()
}

fn login() -> Pgsql {
    Pgsql {
        login: Some(DatabaseLogin {
            user: "probe".to_owned(),
            password: Secret("secret".to_owned()),
            database: None,
        }),
        ..Pgsql::default()
    }
}

fn querying(expect: Option<&str>) -> Pgsql {
    Pgsql {
        query: Some("select 1".to_owned()),
        expect: expect.map(str::to_owned),
        ..login()
    }
}

/// A server that says one of these for each thing that is said to it.
async fn saying(replies: Vec<Vec<u8>>) -> Server {
    Server::new(move |mut stream| {
        let replies = replies.clone();
        async move {
            let mut said = [0; 4096];
            for reply in replies {
                if stream.read(&mut said).await.unwrap_or(0) == 0 {
                    return;
                }
                drip(&mut stream, &reply).await;
            }
            let _ = stream.read(&mut said).await;
        }
    })
    .await
}

async fn is_good(replies: Vec<Vec<u8>>, pgsql: Pgsql) {
    let server = saying(replies).await;
    assert_eq!(ask(server.address(), ProbeKind::Pgsql(pgsql)).await, good());
}

async fn reason(replies: Vec<Vec<u8>>, pgsql: Pgsql) -> String {
    let server = saying(replies).await;
    let result = ask(server.address(), ProbeKind::Pgsql(pgsql)).await;
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn without_a_login_a_server_that_wants_to_know_who_asks_is_well() {
    is_good(vec![wants(10, b"SCRAM-SHA-256\0\0")], Pgsql::default()).await;
    is_good(vec![wants(5, b"salt")], Pgsql::default()).await;
    is_good(vec![ready()], Pgsql::default()).await;
    let table = [("28000", "no pg_hba.conf entry"), ("3D000", "no database")];
    for (state, words) in table {
        is_good(vec![refusal(state, words)], Pgsql::default()).await;
    }
    let table = [
        ("57P03", "the database system is starting up"),
        ("53300", "sorry, too many clients already"),
    ];
    for (state, words) in table {
        let text = reason(vec![refusal(state, words)], Pgsql::default()).await;
        assert_eq!(text, format!("the server says: {words}"));
    }
}

#[tokio::test]
async fn a_login_that_ends_well_is_good() {
    is_good(vec![ready()], login()).await;
    is_good(vec![wants(3, b""), ready()], login()).await;
    is_good(vec![wants(5, b"salt"), ready()], login()).await;
}

#[tokio::test]
async fn a_query_must_give_a_row_that_is_as_expected() {
    is_good(vec![ready(), rows(&["1"])], querying(None)).await;
    is_good(
        vec![ready(), rows(&["no", "it is fine"])],
        querying(Some("fine")),
    )
    .await;
}

#[tokio::test]
async fn what_a_server_refuses_is_said_in_words() {
    let table = [
        (
            vec![
                wants(3, b""),
                refusal("28P01", "password authentication failed"),
            ],
            login(),
            "the login failed: password authentication failed",
        ),
        (
            vec![refusal("28000", "")],
            login(),
            "the login failed: error 28000",
        ),
        (
            vec![wants(7, b"")],
            login(),
            "the server wants the login by Kerberos, GSSAPI or the like, which a probe does not \
             know",
        ),
        (
            vec![wants(10, b"OAUTHBEARER\0\0")],
            login(),
            "the server wants the login by SASL without SCRAM-SHA-256, which a probe does not know",
        ),
        (
            vec![
                wants(10, b"SCRAM-SHA-256\0\0"),
                wants(11, b"r=x,s=eA==,i=1"),
            ],
            login(),
            "the server's part of SCRAM-SHA-256 is wrong: invalid nonce",
        ),
        (
            vec![wants(12, b"")],
            login(),
            "expected the end of the login, got another message",
        ),
        (
            vec![ready(), rows(&[])],
            querying(None),
            "expected a row, got none",
        ),
        (
            vec![ready(), rows(&["bad"])],
            querying(Some("fine")),
            r#"expected "fine" in a row, got "bad""#,
        ),
        (
            vec![ready(), refusal("42P01", "relation \"x\" does not exist")],
            querying(None),
            r#"the query failed: relation "x" does not exist"#,
        ),
    ];
    for (replies, pgsql, text) in table {
        assert_eq!(reason(replies, pgsql).await, text);
    }
}

#[tokio::test]
async fn tls_is_asked_for_first() {
    let authority = Authority::new();
    let acceptor = authority.good().acceptor();
    let server = Server::new(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]);
            stream.write_all(b"S").await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                stream.write_all(&ready()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    })
    .await;
    let kind = |tls| {
        ProbeKind::Pgsql(Pgsql {
            tls: Some(tls),
            ..login()
        })
    };
    assert_eq!(ask(server.address(), kind(authority.tls())).await, good());
    let failure = ask(server.address(), kind(Tls::default())).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "the certificate is from an authority that is not trusted here"
    );
    let without = saying(vec![b"N".to_vec()]).await;
    let failure = ask(without.address(), kind(authority.tls())).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "the server does not offer TLS"
    );
    let early = saying(vec![b"Sinjected".to_vec()]).await;
    assert!(ask(early.address(), kind(authority.tls())).await.is_err());
}

#[tokio::test]
async fn misbehaving_servers_are_told_as_what_they_are() {
    for pgsql in [Pgsql::default(), login(), querying(None)] {
        let reasons = reasons_of_misbehaviour(ProbeKind::Pgsql(pgsql)).await;
        assert!(reasons["silent"].ends_with("got nothing and timed out after 1s"));
        assert!(reasons["garbage"].contains("nonsense"), "{reasons:?}");
        assert!(
            reasons["endless"].contains("whatever it takes"),
            "{reasons:?}"
        );
    }
    let web = Server::new(|stream| say(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let result = ask(web.address(), ProbeKind::Pgsql(Pgsql::default())).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains(r#"got "HTTP/1.1 400 Bad Request"#), "{text}");
}

proptest! {
    #[test]
    fn no_bytes_of_a_server_are_a_danger(
        tag in prop::sample::select(b"RETDSZCN".to_vec()),
        body in prop::collection::vec(any::<u8>(), 0..60),
        method in 0_u32..13,
    ) {
        for whole in [message(tag, &body), wants(method, &body)] {
            match Message::parse(&mut BytesMut::from(whole.as_slice())) {
                Ok(Some(Message::ErrorResponse(body))) => drop(Refusal::read(&body)),
                Ok(Some(Message::DataRow(body))) => drop(query::values(&body)),
                Ok(Some(Message::AuthenticationSasl(body))) => {
                    let _ = body.mechanisms().any(|it| Ok(it == SCRAM_SHA_256));
                }
                Ok(_) | Err(_) => {}
            }
        }
        let mut scram = ScramSha256::new(b"secret", ChannelBinding::unsupported());
        let _ = scram.update(&body);
        let _ = scram.finish(&body);
    }
}
