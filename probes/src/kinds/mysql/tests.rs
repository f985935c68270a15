use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::spec::ProbeKind;
use crate::testing::{Authority, Server, ask, drip, good, reasons_of_misbehaviour, say};

const NONCE: &[u8; 20] = b"0123456789abcdefghij";

/// A greeting with TLS or without.
fn hello(method: &str, tls: bool) -> Vec<u8> {
    let low: u16 = if tls { 0xaa08 } else { 0xa208 };
    let payload = [
        b"\x0a8.0.36\0\x07\0\0\0",
        &NONCE[..8],
        b"\0",
        &low.to_le_bytes(),
        b"\x2d\x02\0\x08\0\x15",
        &[0; 10],
        &NONCE[8..],
        b"\0",
        method.as_bytes(),
        b"\0",
    ];
    packet::whole(0, &payload.concat())
}

fn ok() -> Vec<u8> {
    packet::whole(2, b"\0\0\0\x02\0\0\0")
}

fn refusal(number: u8, code: u16, words: &str) -> Vec<u8> {
    let payload = [
        b"\xff",
        &code.to_le_bytes()[..],
        b"#28000",
        words.as_bytes(),
    ];
    packet::whole(number, &payload.concat())
}

fn switch(method: &str) -> Vec<u8> {
    packet::whole(
        2,
        &[b"\xfe", method.as_bytes(), b"\0", NONCE, b"\0"].concat(),
    )
}

/// A result of one column.
fn result(rows: &[&str]) -> Vec<u8> {
    let mut out = packet::whole(1, b"\x01");
    out.extend(packet::whole(2, b"\x03def what a column is called and is"));
    out.extend(packet::whole(3, b"\xfe\0\0\x02\0"));
    for row in rows {
        let length = u8::try_from(row.len()).unwrap();
        out.extend(packet::whole(4, &[&[length], row.as_bytes()].concat()));
    }
    out.extend(packet::whole(5, b"\xfe\0\0\x02\0"));
    out
}

fn login() -> Mysql {
    Mysql {
        login: Some(DatabaseLogin {
            user: "probe".to_owned(),
            password: Secret("secret".to_owned()),
            database: Some("shop".to_owned()),
        }),
        ..Mysql::default()
    }
}

fn querying(expect: Option<&str>) -> Mysql {
    Mysql {
        query: Some("select 1".to_owned()),
        expect: expect.map(str::to_owned),
        ..login()
    }
}

/// A server that says the first of these at once, and one more for each packet.
async fn saying(replies: Vec<Vec<u8>>) -> Server {
    Server::new(move |stream| serve(stream, replies.clone())).await
}

async fn serve<S>(mut stream: S, replies: Vec<Vec<u8>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    for reply in replies {
        drip(&mut stream, &reply).await;
        let mut head = [0; packet::HEAD];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = packet::length(&head).ok().flatten().unwrap();
        let length = usize::try_from(length).unwrap() - packet::HEAD;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
    }
}

async fn is_good(replies: Vec<Vec<u8>>, mysql: Mysql) {
    let server = saying(replies).await;
    assert_eq!(ask(server.address(), ProbeKind::Mysql(mysql)).await, good());
}

async fn reason(replies: Vec<Vec<u8>>, mysql: Mysql) -> String {
    let server = saying(replies).await;
    let result = ask(server.address(), ProbeKind::Mysql(mysql)).await;
    result.unwrap_err().to_string()
}

fn native() -> Vec<u8> {
    hello(password::NATIVE, false)
}

#[test]
fn a_response_is_as_the_protocol_has_it() {
    let response = packet::response("me", b"\x01\x02", Some("db"), "some_method", false);
    let tail = b"me\0\x02\x01\x02db\0some_method\0";
    assert_eq!(&response[32..], tail);
    assert_eq!(response[..4], 0x0008_a209_u32.to_le_bytes());
    assert_eq!(packet::tls_request().len(), 32);
}

#[tokio::test]
async fn a_login_that_ends_well_is_good_by_every_way() {
    is_good(vec![native(), ok()], login()).await;
    is_good(vec![native(), switch(password::NATIVE), ok()], login()).await;
    let remembered = [packet::whole(2, b"\x01\x03"), ok()].concat();
    let caching = hello("caching_sha2_password", false);
    is_good(vec![caching, remembered], login()).await;
}

#[tokio::test]
async fn without_a_login_a_server_that_denies_access_is_well() {
    let denied = refusal(2, 1045, "Access denied for user 'caribe'");
    is_good(vec![native(), denied], Mysql::default()).await;
    is_good(vec![native(), ok()], Mysql::default()).await;
    is_good(vec![native(), switch("client_ed25519")], Mysql::default()).await;
    let busy = refusal(2, 1040, "Too many connections");
    let text = reason(vec![native(), busy], Mysql::default()).await;
    assert_eq!(text, "the login failed: Too many connections");
}

#[tokio::test]
async fn a_query_must_give_a_row_that_is_as_expected() {
    is_good(vec![native(), ok(), result(&["1"])], querying(None)).await;
    let rows = result(&["no", "it is fine", "no"]);
    is_good(vec![native(), ok(), rows], querying(Some("fine"))).await;
}

#[tokio::test]
async fn what_a_server_refuses_is_said_in_words() {
    let table = [
        (
            vec![refusal(0, 1130, "Host 'a' is not allowed to connect")],
            Mysql::default(),
            "the server says: Host 'a' is not allowed to connect",
        ),
        (
            vec![native(), refusal(2, 1045, "Access denied for user 'probe'")],
            login(),
            "the login failed: Access denied for user 'probe'",
        ),
        (
            vec![native(), switch("client_ed25519")],
            login(),
            "the server wants the password by client_ed25519, which a probe does not know",
        ),
        (
            vec![native(), packet::whole(2, b"\xfe")],
            login(),
            "the server wants the password by mysql_old_password, which a probe does not know",
        ),
        (
            vec![
                hello("caching_sha2_password", false),
                packet::whole(2, b"\x01\x04"),
            ],
            login(),
            "the server wants the password itself by caching_sha2_password, which is told only \
             over TLS",
        ),
        (
            vec![native(), ok(), result(&[])],
            querying(None),
            "expected a row, got none",
        ),
        (
            vec![native(), ok(), ok()],
            querying(None),
            "expected a row, got a result without any",
        ),
        (
            vec![native(), ok(), result(&["bad"])],
            querying(Some("fine")),
            r#"expected "fine" in a row, got "bad""#,
        ),
        (
            vec![
                native(),
                ok(),
                refusal(1, 1146, "Table 'shop.x' doesn't exist"),
            ],
            querying(None),
            "the query failed: Table 'shop.x' doesn't exist",
        ),
        (
            vec![packet::whole(0, b"\x0a8.0\0")],
            login(),
            "expected the greeting of a MySQL server, got a packet that cannot be read",
        ),
    ];
    for (replies, mysql, text) in table {
        assert_eq!(reason(replies, mysql).await, text);
    }
}

#[tokio::test]
async fn tls_is_asked_for_after_the_greeting_and_the_password_is_told_over_it() {
    let authority = Authority::new();
    let acceptor = authority.good().acceptor();
    let server = Server::new(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            let hello = hello("caching_sha2_password", true);
            stream.write_all(&hello).await.unwrap();
            let mut request = [0; 36];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request[..4], [32, 0, 0, 1]);
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut response = [0; 1024];
            let length = stream.read(&mut response).await.unwrap();
            assert_eq!(response[3], 2);
            assert!(response[..length].ends_with(b"caching_sha2_password\0"));
            let wants = packet::whole(3, b"\x01\x04");
            stream.write_all(&wants).await.unwrap();
            let length = stream.read(&mut response).await.unwrap();
            assert_eq!(&response[..length], b"\x07\0\0\x04secret\0");
            stream.write_all(&ok()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    })
    .await;
    let kind = |tls| {
        ProbeKind::Mysql(Mysql {
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
    let without = saying(vec![native()]).await;
    let failure = ask(without.address(), kind(authority.tls())).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "the server does not offer TLS"
    );
}

#[tokio::test]
async fn misbehaving_servers_are_told_as_what_they_are() {
    for mysql in [Mysql::default(), login(), querying(None)] {
        let reasons = reasons_of_misbehaviour(ProbeKind::Mysql(mysql)).await;
        assert_eq!(
            reasons["silent"],
            "expected the greeting of a MySQL server, got nothing and timed out after 1s"
        );
        assert!(reasons["garbage"].contains("nonsense"), "{reasons:?}");
        assert!(
            reasons["endless"].contains("whatever it takes"),
            "{reasons:?}"
        );
    }
    let web = Server::new(|stream| say(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let result = ask(web.address(), ProbeKind::Mysql(Mysql::default())).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains(r#"got "HTTP/1.1 400 Bad Request"#), "{text}");
}
