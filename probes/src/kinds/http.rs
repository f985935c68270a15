//! HTTP: a request is made, and its response judged.

mod message;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use self::message::Response;
use crate::failure::{End, Failure, Stage};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;
use crate::tls::Tls;

/// Bytes of a body that are read.
const BODY_LIMIT: usize = 64 * 1024;
const USER_AGENT: &str = concat!("caribe-probe/", env!("CARGO_PKG_VERSION"));

/// Asks for a path and judges the status. A redirection is a status like any other.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Http {
    /// Path and query, `/` at least.
    pub path: String,
    /// `Host` header; `None` sends the target's address.
    pub host: Option<String>,
    /// Status codes that are good, as inclusive ranges. Never empty.
    pub status: Vec<(u16, u16)>,
    /// Whether, and how, TLS is spoken: `https`.
    pub tls: Option<Tls>,
}

impl Ask for Http {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let request = self.request(probing.address());
        let mut session = match &self.tls {
            Some(tls) => probing.connect_tls(tls, self.name()).await?,
            None => probing.connect().await?,
        };
        session.set_limit(message::HEAD_LIMIT + BODY_LIMIT);
        session.send(request.as_bytes()).await?;
        let head = message::head(&mut session).await?;
        self.judge(&head)?;
        let body = message::body(&mut session, &head, BODY_LIMIT).await;
        body.map(|_| Answer::good())
    }
}

impl Http {
    /// What the server is called, without the port that may follow.
    fn name(&self) -> Option<&str> {
        let host = self.host.as_deref()?;
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        Some(name.trim_matches(['[', ']']))
    }

    fn request(&self, address: SocketAddr) -> String {
        let implied = if self.tls.is_some() { 443 } else { 80 };
        let host = self.host.clone();
        let host = host.unwrap_or_else(|| host_of(address, implied));
        format!(
            "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n",
            self.path
        )
    }

    fn judge(&self, response: &Response) -> Result<(), Failure> {
        let code = response.status;
        if self
            .status
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&code))
        {
            return Ok(());
        }
        let ranges: Vec<String> = self.status.iter().map(range).collect();
        Err(Failure::Status {
            expected: ranges.join(", "),
            got: response.shown(),
        })
    }
}

/// An address as a `Host` header has it: without the port that HTTP implies (RFC 9110, 7.2).
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

/// The failure of a body that does not go on.
fn broken_off(session: &mut Session<'_>, end: End) -> Failure {
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
