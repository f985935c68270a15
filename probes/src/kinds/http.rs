//! HTTP: requests are made, and their responses judged.

mod message;

use std::net::SocketAddr;

use md5::{Digest as _, Md5};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use self::message::Response;
use crate::failure::{End, Failure, Stage, excerpt};
use crate::kinds::Ask;
use crate::pattern::Regex;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;
#[cfg(test)]
use crate::testing::Talk;
use crate::tls::{self, Tls};

/// Bytes of a body that are read where its end does not matter.
const BODY_LIMIT: usize = 64 * 1024;
const USER_AGENT: &str = concat!("caribe-probe/", env!("CARGO_PKG_VERSION"));

/// Makes requests, each over a connection of its own, until one is not answered well.
///
/// A redirection is a status like any other: it is not followed.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Http {
    /// Whether, and how, TLS is spoken: `https`.
    pub tls: Option<Tls>,
    /// The version that is spoken.
    pub version: Version,
    /// In their order; at least one.
    pub requests: Vec<Request>,
}

/// Versions of HTTP.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// A request, and what its response must be.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Request {
    /// `GET`, or another token.
    pub method: String,
    /// Path and query, `/` at least.
    pub path: String,
    /// `Host` header; `None` sends the target's address.
    pub host: Option<String>,
    /// Further headers: a name, which replaces one of the same name, and a value.
    pub headers: Vec<(String, String)>,
    /// Sent with its length unless it is empty.
    pub body: Vec<u8>,
    /// Status codes that are good, as inclusive ranges. Never empty.
    pub status: Vec<(u16, u16)>,
    /// What must be, or not be, in the response's body.
    pub content: Vec<Content>,
}

/// What a response's body must be.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Content {
    /// It has these bytes.
    Contains(Vec<u8>),
    /// It has not.
    Lacks(Vec<u8>),
    /// It has what this matches.
    Matches(Regex),
    /// It has not.
    Differs(Regex),
    /// All of it has this digest. It may be 64 KiB long.
    Digest(Digest),
}

/// What all of a body comes to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Digest {
    /// By MD5 (RFC 1321), as keepalived has it. A page that is made to deceive can have any.
    Md5([u8; 16]),
    /// By SHA-256 (FIPS 180-4).
    Sha256([u8; 32]),
}

impl Digest {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }

    /// The same, of a body.
    fn of(&self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5(_) => Md5::digest(body).to_vec(),
            Self::Sha256(_) => digest(&SHA256, body).as_ref().to_vec(),
        }
    }
}

impl Request {
    /// A GET request whose response must be 200 to 299.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            host: None,
            headers: Vec::new(),
            body: Vec::new(),
            status: vec![(200, 299)],
            content: Vec::new(),
        }
    }
}

impl Ask for Http {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        for request in &self.requests {
            let done = self.ask_once(request, probing).await;
            if self.requests.len() > 1 {
                done.map_err(|failure| on_path(&request.path, failure))?;
            } else {
                done?;
            }
        }
        Ok(Answer::good())
    }

    fn word(&self) -> Option<&'static str> {
        self.tls.as_ref().map(|_| "https")
    }

    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>> {
        let http = |tls| Self {
            tls,
            version: Version::Http11,
            requests: vec![Request::get("/")],
        };
        vec![
            Talk::plain(http(None)),
            Talk::within_tls(http(Some(tls.clone()))),
        ]
    }
}

impl Http {
    async fn ask_once(&self, request: &Request, probing: &mut Probing) -> Result<(), Failure> {
        let text = self.text(request, probing.address());
        let mut session = match &self.tls {
            Some(tls) => probing.connect_tls(tls, request.name()).await?,
            None => probing.connect().await?,
        };
        session.set_limit(message::HEAD_LIMIT + BODY_LIMIT);
        session.send(&text).await?;
        let head = message::head(&mut session, request.method == "HEAD").await?;
        request.judge_status(&head)?;
        let body = message::body(&mut session, &head, BODY_LIMIT).await?;
        request.content.iter().try_for_each(|it| it.judge(&body))
    }

    fn text(&self, request: &Request, address: SocketAddr) -> Vec<u8> {
        let implied = if self.tls.is_some() { 443 } else { 80 };
        let host = request.host.clone();
        let host = host.unwrap_or_else(|| host_of(address, implied));
        let version = match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        };
        let mut text = format!("{} {} {version}\r\n", request.method, request.path);
        let own = [
            ("Host", host),
            ("User-Agent", USER_AGENT.to_owned()),
            ("Accept", "*/*".to_owned()),
            ("Connection", "close".to_owned()),
        ];
        let given = |name: &str| {
            let mut given = request.headers.iter();
            given.any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        for (name, value) in own.iter().filter(|(name, _)| !given(name)) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        for (name, value) in &request.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        // A method that is to have a body has a length even if it has none (RFC 9110, section 8.6).
        let has_body =
            !request.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&request.method.as_str());
        if has_body && !given("Content-Length") && !given("Transfer-Encoding") {
            text.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
        }
        text.push_str("\r\n");
        let mut text = text.into_bytes();
        text.extend_from_slice(&request.body);
        text
    }
}

impl Request {
    /// What the server is called.
    fn name(&self) -> Option<&str> {
        self.host.as_deref().map(tls::name_of)
    }

    fn judge_status(&self, response: &Response) -> Result<(), Failure> {
        let code = response.status;
        let mut good = self.status.iter();
        if good.any(|(low, high)| (*low..=*high).contains(&code)) {
            return Ok(());
        }
        let ranges: Vec<String> = self.status.iter().map(range).collect();
        Err(Failure::Status {
            expected: ranges.join(", "),
            got: response.shown(),
        })
    }
}

impl Content {
    fn judge(&self, body: &[u8]) -> Result<(), Failure> {
        // What may come behind has not been read.
        let end = if body.len() < BODY_LIMIT {
            End::Complete
        } else {
            End::Limit(BODY_LIMIT)
        };
        let (good, expected) = match self {
            Self::Contains(bytes) => (
                contains(body, bytes),
                format!("{} in the body", excerpt(bytes)),
            ),
            Self::Lacks(bytes) => (
                !contains(body, bytes),
                format!("a body without {}", excerpt(bytes)),
            ),
            Self::Matches(regex) => (
                regex.is_match(body),
                format!("a match of {regex:?} in the body"),
            ),
            Self::Differs(regex) => (
                !regex.is_match(body),
                format!("a body without a match of {regex:?}"),
            ),
            Self::Digest(expected) => {
                let got = expected.of(body);
                if got == expected.bytes() {
                    return Ok(());
                }
                return Err(Failure::Reply {
                    expected: format!("a body with digest {}", hex(expected.bytes())),
                    got: hex(&got),
                    end,
                });
            }
        };
        if good {
            return Ok(());
        }
        Err(Failure::Reply {
            expected,
            got: excerpt(body),
            end,
        })
    }
}

fn contains(body: &[u8], bytes: &[u8]) -> bool {
    bytes.is_empty() || body.windows(bytes.len()).any(|window| window == bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An address as a `Host` header has it: without the port that is implied (RFC 9110, 7.2).
fn host_of(address: SocketAddr, implied: u16) -> String {
    match address {
        address if address.port() != implied => address.to_string(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

fn range((low, high): &(u16, u16)) -> String {
    if low == high {
        low.to_string()
    } else {
        format!("{low}-{high}")
    }
}

/// Says which of several requests it was.
fn on_path(path: &str, failure: Failure) -> Failure {
    let path = excerpt(path.as_bytes());
    match failure {
        Failure::Status { expected, got } => Failure::Status {
            expected: format!("{expected} of {path}"),
            got,
        },
        Failure::Reply { expected, got, end } => Failure::Reply {
            expected: format!("{expected} of {path}"),
            got,
            end,
        },
        failure => failure,
    }
}

/// The failure of a body that does not go on.
fn broken_off(session: &Session<'_>, end: End) -> Failure {
    match end {
        End::TimedOut(after) => Failure::TimedOut {
            after,
            stage: Stage::Reading,
        },
        End::Complete | End::Closed | End::Reset | End::Limit(_) => {
            session.missing("the rest of the response", end)
        }
    }
}

#[cfg(test)]
mod tests;
