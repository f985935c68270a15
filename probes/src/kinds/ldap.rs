//! LDAP: a bind, anonymous or as somebody, and where wanted a search for one entry.
//!
//! Spoken by hand: it takes three messages of RFC 4511, in the little BER below, and the
//! client library keeps a task of its own for each connection, which a probe must not leave behind.

mod ber;

use serde::{Deserialize, Serialize};

use crate::failure::{End, Failure, words_of};
use crate::frames::{self, NoFrame};
use crate::kinds::Ask;
use crate::kinds::dialogue::Begin;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;
use crate::spec::Login;
#[cfg(test)]
use crate::testing::{Talk, Turn};
use crate::tls::Tls;

/// Binds, and looks an entry up.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Ldap {
    /// Who binds, by a distinguished name; `None` binds anonymously.
    pub login: Option<Login>,
    /// The distinguished name of an entry that must be there; empty for the server's own.
    pub search: Option<String>,
    /// Must occur in one of the entry's values.
    pub expect: Option<String>,
    /// Whether and when TLS begins: with the connection is `ldaps`.
    pub encryption: Option<(Begin, Tls)>,
}

/// Operations, RFC 4511 appendix B.
const BIND: u8 = 0x60;
const BOUND: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x78;
const INTERMEDIATE: u8 = 0x79;
const EXTENDED_REQUEST: u8 = 0x77;
/// Tags within them.
const SIMPLE: u8 = 0x80;
const PRESENT: u8 = 0x87;
const SET: u8 = 0x31;
const REQUEST_NAME: u8 = 0x80;

/// The numbers of messages need only differ (RFC 4511, section 4.1.1.1).
const TLS_ID: u8 = 4;

/// The extended operation that begins TLS (RFC 4511, section 4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// What the server says in one message.
enum Said {
    /// The end of a bind.
    Bound(Outcome),
    /// The end of a search.
    Done(Outcome),
    /// The values of an entry.
    Entry(Vec<Vec<u8>>),
    /// The end of an extended operation.
    Extended(Outcome),
    /// That it ends the conversation (RFC 4511, section 4.4.1).
    Parting(Outcome),
    /// What is of no interest here: where else to look, and what comes meanwhile.
    Aside,
}

/// How an operation ended.
struct Outcome {
    code: u32,
    words: Vec<u8>,
}

impl Ask for Ldap {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let mut session = match &self.encryption {
            Some((Begin::AtOnce, tls)) => probing.connect_tls(tls, None).await?,
            Some((Begin::Asked, _)) | None => probing.connect().await?,
        };
        if let Some((Begin::Asked, tls)) = &self.encryption {
            start_tls(&mut session, tls).await?;
        }
        session.send(&message(1, &self.bind())).await?;
        self.bound(&mut session).await?;
        if let Some(base) = &self.search {
            session.send(&message(2, &search(base))).await?;
            self.found(&mut session, base).await?;
        }
        session.part(&message(3, &ber::value(UNBIND, &[]))).await?;
        Ok(Answer::good())
    }

    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>> {
        // ExtendedResponse, success (RFC 4511, section 4.12).
        let granted = b"\x30\x0c\x02\x01\x04\x78\x07\x0a\x01\0\x04\0\x04\0";
        let logins = [None, Some(crate::testing::somebody())];
        let talks = logins.map(|login| {
            let ldap = |encryption| Self {
                search: login.as_ref().map(|_| String::new()),
                login: login.clone(),
                expect: None,
                encryption,
            };
            let turns = vec![Turn::Hears(None), Turn::says(*granted)];
            [
                Talk::plain(ldap(None)),
                Talk::within_tls(ldap(Some((Begin::AtOnce, tls.clone())))),
                Talk::asks_for_tls(ldap(Some((Begin::Asked, tls.clone()))), turns),
            ]
        });
        talks.concat()
    }
}

impl Ldap {
    /// RFC 4511, section 4.2.
    fn bind(&self) -> Vec<u8> {
        let (user, password) = match &self.login {
            Some(login) => (login.user.as_str(), login.password.0.as_str()),
            None => ("", ""),
        };
        let version = ber::number(ber::INTEGER, 3);
        let user = ber::value(ber::OCTETS, user.as_bytes());
        let password = ber::value(SIMPLE, password.as_bytes());
        ber::value(BIND, &[version, user, password].concat())
    }

    async fn bound(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        let expected = "the end of a bind";
        match next(session, 1, expected).await? {
            Said::Bound(outcome) if outcome.code == 0 => Ok(()),
            // That it wants to know who asks is an answer of a server that works.
            Said::Bound(outcome) if self.login.is_none() && outcome.wants_a_login() => Ok(()),
            Said::Bound(outcome) => Err(Failure::Told(format!("the bind failed: {outcome}"))),
            Said::Parting(outcome) => Err(parting(&outcome)),
            Said::Done(_) | Said::Entry(_) | Said::Extended(_) | Said::Aside => {
                Err(another(expected))
            }
        }
    }

    async fn found(&self, session: &mut Session<'_>, base: &str) -> Result<(), Failure> {
        let expected = "the end of a search";
        let mut entries = 0;
        let mut matched = false;
        loop {
            match next(session, 2, expected).await? {
                Said::Entry(values) => {
                    entries += 1;
                    matched |= self.matches(&values);
                }
                Said::Aside => {}
                Said::Done(outcome) if outcome.code == 0 => break,
                Said::Done(outcome) => {
                    return Err(Failure::Told(format!("the search failed: {outcome}")));
                }
                Said::Parting(outcome) => return Err(parting(&outcome)),
                Said::Bound(_) | Said::Extended(_) => return Err(another(expected)),
            }
        }
        let missing = |expected: String, got: &str| Failure::Reply {
            expected,
            got: got.to_owned(),
            end: End::Complete,
        };
        match &self.expect {
            _ if entries == 0 => Err(missing(format!("the entry {base:?}"), "none")),
            Some(expect) if !matched => {
                Err(missing(format!("{expect:?} in the entry"), "other values"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn matches(&self, values: &[Vec<u8>]) -> bool {
        let expect = self.expect.as_deref().unwrap_or_default().as_bytes();
        let holds = |value: &Vec<u8>| {
            expect.is_empty() || value.windows(expect.len()).any(|window| window == expect)
        };
        values.iter().any(holds)
    }
}

/// RFC 4511, section 4.14.
async fn start_tls(session: &mut Session<'_>, tls: &Tls) -> Result<(), Failure> {
    let expected = "an answer to the request for TLS";
    let request = ber::value(EXTENDED_REQUEST, &ber::value(REQUEST_NAME, START_TLS));
    session.send(&message(TLS_ID, &request)).await?;
    match next(session, TLS_ID.into(), expected).await? {
        Said::Extended(outcome) if outcome.code == 0 => session.start_tls(tls, None).await,
        Said::Extended(outcome) => Err(Failure::Tls(format!(
            "the server does not begin TLS: {outcome}"
        ))),
        Said::Parting(outcome) => Err(parting(&outcome)),
        Said::Bound(_) | Said::Done(_) | Said::Entry(_) | Said::Aside => Err(another(expected)),
    }
}

/// The entry itself, by the filter that every entry passes (RFC 4511, section 4.5.1).
fn search(base: &str) -> Vec<u8> {
    let fields = [
        ber::value(ber::OCTETS, base.as_bytes()),
        // The base alone, and no aliases followed.
        ber::number(ber::ENUMERATED, 0),
        ber::number(ber::ENUMERATED, 0),
        // No limits of entries and seconds but the server's.
        ber::number(ber::INTEGER, 0),
        ber::number(ber::INTEGER, 0),
        // Values too, of all attributes.
        ber::number(ber::BOOLEAN, 0),
        ber::value(PRESENT, b"objectClass"),
        ber::value(ber::SEQUENCE, &[]),
    ];
    ber::value(SEARCH, &fields.concat())
}

fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    let content = [&ber::number(ber::INTEGER, id), operation].concat();
    ber::value(ber::SEQUENCE, &content)
}

/// The next message, which answers the one with number `id`.
async fn next(session: &mut Session<'_>, id: u32, expected: &str) -> Result<Said, Failure> {
    let whole = frames::next(session, expected, |input| match input.first() {
        Some(tag) if *tag != ber::SEQUENCE => Err(NoFrame),
        Some(_) | None => ber::length(input),
    })
    .await?;
    match read(&whole) {
        Some((from, said)) if from == id || matches!(said, Said::Parting(_)) => Ok(said),
        Some(_) => Err(another(expected)),
        None => {
            let text = format!("expected {expected}, got a message that cannot be read");
            Err(Failure::Protocol(text))
        }
    }
}

/// The message's number, and what it says.
fn read(whole: &[u8]) -> Option<(u32, Said)> {
    let mut content = ber::take_tagged(&mut { whole }, ber::SEQUENCE)?;
    let id = ber::read_number(ber::take_tagged(&mut content, ber::INTEGER)?)?;
    let (operation, fields) = ber::take(&mut content)?;
    let said = match operation {
        BOUND => Said::Bound(Outcome::read(fields)?),
        DONE => Said::Done(Outcome::read(fields)?),
        ENTRY => Said::Entry(values(fields)?),
        EXTENDED if id == 0 => Said::Parting(Outcome::read(fields)?),
        EXTENDED => Said::Extended(Outcome::read(fields)?),
        REFERENCE | INTERMEDIATE => Said::Aside,
        _ => return None,
    };
    Some((id, said))
}

/// All values of all attributes of an entry.
fn values(mut entry: &[u8]) -> Option<Vec<Vec<u8>>> {
    let _name = ber::take_tagged(&mut entry, ber::OCTETS)?;
    let mut attributes = ber::take_tagged(&mut entry, ber::SEQUENCE)?;
    let mut values = Vec::new();
    while !attributes.is_empty() {
        let mut attribute = ber::take_tagged(&mut attributes, ber::SEQUENCE)?;
        let _description = ber::take_tagged(&mut attribute, ber::OCTETS)?;
        let mut set = ber::take_tagged(&mut attribute, SET)?;
        while !set.is_empty() {
            values.push(ber::take_tagged(&mut set, ber::OCTETS)?.to_vec());
        }
    }
    Some(values)
}

impl Outcome {
    /// RFC 4511, section 4.1.9.
    fn read(mut fields: &[u8]) -> Option<Self> {
        let code = ber::read_number(ber::take_tagged(&mut fields, ber::ENUMERATED)?)?;
        let _matched = ber::take_tagged(&mut fields, ber::OCTETS)?;
        let words = ber::take_tagged(&mut fields, ber::OCTETS)?.to_vec();
        Some(Self { code, words })
    }

    /// The codes by which anonymous binds are refused (RFC 4513, section 5.1.1; RFC 4511, A.2).
    fn wants_a_login(&self) -> bool {
        matches!(self.code, 8 | 13 | 48 | 49)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match meaning(self.code) {
            Some(meaning) => f.write_str(meaning)?,
            None => write!(f, "result code {}", self.code)?,
        }
        if self.words.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", words_of(&self.words))
    }
}

/// RFC 4511, appendix A.2: what a server may say to a bind or a search.
fn meaning(code: u32) -> Option<&'static str> {
    Some(match code {
        1 => "operations error",
        2 => "protocol error",
        3 => "time limit exceeded",
        4 => "size limit exceeded",
        7 => "this way to log in is not supported",
        8 => "a stronger way to log in is required",
        10 => "the entry is on another server",
        11 => "administrative limit exceeded",
        13 => "only over TLS",
        32 => "no such object",
        34 => "no such name is possible",
        48 => "this way to log in is not allowed for this user",
        49 => "invalid credentials",
        50 => "insufficient access rights",
        51 => "the server is busy",
        52 => "the server is unavailable",
        53 => "the server is unwilling to perform",
        80 => "other error",
        _ => return None,
    })
}

fn parting(outcome: &Outcome) -> Failure {
    Failure::Told(format!("the server ends the conversation: {outcome}"))
}

fn another(expected: &str) -> Failure {
    Failure::Protocol(format!("expected {expected}, got another message"))
}

#[cfg(test)]
mod tests;
