//! The kinds, in every way in which they speak with a server.

use crate::kinds::agent::Agent;
use crate::kinds::dialogue::{Begin, Dialogue, Encryption, Protocol};
use crate::kinds::expect::{Expect, Step};
use crate::kinds::http::{Http, Version};
#[cfg(feature = "pgsql")]
use crate::kinds::pgsql;
use crate::kinds::sip::{Sip, Transport};
use crate::kinds::udp::{Reply, Udp};
use crate::kinds::{ProbeKind, dns, finger, http, ldap, mysql, radius, redis};
use crate::pattern::Pattern;
use crate::spec::{DatabaseLogin, Login, Secret};
use crate::tls::Tls;

/// A way of asking, and how it comes to TLS.
#[derive(Clone)]
pub(super) struct Talk {
    pub(super) kind: ProbeKind,
    /// What precedes TLS; `None` without TLS.
    pub(super) before_tls: Option<Vec<Turn>>,
}

#[derive(Clone)]
pub(super) enum Turn {
    Says(Vec<u8>),
    /// So many bytes, or those that come together.
    Hears(Option<usize>),
}

fn says(words: impl Into<Vec<u8>>) -> Turn {
    Turn::Says(words.into())
}

/// Every way in which a stream is spoken over.
pub(super) fn talks(tls: &Tls) -> Vec<Talk> {
    let plain = |kind| Talk {
        kind,
        before_tls: None,
    };
    let at_once = |kind| Talk {
        kind,
        before_tls: Some(Vec::new()),
    };
    let asked = |kind, before: Vec<Turn>| Talk {
        kind,
        before_tls: Some(before),
    };
    let mut talks = Vec::new();

    let expect = |encryption| {
        ProbeKind::Expect(Expect {
            encryption,
            steps: vec![Step {
                send: b"HELLO\r\n".to_vec(),
                expect: Pattern::Contains(b"HELLO".to_vec()),
            }],
            ..Expect::default()
        })
    };
    talks.push(plain(expect(Encryption::None)));
    talks.push(at_once(expect(Encryption::AtOnce(tls.clone()))));
    let by_pop3 = Encryption::Asked(Protocol::Pop3, tls.clone());
    talks.push(asked(expect(by_pop3), lines(Protocol::Pop3)));

    let http = |tls| {
        ProbeKind::Http(Http {
            tls,
            version: Version::Http11,
            requests: vec![http::Request::get("/")],
        })
    };
    talks.push(plain(http(None)));
    talks.push(at_once(http(Some(tls.clone()))));

    let somebody = || ("me".to_owned(), Secret("secret".to_owned()));
    for known in [false, true] {
        let ldap = |encryption| {
            let (user, password) = somebody();
            ProbeKind::Ldap(ldap::Ldap {
                login: known.then_some(Login { user, password }),
                search: known.then(String::new),
                expect: None,
                encryption,
            })
        };
        talks.push(plain(ldap(None)));
        talks.push(at_once(ldap(Some((Begin::AtOnce, tls.clone())))));
        // ExtendedResponse, success (RFC 4511, section 4.12).
        let granted = b"\x30\x0c\x02\x01\x04\x78\x07\x0a\x01\0\x04\0\x04\0";
        let before = vec![Turn::Hears(None), says(*granted)];
        talks.push(asked(ldap(Some((Begin::Asked, tls.clone()))), before));

        let mysql = |tls| {
            let (user, password) = somebody();
            ProbeKind::Mysql(mysql::Mysql {
                login: known.then_some(DatabaseLogin {
                    user,
                    password,
                    database: None,
                }),
                query: known.then(|| "select 1".to_owned()),
                expect: None,
                tls,
            })
        };
        talks.push(plain(mysql(None)));
        let before = vec![says(mysql_greeting()), Turn::Hears(Some(36))];
        talks.push(asked(mysql(Some(tls.clone())), before));

        #[cfg(feature = "pgsql")]
        {
            let pgsql = |tls| {
                let (user, password) = somebody();
                ProbeKind::Pgsql(pgsql::Pgsql {
                    login: known.then_some(DatabaseLogin {
                        user,
                        password,
                        database: None,
                    }),
                    query: known.then(|| "select 1".to_owned()),
                    expect: None,
                    tls,
                })
            };
            talks.push(plain(pgsql(None)));
            let before = vec![Turn::Hears(Some(8)), says("S")];
            talks.push(asked(pgsql(Some(tls.clone())), before));
        }

        let redis = |tls| {
            let (_, password) = somebody();
            ProbeKind::Redis(redis::Redis {
                login: known.then_some(redis::Login {
                    user: None,
                    password,
                }),
                tls,
                ..redis::Redis::default()
            })
        };
        talks.push(plain(redis(None)));
        talks.push(at_once(redis(Some(tls.clone()))));

        for protocol in [
            Protocol::Smtp,
            Protocol::Submission,
            Protocol::Imap,
            Protocol::Pop3,
            Protocol::Ftp,
            Protocol::Nntp,
        ] {
            let dialogue = |encryption| {
                let (user, password) = somebody();
                ProbeKind::Dialogue(Dialogue {
                    protocol,
                    encryption,
                    login: known.then_some(Login { user, password }),
                    hello: "probe.example".to_owned(),
                })
            };
            talks.push(plain(dialogue(None)));
            talks.push(at_once(dialogue(Some((Begin::AtOnce, tls.clone())))));
            let asks = dialogue(Some((Begin::Asked, tls.clone())));
            talks.push(asked(asks, lines(protocol)));
        }
    }
    talks.push(plain(dns(true)));
    talks.push(plain(sip(Transport::Tcp)));
    talks.push(at_once(sip(Transport::Tls(tls.clone()))));
    talks.push(plain(ProbeKind::Agent(Agent::default())));
    talks.push(plain(ProbeKind::Finger(finger::Finger {
        user: "me".to_owned(),
    })));
    talks
}

/// Every way in which datagrams are spoken with.
pub(super) fn in_datagrams() -> Vec<ProbeKind> {
    let secret = Secret("shared".to_owned());
    let login = Login {
        user: "me".to_owned(),
        password: Secret("secret".to_owned()),
    };
    let radius = |login| {
        ProbeKind::Radius(radius::Radius {
            secret: secret.clone(),
            login,
        })
    };
    vec![
        ProbeKind::Udp(Udp {
            send: b"HELLO".to_vec(),
            expect: Reply::With(b"HELLO".to_vec()),
        }),
        radius(None),
        radius(Some(login)),
        dns(false),
        sip(Transport::Udp),
    ]
}

fn dns(tcp: bool) -> ProbeKind {
    ProbeKind::Dns(dns::Dns {
        name: dns::Name::new("example.test").unwrap(),
        record: dns::Record::A,
        rcode: dns::Rcode::NoError,
        answers: Vec::new(),
        tcp,
    })
}

fn sip(transport: Transport) -> ProbeKind {
    ProbeKind::Sip(Sip {
        transport,
        host: None,
        user: None,
        password: None,
        status: vec![(200, 299)],
    })
}

/// What a server and a probe say before TLS.
fn lines(protocol: Protocol) -> Vec<Turn> {
    let lines: &[&str] = match protocol {
        Protocol::Smtp | Protocol::Submission => &["220 a", "250 b", "220 c"],
        Protocol::Imap => &["* OK a", "s OK b"],
        Protocol::Pop3 => &["+OK a", "+OK b"],
        Protocol::Ftp => &["220 a", "234 b"],
        Protocol::Nntp => &["200 a", "382 b"],
    };
    let turns = lines
        .iter()
        .flat_map(|line| [Turn::Hears(None), says(format!("{line}\r\n"))]);
    // The greeting comes unasked.
    turns.skip(1).collect()
}

/// Of a server that has TLS.
fn mysql_greeting() -> Vec<u8> {
    let greeting = [
        b"\x0a8.0.36\0\x07\0\0\0abcdefgh\0".as_slice(),
        b"\x08\xaa\x2d\x02\0\x08\0\x15",
        &[0; 10],
        b"ijklmnopqrst\0mysql_native_password\0",
    ]
    .concat();
    let length = u8::try_from(greeting.len()).unwrap();
    [&[length, 0, 0, 0], greeting.as_slice()].concat()
}
