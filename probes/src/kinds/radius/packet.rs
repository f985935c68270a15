//! Packets of RADIUS: RFC 2865, section 3, and RFC 3579, section 3.2.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use ring::rand::{SecureRandom, SystemRandom};

use super::Login;
use crate::spec::Secret;

/// Bytes before the attributes.
const HEAD: usize = 20;
/// Codes of requests.
const ACCESS_REQUEST: u8 = 1;
const STATUS_SERVER: u8 = 12;
/// Attributes.
const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const SERVICE_TYPE: u8 = 6;
const REPLY_MESSAGE: u8 = 18;
const NAS_IDENTIFIER: u8 = 32;
const MESSAGE_AUTHENTICATOR: u8 = 80;

/// The user is to be looked at, and no more done.
const AUTHENTICATE_ONLY: [u8; 4] = [0, 0, 0, 8];
/// What this host calls itself.
const NAS: &[u8] = b"caribe-probe";

/// What a server may answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Code {
    Accept,
    Reject,
    Accounting,
    Challenge,
}

/// A request, by which its answer is known.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// A request with numbers of chance; `None` when this host has none.
    pub(super) fn new(secret: &Secret, login: Option<&Login>) -> Option<Self> {
        let mut chance = [0; 17];
        SystemRandom::new().fill(&mut chance).ok()?;
        let (id, authenticator) = chance.split_first_chunk::<1>()?;
        let authenticator = authenticator.try_into().ok()?;
        Some(Self::with(secret, login, id[0], authenticator))
    }

    fn with(secret: &Secret, login: Option<&Login>, id: u8, authenticator: [u8; 16]) -> Self {
        let mut attributes = Vec::new();
        push(&mut attributes, MESSAGE_AUTHENTICATOR, &[0; 16]);
        push(&mut attributes, NAS_IDENTIFIER, NAS);
        if let Some(login) = login {
            push(&mut attributes, USER_NAME, login.user.as_bytes());
            let hidden = hide(login.password.0.as_bytes(), secret, &authenticator);
            push(&mut attributes, USER_PASSWORD, &hidden);
            push(&mut attributes, SERVICE_TYPE, &AUTHENTICATE_ONLY);
        }
        let code = match login {
            Some(_) => ACCESS_REQUEST,
            None => STATUS_SERVER,
        };
        let length = u16::try_from(HEAD + attributes.len()).unwrap_or(u16::MAX);
        let mut whole = vec![code, id];
        whole.extend(length.to_be_bytes());
        whole.extend(authenticator);
        whole.extend(attributes);
        let signature = sign(secret, &whole);
        // The signature stands in the first attribute, behind type and length.
        for (byte, sign) in whole.iter_mut().skip(HEAD + 2).zip(signature) {
            *byte = sign;
        }
        Self(whole)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn authenticator(&self) -> &[u8] {
        &self.0[4..HEAD]
    }

    /// What a server answered, and its words for the user; or what came instead.
    pub(super) fn read(
        &self,
        secret: &Secret,
        reply: &[u8],
    ) -> Result<(Code, Vec<u8>), &'static str> {
        const NONE: &str = "something else";
        let length = reply.get(2..4).ok_or(NONE)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        // What is behind the length is padding.
        let reply = reply.get(..length).filter(|it| it.len() >= HEAD);
        let reply = reply.ok_or(NONE)?;
        let code = match reply[0] {
            2 => Code::Accept,
            3 => Code::Reject,
            5 => Code::Accounting,
            11 => Code::Challenge,
            _ => return Err(NONE),
        };
        if reply[1] != self.0[1] {
            return Err("one to another request");
        }
        let attributes = attributes(&reply[HEAD..]).ok_or(NONE)?;
        let mut md5 = Md5::new();
        md5.update(&reply[..4]);
        md5.update(self.authenticator());
        md5.update(&reply[HEAD..]);
        md5.update(secret.0.as_bytes());
        if md5.finalize()[..] != reply[4..HEAD] {
            return Err("one that is signed with another secret");
        }
        for (kind, at, value) in &attributes {
            if *kind == MESSAGE_AUTHENTICATOR && !self.signed(secret, reply, *at, value) {
                return Err("one that is signed with another secret");
            }
        }
        let words = attributes
            .iter()
            .filter(|(kind, ..)| *kind == REPLY_MESSAGE);
        let words: Vec<_> = words.map(|(_, _, value)| *value).collect();
        Ok((code, words.join(&b' ')))
    }

    /// Whether the signature that stands at `at` in a reply is right.
    fn signed(&self, secret: &Secret, reply: &[u8], at: usize, value: &[u8]) -> bool {
        let mut unsigned = reply.to_vec();
        unsigned[4..HEAD].copy_from_slice(self.authenticator());
        let place = HEAD + at;
        let Some(place) = unsigned.get_mut(place..place + value.len()) else {
            return false;
        };
        place.fill(0);
        sign(secret, &unsigned)[..] == *value
    }
}

fn push(attributes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    // Longer ones are refused before (`super::fits`).
    let value = &value[..value.len().min(253)];
    let length = u8::try_from(value.len() + 2).unwrap_or(u8::MAX);
    attributes.extend([kind, length]);
    attributes.extend(value);
}

/// Type, place and value of each attribute.
fn attributes(bytes: &[u8]) -> Option<Vec<(u8, usize, &[u8])>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some([kind, length, ..]) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let length = usize::from(*length);
        let value = bytes.get(at + 2..at + length)?;
        found.push((*kind, at + 2, value));
        at += length;
    }
    (at == bytes.len()).then_some(found)
}

/// RFC 2865, section 5.2.
fn hide(password: &[u8], secret: &Secret, authenticator: &[u8; 16]) -> Vec<u8> {
    let mut hidden = Vec::new();
    let mut before = authenticator.to_vec();
    for piece in password.chunks(16) {
        let mut md5 = Md5::new();
        md5.update(secret.0.as_bytes());
        md5.update(&before);
        let mut piece = piece.to_vec();
        piece.resize(16, 0);
        let mask = md5.finalize();
        before = piece.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        hidden.extend(&before);
    }
    hidden
}

fn sign(secret: &Secret, whole: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(secret.0.as_bytes()) else {
        // HMAC takes keys of any length.
        return Vec::new();
    };
    mac.update(whole);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer that is signed as it should be.
    pub(crate) fn answer(secret: &str, request: &[u8], code: u8, words: &str) -> Vec<u8> {
        let secret = Secret(secret.to_owned());
        let mut attributes = Vec::new();
        push(&mut attributes, MESSAGE_AUTHENTICATOR, &[0; 16]);
        if !words.is_empty() {
            push(&mut attributes, REPLY_MESSAGE, words.as_bytes());
        }
        let length = u16::try_from(HEAD + attributes.len()).unwrap();
        let mut whole = vec![code, request[1]];
        whole.extend(length.to_be_bytes());
        whole.extend(&request[4..HEAD]);
        whole.extend(attributes);
        let signature = sign(&secret, &whole);
        whole[HEAD + 2..HEAD + 18].copy_from_slice(&signature);
        sealed(&secret.0, request, whole)
    }

    /// An answer with the Response Authenticator that all its other bytes should have.
    pub(crate) fn sealed(secret: &str, request: &[u8], mut reply: Vec<u8>) -> Vec<u8> {
        reply[4..HEAD].copy_from_slice(&request[4..HEAD]);
        let mut md5 = Md5::new();
        md5.update(&reply);
        md5.update(secret.as_bytes());
        let authenticator = md5.finalize();
        reply[4..HEAD].copy_from_slice(&authenticator);
        reply
    }

    /// The example of RFC 2865, section 7.1.
    #[test]
    fn a_password_is_hidden_as_in_the_rfc() {
        let authenticator = [
            0x0f, 0x40, 0x3f, 0x94, 0x73, 0x97, 0x80, 0x57, 0xbd, 0x83, 0xd5, 0xcb, 0x98, 0xf4,
            0x22, 0x7a,
        ];
        let hidden = hide(
            b"arctangent",
            &Secret("xyzzy5461".to_owned()),
            &authenticator,
        );
        let expected = [
            0x0d, 0xbe, 0x70, 0x8d, 0x93, 0xd4, 0x13, 0xce, 0x31, 0x96, 0xe4, 0x3f, 0x78, 0x2a,
            0x0a, 0xee,
        ];
        assert_eq!(hidden, expected);
    }

    #[test]
    fn a_request_has_its_own_length_and_signature() {
        let secret = Secret("shared".to_owned());
        let login = Login {
            user: "probe".to_owned(),
            password: Secret("a password of more than 16".to_owned()),
        };
        let request = Request::with(&secret, Some(&login), 7, [9; 16]);
        let bytes = request.bytes();
        assert_eq!(bytes[..4], [1, 7, 0, u8::try_from(bytes.len()).unwrap()]);
        let mut unsigned = bytes.to_vec();
        unsigned[22..38].fill(0);
        assert_eq!(bytes[22..38], sign(&secret, &unsigned));
        let kinds: Vec<_> = attributes(&bytes[HEAD..]).unwrap();
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, ..)| kind).collect();
        assert_eq!(kinds, [80, 32, 1, 2, 6]);
    }

    #[test]
    fn an_answer_is_believed_only_with_its_signatures() {
        let secret = Secret("shared".to_owned());
        let request = Request::with(&secret, None, 7, [9; 16]);
        let good = answer("shared", request.bytes(), 2, "welcome");
        let welcome = (Code::Accept, b"welcome".to_vec());
        assert_eq!(request.read(&secret, &good), Ok(welcome));
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            request.read(&secret, &changed).unwrap_err();
        }
        let other = answer("another", request.bytes(), 2, "");
        let why = "one that is signed with another secret";
        assert_eq!(request.read(&secret, &other), Err(why));
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_server_are_a_danger(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let secret = Secret("shared".to_owned());
            let request = Request::with(&secret, None, 7, [9; 16]);
            prop_assert!(request.read(&secret, &bytes).is_err());
        }
    }
}
