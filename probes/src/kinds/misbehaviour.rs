//! Every kind that listens to a server against every way in which servers misbehave. How each
//! speaks with one stands in its own file ([`Ask::talks`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::*;
use crate::testing::{Authority, Over, Server, Turn, ask, ask_briefly, close_port, drip, hold};

/// Bytes that a server may get rid of while it talks without end: what a probe reads, and what the
/// kernel keeps for both sides of a connection (tcp(7)).
const FLOOD: usize = 32 << 20;

/// How a server misbehaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Misbehaviour {
    IsSilent,
    Closes,
    SaysGarbage,
    SaysGarbageByteByByte,
    TalksWithoutEnd,
    TalksInOneEndlessLine,
}

const EVERY: [Misbehaviour; 6] = [
    Misbehaviour::IsSilent,
    Misbehaviour::Closes,
    Misbehaviour::SaysGarbage,
    Misbehaviour::SaysGarbageByteByByte,
    Misbehaviour::TalksWithoutEnd,
    Misbehaviour::TalksInOneEndlessLine,
];

const GARBAGE: &[u8] = b"\x00\xff\x1b[31m nonsense\r\n";

impl Misbehaviour {
    /// Does so towards one probe; counts the bytes that it could get rid of.
    async fn show<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: S, said: &AtomicUsize) {
        let endless: &[u8] = match self {
            Self::IsSilent => return hold(stream).await,
            Self::Closes => return,
            Self::SaysGarbage => {
                let _ = stream.write_all(GARBAGE).await;
                return hold(stream).await;
            }
            Self::SaysGarbageByteByByte => {
                // Whatever the probe takes, there is one byte more.
                loop {
                    drip(&mut stream, GARBAGE).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Self::TalksWithoutEnd => &b"whatever it takes\r\n".repeat(400),
            Self::TalksInOneEndlessLine => &[b'x'; 8192],
        };
        while stream.write_all(endless).await.is_ok() {
            said.fetch_add(endless.len(), Ordering::Relaxed);
        }
    }
}

/// When a server begins to misbehave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moment {
    AtOnce,
    InsteadOfTls,
    WithinTls,
}

async fn take(turns: &[Turn], stream: &mut TcpStream) {
    for turn in turns {
        let done = match turn {
            Turn::Says(words) => stream.write_all(words).await,
            Turn::Hears(Some(length)) => stream.read_exact(&mut vec![0; *length]).await.map(drop),
            Turn::Hears(None) => stream.read(&mut [0; 1024]).await.map(drop),
        };
        if done.is_err() {
            return;
        }
    }
}

/// The kinds that speak over streams, each with what precedes TLS.
fn over_streams(tls: &Tls) -> Vec<(ProbeKind, Option<Vec<Turn>>)> {
    let talks = ProbeKind::talks(tls).into_iter();
    let streams = talks.filter_map(|talk| match talk.over {
        Over::Stream { before_tls } => Some((talk.kind, before_tls)),
        Over::Datagrams => None,
    });
    streams.collect()
}

/// What a probe says of a server that misbehaves so.
async fn reason(
    (kind, before_tls): (ProbeKind, Option<Vec<Turn>>),
    moment: Moment,
    misbehaviour: Misbehaviour,
    who: &Authority,
) -> String {
    let case = format!("{kind:?}, {moment:?} {misbehaviour:?}");
    let acceptor = who.good().acceptor();
    let said = Arc::new(AtomicUsize::new(0));
    let before = match moment {
        Moment::AtOnce => Vec::new(),
        Moment::InsteadOfTls | Moment::WithinTls => before_tls.unwrap(),
    };
    let counter = Arc::clone(&said);
    let server = Server::new(move |mut stream| {
        let (acceptor, before, said) = (acceptor.clone(), before.clone(), Arc::clone(&counter));
        async move {
            take(&before, &mut stream).await;
            if moment == Moment::WithinTls {
                if let Ok(stream) = acceptor.accept(stream).await {
                    misbehaviour.show(stream, &said).await;
                }
            } else {
                misbehaviour.show(stream, &said).await;
            }
        }
    })
    .await;
    let asked = ask_briefly(server.address(), kind);
    let result = tokio::time::timeout(Duration::from_secs(60), asked).await;
    let failure = result.expect(&case).expect_err(&case);
    assert!(failure.concerns_server(), "{case}: {failure}");
    let said = said.load(Ordering::Relaxed);
    assert!(said < FLOOD, "{case}: {said} bytes were taken");
    let reason = failure.to_string();
    assert_is_understood(&case, &reason);
    match misbehaviour {
        Misbehaviour::IsSilent => {
            assert!(reason.contains("timed out after 1s"), "{case}: {reason}")
        }
        Misbehaviour::Closes => {
            let words = [
                "closed the connection",
                "end of the connection",
                "reset",
                "broken pipe",
            ];
            let told = words.iter().any(|word| reason.contains(word));
            // A busy host may be too late for it.
            assert!(told || reason.contains("timed out"), "{case}: {reason}");
        }
        Misbehaviour::SaysGarbage
        | Misbehaviour::SaysGarbageByteByByte
        | Misbehaviour::TalksWithoutEnd
        | Misbehaviour::TalksInOneEndlessLine => {}
    }
    reason
}

/// A reason is one short line that can be printed, in words and not in numbers of errors.
fn assert_is_understood(case: &str, reason: &str) {
    let printable = reason.chars().all(|it| !it.is_control());
    let short = (5..300).contains(&reason.chars().count());
    let in_words = !["os error", "Err(", "Some(", "Error {", "Kind::", "\\u{"]
        .iter()
        .any(|word| reason.contains(word));
    assert!(printable && short && in_words, "{case}: {reason}");
}

#[tokio::test]
async fn no_server_that_misbehaves_is_taken_for_a_good_one() {
    let authority = Arc::new(Authority::new());
    let mut cases = JoinSet::new();
    for talk in over_streams(&authority.tls()) {
        for misbehaviour in EVERY {
            for moment in [Moment::AtOnce, Moment::InsteadOfTls, Moment::WithinTls] {
                if moment == Moment::AtOnce || talk.1.is_some() {
                    let (talk, authority) = (talk.clone(), Arc::clone(&authority));
                    cases.spawn(async move {
                        reason(talk, moment, misbehaviour, &authority).await;
                    });
                }
            }
        }
    }
    assert!(cases.len() > 500, "{}", cases.len());
    while let Some(done) = cases.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn no_certificate_that_is_not_good_is_taken_for_a_good_one() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let certificates = [
        (
            authority.issue(&["127.0.0.1"], 2002),
            "the certificate has expired",
        ),
        (
            authority.issue(&["another.example"], 2099),
            "the certificate is not for 127.0.0.1",
        ),
        (
            stranger.good(),
            "the certificate is from an authority that is not trusted here",
        ),
    ];
    for (kind, before) in over_streams(&authority.tls()) {
        let Some(before) = before else {
            continue;
        };
        for (certificate, expected) in &certificates {
            let (acceptor, before) = (certificate.acceptor(), before.clone());
            let server = Server::new(move |mut stream| {
                let (acceptor, before) = (acceptor.clone(), before.clone());
                async move {
                    take(&before, &mut stream).await;
                    let _ = acceptor.accept(stream).await;
                }
            })
            .await;
            let result = ask(server.address(), kind.clone()).await;
            let reason = result.unwrap_err().to_string();
            assert_eq!(reason, *expected, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn no_datagram_that_is_no_answer_is_taken_for_one() {
    let mut cases = JoinSet::new();
    let talks = ProbeKind::talks(&Tls::default()).into_iter();
    for kind in talks.filter_map(|talk| matches!(talk.over, Over::Datagrams).then_some(talk.kind)) {
        for datagram in [b"".as_slice(), GARBAGE, &[b'x'; 50_000]] {
            for without_end in [false, true] {
                cases.spawn(is_not_taken_for_an_answer(
                    kind.clone(),
                    datagram,
                    without_end,
                ));
            }
        }
        cases.spawn(async move {
            let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = closed.local_addr().unwrap();
            close_port(&closed).await;
            let failure = ask(address, kind).await.unwrap_err();
            assert_eq!(failure.to_string(), "port unreachable");
        });
    }
    while let Some(done) = cases.join_next().await {
        done.unwrap();
    }
}

/// Asks a server that sends this, or nothing if it is empty, once or without end.
async fn is_not_taken_for_an_answer(kind: ProbeKind, datagram: &'static [u8], without_end: bool) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (_, probe) = socket.recv_from(&mut [0; 2000]).await.unwrap();
        if !datagram.is_empty() {
            while socket.send_to(datagram, probe).await.is_ok() && without_end {
                tokio::task::yield_now().await;
            }
        }
        hold(socket).await;
    });
    let case = format!("{kind:?}, {} bytes, {without_end}", datagram.len());
    let asked = ask_briefly(address, kind);
    let result = tokio::time::timeout(Duration::from_secs(60), asked).await;
    server.abort();
    let failure = result.expect(&case).expect_err(&case);
    assert!(failure.concerns_server(), "{case}: {failure}");
    let reason = failure.to_string();
    assert_is_understood(&case, &reason);
    let silent = datagram.is_empty();
    assert!(
        !silent || reason.contains("timed out after 1s"),
        "{case}: {reason}"
    );
}
