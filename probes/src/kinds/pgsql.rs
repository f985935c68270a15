//! PostgreSQL: the beginning of a session, with credentials a login, and where wanted a query that
//! gives a row.
//!
//! The messages, SCRAM-SHA-256 and the older logins are from the crate `postgres-protocol`, which
//! knows no sockets, so that the connection is the probe's own. Without the crate's feature `pgsql`
//! this kind is not there.

mod query;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use serde::{Deserialize, Serialize};

use crate::failure::{End, Failure, words_of};
use crate::frames::{self, NoFrame};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;
use crate::spec::DatabaseLogin;
#[cfg(test)]
use crate::testing::{Talk, Turn};
use crate::tls::Tls;

/// Begins a session, logs in, and asks for a row.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Pgsql {
    /// Who logs in; `None` if only the handshake matters.
    pub login: Option<DatabaseLogin>,
    /// A statement that must give a row.
    pub query: Option<String>,
    /// Must occur in one of the row's values.
    pub expect: Option<String>,
    /// Whether, and how, TLS is asked for.
    pub tls: Option<Tls>,
}

/// Who begins a session when nobody is given.
const NOBODY: &str = "caribe";

impl Ask for Pgsql {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let mut session = probing.connect().await?;
        if let Some(tls) = &self.tls {
            start_tls(&mut session, tls).await?;
        }
        let user = self.login.as_ref().map_or(NOBODY, |login| &login.user);
        let database = self.login.as_ref().and_then(|it| it.database.as_deref());
        let parameters = [("user", user), ("database", database.unwrap_or(user))];
        let application = ("application_name", "caribe-probe");
        let parameters = parameters.into_iter().chain([application]);
        send(&mut session, |out| {
            frontend::startup_message(parameters, out)
        })
        .await?;
        let Some(login) = &self.login else {
            return begun(session).await;
        };
        log_in(&mut session, login).await?;
        if let Some(query) = &self.query {
            send(&mut session, |out| frontend::query(query, out)).await?;
            query::row(&mut session, self.expect.as_deref()).await?;
        }
        let mut farewell = BytesMut::new();
        frontend::terminate(&mut farewell);
        session.part(&farewell).await?;
        Ok(Answer::good())
    }

    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>> {
        let logins = [None, Some(DatabaseLogin::somebody())];
        let talks = logins.map(|login| {
            let pgsql = |tls| Self {
                query: login.as_ref().map(|_| "select 1".to_owned()),
                login: login.clone(),
                expect: None,
                tls,
            };
            let turns = vec![Turn::Hears(Some(8)), Turn::says("S")];
            [
                Talk::plain(pgsql(None)),
                Talk::asks_for_tls(pgsql(Some(tls.clone())), turns),
            ]
        });
        talks.concat()
    }
}

/// PostgreSQL's documentation, "SSL Session Encryption".
async fn start_tls(session: &mut Session<'_>, tls: &Tls) -> Result<(), Failure> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    session.send(&request).await?;
    let expected = "an answer to the request for TLS";
    match session.exactly(1, expected).await?.as_slice() {
        b"S" => session.start_tls(tls, None).await,
        b"N" => Err(Failure::Tls("the server does not offer TLS".to_owned())),
        other => Err(session.unexpected(expected, other)),
    }
}

/// What a server answers to somebody whom it need not know. It works if it wants to know who asks,
/// or says that this one may not; but not while it starts or stops, or has no room.
async fn begun(mut session: Session<'_>) -> Result<Answer, Failure> {
    match next(&mut session, "the beginning of a session").await? {
        Message::ErrorResponse(body) => {
            let refusal = Refusal::read(&body);
            if !refusal.denies_access() {
                return Err(refusal.told("the server says"));
            }
            session.finish().await?;
        }
        Message::AuthenticationOk => {
            let mut farewell = BytesMut::new();
            frontend::terminate(&mut farewell);
            session.part(&farewell).await?;
        }
        message if wants_proof(&message) => session.finish().await?,
        _ => return Err(another("the beginning of a session")),
    }
    Ok(Answer::good())
}

fn wants_proof(message: &Message) -> bool {
    matches!(
        message,
        Message::AuthenticationCleartextPassword
            | Message::AuthenticationMd5Password(_)
            | Message::AuthenticationSasl(_)
            | Message::AuthenticationGss
            | Message::AuthenticationSspi
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
    )
}

/// From the first message of the server until it is ready for a query.
async fn log_in(session: &mut Session<'_>, login: &DatabaseLogin) -> Result<(), Failure> {
    let expected = "the end of the login";
    let password = login.password.0.as_bytes();
    let mut scram: Option<ScramSha256> = None;
    loop {
        match next(session, expected).await? {
            Message::AuthenticationCleartextPassword => {
                send(session, |out| frontend::password_message(password, out)).await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(login.user.as_bytes(), password, body.salt());
                send(session, |out| {
                    frontend::password_message(hash.as_bytes(), out)
                })
                .await?;
            }
            Message::AuthenticationSasl(body) => {
                let mut mechanisms = body.mechanisms();
                let known = mechanisms.any(|it| Ok(it == SCRAM_SHA_256));
                if !known.unwrap_or(false) {
                    return Err(unable("SASL without SCRAM-SHA-256"));
                }
                let begin = ScramSha256::new(password, ChannelBinding::unsupported());
                let message = begin.message().to_vec();
                scram = Some(begin);
                send(session, |out| {
                    frontend::sasl_initial_response(SCRAM_SHA_256, &message, out)
                })
                .await?;
            }
            Message::AuthenticationSaslContinue(body) => {
                let Some(scram) = &mut scram else {
                    return Err(another(expected));
                };
                scram.update(body.data()).map_err(|it| no_scram(&it))?;
                let message = scram.message().to_vec();
                send(session, |out| frontend::sasl_response(&message, out)).await?;
            }
            Message::AuthenticationSaslFinal(body) => {
                let Some(scram) = &mut scram else {
                    return Err(another(expected));
                };
                scram.finish(body.data()).map_err(|it| no_scram(&it))?;
            }
            Message::AuthenticationOk
            | Message::ParameterStatus(_)
            | Message::BackendKeyData(_)
            | Message::NoticeResponse(_) => {}
            Message::ReadyForQuery(_) => return Ok(()),
            Message::ErrorResponse(body) => {
                return Err(Refusal::read(&body).told("the login failed"));
            }
            message if wants_proof(&message) => {
                return Err(unable("Kerberos, GSSAPI or the like"));
            }
            _ => return Err(another(expected)),
        }
    }
}

/// The next message of the server.
async fn next(session: &mut Session<'_>, expected: &str) -> Result<Message, Failure> {
    let whole = frames::next(session, expected, |input| {
        let header = Header::parse(input).map_err(|_| NoFrame)?;
        let length = header.map(|header| u64::try_from(header.len()).map(|it| it + 1));
        length.transpose().map_err(|_| NoFrame)
    })
    .await?;
    match Message::parse(&mut BytesMut::from(whole.as_slice())) {
        Ok(Some(message)) => Ok(message),
        Ok(None) | Err(_) => Err(session.unexpected(expected, &whole)),
    }
}

/// Sends a message, which can only not be written if a text of the configuration has a zero byte.
async fn send(
    session: &mut Session<'_>,
    write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let mut message = BytesMut::new();
    write(&mut message).map_err(|error| Failure::NotRun(error.to_string()))?;
    session.send(&message).await
}

/// An error of the server.
struct Refusal {
    /// PostgreSQL's documentation, "Error Codes".
    state: String,
    words: Vec<u8>,
}

impl Refusal {
    fn read(body: &ErrorResponseBody) -> Self {
        let mut refusal = Self {
            state: String::new(),
            words: Vec::new(),
        };
        let mut fields = body.fields();
        // What comes before something that cannot be read is worth having.
        while let Ok(Some(field)) = fields.next() {
            match field.type_() {
                b'C' => refusal.state = String::from_utf8_lossy(field.value_bytes()).into_owned(),
                b'M' => refusal.words = field.value_bytes().to_vec(),
                _ => {}
            }
        }
        refusal
    }

    /// Class 28 (who it is, or from where), and no such database.
    fn denies_access(&self) -> bool {
        self.state.starts_with("28") || self.state == "3D000"
    }

    fn told(&self, what: &str) -> Failure {
        let words = if self.words.is_empty() {
            format!("error {}", words_of(self.state.as_bytes()))
        } else {
            words_of(&self.words)
        };
        Failure::Told(format!("{what}: {words}"))
    }
}

fn unable(method: &str) -> Failure {
    Failure::Protocol(format!(
        "the server wants the login by {method}, which a probe does not know"
    ))
}

fn no_scram(error: &std::io::Error) -> Failure {
    Failure::Protocol(format!(
        "the server's part of SCRAM-SHA-256 is wrong: {error}"
    ))
}

fn another(expected: &str) -> Failure {
    Failure::Protocol(format!("expected {expected}, got another message"))
}

fn missing(expected: &str, got: &str) -> Failure {
    Failure::Reply {
        expected: expected.to_owned(),
        got: got.to_owned(),
        end: End::Complete,
    }
}

#[cfg(test)]
mod tests;
