//! Questions and answers as bytes (RFC 1035, section 4). Whatever the bytes, nothing here panics or
//! runs long.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::kinds::dialogue::base64;

const HEADER: usize = 12;
/// The longest name on the wire (RFC 1035, section 2.3.4).
const NAME: usize = 255;
/// Pointers that a name may have: no more than it can have labels. Without a limit a small message
/// could hold thousands of names of thousands of pointers each.
const POINTERS: usize = NAME / 2;
/// A response (QR), truncated (TC).
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;
/// Recursion is desired (RD).
const RECURSE: u8 = 0x01;
/// The Internet.
const CLASS: u16 = 1;

/// A name whose records can be asked for.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text is no name: its labels have 1 to 63 printable characters without spaces, 253 in all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a name has labels of 1 to 63 characters between its dots, 253 in all")]
pub struct NameError;

impl Name {
    /// A name, with or without its last dot; `.` is the root.
    ///
    /// # Errors
    ///
    /// See [`NameError`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        let plain = text.strip_suffix('.').unwrap_or(text);
        let good = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let root = text == ".";
        if root || (plain.len() <= 253 && plain.split('.').all(good)) {
            return Ok(Self(plain.to_owned()));
        }
        Err(NameError)
    }

    /// The name of an address, for PTR records (RFC 1035, section 3.5; RFC 3596, section 2.5).
    #[must_use]
    pub fn of_address(address: std::net::IpAddr) -> Self {
        Self(match address {
            std::net::IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            std::net::IpAddr::V6(v6) => {
                let octets = v6.octets();
                let nibbles = octets.iter().rev();
                let text: String = nibbles
                    .map(|byte| format!("{:x}.{:x}.", byte & 0xf, byte >> 4))
                    .collect();
                format!("{text}ip6.arpa")
            }
        })
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        // The root is kept as no text at all.
        if text.is_empty() {
            return Ok(Self(text));
        }
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// A question for the records of one type that a name has.
pub(super) fn question(id: u16, name: &Name, record: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[RECURSE, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.0.split('.').filter(|label| !label.is_empty()) {
        // A label has 63 bytes at most.
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&record.to_be_bytes());
    bytes.extend_from_slice(&CLASS.to_be_bytes());
    bytes
}

/// An answer.
pub(super) struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= HEADER && bytes[2] & RESPONSE != 0).then_some(Self { bytes })
    }

    /// Whether it answers this question: with the same number and, unless the server could not read
    /// it, the same question.
    pub(super) fn answers(&self, question: &[u8]) -> bool {
        if self.bytes[..2] != question[..2] {
            return false;
        }
        match self.count(4) {
            0 => self.rcode() != 0,
            _ => self
                .bytes
                .get(HEADER..question.len())
                .is_some_and(|echoed| echoed.eq_ignore_ascii_case(&question[HEADER..])),
        }
    }

    pub(super) fn rcode(&self) -> u8 {
        self.bytes[3] & 0x0f
    }

    pub(super) fn is_truncated(&self) -> bool {
        self.bytes[2] & TRUNCATED != 0
    }

    fn count(&self, at: usize) -> u16 {
        u16_at(self.bytes, at).unwrap_or(0)
    }

    /// The records of one type in the answer, as text; `None` if they cannot be read.
    pub(super) fn records(&self, wanted: u16) -> Option<Vec<String>> {
        let mut at = HEADER;
        for _ in 0..self.count(4) {
            at = self.name(at)?.1 + 4;
        }
        let mut records = Vec::new();
        for _ in 0..self.count(6) {
            at = self.name(at)?.1;
            let record = u16_at(self.bytes, at)?;
            let length = usize::from(u16_at(self.bytes, at + 8)?);
            let begin = at + 10;
            let data = self.bytes.get(begin..begin + length)?;
            if record == wanted {
                records.push(self.text(record, begin, data)?);
            }
            at = begin + length;
        }
        Some(records)
    }

    /// A record's data as zone files write it.
    fn text(&self, record: u16, begin: usize, data: &[u8]) -> Option<String> {
        let name = |offset: usize| self.name(begin + offset);
        Some(match record {
            1 => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string(),
            28 => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string(),
            // NS, CNAME, PTR.
            2 | 5 | 12 => name(0)?.0,
            15 => format!("{} {}", u16_at(data, 0)?, name(2)?.0),
            33 => {
                let (priority, weight) = (u16_at(data, 0)?, u16_at(data, 2)?);
                format!("{priority} {weight} {} {}", u16_at(data, 4)?, name(6)?.0)
            }
            6 => {
                let (server, next) = name(0)?;
                let (mailbox, next) = self.name(next)?;
                let numbers: Option<Vec<String>> = (0..5)
                    .map(|number| u32_at(self.bytes, next + 4 * number))
                    .map(|number| Some(number?.to_string()))
                    .collect();
                format!("{server} {mailbox} {}", numbers?.join(" "))
            }
            16 => {
                let mut text = Vec::new();
                let mut rest = data;
                while let Some((length, after)) = rest.split_first() {
                    let (string, after) = after.split_at_checked(usize::from(*length))?;
                    text.extend_from_slice(string);
                    rest = after;
                }
                text.escape_ascii().to_string()
            }
            // Flags, protocol, algorithm and key (RFC 4034, section 2.2).
            48 => {
                let flags = u16_at(data, 0)?;
                let [protocol, algorithm, key @ ..] = data.get(2..)? else {
                    return None;
                };
                format!("{flags} {protocol} {algorithm} {}", base64(key))
            }
            _ => data.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// The name at a place, and where it ends there. Pointers lead only backwards, so that they come
    /// to an end (RFC 1035, section 4.1.4).
    fn name(&self, begin: usize) -> Option<(String, usize)> {
        let mut text = String::new();
        let (mut at, mut end, mut before) = (begin, None, begin);
        let mut pointers = 0;
        loop {
            let length = *self.bytes.get(at)?;
            match length {
                0 => {
                    if text.is_empty() {
                        text.push('.');
                    }
                    return Some((text, end.unwrap_or(at + 1)));
                }
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + usize::from(length))?;
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(&label.escape_ascii().to_string());
                    if text.len() > 4 * NAME {
                        return None;
                    }
                    at += 1 + usize::from(length);
                }
                0xc0.. => {
                    let pointer = usize::from(u16_at(self.bytes, at)? & 0x3fff);
                    pointers += 1;
                    if pointer >= before || pointers > POINTERS {
                        return None;
                    }
                    end = end.or(Some(at + 2));
                    (at, before) = (pointer, pointer);
                }
                _ => return None,
            }
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}
