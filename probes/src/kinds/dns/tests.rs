use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::*;
use crate::spec::ProbeKind;
use crate::testing::{Server, answering_the_second, ask, ask_briefly, drip, good};

fn dns(record: Record, answers: &[&str]) -> Dns {
    Dns {
        name: Name::new("www.example.com").unwrap(),
        record,
        rcode: Rcode::NoError,
        answers: answers.iter().map(|it| (*it).to_owned()).collect(),
        tcp: false,
    }
}

/// The answer to a question: its flags, and records that each point back to its name.
fn answer(question: &[u8], flags: [u8; 2], records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2..4].copy_from_slice(&flags);
    bytes[7] = u8::try_from(records.len()).unwrap();
    for (record, data) in records {
        bytes.extend_from_slice(&[0xc0, 12]);
        bytes.extend_from_slice(&record.to_be_bytes());
        bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        bytes.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(data);
    }
    bytes
}

/// One record of each type, with names that point into the question.
const RECORDS: [(Record, &[u8], &str); 12] = [
    (Record::A, &[192, 0, 2, 1], "192.0.2.1"),
    (
        Record::Aaaa,
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        "2001:db8::1",
    ),
    (
        Record::Aaaa,
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        "2001:0DB8:0::0001",
    ),
    (Record::Mx, &[0, 10, 1, b'a', 0], "  10   a."),
    (
        Record::Dnskey,
        b"\x01\x01\x03\x08foobar",
        "257 3 8 Zm9v YmFy",
    ),
    (Record::Ns, &[2, b'n', b's', 0xc0, 16], "ns.example.com"),
    (Record::Cname, &[0xc0, 16], "Example.COM."),
    (Record::Ptr, &[1, b'a', 0], "a"),
    (
        Record::Mx,
        &[0, 10, 4, b'm', b'a', b'i', b'l', 0xc0, 16],
        "10 mail.example.com",
    ),
    (Record::Txt, &[2, b'h', b'i', 1, b'!'], "hi!"),
    (
        Record::Srv,
        &[0, 1, 0, 2, 0, 80, 0xc0, 12],
        "1 2 80 www.example.com",
    ),
    (
        Record::Soa,
        &[
            0xc0, 16, 1, b'h', 0xc0, 16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5,
        ],
        "example.com h.example.com 1 2 3 4 5",
    ),
];

fn judge(dns: &Dns, bytes: &[u8]) -> Result<(), String> {
    let message = Message::parse(bytes).unwrap();
    dns.judge(&message).map_err(|failure| failure.to_string())
}

#[test]
fn records_of_every_type_are_read() {
    for (record, data, text) in RECORDS {
        let dns = dns(record, &[text]);
        let question = message::question(7, &dns.name, record.number());
        let bytes = answer(&question, [0x81, 0x80], &[(record.number(), data)]);
        assert_eq!(judge(&dns, &bytes), Ok(()), "{record}");
    }
}

#[test]
fn what_is_wrong_with_an_answer_is_said() {
    let (a, _) = (dns(Record::A, &[]), ());
    let question = message::question(7, &a.name, 1);
    let address: &[u8] = &[192, 0, 2, 1];
    let table = [
        (&[][..], [0x81, 0x80], vec![(1, address)], None),
        (&["192.0.2.1"], [0x81, 0x80], vec![(1, address)], None),
        (
            &["192.0.2.2"],
            [0x81, 0x80],
            vec![(1, address)],
            Some(r#"expected A 192.0.2.2, got "192.0.2.1""#),
        ),
        (
            &[],
            [0x81, 0x80],
            vec![],
            Some("expected A records, got none"),
        ),
        (
            &[],
            [0x81, 0x80],
            vec![(28, &[0; 16][..])],
            Some("expected A records, got none"),
        ),
        (
            &[],
            [0x81, 0x83],
            vec![],
            Some("expected noerror, got nxdomain"),
        ),
        (
            &[],
            [0x81, 0x8f],
            vec![],
            Some("expected noerror, got rcode 15"),
        ),
        (
            &[],
            [0x83, 0x80],
            vec![(1, address)],
            Some("the answer is truncated: it needs TCP"),
        ),
        (
            &[],
            [0x81, 0x80],
            vec![(1, &[1, 2, 3])],
            Some("expected A records, got what cannot be read"),
        ),
    ];
    for (answers, flags, records, expected) in table {
        let dns = dns(Record::A, answers);
        let bytes = answer(&question, flags, &records);
        let expected = expected.map_or(Ok(()), |text| Err(text.to_owned()));
        assert_eq!(judge(&dns, &bytes), expected, "{flags:?} {records:?}");
    }
    let refused = Dns {
        rcode: Rcode::Refused,
        ..a
    };
    assert_eq!(
        judge(&refused, &answer(&question, [0x81, 0x85], &[])),
        Ok(())
    );
}

#[test]
fn names_are_checked_before_they_are_asked_for() {
    for good in ["a", "a.b.", "www.example.com", ".", "_sip._udp.example.com"] {
        Name::new(good).unwrap();
    }
    let long = "a".repeat(64);
    let longest = "a.".repeat(128);
    for bad in ["", "..", "a..b", ".a", "a b", "é", &long, &longest] {
        Name::new(bad).unwrap_err();
    }
    let name = Name::of_address("192.0.2.1".parse().unwrap());
    assert_eq!(String::from(name), "1.2.0.192.in-addr.arpa");
    let name = String::from(Name::of_address("2001:db8::1".parse().unwrap()));
    assert!(name.starts_with("1.0.0.0."), "{name}");
    assert!(name.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"), "{name}");
}

/// A server that gives its address for every name, having sent what is no answer before.
async fn server(ip: &str) -> std::net::SocketAddr {
    let socket = UdpSocket::bind((ip, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = &buffer[..length];
            let mut other = answer(question, [0x81, 0x83], &[]);
            other[0] ^= 1;
            socket.send_to(&other, from).await.unwrap();
            let answer = answer(question, [0x81, 0x80], &[(1, &[192, 0, 2, 1])]);
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_server_is_asked_over_udp_of_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let server = server(ip).await;
        let kind = ProbeKind::Dns(dns(Record::A, &["192.0.2.1"]));
        assert_eq!(ask(server, kind).await, good(), "{ip}");
    }
}

#[tokio::test]
async fn a_question_that_is_lost_is_asked_again() {
    let server =
        answering_the_second(|question| answer(question, [0x81, 0x80], &[(1, &[192, 0, 2, 1])]))
            .await;
    let kind = ProbeKind::Dns(dns(Record::A, &["192.0.2.1"]));
    assert_eq!(ask(server, kind).await, good());
}

#[tokio::test]
async fn a_server_is_asked_over_tcp_and_may_answer_byte_by_byte() {
    let server = Server::new(|mut stream| async move {
        let length = stream.read_u16().await.unwrap();
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await.unwrap();
        let answer = answer(&question, [0x81, 0x80], &[(1, &[192, 0, 2, 1])]);
        let length = u16::try_from(answer.len()).unwrap();
        drip(&mut stream, &length.to_be_bytes()).await;
        drip(&mut stream, &answer).await;
        stream.flush().await.unwrap();
    })
    .await;
    let kind = ProbeKind::Dns(Dns {
        tcp: true,
        ..dns(Record::A, &["192.0.2.1"])
    });
    assert_eq!(ask(server.address(), kind).await, good());
}

#[tokio::test]
async fn a_server_that_answers_nonsense_or_nothing_is_bad() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let kind = || ProbeKind::Dns(dns(Record::A, &[]));
    let text = ask_briefly(server, kind()).await.unwrap_err().to_string();
    assert_eq!(
        text,
        "expected an answer to the question, got nothing and timed out after 1s"
    );
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            // The question itself, which is no answer.
            let echo = buffer;
            socket.send_to(&echo[..12], from).await.unwrap();
        }
    });
    let text = ask(server, kind()).await.unwrap_err().to_string();
    assert!(
        text.starts_with("expected an answer to the question, got "),
        "{text}"
    );
}

#[test]
fn a_chain_of_pointers_without_end_is_no_name() {
    let a = dns(Record::Ns, &[]);
    let question = message::question(7, &a.name, Record::Ns.number());
    for (pointers, read) in [(100_u16, true), (200, false), (2_000, false)] {
        // Each points to the one before, and the first to the name that was asked for.
        let begin = u16::try_from(question.len() + 12).unwrap();
        let chain = (0..pointers).map(|number| match number {
            0 => 12,
            _ => begin + 2 * (number - 1),
        });
        let chain: Vec<u8> = chain.flat_map(|to| (0xc000 | to).to_be_bytes()).collect();
        let last = (0xc000 | (begin + 2 * (pointers - 1))).to_be_bytes();
        let records = [(16, chain.as_slice()), (Record::Ns.number(), &last)];
        let bytes = answer(&question, [0x81, 0x80], &records);
        assert_eq!(judge(&a, &bytes).is_ok(), read, "{pointers}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_or_run_long(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(message) = Message::parse(&bytes) {
            for (record, ..) in RECORDS {
                message.records(record.number());
            }
            message.answers(&message::question(7, &Name::new("a").unwrap(), 1));
        }
    }

    #[test]
    fn no_broken_answer_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let records: Vec<_> = RECORDS.iter().map(|(it, data, _)| (it.number(), *data)).collect();
        let question = message::question(7, &Name::new("www.example.com").unwrap(), 1);
        let mut bytes = answer(&question, [0x81, 0x80], &records);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        for bytes in [&bytes[..], &bytes[..at]] {
            if let Some(message) = Message::parse(bytes) {
                for (record, ..) in RECORDS {
                    message.records(record.number());
                }
            }
        }
    }
}
