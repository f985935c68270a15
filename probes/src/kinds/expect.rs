//! Send and expect over TCP: something is said, and certain bytes must come back.

use serde::{Deserialize, Serialize};

use crate::failure::{End, Failure, excerpt};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;

/// Sends something once connected, then reads until what is expected has come.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Expect {
    /// Sent once connected; may be empty.
    pub send: Vec<u8>,
    /// Must occur in what the server says; empty means any byte.
    pub expect: Vec<u8>,
}

impl Ask for Expect {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let mut session = probing.connect().await?;
        if !self.send.is_empty() {
            session.send(&self.send).await?;
        }
        let mut searched = 0;
        loop {
            if let Some(end) = session.fill().await? {
                return Err(self.missing(&session, end));
            }
            if self.comes_in(session.input(), searched) {
                return Ok(Answer::good());
            }
            searched = session.input().len();
        }
    }
}

impl Expect {
    /// Whether it is there, where none is in the first `searched` bytes.
    fn comes_in(&self, input: &[u8], searched: usize) -> bool {
        if self.expect.is_empty() {
            return !input.is_empty();
        }
        let begin = searched.saturating_sub(self.expect.len() - 1);
        input[begin..]
            .windows(self.expect.len())
            .any(|window| window == self.expect)
    }

    fn missing(&self, session: &Session<'_>, end: End) -> Failure {
        if self.expect.is_empty() {
            return session.missing("any reply", end);
        }
        session.missing(&format!("{} in the reply", excerpt(&self.expect)), end)
    }
}

#[cfg(test)]
mod tests;
