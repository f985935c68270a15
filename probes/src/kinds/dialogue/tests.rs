use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::*;
use crate::spec::{ProbeKind, Secret};
use crate::testing::{Authority, Server, ask, drip, good};

/// A conversation: what the server says, after the command that it must have heard; `None` for what
/// it says first. "TLS" as an answer means that TLS begins.
type Script = &'static [(Option<&'static str>, &'static str)];

fn dialogue(protocol: Protocol) -> Dialogue {
    Dialogue {
        protocol,
        encryption: None,
        login: None,
        hello: "probe.example".to_owned(),
    }
}

fn with_login(protocol: Protocol) -> Dialogue {
    Dialogue {
        login: Some(Login {
            user: "me".to_owned(),
            password: Secret("a \"b".to_owned()),
        }),
        ..dialogue(protocol)
    }
}

/// A server that follows a script, byte by byte.
async fn server(script: Script, authority: &Authority) -> Server {
    let acceptor = authority.good().acceptor();
    Server::new(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut plain = BufReader::new(stream);
            for (at, (heard, said)) in script.iter().enumerate() {
                assert_heard(&mut plain, *heard).await;
                if *said == "TLS" {
                    let stream = acceptor.accept(plain.into_inner()).await.unwrap();
                    let mut stream = BufReader::new(stream);
                    for (heard, said) in &script[at + 1..] {
                        assert_heard(&mut stream, *heard).await;
                        drip(&mut stream, said.as_bytes()).await;
                    }
                    let _ = stream.shutdown().await;
                    return;
                }
                drip(&mut plain, said.as_bytes()).await;
            }
        }
    })
    .await
}

async fn assert_heard<S: AsyncBufReadExt + Unpin>(stream: &mut S, expected: Option<&str>) {
    if let Some(expected) = expected {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(line, format!("{expected}\r\n"));
    }
}

const SMTP: Script = &[
    (None, "220-mail.example\r\n220 ESMTP\r\n"),
    (
        Some("EHLO probe.example"),
        "250-mail.example\r\n250 SIZE\r\n",
    ),
    (Some("QUIT"), "221 bye\r\n"),
];
const OLD_SMTP: Script = &[
    (None, "220 mail.example\r\n"),
    (Some("EHLO probe.example"), "500 what?\r\n"),
    (Some("HELO probe.example"), "250 mail.example\r\n"),
    (Some("QUIT"), "221 bye\r\n"),
];
const SMTP_TLS: Script = &[
    (None, "220 mail.example\r\n"),
    (
        Some("EHLO probe.example"),
        "250-mail.example\r\n250 STARTTLS\r\n",
    ),
    (Some("STARTTLS"), "220 go\r\n"),
    (None, "TLS"),
    (Some("EHLO probe.example"), "250 mail.example\r\n"),
    (Some("AUTH PLAIN AG1lAGEgImI="), "235 welcome\r\n"),
    (Some("QUIT"), "221 bye\r\n"),
];
const IMAP: Script = &[
    (None, "* OK [CAPABILITY IMAP4rev1] ready\r\n"),
    (Some("q LOGOUT"), "* BYE\r\nq OK done\r\n"),
];
const IMAP_TLS: Script = &[
    (None, "* OK ready\r\n"),
    (Some("s STARTTLS"), "s OK go\r\n"),
    (None, "TLS"),
    (
        Some(r#"l LOGIN "me" "a \"b""#),
        "* CAPABILITY IMAP4rev1\r\nl OK in\r\n",
    ),
    (Some("q LOGOUT"), "* BYE\r\nq OK done\r\n"),
];
const POP3: Script = &[(None, "+OK ready\r\n"), (Some("QUIT"), "+OK bye\r\n")];
const POP3_TLS: Script = &[
    (None, "+OK ready\r\n"),
    (Some("STLS"), "+OK\r\n"),
    (None, "TLS"),
    (Some("USER me"), "+OK\r\n"),
    (Some("PASS a \"b"), "+OK in\r\n"),
    (Some("QUIT"), "+OK bye\r\n"),
];
const FTP: Script = &[
    (None, "220-Welcome\r\n no code here\r\n220 ready\r\n"),
    (Some("QUIT"), "221 bye\r\n"),
];
const FTP_TLS: Script = &[
    (None, "220 ready\r\n"),
    (Some("AUTH TLS"), "234 go\r\n"),
    (None, "TLS"),
    (Some("USER me"), "331 password\r\n"),
    (Some("PASS a \"b"), "230 in\r\n"),
    (Some("QUIT"), "221 bye\r\n"),
];
const NNTP: Script = &[(None, "201 no posting\r\n"), (Some("QUIT"), "205 bye\r\n")];
const NNTP_TLS: Script = &[
    (None, "200 posting\r\n"),
    (Some("STARTTLS"), "382 go\r\n"),
    (None, "TLS"),
    (Some("AUTHINFO USER me"), "381 more\r\n"),
    (Some("AUTHINFO PASS a \"b"), "281 in\r\n"),
    (Some("QUIT"), "205 bye\r\n"),
];

#[tokio::test]
async fn each_dialogue_is_spoken_to_its_end() {
    let authority = Authority::new();
    let table = [
        (Protocol::Smtp, SMTP),
        (Protocol::Submission, OLD_SMTP),
        (Protocol::Imap, IMAP),
        (Protocol::Pop3, POP3),
        (Protocol::Ftp, FTP),
        (Protocol::Nntp, NNTP),
    ];
    for (protocol, script) in table {
        let server = server(script, &authority).await;
        let kind = ProbeKind::Dialogue(dialogue(protocol));
        assert_eq!(ask(server.address(), kind).await, good(), "{protocol:?}");
    }
}

#[tokio::test]
async fn each_dialogue_can_turn_to_tls_and_log_in() {
    let authority = Authority::new();
    let table = [
        (Protocol::Smtp, SMTP_TLS),
        (Protocol::Imap, IMAP_TLS),
        (Protocol::Pop3, POP3_TLS),
        (Protocol::Ftp, FTP_TLS),
        (Protocol::Nntp, NNTP_TLS),
    ];
    for (protocol, script) in table {
        let server = server(script, &authority).await;
        let kind = ProbeKind::Dialogue(Dialogue {
            encryption: Some((Begin::Asked, authority.tls())),
            ..with_login(protocol)
        });
        assert_eq!(ask(server.address(), kind).await, good(), "{protocol:?}");
    }
}

#[tokio::test]
async fn what_a_server_says_instead_is_the_reason() {
    let authority = Authority::new();
    let table: [(Protocol, Script, &str); 10] = [
        (
            Protocol::Smtp,
            &[(None, "421 closing\r\n")],
            "expected 220, got 421 closing",
        ),
        (
            Protocol::Smtp,
            &[
                (None, "220 ready\r\n"),
                (Some("EHLO probe.example"), "550-go away\r\n550 really\r\n"),
            ],
            "expected 250 or 500 or 502, got 550-go away",
        ),
        (
            Protocol::Smtp,
            &[(None, "220-without end\r\n")],
            "expected 220, but the server closed the connection",
        ),
        (
            Protocol::Imap,
            &[(None, "* BYE too busy\r\n")],
            "expected * OK, got * BYE too busy",
        ),
        (
            Protocol::Imap,
            &[
                (None, "* OK\r\n"),
                (Some(r#"l LOGIN "me" "a \"b""#), "l NO wrong password\r\n"),
            ],
            "expected l OK, got l NO wrong password",
        ),
        (
            Protocol::Pop3,
            &[(None, "-ERR too busy\r\n")],
            "expected +OK, got -ERR too busy",
        ),
        (
            Protocol::Pop3,
            &[(None, "+OKAY\r\n")],
            "expected +OK, got +OKAY",
        ),
        (
            Protocol::Ftp,
            &[
                (None, "220 ready\r\n"),
                (Some("USER me"), "530 not you\r\n"),
            ],
            "expected 230 or 331, got 530 not you",
        ),
        (
            Protocol::Nntp,
            &[(None, "400 not now\r\n")],
            "expected 200 or 201, got 400 not now",
        ),
        (
            Protocol::Nntp,
            &[(None, "what?\r\n")],
            "expected 200 or 201, got what?",
        ),
    ];
    for (protocol, script, expected) in table {
        let server = server(script, &authority).await;
        let kind = ProbeKind::Dialogue(with_login(protocol));
        let failure = ask(server.address(), kind).await.unwrap_err();
        assert_eq!(failure.to_string(), expected);
    }
}

#[test]
fn a_password_is_not_shown() {
    let shown = format!("{:?}", with_login(Protocol::Imap));
    assert!(!shown.contains("a \\\"b"), "{shown}");
}
