//! Frames that come whole, damaged, in pieces, and too many at once.

use proptest::prelude::*;

use super::*;

/// What a decoder finds in `bytes`, handed over in pieces of `piece`.
fn decoded(bytes: &[u8], piece: usize) -> Vec<Option<Vec<u8>>> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for bytes in bytes.chunks(piece) {
        decoder.take(bytes, |frame| found.push(frame.map(<[u8]>::to_vec)));
    }
    found
}

#[test]
fn the_checksum_is_the_one_of_ethernet() {
    // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn a_frame_is_no_longer_than_is_said() {
    for length in [0, 1, 249, 250, 251, 253, 254, 255, 600, MAX_DATAGRAM] {
        for byte in [0_u8, 1, 255] {
            let frame = encode(&vec![byte; length]);
            assert!(frame.len() <= frame_len(length), "{length} of {byte}");
        }
    }
}

#[test]
fn a_receiver_that_comes_in_the_middle_is_in_step_with_the_next_frame() {
    let frame = encode(b"first");
    let mut line = frame[3..].to_vec();
    line.extend(encode(b"second"));
    assert_eq!(decoded(&line, 1), [None, Some(b"second".to_vec())]);
}

#[test]
fn noise_without_end_takes_no_memory_and_is_told_once() {
    let mut line = vec![0x55; 1 << 20];
    line.extend(encode(b"heartbeat"));
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    decoder.take(&line, |frame| found.push(frame.map(<[u8]>::to_vec)));
    assert_eq!(found, [None, Some(b"heartbeat".to_vec())]);
    assert!(decoder.stuffed.capacity() <= 4 * frame_len(MAX_DATAGRAM));
}

#[test]
fn a_slow_line_carries_the_newest_as_often_as_it_can() {
    // 960 bytes a second: 96 of them take a tenth of it.
    let mut pace = Pace::new(9600);
    let ms = Duration::from_millis;
    assert_eq!(pace.poll_timeout(), None);
    pace.offer(b"one".to_vec());
    assert_eq!(pace.poll_timeout(), Some(Time::ZERO));
    let first = pace.take(ms(5)).unwrap();
    assert_eq!(first, encode(b"one"));
    let free = ms(5) + time_on_line(first.len(), 9600);
    pace.offer(b"two".to_vec());
    pace.offer(b"three".to_vec());
    assert_eq!(pace.take(free - ms(1)), None);
    assert_eq!(pace.poll_timeout(), Some(free));
    assert_eq!(pace.take(free), Some(encode(b"three")));
    assert_eq!(pace.take(free + ms(1000)), None, "nothing waits");
}

#[test]
fn the_time_on_a_line_counts_ten_bits_a_byte() {
    let cases = [
        (960, 9600, 1000),
        (480, 9600, 500),
        (1152, 115_200, 100),
        (0, 9600, 0),
    ];
    for (bytes, baud, millis) in cases {
        assert_eq!(
            time_on_line(bytes, baud),
            Duration::from_millis(millis),
            "{bytes} at {baud}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_framed_comes_out_again(
        datagrams in prop::collection::vec(
            prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..MAX_DATAGRAM), 1..4),
        piece in 1_usize..2000,
    ) {
        let line: Vec<u8> = datagrams.iter().flat_map(|it| encode(it)).collect();
        let expected: Vec<_> = datagrams.into_iter().map(Some).collect();
        prop_assert_eq!(decoded(&line, piece), expected);
    }

    #[test]
    fn a_frame_with_a_damaged_byte_is_never_taken_for_another(
        datagram in prop::collection::vec(any::<u8>(), 1..400),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let mut line = encode(&datagram);
        let at = 1 + at.index(line.len() - 2);
        line[at] ^= flip;
        for found in decoded(&line, 64) {
            prop_assert_eq!(found, None);
        }
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let _ = decoded(&bytes, 7);
    }
}
