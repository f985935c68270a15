//! The polite dialogue of protocols that speak in lines: greeting, TLS and login where asked for,
//! and the farewell.

mod coded;
mod imap;
mod pop3;

use serde::{Deserialize, Serialize};

pub(crate) use self::coded::base64;
use crate::failure::Failure;
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;
use crate::spec::Login;
#[cfg(test)]
use crate::testing::{Talk, Turn};
use crate::tls::Tls;

/// A dialogue from greeting to farewell.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Dialogue {
    /// Which one.
    pub protocol: Protocol,
    /// Whether and when TLS begins.
    pub encryption: Option<(Begin, Tls)>,
    /// Who logs in, if somebody shall.
    pub login: Option<Login>,
    /// What a mail client calls itself (RFC 5321, section 4.1.1.1).
    pub hello: String,
}

/// Protocols that speak in lines.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Mail between servers, RFC 5321.
    Smtp,
    /// Mail from its senders, RFC 6409: the same dialogue at another port.
    Submission,
    /// RFC 9051, and RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 959.
    Ftp,
    /// RFC 3977.
    Nntp,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Begin {
    /// With the connection.
    AtOnce,
    /// When the client asks for it, after the greeting.
    Asked,
}

/// Whether and when TLS begins in a conversation of the operator's own.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Encryption {
    /// Never.
    None,
    /// With the connection.
    AtOnce(Tls),
    /// After what this protocol says before.
    Asked(Protocol, Tls),
}

impl Encryption {
    /// Connects, and agrees on TLS if that is wanted.
    pub(crate) async fn begin<'p>(&self, probing: &'p mut Probing) -> Result<Session<'p>, Failure> {
        match self {
            Self::None => probing.connect().await,
            Self::AtOnce(tls) => probing.connect_tls(tls, None).await,
            Self::Asked(protocol, tls) => {
                let mut session = probing.connect().await?;
                protocol.greet(&mut session, HELLO).await?;
                protocol.start_tls(&mut session, tls).await?;
                Ok(session)
            }
        }
    }
}

/// What a client calls itself that has no name: an address literal (RFC 5321, section 4.1.3).
pub const HELLO: &str = "[127.0.0.1]";

impl Ask for Dialogue {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let protocol = self.protocol;
        let mut session = match &self.encryption {
            Some((Begin::AtOnce, tls)) => probing.connect_tls(tls, None).await?,
            Some((Begin::Asked, _)) | None => probing.connect().await?,
        };
        protocol.greet(&mut session, &self.hello).await?;
        if let Some((Begin::Asked, tls)) = &self.encryption {
            protocol.start_tls(&mut session, tls).await?;
            protocol.greet_again(&mut session, &self.hello).await?;
        }
        if let Some(login) = &self.login {
            protocol.login(&mut session, login).await?;
        }
        protocol.part(&mut session).await?;
        Ok(Answer::good())
    }

    fn word(&self) -> Option<&'static str> {
        Some(self.protocol.word())
    }

    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>> {
        let protocols = [
            Protocol::Smtp,
            Protocol::Submission,
            Protocol::Imap,
            Protocol::Pop3,
            Protocol::Ftp,
            Protocol::Nntp,
        ];
        let logins = [None, Some(crate::testing::somebody())];
        let each = protocols
            .into_iter()
            .flat_map(|protocol| logins.clone().map(|login| (protocol, login)));
        let talks = each.flat_map(|(protocol, login)| {
            let dialogue = |encryption| Self {
                protocol,
                encryption,
                login: login.clone(),
                hello: "probe.example".to_owned(),
            };
            let asks = dialogue(Some((Begin::Asked, tls.clone())));
            [
                Talk::plain(dialogue(None)),
                Talk::within_tls(dialogue(Some((Begin::AtOnce, tls.clone())))),
                Talk::asks_for_tls(asks, protocol.turns_before_tls()),
            ]
        });
        talks.collect()
    }
}

impl Protocol {
    fn word(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Ftp => "ftp",
            Self::Nntp => "nntp",
        }
    }

    /// What a server and a probe say before TLS.
    #[cfg(test)]
    pub(crate) fn turns_before_tls(self) -> Vec<Turn> {
        let lines: &[&str] = match self {
            Self::Smtp | Self::Submission => &["220 a", "250 b", "220 c"],
            Self::Imap => &["* OK a", "s OK b"],
            Self::Pop3 => &["+OK a", "+OK b"],
            Self::Ftp => &["220 a", "234 b"],
            Self::Nntp => &["200 a", "382 b"],
        };
        let turns = lines
            .iter()
            .flat_map(|line| [Turn::Hears(None), Turn::says(format!("{line}\r\n"))]);
        // The greeting comes unasked.
        turns.skip(1).collect()
    }

    /// What the server says first, and what the client says who it is.
    async fn greet(self, session: &mut Session<'_>, hello: &str) -> Result<(), Failure> {
        match self {
            Self::Smtp | Self::Submission => {
                coded::expect(session, &[220]).await?;
                coded::hello(session, hello).await
            }
            Self::Ftp => coded::expect(session, &[220]).await.map(drop),
            Self::Nntp => coded::expect(session, &[200, 201]).await.map(drop),
            Self::Imap => imap::greeting(session).await,
            Self::Pop3 => pop3::ok(session, "+OK").await,
        }
    }

    /// After TLS has begun, a mail client says anew who it is (RFC 3207, section 4.2).
    async fn greet_again(self, session: &mut Session<'_>, hello: &str) -> Result<(), Failure> {
        match self {
            Self::Smtp | Self::Submission => coded::hello(session, hello).await,
            Self::Ftp | Self::Nntp | Self::Imap | Self::Pop3 => Ok(()),
        }
    }

    /// Asks for TLS: RFC 3207, RFC 4217, RFC 4642, RFC 2595 and RFC 9051.
    async fn start_tls(self, session: &mut Session<'_>, tls: &Tls) -> Result<(), Failure> {
        match self {
            Self::Smtp | Self::Submission => {
                coded::command(session, "STARTTLS", &[220]).await?;
            }
            Self::Ftp => {
                coded::command(session, "AUTH TLS", &[234]).await?;
            }
            Self::Nntp => {
                coded::command(session, "STARTTLS", &[382]).await?;
            }
            Self::Imap => imap::command(session, "s", "STARTTLS").await?,
            Self::Pop3 => pop3::command(session, "STLS").await?,
        }
        session.start_tls(tls, None).await
    }

    async fn login(self, session: &mut Session<'_>, login: &Login) -> Result<(), Failure> {
        let Login { user, password } = login;
        match self {
            Self::Smtp | Self::Submission => coded::plain(session, login).await,
            Self::Ftp => {
                let code = coded::command(session, &format!("USER {user}"), &[230, 331]).await?;
                if code == 331 {
                    let pass = format!("PASS {}", password.0);
                    coded::command(session, &pass, &[202, 230]).await?;
                }
                Ok(())
            }
            Self::Nntp => {
                let name = format!("AUTHINFO USER {user}");
                if coded::command(session, &name, &[281, 381]).await? == 381 {
                    let pass = format!("AUTHINFO PASS {}", password.0);
                    coded::command(session, &pass, &[281]).await?;
                }
                Ok(())
            }
            Self::Imap => {
                let name = imap::quoted(user);
                let pass = imap::quoted(&password.0);
                imap::command(session, "l", &format!("LOGIN {name} {pass}")).await
            }
            Self::Pop3 => {
                pop3::command(session, &format!("USER {user}")).await?;
                pop3::command(session, &format!("PASS {}", password.0)).await
            }
        }
    }

    async fn part(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Smtp | Self::Submission | Self::Ftp => {
                coded::command(session, "QUIT", &[221]).await.map(drop)
            }
            Self::Nntp => coded::command(session, "QUIT", &[205]).await.map(drop),
            Self::Imap => imap::command(session, "q", "LOGOUT").await,
            Self::Pop3 => pop3::command(session, "QUIT").await,
        }
    }
}

#[cfg(test)]
mod tests;
