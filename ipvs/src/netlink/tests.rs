use proptest::prelude::*;

use super::attr::{Attributes, Writer};
use super::frame::{self, Messages, Verdict, flags};
use super::{Batch, Connection, Error, Family, KernelError};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;

fn error_message(sequence: u32, errno: i32, echo: &[u8], text: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let flags = if text.is_some() { flags::ACK_TLVS } else { 0 };
    frame::write(&mut out, 2, flags, sequence, |writer| {
        writer.raw(&(-errno).to_ne_bytes()).raw(echo);
        if let Some(text) = text {
            writer.u32(2, 20).str(1, text);
        }
    });
    out
}

fn request(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, 22, flags::REQUEST, 5, |writer| {
        writer.raw(payload);
    });
    out
}

#[test]
fn attributes_are_read_back_as_written() {
    let mut out = Vec::new();
    Writer::new(&mut out)
        .u8(1, 7)
        .u16_be(2, 80)
        .nested(3, |inner| {
            inner.str(4, "wlc").u32(5, 300);
        });
    let read: Vec<_> = Attributes::new(&out).collect();
    assert_eq!(read.len(), 3);
    assert_eq!(read[0].u8(), Some(7));
    assert_eq!(
        (read[1].u16_be(), read[1].payload),
        (Some(80), &[0, 80][..])
    );
    let nested: Vec<_> = read[2].nested().collect();
    assert_eq!((read[2].kind, nested.len()), (3, 2));
    assert_eq!(
        (nested[0].str(), nested[0].payload),
        (Some("wlc"), &b"wlc\0"[..])
    );
    assert_eq!(nested[1].u32(), Some(300));
}

#[test]
fn an_attribute_cut_off_ends_the_iteration() {
    let mut out = Vec::new();
    Writer::new(&mut out).u32(1, 1).u32(2, 2);
    assert_eq!(Attributes::new(&out[..15]).count(), 1);
    assert_eq!(Attributes::new(&[3, 0, 1, 0]).count(), 0);
    assert_eq!(Attributes::new(&[]).count(), 0);
}

#[test]
fn a_nest_too_long_for_its_length_field_is_left_empty() {
    let mut out = Vec::new();
    Writer::new(&mut out).nested(1, |inner| {
        inner.bytes(1, &[1; 40_000]).bytes(2, &[2; 40_000]);
    });
    let read: Vec<_> = Attributes::new(&out).collect();
    assert_eq!(read.len(), 1);
    assert!(read[0].payload.is_empty());
}

#[test]
fn an_error_carries_the_kernels_words_after_the_echoed_request() {
    let bytes = error_message(
        9,
        libc_like::EINVAL,
        &request(&[1; 9]),
        Some("no such thing"),
    );
    let message = Messages::new(&bytes).next().unwrap().unwrap();
    assert_eq!(message.sequence, 9);
    let refusal = KernelError {
        errno: libc_like::EINVAL,
        text: Some("no such thing".to_owned()),
    };
    assert_eq!(refusal.to_string(), "invalid argument (no such thing)");
    assert_eq!(message.verdict().unwrap(), Verdict::Answer(Err(refusal)));
}

#[test]
fn an_error_at_the_end_of_a_dump_is_an_error() {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, 3, 2, 1, |writer| {
        writer.raw(&(-libc_like::EINVAL).to_ne_bytes());
    });
    let message = Messages::new(&bytes).next().unwrap().unwrap();
    assert!(matches!(
        message.verdict().unwrap(),
        Verdict::Answer(Err(_))
    ));
}

#[test]
fn a_message_shorter_than_it_says_is_malformed() {
    let bytes = request(&[0; 8]);
    for end in 1..bytes.len() {
        assert!(matches!(
            Messages::new(&bytes[..end]).next(),
            Some(Err(Error::Malformed))
        ));
    }
}

#[test]
fn batches_are_split_into_bounded_sends_with_one_answer_each() {
    let mut batch = Batch::default();
    for number in 0..300_u32 {
        batch.push(20, flags::CREATE, |message| {
            message.u32(1, number);
        });
    }
    let mut sequence = 100;
    let mut out = Vec::new();
    let mut numbers = Vec::new();
    let mut sends = 0;
    while let Some(chunk) = batch.chunk(numbers.len(), 128) {
        chunk.write(sequence, &mut out);
        sends += 1;
        let messages: Vec<_> = Messages::new(&out).map(Result::unwrap).collect();
        assert_eq!(messages.len(), chunk.len() as usize + 1);
        for (index, message) in messages.iter().enumerate() {
            assert_eq!(message.sequence, sequence + index as u32);
            let last = index == chunk.len() as usize;
            assert_eq!(message.flags & flags::ACK != 0, last);
            if last {
                assert!(message.payload.is_empty());
                continue;
            }
            numbers.push(message.attributes_after(0).next().unwrap().u32().unwrap());
        }
        sequence += chunk.len();
    }
    assert_eq!(sends, 3);
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}

#[test]
fn a_message_larger_than_a_send_goes_alone() {
    let mut batch = Batch::default();
    for _ in 0..3 {
        batch.push(20, 0, |message| {
            message.raw(&[0; 40_000]);
        });
    }
    for first in 0..3 {
        assert_eq!(batch.chunk(first, 128).map(|chunk| chunk.len()), Some(1));
    }
    assert!(batch.chunk(3, 128).is_none());
}

/// Reads of the host's own links need no rights and change nothing.
#[test]
fn links_of_this_host_can_be_listed_again_and_again() {
    let mut route = Connection::open(Family::Route).unwrap();
    for _ in 0..3 {
        let links = route.dump(RTM_GETLINK, 0, &[0; 16]).unwrap();
        let loopback = links.iter().any(|link| {
            link.attributes_after(16)
                .any(|attribute| attribute.str() == Some("lo"))
        });
        assert!(loopback);
    }
}

#[test]
fn refused_requests_are_matched_to_their_place_in_the_batch() {
    let mut route = Connection::open(Family::Route).unwrap();
    let unknown = |batch: &mut Batch| {
        batch.push(RTM_GETLINK, 0, |message| {
            message
                .raw(&[0, 0, 0, 0])
                .raw(&i32::MAX.to_ne_bytes())
                .raw(&[0; 8]);
        });
    };
    let loopback = |batch: &mut Batch| {
        batch.push(RTM_GETLINK, 0, |message| {
            message
                .raw(&[0, 0, 0, 0])
                .raw(&1_i32.to_ne_bytes())
                .raw(&[0; 8]);
        });
    };
    let mut batch = Batch::default();
    let mut expected = Vec::new();
    for index in 0..300 {
        if index % 7 == 3 {
            unknown(&mut batch);
            expected.push(Some(libc_like::ENODEV));
        } else {
            loopback(&mut batch);
            expected.push(None);
        }
    }
    let outcomes = route.batch(&batch).unwrap();
    let errors: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().err().map(|error| error.errno))
        .collect();
    assert_eq!(errors, expected);
    assert!(!route.dump(RTM_GETADDR, 0, &[0; 8]).unwrap().is_empty());
}

proptest! {
    #[test]
    fn random_bytes_never_panic_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for message in Messages::new(&bytes).map_while(Result::ok) {
            let _ = message.verdict();
            message.attributes_after(4).for_each(|attribute| { let _ = attribute.str(); });
        }
        for attribute in Attributes::new(&bytes) {
            attribute.nested().for_each(drop);
        }
    }

    #[test]
    fn random_errors_never_panic_the_readers(
        kind in 0_u16..5,
        flags in any::<u16>(),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut out = Vec::new();
        frame::write(&mut out, kind, flags, 1, |writer| { writer.raw(&bytes); });
        for message in Messages::new(&out) {
            let _ = message.unwrap().verdict();
        }
    }
}

mod libc_like {
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENODEV: i32 = 19;
}
