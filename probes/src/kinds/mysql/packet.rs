//! The packets of a login: MySQL's documentation, "Connection Phase".

use std::fmt;

use crate::failure::words_of;
use crate::frames::NoFrame;

/// Bytes before a packet's payload: its length and its number.
pub(super) const HEAD: usize = 4;
/// The protocol's version, with which a greeting begins.
pub(super) const VERSION: u8 = 10;
/// With this an error begins.
pub(super) const REFUSED: u8 = 0xff;
/// With this all went well.
pub(super) const GOOD: u8 = 0x00;
/// Another method, and in results the end of something.
pub(super) const SWITCH: u8 = 0xfe;
/// More of a method's own.
const MORE: u8 = 0x01;

/// Capabilities, of the client and of the server.
const LONG_PASSWORD: u32 = 1;
const WITH_DATABASE: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const TLS: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const METHODS: u32 = 1 << 19;

const OURS: u32 = LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | METHODS;
/// The largest packet that may come.
const LARGEST: u32 = 1 << 24;
/// `utf8mb4_general_ci`, which all servers have since 5.5.
const CHARSET: u8 = 45;

/// What a server says first.
pub(super) struct Greeting {
    capabilities: u32,
    /// What passwords are mixed with.
    pub(super) nonce: Vec<u8>,
    /// How the server would have a password proved.
    pub(super) method: String,
}

/// An error of the server.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    code: u16,
    words: Vec<u8>,
}

/// What a server says during a login.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    In,
    Refused(Refusal),
    /// The password by another method.
    Switch {
        to: String,
        nonce: Vec<u8>,
    },
    /// It knows the password, and goes on by itself.
    Remembered,
    /// It wants the password itself.
    WantsAll,
}

/// How long the packet is that begins here, its head included.
pub(super) fn length(input: &[u8]) -> Result<Option<u64>, NoFrame> {
    let Some([low, middle, high]) = input.first_chunk::<3>() else {
        return Ok(None);
    };
    match u32::from_le_bytes([*low, *middle, *high, 0]) {
        // No packet of what is spoken here is empty.
        0 => Err(NoFrame),
        length => Ok(Some(HEAD as u64 + u64::from(length))),
    }
}

/// A packet with its head.
pub(super) fn whole(number: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let [low, middle, high, _] = length.to_le_bytes();
    [&[low, middle, high, number], payload].concat()
}

impl Greeting {
    pub(super) fn has_tls(&self) -> bool {
        self.capabilities & TLS != 0
    }
}

impl Refusal {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (code, words) = payload.get(1..)?.split_first_chunk::<2>()?;
        // Before the capabilities are known, there is no state.
        let words = match words {
            [b'#', _, _, _, _, _, words @ ..] => words,
            words => words,
        };
        Some(Self {
            code: u16::from_le_bytes(*code),
            words: words.to_vec(),
        })
    }

    /// `ER_DBACCESS_DENIED_ERROR`, `ER_ACCESS_DENIED_ERROR`, `ER_NOT_SUPPORTED_AUTH_MODE`,
    /// `ER_ACCESS_DENIED_NO_PASSWORD_ERROR` and `ER_SECURE_TRANSPORT_REQUIRED`.
    pub(super) fn denies_access(&self) -> bool {
        matches!(self.code, 1044 | 1045 | 1251 | 1698 | 3159)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.words.is_empty() {
            return write!(f, "error {}", self.code);
        }
        f.write_str(&words_of(&self.words))
    }
}

/// The greeting, or the reason why there is none.
pub(super) fn greeting(payload: &[u8]) -> Option<Result<Greeting, Refusal>> {
    if payload.first() == Some(&REFUSED) {
        return Refusal::read(payload).map(Err);
    }
    let mut rest = payload.strip_prefix(&[VERSION])?;
    let _version = take_text(&mut rest)?;
    let _thread = take(&mut rest, 4)?;
    let mut nonce = take(&mut rest, 8)?.to_vec();
    let _filler = take(&mut rest, 1)?;
    let low = take_u16(&mut rest)?;
    let _charset_and_status = take(&mut rest, 3)?;
    let high = take_u16(&mut rest)?;
    let capabilities = u32::from(high) << 16 | u32::from(low);
    let length = usize::from(*take(&mut rest, 1)?.first()?);
    let _reserved = take(&mut rest, 10)?;
    if capabilities & PROTOCOL_41 == 0 || capabilities & SECURE_CONNECTION == 0 {
        return None;
    }
    let second = take(&mut rest, length.saturating_sub(8).max(13))?;
    nonce.extend(second.strip_suffix(&[0]).unwrap_or(second));
    let method = if capabilities & METHODS == 0 {
        super::password::NATIVE.to_owned()
    } else {
        // Some old servers forget the zero at the end.
        let name = rest.split(|byte| *byte == 0).next()?;
        String::from_utf8_lossy(name).into_owned()
    };
    Some(Ok(Greeting {
        capabilities,
        nonce,
        method,
    }))
}

/// The beginning of a response, after which TLS begins.
pub(super) fn tls_request() -> Vec<u8> {
    beginning(OURS | TLS)
}

/// The response to a greeting. `method` is the one by which `proof` was made.
pub(super) fn response(
    user: &str,
    proof: &[u8],
    database: Option<&str>,
    method: &str,
    tls: bool,
) -> Vec<u8> {
    let mut capabilities = OURS;
    if tls {
        capabilities |= TLS;
    }
    if database.is_some() {
        capabilities |= WITH_DATABASE;
    }
    let mut response = beginning(capabilities);
    push_text(&mut response, user);
    // A proof of 251 bytes or more would have a longer length; none is.
    let length = u8::try_from(proof.len()).unwrap_or(0);
    response.push(length);
    response.extend(&proof[..usize::from(length)]);
    if let Some(database) = database {
        push_text(&mut response, database);
    }
    push_text(&mut response, method);
    response
}

fn beginning(capabilities: u32) -> Vec<u8> {
    let mut response = capabilities.to_le_bytes().to_vec();
    response.extend(LARGEST.to_le_bytes());
    response.push(CHARSET);
    response.extend([0; 23]);
    response
}

/// What a packet during a login says.
pub(super) fn login_step(payload: &[u8]) -> Option<Step> {
    match payload {
        [GOOD, ..] => Some(Step::In),
        [REFUSED, ..] => Refusal::read(payload).map(Step::Refused),
        // Alone, it is a wish for the passwords of before 4.1.
        [SWITCH] => Some(Step::Switch {
            to: "mysql_old_password".to_owned(),
            nonce: Vec::new(),
        }),
        [SWITCH, rest @ ..] => {
            let mut rest = rest;
            let to = String::from_utf8_lossy(take_text(&mut rest)?).into_owned();
            let nonce = rest.strip_suffix(&[0]).unwrap_or(rest).to_vec();
            Some(Step::Switch { to, nonce })
        }
        // "Caching SHA-2 Pluggable Authentication"
        [MORE, 3] => Some(Step::Remembered),
        [MORE, 4] => Some(Step::WantsAll),
        _ => None,
    }
}

fn push_text(packet: &mut Vec<u8>, text: &str) {
    packet.extend(text.bytes().filter(|byte| *byte != 0));
    packet.push(0);
}

fn take<'p>(rest: &mut &'p [u8], length: usize) -> Option<&'p [u8]> {
    let (first, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(first)
}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    let (first, after) = rest.split_first_chunk::<2>()?;
    *rest = after;
    Some(u16::from_le_bytes(*first))
}

/// A text that ends with a zero.
fn take_text<'p>(rest: &mut &'p [u8]) -> Option<&'p [u8]> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let text = &rest[..end];
    *rest = &rest[end + 1..];
    Some(text)
}
