use std::net::SocketAddr;

use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UdpSocket;

use super::*;
use crate::spec::ProbeKind;
use crate::testing::{
    Authority, Server, answering_the_second, ask, ask_briefly, close_port, drip, good,
    reasons_of_misbehaviour,
};

fn sip(transport: Transport) -> Sip {
    Sip {
        transport,
        host: None,
        user: None,
        password: None,
        status: vec![(200, 299)],
    }
}

fn somebody(transport: Transport) -> Sip {
    Sip {
        host: Some("example.org".to_owned()),
        user: Some("probe".to_owned()),
        password: Some(Secret("secret".to_owned())),
        ..sip(transport)
    }
}

/// The value of a header in a request.
fn value<'r>(request: &'r str, name: &str) -> &'r str {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(it, _)| *it == name).unwrap().1
}

/// A response to a request, with more headers.
fn respond(request: &str, status: &str, more: &str) -> Vec<u8> {
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
    let copied: String = copied
        .iter()
        .map(|name| format!("{name}: {}\r\n", value(request, name)))
        .collect();
    format!("SIP/2.0 {status}\r\n{copied}{more}Content-Length: 4\r\n\r\nbody").into_bytes()
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"example.org\", nonce=\"n\"\r\n";

/// What a server says that wants to know who asks, and once it knows, is well.
fn demanding(request: &str) -> Vec<u8> {
    if !request.contains("Authorization: Digest username=\"probe\"") {
        return respond(request, "401 Unauthorized", CHALLENGE);
    }
    // MD5 of "probe:example.org:secret", "n", and "OPTIONS:sip:probe@example.org", as section 22.4
    // has it, computed by another program.
    let proof = "response=\"b2b9a1552151ca67117cc76d582eaa18\"";
    if request.contains(proof) {
        return respond(request, "200 OK", "");
    }
    respond(request, "403 Forbidden", "")
}

/// A server on UDP that sends all of these for a request.
async fn over_udp(serve: impl Fn(&str) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let request = std::str::from_utf8(&buffer[..length]).unwrap();
            assert!(value(request, "Via").contains(&from.to_string()));
            for response in serve(request) {
                socket.send_to(&response, from).await.unwrap();
            }
        }
    });
    address
}

/// Reads requests from a connection and answers each.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, serve: fn(&str) -> Vec<u8>) {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while stream.read_line(&mut request).await.unwrap_or(0) > 0 {
        if request.ends_with("\r\n\r\n") {
            drip(&mut stream, &serve(&request)).await;
            request.clear();
        }
    }
}

async fn over_tcp(serve: fn(&str) -> Vec<u8>) -> Server {
    Server::new(move |stream| converse(stream, serve)).await
}

#[tokio::test]
async fn a_good_status_is_good_by_every_transport() {
    let server = over_udp(|request| vec![respond(request, "200 OK", "")]).await;
    let kind = ProbeKind::Sip(sip(Transport::Udp));
    assert_eq!(ask(server, kind).await, good());

    let serve = |request: &str| respond(request, "200 OK", "");
    let server = over_tcp(serve).await;
    let kind = ProbeKind::Sip(sip(Transport::Tcp));
    assert_eq!(ask(server.address(), kind).await, good());

    let authority = Authority::new();
    let server = authority
        .good()
        .serve(move |stream| {
            converse(stream, |request| {
                let (asked, asks) = (request.split(' ').nth(1), value(request, "Contact"));
                assert!(asked.unwrap().starts_with("sips:") && asks.starts_with("<sips:"));
                respond(request, "200 OK", "")
            })
        })
        .await;
    let kind = |tls| ProbeKind::Sip(sip(Transport::Tls(tls)));
    assert_eq!(ask(server.address(), kind(authority.tls())).await, good());
    // The certificate is for the host, whatever port its URI has.
    for host in ["127.0.0.1:5061", "127.0.0.1"] {
        let sip = Sip {
            host: Some(host.to_owned()),
            ..sip(Transport::Tls(authority.tls()))
        };
        let asked = ask(server.address(), ProbeKind::Sip(sip)).await;
        assert_eq!(asked, good(), "{host}");
    }
    let failure = ask(server.address(), kind(Tls::default())).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "the certificate is from an authority that is not trusted here"
    );
}

#[tokio::test]
async fn a_request_that_is_lost_is_sent_again() {
    let server = answering_the_second(|request| {
        respond(std::str::from_utf8(request).unwrap(), "200 OK", "")
    })
    .await;
    let kind = ProbeKind::Sip(sip(Transport::Udp));
    assert_eq!(ask(server, kind).await, good());
}

#[tokio::test]
async fn a_response_that_is_not_the_last_one_is_not_the_answer() {
    let server = over_udp(|request| {
        vec![
            respond(request, "100 Trying", ""),
            respond(&request.replace("CSeq: 1", "CSeq: 7"), "500 Old", ""),
            respond(request, "200 OK", ""),
        ]
    })
    .await;
    let kind = ProbeKind::Sip(sip(Transport::Udp));
    assert_eq!(ask(server, kind).await, good());
    let server = over_tcp(|request| {
        let first = respond(request, "100 Trying", "");
        // Line ends before a message mean nothing.
        [b"\r\n\r\n", first.as_slice(), b"\r\n"]
            .into_iter()
            .chain([respond(request, "200 OK", "").as_slice()])
            .collect::<Vec<_>>()
            .concat()
    })
    .await;
    let kind = ProbeKind::Sip(sip(Transport::Tcp));
    assert_eq!(ask(server.address(), kind).await, good());
}

#[tokio::test]
async fn another_status_is_told() {
    let server = over_tcp(|request| respond(request, "503 Service Unavailable", "")).await;
    let mut kind = sip(Transport::Tcp);
    let failure = ask(server.address(), ProbeKind::Sip(kind.clone())).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "expected status 200-299, got 503 Service Unavailable"
    );
    kind.status = vec![(200, 200), (503, 503)];
    assert_eq!(ask(server.address(), ProbeKind::Sip(kind)).await, good());
}

#[tokio::test]
async fn a_server_that_wants_to_know_who_asks_is_answered_once() {
    let server = over_udp(|request| vec![demanding(request)]).await;
    let kind = |sip| ProbeKind::Sip(sip);
    assert_eq!(ask(server, kind(somebody(Transport::Udp))).await, good());
    let server = over_tcp(demanding).await;
    let result = ask(server.address(), kind(somebody(Transport::Tcp))).await;
    assert_eq!(result, good());

    let wrong = Sip {
        password: Some(Secret("wrong".to_owned())),
        ..somebody(Transport::Tcp)
    };
    let failure = ask(server.address(), kind(wrong)).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "expected status 200-299, got 403 Forbidden"
    );
    let nobody = sip(Transport::Tcp);
    let failure = ask(server.address(), kind(nobody)).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "expected status 200-299, got 401 Unauthorized"
    );
    let never = over_tcp(|request| respond(request, "401 Unauthorized", CHALLENGE)).await;
    let result = ask(never.address(), kind(somebody(Transport::Tcp))).await;
    let text = result.unwrap_err().to_string();
    assert_eq!(text, "expected status 200-299, got 401 Unauthorized");
}

#[tokio::test]
async fn misbehaving_servers_are_told_as_what_they_are() {
    let reasons = reasons_of_misbehaviour(ProbeKind::Sip(sip(Transport::Tcp))).await;
    assert_eq!(
        reasons["silent"],
        "expected a SIP response, got nothing and timed out after 1s"
    );
    assert!(reasons["garbage"].contains("nonsense"), "{reasons:?}");
    assert_eq!(
        reasons["endless"],
        "expected a SIP response, got whatever it takes"
    );

    let server = over_udp(|_| vec![b"nonsense".to_vec()]).await;
    let failure = ask(server, ProbeKind::Sip(sip(Transport::Udp))).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        r#"expected a SIP response, got "nonsense""#
    );
    let server = over_udp(|_| vec![Vec::new()]).await;
    let failure = ask(server, ProbeKind::Sip(sip(Transport::Udp))).await;
    assert_eq!(
        failure.unwrap_err().to_string(),
        "expected a SIP response, got nothing"
    );
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let kind = ProbeKind::Sip(sip(Transport::Udp));
    let failure = ask_briefly(address, kind.clone()).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "expected a SIP response, got nothing and timed out after 1s"
    );
    close_port(&socket).await;
    let failure = ask(address, kind).await.unwrap_err();
    assert_eq!(failure.to_string(), "port unreachable");
}

#[tokio::test]
async fn headers_without_end_are_not_read_without_end() {
    let server = Server::new(|mut stream| async move {
        let _ = stream.write_all(b"SIP/2.0 200 OK\r\n").await;
        while stream.write_all(&b"Via: x\r\n".repeat(100)).await.is_ok() {}
    })
    .await;
    let kind = ProbeKind::Sip(sip(Transport::Tcp));
    let text = ask(server.address(), kind).await.unwrap_err().to_string();
    assert!(
        text.starts_with("expected the rest of the response in 65536 bytes"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn no_bytes_of_a_server_are_a_danger(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = message::response(&bytes);
        let _ = message::response(&[b"SIP/2.0 200", bytes.as_slice()].concat());
        let header = String::from_utf8_lossy(&bytes).into_owned();
        let _ = digest::Challenge::read(&format!("Digest {header}"));
    }
}
