use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::kinds::http::{Http, Request, Version};
use crate::spec::ProbeKind;
use crate::testing::{Authority, Identity, Server, ask, ask_briefly, good, hold, report, say};
use crate::{ProbeSpec, Tls};

fn https(tls: Tls) -> ProbeKind {
    ProbeKind::Http(Http {
        tls: Some(tls),
        version: Version::Http11,
        requests: vec![Request::get("/")],
    })
}

async fn web(identity: &Identity) -> Server {
    identity
        .serve(|mut stream| async move {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.shutdown().await;
        })
        .await
}

async fn reason(server: &Server, tls: Tls) -> String {
    let result = ask(server.address(), https(tls)).await;
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn a_good_certificate_is_accepted_and_the_phases_are_told() {
    let authority = Authority::new();
    let server = web(&authority.good()).await;
    let spec = ProbeSpec::new(https(authority.tls()));
    let report = report(server.address(), spec).await;
    assert_eq!(report.result, good());
    let times = report.times;
    let phases = [times.connect, times.tls, times.first_byte];
    let phases: Vec<_> = phases.into_iter().map(Option::unwrap).collect();
    assert!(phases.is_sorted(), "{times:?}");
    assert!(phases[2] <= times.whole, "{times:?}");
}

#[tokio::test]
async fn a_name_is_told_to_the_server_and_looked_for_in_its_certificate() {
    let authority = Authority::new();
    let server = web(&authority.issue(&["www.example.org"], 2099)).await;
    let named = |name: &str| Tls {
        name: Some(name.to_owned()),
        ..authority.tls()
    };
    let result = ask(server.address(), https(named("www.example.org"))).await;
    assert_eq!(result, good());
    let text = reason(&server, named("www.example.net")).await;
    assert_eq!(text, "the certificate is not for www.example.net");
    let text = reason(&server, authority.tls()).await;
    assert_eq!(text, "the certificate is not for 127.0.0.1");
}

/// RFC 6066, section 3.
#[tokio::test]
async fn a_server_is_told_a_name_and_never_an_address() {
    let authority = Authority::new();
    let names = ["www.example.org", "127.0.0.1", "::1"];
    let (tell, mut told) = mpsc::channel(1);
    let server = authority
        .issue(&names, 2099)
        .serve(move |mut stream| {
            let tell = tell.clone();
            async move {
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                tell.send(name).await.unwrap();
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
        })
        .await;
    let table = [
        (Some("www.example.org"), Some("www.example.org")),
        (None, None),
        (Some("127.0.0.1"), None),
        (Some("::1"), None),
    ];
    for (name, expected) in table {
        let tls = Tls {
            name: name.map(str::to_owned),
            ..authority.tls()
        };
        let asked = ask(server.address(), https(tls)).await;
        assert_eq!(asked, good(), "{name:?}");
        assert_eq!(told.recv().await.unwrap().as_deref(), expected, "{name:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said() {
    let authority = Authority::new();
    let expired = web(&authority.issue(&["127.0.0.1"], 2020)).await;
    let text = reason(&expired, authority.tls()).await;
    assert_eq!(text, "the certificate has expired");

    let own = web(&authority.issue_authority()).await;
    let text = reason(&own, authority.tls()).await;
    assert_eq!(
        text,
        "the certificate is an authority's, not one for a server"
    );

    let stranger = web(&Authority::new().good()).await;
    let text = reason(&stranger, authority.tls()).await;
    assert_eq!(
        text,
        "the certificate is from an authority that is not trusted here"
    );
}

#[tokio::test]
async fn without_verification_any_certificate_will_do() {
    let careless = || Tls {
        verify: false,
        ..Tls::default()
    };
    let authority = Authority::new();
    let stranger = web(&authority.issue(&["elsewhere.example"], 2099)).await;
    assert_eq!(ask(stranger.address(), https(careless())).await, good());
    let expired = web(&authority.issue(&["127.0.0.1"], 2020)).await;
    let answer = ask(expired.address(), https(careless())).await.unwrap();
    assert_eq!(
        answer.warning.unwrap(),
        "the certificate expired on 2020-01-01"
    );
}

#[tokio::test]
async fn a_certificate_that_expires_soon_is_good_with_a_warning() {
    let authority = Authority::new();
    let server = web(&authority.good()).await;
    let tls = Tls {
        warn: std::time::Duration::from_secs(100 * 366 * 24 * 3600),
        ..authority.tls()
    };
    let answer = ask(server.address(), https(tls)).await.unwrap();
    assert_eq!(
        answer.warning.unwrap(),
        "the certificate expires on 2099-01-01"
    );
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_the_probes_own() {
    let authority = Authority::new();
    let acceptor = authority.good().demanding_acceptor(&authority);
    let server = Server::new(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    let with = ask(server.address(), https(authority.tls_with_identity())).await;
    assert_eq!(with, good());
    let text = reason(&server, authority.tls()).await;
    assert_eq!(text, "the server wants a certificate of the probe");
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with_it() {
    let plain = Server::new(|stream| say(stream, b"220 ready\r\n")).await;
    let text = reason(&plain, Tls::default()).await;
    assert_eq!(text, "expected TLS, got something else");

    let closing = Server::new(|stream| async move { drop(stream) }).await;
    let text = reason(&closing, Tls::default()).await;
    let expected = [
        "expected TLS, but the server closed the connection",
        "connection reset by peer while agreeing on TLS",
        "broken pipe while agreeing on TLS",
    ];
    assert!(expected.contains(&text.as_str()), "{text}");

    let silent = Server::new(hold).await;
    let result = ask_briefly(silent.address(), https(Tls::default())).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "timed out after 1s while agreeing on TLS"
    );
}

#[tokio::test]
async fn files_that_cannot_be_read_are_not_the_servers_fault() {
    let authority = Authority::new();
    let server = web(&authority.good()).await;
    let absent = Tls {
        ca: Some("/none/such.pem".to_owned()),
        ..Tls::default()
    };
    let failure = ask(server.address(), https(absent)).await.unwrap_err();
    assert!(!failure.concerns_server());
    assert_eq!(
        failure.to_string(),
        "the probe could not run: /none/such.pem cannot be read: no such file or directory"
    );
    let empty = Tls {
        ca: Some("/dev/null".to_owned()),
        ..Tls::default()
    };
    let failure = ask(server.address(), https(empty)).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the probe could not run: no certificate in /dev/null"
    );
}

#[test]
fn an_error_without_words_of_its_own_is_told_in_those_of_its_name() {
    let alert = |alert| super::describe(&rustls::Error::AlertReceived(alert), "x");
    let table = [
        (
            rustls::AlertDescription::InternalError,
            "the server refused the handshake: internal error",
        ),
        (
            rustls::AlertDescription::UnknownCA,
            "the server refused the handshake: unknown ca",
        ),
        (
            rustls::AlertDescription::ProtocolVersion,
            "the server refused the handshake: no TLS version in common",
        ),
    ];
    for (description, words) in table {
        assert_eq!(alert(description), words);
    }
}
