//! Finger (RFC 1288): somebody is asked for, and known. The example of a kind.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// Asks for a user.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Finger {
    /// The user's name.
    pub user: String,
}

impl Ask for Finger {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let mut session = probing.connect().await?;
        session
            .send(format!("{}\r\n", self.user).as_bytes())
            .await?;
        let line = session.line("a login").await?;
        if !line.starts_with(b"Login") {
            return Err(session.unexpected("a login", &line));
        }
        Ok(Answer::good())
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        vec![Talk::plain(Self {
            user: "me".to_owned(),
        })]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ProbeKind;
    use crate::testing::{Server, ask, good, say};

    #[tokio::test]
    async fn somebody_is_known() {
        let kind = ProbeKind::Finger(Finger {
            user: "me".to_owned(),
        });
        let server = Server::new(|stream| say(stream, b"Login: me\r\n")).await;
        assert_eq!(ask(server.address(), kind.clone()).await, good());
        let server = Server::new(|stream| say(stream, b"me?\r\n")).await;
        let failure = ask(server.address(), kind).await.unwrap_err();
        assert_eq!(failure.to_string(), "expected a login, got me?");
    }
}
