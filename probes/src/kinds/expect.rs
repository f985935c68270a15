//! Send and expect: something is said, and something must come back, once or several times.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::failure::{End, Failure};
use crate::kinds::Ask;
use crate::kinds::dialogue::Encryption;
#[cfg(test)]
use crate::kinds::dialogue::Protocol;
use crate::looks::Looks;
use crate::pattern::{Found, Pattern};
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::{self, Session};
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// Steps of a conversation over TCP or TLS, each of which must go well.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Expect {
    /// Whether and when TLS begins. With STARTTLS, the steps come after it.
    pub encryption: Encryption,
    /// In their order; at least one.
    pub steps: Vec<Step>,
    /// Bytes that the server may send in all.
    pub limit: usize,
}

/// Something is sent, then something expected.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Step {
    /// May be empty: the server speaks first.
    pub send: Vec<u8>,
    /// What must come then. Sending anything drops what came before and was not looked at.
    pub expect: Pattern,
}

/// A reply that must be all there is has ended when nothing comes for so long, or for ever.
const SILENCE: Duration = Duration::from_millis(100);

impl Default for Expect {
    /// Any byte over plain TCP.
    fn default() -> Self {
        Self {
            encryption: Encryption::None,
            steps: vec![Step::default()],
            limit: session::LIMIT,
        }
    }
}

impl Ask for Expect {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let mut session = self.encryption.begin(probing).await?;
        session.set_limit(self.limit);
        for (number, step) in (1..).zip(&self.steps) {
            let done = step.take(&mut session).await;
            if self.steps.len() > 1 {
                done.map_err(|failure| in_step(number, failure))?;
            } else {
                done?;
            }
        }
        Ok(Answer::good())
    }

    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>> {
        let expect = |encryption| Self {
            encryption,
            steps: vec![Step {
                send: b"HELLO\r\n".to_vec(),
                expect: Pattern::Contains(b"HELLO".to_vec()),
            }],
            ..Self::default()
        };
        let asked = Encryption::Asked(Protocol::Pop3, tls.clone());
        vec![
            Talk::plain(expect(Encryption::None)),
            Talk::within_tls(expect(Encryption::AtOnce(tls.clone()))),
            Talk::asks_for_tls(expect(asked), Protocol::Pop3.turns_before_tls()),
        ]
    }
}

impl Step {
    async fn take(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        if !self.send.is_empty() {
            session.take(session.input().len());
            session.send(&self.send).await?;
        }
        let mut searched = 0;
        let mut looks = Looks::default();
        let mut ended = None;
        loop {
            match self.expect.find(session.input(), searched) {
                Found::Until(length) => {
                    if self.expect.is_all() && ended.is_none() {
                        // More of it would be another reply, however it is cut into segments.
                        match timeout(SILENCE, session.fill()).await.unwrap_or(Ok(None))? {
                            None if session.input().len() > length => continue,
                            None | Some(_) => {}
                        }
                    }
                    session.take(length);
                    return Ok(());
                }
                Found::Never => return Err(self.missing(session, End::Complete)),
                Found::NotYet => {}
            }
            if let Some(end) = ended {
                return Err(self.missing(session, end));
            }
            searched = session.input().len();
            ended = if self.expect.looks_anew() {
                session.fill_well(&mut looks).await?
            } else {
                session.fill().await?
            };
        }
    }

    fn missing(&self, session: &Session<'_>, end: End) -> Failure {
        session.missing(&self.expect.to_string(), end)
    }
}

/// Says in which of several steps something went wrong.
fn in_step(number: usize, failure: Failure) -> Failure {
    match failure {
        Failure::Reply { expected, got, end } => Failure::Reply {
            expected: format!("{expected} of step {number}"),
            got,
            end,
        },
        failure => failure,
    }
}

#[cfg(test)]
mod tests;
