//! The packets of a result: MySQL's documentation, "Text Resultset".

use super::packet::{GOOD, REFUSED, Refusal, SWITCH};

/// Asks for a file of the client's.
const FILE: u8 = 0xfb;
/// In place of a value that is not there.
const NULL: u8 = 0xfb;
/// Columns that a result may have (MySQL has a limit of 4096).
const COLUMNS: u64 = 4096;

/// How a result begins.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Beginning {
    /// So many columns follow, and then rows.
    Columns(usize),
    NoRows,
    Refused(Refusal),
}

/// One row, or the end of them.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Row<'p> {
    Values(Vec<&'p [u8]>),
    End,
    Refused(Refusal),
}

pub(super) fn beginning(payload: &[u8]) -> Option<Beginning> {
    match payload {
        [GOOD, ..] => Some(Beginning::NoRows),
        [REFUSED, ..] => Refusal::read(payload).map(Beginning::Refused),
        [FILE, ..] => None,
        mut count => match take_number(&mut count)? {
            columns @ 1..=COLUMNS => usize::try_from(columns).ok().map(Beginning::Columns),
            _ => None,
        },
    }
}

pub(super) fn row(payload: &[u8], columns: usize) -> Option<Row<'_>> {
    match payload {
        [REFUSED, ..] => return Refusal::read(payload).map(Row::Refused),
        // A value may begin so too, but not in so short a packet.
        [SWITCH, rest @ ..] if rest.len() < 8 => return Some(Row::End),
        _ => {}
    }
    let mut rest = payload;
    let mut values = Vec::new();
    for _ in 0..columns {
        if let [NULL, after @ ..] = rest {
            rest = after;
            continue;
        }
        let length = usize::try_from(take_number(&mut rest)?).ok()?;
        let (value, after) = rest.split_at_checked(length)?;
        values.push(value);
        rest = after;
    }
    Some(Row::Values(values))
}

/// A number of one byte, or of as many as the first one says.
fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let (first, after) = rest.split_first()?;
    let bytes = match first {
        0..0xfb => {
            *rest = after;
            return Some(u64::from(*first));
        }
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xfb | 0xff => return None,
    };
    let (digits, after) = after.split_at_checked(bytes)?;
    *rest = after;
    let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
    Some(digits.iter().rev().fold(0, fold))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_is_taken_apart() {
        let long = [&[0xfc, 0x2c, 0x01][..], &[b'x'; 300]].concat();
        let packet = [&[NULL, 3][..], b"two", &long].concat();
        let values = vec![&b"two"[..], &[b'x'; 300]];
        assert_eq!(row(&packet, 3), Some(Row::Values(values)));
        assert_eq!(row(b"\xfe\0\0\x02\0", 1), Some(Row::End));
        assert_eq!(row(b"\x05four", 1), None);
    }

    #[test]
    fn a_result_begins_in_one_of_four_ways() {
        assert_eq!(beginning(b"\x01"), Some(Beginning::Columns(1)));
        assert_eq!(beginning(b"\xfc\x01\x01"), Some(Beginning::Columns(257)));
        assert_eq!(beginning(b"\0\0\0\x02\0\0\0"), Some(Beginning::NoRows));
        assert_eq!(beginning(b"\xfb/etc/passwd"), None);
        assert_eq!(beginning(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        let refused = beginning(b"\xff\x7a\x04#42S02no such table");
        let Some(Beginning::Refused(refusal)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(refusal.to_string(), "no such table");
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_server_are_a_danger(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            columns in 0_usize..5,
        ) {
            let _ = beginning(&bytes);
            let _ = row(&bytes, columns);
            let _ = super::super::packet::greeting(&[&[10], bytes.as_slice()].concat());
            let _ = super::super::packet::login_step(&bytes);
        }
    }
}
