use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::spec::ProbeKind;
use crate::testing::{Server, ask, ask_briefly, good, hold, reasons_of_misbehaviour, refusing};

fn kind(request: Request) -> ProbeKind {
    ProbeKind::Http(Http {
        tls: None,
        version: Version::Http11,
        requests: vec![request],
    })
}

fn get(status: &[(u16, u16)]) -> ProbeKind {
    kind(Request {
        status: status.to_vec(),
        ..Request::get("/alive?deep=1")
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

    let named = kind(Request {
        host: Some("www.example.org".to_owned()),
        ..Request::get("/")
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

#[tokio::test]
async fn a_request_says_what_it_was_told_to_say() {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let server = Server::new(move |mut stream| {
        let sender = sender.clone();
        async move {
            let head = read_request(&mut stream).await;
            let mut body = [0; 5];
            stream.read_exact(&mut body).await.unwrap();
            sender.send((head, body)).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let request = Request {
        method: "POST".to_owned(),
        headers: vec![
            ("user-agent".to_owned(), "somebody".to_owned()),
            ("X-Probe".to_owned(), "1".to_owned()),
        ],
        body: b"hello".to_vec(),
        ..Request::get("/form")
    };
    let old = ProbeKind::Http(Http {
        tls: None,
        version: Version::Http10,
        requests: vec![request],
    });
    assert_eq!(ask(server.address(), old).await, good());
    let (head, body) = requests.recv().await.unwrap();
    assert!(head.starts_with("POST /form HTTP/1.0\r\n"), "{head}");
    assert!(
        head.contains("user-agent: somebody\r\nX-Probe: 1\r\n"),
        "{head}"
    );
    assert!(!head.contains("caribe-probe"), "{head}");
    assert!(head.contains("Content-Length: 5\r\n"), "{head}");
    assert_eq!(&body, b"hello");
}

#[tokio::test]
async fn a_body_is_judged_by_all_that_was_asked() {
    let regex = |source| Regex::new(source).unwrap();
    let sha = digest(&SHA256, b"all is well");
    let sha = Digest::Sha256(sha.as_ref().try_into().unwrap());
    // As md5sum has it.
    let md5 = Digest::Md5(0x4409_bb95_0a38_26c3_13c3_4b46_b429_ac84_u128.to_be_bytes());
    let table = [
        (Content::Contains(b"is well".to_vec()), None),
        (
            Content::Contains(b"is ill".to_vec()),
            Some(r#"expected "is ill" in the body, got "all is well""#),
        ),
        (Content::Lacks(b"is ill".to_vec()), None),
        (
            Content::Lacks(b"well".to_vec()),
            Some(r#"expected a body without "well", got "all is well""#),
        ),
        (Content::Matches(regex("^all .* well$")), None),
        (
            Content::Matches(regex("ill$")),
            Some(r#"expected a match of /ill$/ in the body, got "all is well""#),
        ),
        (Content::Differs(regex("error|ill$")), None),
        (
            Content::Differs(regex("w.ll")),
            Some(r#"expected a body without a match of /w.ll/, got "all is well""#),
        ),
        (Content::Digest(sha), None),
        (Content::Digest(md5), None),
    ];
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nall \r\n7\r\nis well\r\n0\r\n\r\n";
    let counted = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nall is well and more";
    let open = "HTTP/1.0 200 OK\r\n\r\nall is well";
    for response in [chunked, counted, open] {
        let server = answering(response).await;
        for (content, expected) in table.clone() {
            let request = Request {
                content: vec![Content::Lacks(b"elsewhere".to_vec()), content],
                ..Request::get("/")
            };
            let result = ask(server.address(), kind(request)).await;
            let reason = result.err().map(|failure| failure.to_string());
            assert_eq!(reason.as_deref(), expected, "{response}");
        }
    }
    let server = answering("HTTP/1.1 200 OK\r\n\r\nall is ill").await;
    for digest in [sha, md5] {
        let request = Request {
            content: vec![Content::Digest(digest)],
            ..Request::get("/")
        };
        let text = ask(server.address(), kind(request)).await.unwrap_err();
        assert!(
            text.to_string().starts_with("expected a body with digest "),
            "{text}"
        );
    }
}

#[tokio::test]
async fn several_requests_must_all_be_answered_well() {
    let server = Server::new(|mut stream| async move {
        let request = read_request(&mut stream).await;
        let status = if request.starts_with("GET /good") {
            "200 OK"
        } else {
            "500 No"
        };
        let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    let both = |paths: [&str; 2]| {
        ProbeKind::Http(Http {
            tls: None,
            version: Version::Http11,
            requests: paths.map(Request::get).to_vec(),
        })
    };
    assert_eq!(
        ask(server.address(), both(["/good", "/good2"])).await,
        good()
    );
    let text = ask(server.address(), both(["/good", "/bad"]))
        .await
        .unwrap_err();
    assert_eq!(
        text.to_string(),
        r#"expected status 200-299 of "/bad", got 500 No"#
    );
}

#[tokio::test]
async fn the_response_to_head_has_no_body_whatever_it_says() {
    let server = Server::new(|mut stream| async move {
        read_request(&mut stream).await;
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        stream.write_all(response).await.unwrap();
        hold(stream).await;
    })
    .await;
    let head = Request {
        method: "HEAD".to_owned(),
        ..Request::get("/")
    };
    assert_eq!(ask(server.address(), kind(head)).await, good());
}

#[tokio::test]
async fn a_body_ends_as_its_head_says() {
    let table = [
        (
            "transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            None,
        ),
        (
            "content-length: 9\r\ntransfer-encoding: gzip, Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            None,
        ),
        // A coding that is not chunked lasts until the end, whatever length is given.
        (
            "transfer-encoding: gzip\r\ncontent-length: 2\r\n\r\nhello",
            None,
        ),
        // A header in two lines.
        (
            "x-old: one\r\n\ttwo\r\ncontent-length: 5\r\n\r\nhello",
            None,
        ),
        ("content-length: 5\r\ncontent-length: 5\r\n\r\nhello", None),
        (
            "content-length: 5\r\ncontent-length: 7\r\n\r\nhello",
            Some("expected one length of the body, 5, got 7"),
        ),
        (
            "content-length: +5\r\n\r\nhello",
            Some("expected a length of the body, got +5"),
        ),
        (
            "transfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
            Some("expected the length of a chunk, got +5"),
        ),
        (
            "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            Some("expected the length of a chunk, got ffffffffffffffffff"),
        ),
    ];
    let request = Request {
        content: vec![Content::Contains(b"hello".to_vec())],
        ..Request::get("/")
    };
    for (rest, expected) in table {
        let server = answering(format!("HTTP/1.1 200 OK\r\n{rest}")).await;
        let result = ask(server.address(), kind(request.clone())).await;
        let reason = result.map_err(|failure| failure.to_string()).err();
        assert_eq!(reason.as_deref(), expected, "{rest}");
    }
}

#[tokio::test]
async fn an_endless_body_of_small_chunks_is_cut_off_and_good() {
    let chunks = "1\r\nx\r\n".repeat(70_000);
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let server = answering(format!("{head}{chunks}")).await;
    assert_eq!(ask(server.address(), ok()).await, good());
}

#[tokio::test]
async fn that_a_body_was_not_read_to_its_end_is_told() {
    let request = Request {
        content: vec![Content::Contains(b"hello".to_vec())],
        ..Request::get("/")
    };
    let page = "x".repeat(70_000) + "hello";
    let server = answering(format!("HTTP/1.1 200 OK\r\n\r\n{page}")).await;
    let failure = ask(server.address(), kind(request)).await.unwrap_err();
    let text = failure.to_string();
    let expected = "expected \"hello\" in the body in 65536 bytes, got \"xxx";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_request_has_one_length_where_it_may_have_a_body() {
    let lengths = |method: &str, body: &[u8], headers: &[(&str, &str)]| {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let request = Request {
            method: method.to_owned(),
            body: body.to_vec(),
            headers: headers.collect(),
            ..Request::get("/")
        };
        let ProbeKind::Http(http) = kind(request.clone()) else {
            unreachable!()
        };
        let text = http.text(&request, "192.0.2.1:80".parse().unwrap());
        let text = String::from_utf8(text).unwrap().to_lowercase();
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("content-length: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lengths("GET", b"", &[]), [""; 0]);
    assert_eq!(lengths("POST", b"", &[]), ["0"]);
    assert_eq!(lengths("POST", b"hello", &[]), ["5"]);
    assert_eq!(lengths("POST", b"hello", &[("content-length", "7")]), ["7"]);
}

#[test]
fn a_server_is_called_by_its_host_without_the_port() {
    for (host, name) in [
        ("www.example.org", "www.example.org"),
        ("www.example.org:8443", "www.example.org"),
        ("[2001:db8::1]:8443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ] {
        let request = Request {
            host: Some(host.to_owned()),
            ..Request::get("/")
        };
        assert_eq!(request.name(), Some(name));
    }
}

#[tokio::test]
async fn informational_responses_are_passed_over() {
    let server =
        answering("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(ask(server.address(), ok()).await, good());
}

#[tokio::test]
async fn no_server_that_misbehaves_is_taken_for_a_good_one() {
    let reasons = reasons_of_misbehaviour(ok()).await;
    assert_eq!(
        reasons["endless"],
        "expected an HTTP response, got whatever it takes"
    );
}
