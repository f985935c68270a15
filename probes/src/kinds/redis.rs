//! Redis: a PING is answered, after a login where one is given, or a command of the operator's.
//!
//! Spoken by hand: a command is an array of strings and its reply one of five sorts (RESP2), and
//! the client libraries make connections of their own, which come from where they like.

use serde::{Deserialize, Serialize};

use crate::failure::{End, Failure, words_of};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;
use crate::spec::Secret;
#[cfg(test)]
use crate::testing::Talk;
use crate::tls::Tls;

/// Sends PING, or a command and looks at its reply.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Redis {
    /// Sent by AUTH before anything else.
    pub login: Option<Login>,
    /// The words of a command, whose reply must be something and no error; empty for PING.
    pub command: Vec<String>,
    /// Must occur in the reply to the command.
    pub expect: Option<String>,
    /// Whether, and how, TLS is spoken.
    pub tls: Option<Tls>,
}

/// Who logs in.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Login {
    /// `None` for the server's default user.
    pub user: Option<String>,
    /// Their password.
    pub password: Secret,
}

impl Ask for Redis {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let mut session = match &self.tls {
            Some(tls) => probing.connect_tls(tls, None).await?,
            None => probing.connect().await?,
        };
        session.send(&self.request()).await?;
        if self.login.is_some() {
            self.logged_in(&mut session).await?;
        }
        if self.command.is_empty() {
            self.pinged(&mut session).await?;
        } else {
            self.answered(&mut session).await?;
        }
        Ok(Answer::good())
    }

    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>> {
        let login = Login {
            user: None,
            password: Secret("secret".to_owned()),
        };
        let talks = [None, Some(login)].map(|login| {
            let redis = |tls| Self {
                login: login.clone(),
                tls,
                ..Self::default()
            };
            [
                Talk::plain(redis(None)),
                Talk::within_tls(redis(Some(tls.clone()))),
            ]
        });
        talks.concat()
    }
}

impl Redis {
    /// Everything in one piece: the server takes the commands in turn, and so does the probe the
    /// replies.
    fn request(&self) -> Vec<u8> {
        let mut request = Vec::new();
        if let Some(login) = &self.login {
            let mut words = vec!["AUTH"];
            words.extend(login.user.as_deref());
            words.push(&login.password.0);
            command(&mut request, &words);
        }
        if self.command.is_empty() {
            command(&mut request, &["PING"]);
        } else {
            command(&mut request, &self.command);
        }
        request
    }

    async fn logged_in(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        let line = session.line("+OK").await?;
        match line.as_slice() {
            b"+OK" => Ok(()),
            [b'-', words @ ..] => Err(Failure::Told(format!(
                "the login failed: {}",
                words_of(words)
            ))),
            line => Err(session.unexpected("+OK", line)),
        }
    }

    /// A server that wants a password before it says anything else is one that works, as far as
    /// can be seen without.
    async fn pinged(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        let line = session.line("+PONG").await?;
        match line.as_slice() {
            b"+PONG" => Ok(()),
            line if line.starts_with(b"-NOAUTH ") && self.login.is_none() => Ok(()),
            [b'-', words @ ..] => Err(told(words)),
            line => Err(session.unexpected("+PONG", line)),
        }
    }

    async fn answered(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        let reply = reply(session).await?;
        let failure = |expected: String| Failure::Reply {
            expected,
            got: crate::failure::excerpt(&reply),
            end: End::Complete,
        };
        match &self.expect {
            None if reply.is_empty() => Err(failure("a value".to_owned())),
            Some(expect) if !holds(&reply, expect.as_bytes()) => {
                Err(failure(format!("{expect:?} in the reply")))
            }
            None | Some(_) => Ok(()),
        }
    }
}

/// A command as an array of strings, which may hold any byte.
fn command<W: AsRef<str>>(request: &mut Vec<u8>, words: &[W]) {
    request.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        let word = word.as_ref();
        request.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
}

/// What a reply says: its texts, each on a line. Nothing and no elements say nothing.
async fn reply(session: &mut Session<'_>) -> Result<Vec<u8>, Failure> {
    let expected = "a reply of Redis";
    let mut said = Vec::new();
    let mut left = 1_usize;
    while left > 0 {
        left -= 1;
        let line = session.line(expected).await?;
        let number = || number(line.get(1..).unwrap_or_default());
        let text = match (line.first(), number()) {
            (Some(b'+' | b':'), _) => line[1..].to_vec(),
            (Some(b'-'), _) => return Err(told(&line[1..])),
            (Some(b'$' | b'*'), Some(-1)) => continue,
            (Some(b'$'), Some(length)) if length >= 0 => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let mut text = session.exactly(length.saturating_add(2), expected).await?;
                text.truncate(length);
                text
            }
            (Some(b'*'), Some(elements)) if elements >= 0 => {
                left = left.saturating_add(usize::try_from(elements).unwrap_or(usize::MAX));
                continue;
            }
            _ => return Err(session.unexpected(expected, &line)),
        };
        if !said.is_empty() {
            said.push(b'\n');
        }
        said.extend(text);
    }
    Ok(said)
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn holds(text: &[u8], what: &[u8]) -> bool {
    what.is_empty() || text.windows(what.len()).any(|window| window == what)
}

fn told(words: &[u8]) -> Failure {
    Failure::Told(format!("the server says: {}", words_of(words)))
}

#[cfg(test)]
mod tests;
