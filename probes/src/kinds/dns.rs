//! DNS: one question, and its answer.

mod message;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use self::message::Message;
use crate::failure::{End, Failure, excerpt};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

pub use self::message::{Name, NameError};

/// Asks for the records of one type that a name has.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Dns {
    /// Whose records.
    pub name: Name,
    /// Which records.
    pub record: Record,
    /// What the server must say of the question.
    pub rcode: Rcode,
    /// What must be among the records, as zone files write them, in any case and with or without the
    /// last dot: `192.0.2.1`, `10 mail.example.com`. If there is none, any records will do, and with
    /// [`Rcode::NoError`] there must be one.
    pub answers: Vec<String>,
    /// Whether TCP is used in place of UDP.
    pub tcp: bool,
}

/// Writes an enumeration whose variants have a word and a number.
macro_rules! numbered {
    ($(#[$attribute:meta])* $name:ident: $number:ident { $($variant:ident = $word:literal $value:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum $name {
            $(#[doc = $word] $variant,)+
        }

        impl $name {
            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// By its word.
            #[must_use]
            pub fn of_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn number(self) -> $number {
                match self {
                    $(Self::$variant => $value,)+
                }
            }

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

numbered! {
    /// A type of records (the register of DNS parameters at IANA).
    Record: u16 {
        A = "A" 1,
        Ns = "NS" 2,
        Cname = "CNAME" 5,
        Soa = "SOA" 6,
        Ptr = "PTR" 12,
        Mx = "MX" 15,
        Txt = "TXT" 16,
        Aaaa = "AAAA" 28,
        Srv = "SRV" 33,
        Dnskey = "DNSKEY" 48,
    }
}

numbered! {
    /// What a server says of a question (the register of DNS parameters at IANA).
    Rcode: u8 {
        NoError = "noerror" 0,
        FormErr = "formerr" 1,
        ServFail = "servfail" 2,
        NxDomain = "nxdomain" 3,
        NotImp = "notimp" 4,
        Refused = "refused" 5,
    }
}

const EXPECTED: &str = "an answer to the question";

impl Ask for Dns {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let id = fastrand::u16(..);
        let question = message::question(id, &self.name, self.record.number());
        let bytes = if self.tcp {
            over_tcp(probing, &question).await?
        } else {
            over_udp(probing, &question, id).await?
        };
        let message = Message::parse(&bytes).filter(|message| message.answers(&question));
        let Some(message) = message else {
            return Err(reply(EXPECTED.to_owned(), excerpt(&bytes)));
        };
        self.judge(&message)?;
        Ok(Answer::good())
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        let dns = |tcp| Self {
            name: Name::of_address([192, 0, 2, 1].into()),
            record: Record::A,
            rcode: Rcode::NoError,
            answers: Vec::new(),
            tcp,
        };
        vec![Talk::datagrams(dns(false)), Talk::plain(dns(true))]
    }
}

async fn over_udp(probing: &mut Probing, question: &[u8], id: u16) -> Result<Vec<u8>, Failure> {
    let mut datagrams = probing.datagrams()?;
    datagrams.request(question).await?;
    loop {
        let datagram = datagrams.receive(EXPECTED).await?;
        // Another number is no answer of this server to this question, whoever sends it.
        if datagram.get(..2) == Some(&id.to_be_bytes()[..]) || datagram.len() < 2 {
            return Ok(datagram);
        }
    }
}

/// Each message is preceded by its length (RFC 1035, section 4.2.2).
async fn over_tcp(probing: &mut Probing, question: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut session = probing.connect().await?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(question);
    session.send(&bytes).await?;
    let length = session.exactly(2, EXPECTED).await?;
    let length = length
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    session.set_limit(2 + length);
    session.exactly(length, EXPECTED).await
}

impl Dns {
    fn judge(&self, message: &Message<'_>) -> Result<(), Failure> {
        if message.rcode() != self.rcode.number() {
            let got = Rcode::WORDS.get(usize::from(message.rcode()));
            let got = got.map_or_else(
                || format!("rcode {}", message.rcode()),
                |it| (*it).to_owned(),
            );
            return Err(reply(self.rcode.to_string(), got));
        }
        if message.is_truncated() {
            return Err(Failure::Protocol(
                "the answer is truncated: it needs TCP".to_owned(),
            ));
        }
        let Some(records) = message.records(self.record.number()) else {
            let expected = format!("{} records", self.record);
            return Err(reply(expected, "what cannot be read".to_owned()));
        };
        let shown = || match records.as_slice() {
            [] => "none".to_owned(),
            records => excerpt(records.join(", ").as_bytes()),
        };
        if self.answers.is_empty() && self.rcode == Rcode::NoError && records.is_empty() {
            return Err(reply(format!("{} records", self.record), shown()));
        }
        for answer in &self.answers {
            if !records.iter().any(|record| same(record, answer)) {
                return Err(reply(format!("{} {answer}", self.record), shown()));
            }
        }
        Ok(())
    }
}

/// Whether two texts of a record mean the same: an address in any of its forms, and everything else
/// however it is spaced.
fn same(a: &str, b: &str) -> bool {
    if let (Ok(a), Ok(b)) = (a.parse::<IpAddr>(), b.trim().parse::<IpAddr>()) {
        return a == b;
    }
    let plain = |text: &str| {
        let words: String = text.split_whitespace().collect();
        words.trim_end_matches('.').to_ascii_lowercase()
    };
    plain(a) == plain(b)
}

fn reply(expected: String, got: String) -> Failure {
    Failure::Reply {
        expected,
        got,
        end: End::Complete,
    }
}

#[cfg(test)]
mod tests;
