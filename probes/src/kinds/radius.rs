//! RADIUS: the server says how it is, or lets somebody in.
//!
//! Spoken by hand: it is one datagram each way (RFC 2865), and signatures with MD5. Without a login
//! it is Status-Server (RFC 5997), which asks for nobody; not every server answers it. Every request
//! has a Message-Authenticator in front, as servers ask since answers could be forged without
//! (CVE-2024-3596).

mod packet;

use serde::{Deserialize, Serialize};

use self::packet::{Code, Request};
use crate::failure::{Failure, excerpt, words_of};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::spec::{Login, Secret};
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// Asks for the status, or logs somebody in.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Radius {
    /// What the server shares with this host.
    pub secret: Secret,
    /// Who logs in, by PAP.
    pub login: Option<Login>,
}

/// Whether attributes have room for a login (RFC 2865, sections 5.1 and 5.2): for 1 to 253 bytes of
/// a name, and 1 to 128 of a password.
#[must_use]
pub fn fits(login: &Login) -> bool {
    (1..=253).contains(&login.user.len()) && (1..=128).contains(&login.password.0.len())
}

impl Ask for Radius {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let request = Request::new(&self.secret, self.login.as_ref())
            .ok_or_else(|| Failure::NotRun("this host has no random numbers".to_owned()))?;
        let mut datagrams = probing.datagrams()?;
        datagrams.request(request.bytes()).await?;
        // A server does not answer who has another secret, or none.
        let expected = "an answer, which a wrong secret does not get";
        let reply = datagrams.receive(expected).await?;
        let (code, words) = request.read(&self.secret, &reply).map_err(|why| {
            let expected = "expected an answer of RADIUS, got";
            Failure::Protocol(match reply.as_slice() {
                [] => format!("{expected} an empty datagram"),
                reply => format!("{expected} {why}: {}", excerpt(reply)),
            })
        })?;
        let refused = match (code, &self.login) {
            (Code::Accept, _) | (Code::Accounting, None) => return Ok(Answer::good()),
            (Code::Reject, Some(_)) => "the login failed",
            (Code::Reject, None) => "the server rejects the question for its status",
            (Code::Challenge, Some(_)) => "the server wants more than a password",
            (Code::Challenge, None) => "the server wants a login to tell its status",
            (Code::Accounting, Some(_)) => {
                let text = "expected an answer to a login, got one of an accounting server";
                return Err(Failure::Protocol(text.to_owned()));
            }
        };
        Err(Failure::Told(match words.as_slice() {
            [] => refused.to_owned(),
            words => format!("{refused}: {}", words_of(words)),
        }))
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        let secret = Secret("shared".to_owned());
        let logins = [None, Some(crate::testing::somebody())];
        logins
            .map(|login| {
                Talk::datagrams(Self {
                    secret: secret.clone(),
                    login,
                })
            })
            .into()
    }
}

#[cfg(test)]
mod tests;
