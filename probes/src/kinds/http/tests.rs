use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::spec::ProbeKind;
use crate::testing::{Server, ask, ask_briefly, good, hold, refusing};

fn get(status: &[(u16, u16)]) -> ProbeKind {
    ProbeKind::Http(Http {
        path: "/alive?deep=1".to_owned(),
        host: None,
        status: status.to_vec(),
        tls: None,
    })
}

fn ok() -> ProbeKind {
    get(&[(200, 299)])
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

/// Answers every request with `response` and closes.
async fn answering(response: impl Into<Vec<u8>>) -> Server {
    let response = response.into();
    Server::new(move |mut stream| {
        let response = response.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(&response).await.unwrap();
        }
    })
    .await
}

async fn reason_of(server: &Server) -> String {
    ask(server.address(), ok()).await.unwrap_err().to_string()
}

/// As [`reason_of`], of a server for which the probe's time runs out.
async fn reason_at_timeout(server: &Server) -> String {
    ask_briefly(server.address(), ok())
        .await
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn a_status_in_a_good_range_is_good_over_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let server = Server::at(ip, |mut stream| async move {
            read_request(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
        })
        .await;
        assert_eq!(ask(server.address(), ok()).await, good(), "{ip}");
    }
}

#[tokio::test]
async fn the_request_names_host_path_and_program_and_asks_to_close() {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let server = Server::new(move |mut stream| {
        let sender = sender.clone();
        async move {
            sender.send(read_request(&mut stream).await).unwrap();
            stream
                .write_all(b"HTTP/1.0 200 OK\r\n\r\nhello")
                .await
                .unwrap();
        }
    })
    .await;
    assert_eq!(ask(server.address(), ok()).await, good());
    let request = requests.recv().await.unwrap().to_lowercase();
    assert!(
        request.starts_with("get /alive?deep=1 http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("host: {}\r\n", server.address())),
        "{request}"
    );
    assert!(request.contains("connection: close\r\n"), "{request}");
    assert!(request.contains("user-agent: caribe-probe/"), "{request}");

    let named = ProbeKind::Http(Http {
        path: "/".to_owned(),
        host: Some("www.example.org".to_owned()),
        status: vec![(200, 200)],
        tls: None,
    });
    assert_eq!(ask(server.address(), named).await, good());
    let request = requests.recv().await.unwrap().to_lowercase();
    assert!(request.contains("host: www.example.org\r\n"), "{request}");
}

#[test]
fn the_host_header_of_an_address_leaves_out_port_80() {
    let table = [
        ("192.0.2.1:80", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1:8080"),
        ("[2001:db8::1]:80", "[2001:db8::1]"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
    ];
    for (address, host) in table {
        assert_eq!(host_of(address.parse().unwrap(), 80), host);
    }
}

#[tokio::test]
async fn a_bad_status_is_named_with_what_was_expected() {
    let table = [
        (
            "503 Service Unavailable",
            "expected status 200-299, got 503 Service Unavailable",
        ),
        (
            "301 Moved Permanently",
            "expected status 200-299, got 301 Moved Permanently",
        ),
        ("599", "expected status 200-299, got 599"),
    ];
    for (status, text) in table {
        let server = answering(format!("HTTP/1.1 {status}\r\nlocation: /elsewhere\r\n\r\n")).await;
        assert_eq!(reason_of(&server).await, text);
    }
}

#[tokio::test]
async fn several_ranges_are_all_tried_and_all_named() {
    let server = answering("HTTP/1.1 404 Not Found\r\n\r\n").await;
    assert_eq!(
        ask(server.address(), get(&[(200, 299), (404, 404)])).await,
        good()
    );
    let text = ask(server.address(), get(&[(200, 299), (401, 401)]))
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(text, "expected status 200-299, 401, got 404 Not Found");
}

#[tokio::test]
async fn a_response_that_comes_byte_by_byte_is_put_together() {
    let server = Server::new(|mut stream| async move {
        read_request(&mut stream).await;
        stream.set_nodelay(true).unwrap();
        for byte in b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(ask(server.address(), ok()).await, good());
}

#[tokio::test]
async fn an_endless_body_is_cut_off_and_good() {
    let server = Server::new(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await;
    assert_eq!(ask(server.address(), ok()).await, good());
}

#[tokio::test]
async fn an_endless_head_is_cut_off_and_bad() {
    let server = Server::new(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await;
    assert_eq!(
        reason_of(&server).await,
        "expected the headers of the response in 8192 bytes, got \"x: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..."
    );
}

#[tokio::test]
async fn a_body_shorter_than_promised_has_failed() {
    let server = answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    assert_eq!(
        reason_of(&server).await,
        r#"expected the rest of the response, got "hello" and the end of the connection"#
    );
}

#[tokio::test]
async fn a_body_that_stalls_is_timed_out() {
    let server = Server::new(|mut stream| async move {
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
            .await
            .unwrap();
        hold(stream).await;
    })
    .await;
    assert_eq!(
        reason_at_timeout(&server).await,
        "timed out after 1s while reading the reply"
    );
}

#[tokio::test]
async fn a_silent_server_is_timed_out() {
    let server = Server::new(hold).await;
    assert_eq!(
        reason_at_timeout(&server).await,
        "expected an HTTP response, got nothing and timed out after 1s"
    );
}

#[tokio::test]
async fn another_protocol_is_told_from_http() {
    let server = answering("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").await;
    assert_eq!(
        reason_of(&server).await,
        "expected an HTTP response, got SSH-2.0-OpenSSH_9.2p1 Debian-2"
    );
}

#[tokio::test]
async fn a_server_that_closes_without_a_response_has_failed() {
    let server = answering("").await;
    assert_eq!(
        reason_of(&server).await,
        "expected an HTTP response, but the server closed the connection"
    );
}

#[tokio::test]
async fn a_refused_connection_is_called_so() {
    let socket = refusing("::1");
    let result = ask(socket.local_addr().unwrap(), ok()).await;
    assert_eq!(result.unwrap_err().to_string(), "connection refused");
}
