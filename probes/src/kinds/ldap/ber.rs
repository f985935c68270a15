//! The little of BER that LDAP needs (X.690, RFC 4511 section 5.1): values with a tag of one byte
//! and a definite length.

use crate::frames::NoFrame;

/// Tags of X.690, 8.
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;

/// A value with its tag and length.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|byte| **byte == 0).count();
            let digits = &length[zeros..];
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend(digits);
        }
    }
    out.extend(content);
    out
}

/// A number from 0 to 127.
pub(super) fn number(tag: u8, number: u8) -> Vec<u8> {
    value(tag, &[number & 0x7f])
}

/// How long the value is that begins here by its own word, tag and length included: up to 4 GiB and 6
/// bytes. `None` while that has not come.
pub(super) fn length(input: &[u8]) -> Result<Option<u64>, NoFrame> {
    let [_, first, rest @ ..] = input else {
        return Ok(None);
    };
    if *first < 0x80 {
        return Ok(Some(2 + u64::from(*first)));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 4 {
        return Err(NoFrame);
    }
    let Some(digits) = rest.get(..count) else {
        return Ok(None);
    };
    let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
    let content = digits.iter().fold(0, fold);
    Ok(Some(2 + u64::from(first & 0x7f) + content))
}

/// Takes the first value off: its tag and content.
pub(super) fn take<'v>(values: &mut &'v [u8]) -> Option<(u8, &'v [u8])> {
    let length = usize::try_from(length(values).ok().flatten()?).ok()?;
    let (first, rest) = values.split_at_checked(length)?;
    *values = rest;
    let long = *first.get(1)?;
    let head = if long < 0x80 {
        2
    } else {
        2 + usize::from(long & 0x7f)
    };
    Some((*first.first()?, first.get(head..)?))
}

/// Takes the first value off, if it has this tag.
pub(super) fn take_tagged<'v>(values: &mut &'v [u8], tag: u8) -> Option<&'v [u8]> {
    let mut rest = *values;
    let (found, content) = take(&mut rest)?;
    if found != tag {
        return None;
    }
    *values = rest;
    Some(content)
}

/// The number in a value's content, if it is not above `u32::MAX` and not below 0.
pub(super) fn read_number(content: &[u8]) -> Option<u32> {
    match content {
        [] | [0x80..=0xff, ..] => None,
        digits if digits.len() > 5 => None,
        digits => {
            let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
            u32::try_from(digits.iter().fold(0, fold)).ok()
        }
    }
}
