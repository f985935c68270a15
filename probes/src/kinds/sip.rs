//! SIP: an OPTIONS request gets a good response, over UDP, TCP or TLS.
//!
//! Spoken by hand: the request is a dozen lines (RFC 3261, section 11), and the client libraries
//! are whole telephones. A server that wants to know who asks is answered once, by a digest.

mod digest;
mod message;

use serde::{Deserialize, Serialize};

use self::message::{Request, Response};
use crate::failure::{End, Failure, excerpt};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;
use crate::spec::Secret;
#[cfg(test)]
use crate::testing::Talk;
use crate::tls::{self, Tls};

/// Asks what a server can, and judges the status of its response.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Sip {
    /// How the messages travel.
    pub transport: Transport,
    /// The domain that is asked; `None` for the server's address.
    pub host: Option<String>,
    /// The user of that domain who is asked, and who asks; `None` for the server itself.
    pub user: Option<String>,
    /// The user's password, if the server wants it.
    pub password: Option<Secret>,
    /// Status codes that are good, as inclusive ranges. Never empty.
    pub status: Vec<(u16, u16)>,
}

/// How messages travel.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Transport {
    /// A datagram each.
    Udp,
    /// Over a connection.
    Tcp,
    /// Over one with TLS: `sips`.
    Tls(Tls),
}

/// What is expected, where nothing comes.
const RESPONSE: &str = "a SIP response";

impl Ask for Sip {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let response = match &self.transport {
            Transport::Udp => self.by_datagrams(probing).await?,
            Transport::Tcp => self.over(probing.connect().await?).await?,
            Transport::Tls(tls) => {
                let name = self.host.as_deref().map(tls::name_of);
                let session = probing.connect_tls(tls, name).await?;
                self.over(session).await?
            }
        };
        self.judge(&response)
    }

    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>> {
        let sip = |transport| Self {
            transport,
            host: None,
            user: None,
            password: None,
            status: vec![(200, 299)],
        };
        vec![
            Talk::datagrams(sip(Transport::Udp)),
            Talk::plain(sip(Transport::Tcp)),
            Talk::within_tls(sip(Transport::Tls(tls.clone()))),
        ]
    }
}

impl Sip {
    async fn by_datagrams(&self, probing: &mut Probing) -> Result<Response, Failure> {
        let server = probing.address();
        let mut datagrams = probing.datagrams()?;
        let mut request = Request::new(self, server, datagrams.local_address()?)?;
        loop {
            datagrams.request(request.text().as_bytes()).await?;
            let response = loop {
                let datagram = datagrams.receive(RESPONSE).await?;
                let response = message::response(&datagram).ok_or_else(|| Failure::Reply {
                    expected: RESPONSE.to_owned(),
                    got: excerpt(&datagram),
                    end: End::Complete,
                })?;
                if !response.is_provisional() && request.is_answered_by(&response) {
                    break response;
                }
            };
            if !request.prove(self, &response) {
                return Ok(response);
            }
        }
    }

    async fn over(&self, mut session: Session<'_>) -> Result<Response, Failure> {
        let server = session.probing().address();
        let mut request = Request::new(self, server, session.local_address()?)?;
        loop {
            session.send(request.text().as_bytes()).await?;
            let response = loop {
                let response = message::read(&mut session).await?;
                if !response.is_provisional() && request.is_answered_by(&response) {
                    break response;
                }
            };
            if !request.prove(self, &response) {
                return Ok(response);
            }
        }
    }

    fn judge(&self, response: &Response) -> Result<Answer, Failure> {
        let good = |(low, high): &(u16, u16)| (*low..=*high).contains(&response.status);
        if self.status.iter().any(good) {
            return Ok(Answer::good());
        }
        let range = |(low, high): &(u16, u16)| match low == high {
            true => low.to_string(),
            false => format!("{low}-{high}"),
        };
        let ranges: Vec<String> = self.status.iter().map(range).collect();
        Err(Failure::Status {
            expected: ranges.join(", "),
            got: response.shown(),
        })
    }
}

#[cfg(test)]
mod tests;
