//! MySQL and MariaDB: the greeting and a login, and where wanted a query that gives a row.
//!
//! Spoken by hand: the client libraries make their connections by themselves, and the one codec
//! brings the types of every column along, where a probe needs a handful of packets.
//!
//! A client that leaves after the greeting counts against its host, which the server shuts out
//! after `max_connect_errors` of them. So a probe without a login tries one all the same, as
//! `caribe`: that it is denied shows that the server works.
//!
//! A password is told in clear only over TLS, whatever the server asks for. `caching_sha2_password`
//! asks for that when it does not remember the user; the key by which it may be told without TLS is
//! anybody's who stands between.

mod packet;
mod password;
mod rows;

use serde::{Deserialize, Serialize};

use self::packet::{Greeting, Refusal};
use crate::failure::{End, Failure, excerpt};
use crate::frames::{self, NoFrame};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::session::Session;
use crate::spec::{DatabaseLogin, Secret};
#[cfg(test)]
use crate::testing::{Talk, Turn};
use crate::tls::Tls;

/// Logs in, and asks for a row.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Mysql {
    /// Who logs in; `None` if only the handshake matters.
    pub login: Option<DatabaseLogin>,
    /// A statement that must give a row.
    pub query: Option<String>,
    /// Must occur in one of the row's values.
    pub expect: Option<String>,
    /// Whether, and how, TLS is asked for after the greeting.
    pub tls: Option<Tls>,
}

/// Who logs in when nobody is given.
const NOBODY: &str = "caribe";

/// Commands: MySQL's documentation, "Command Phase".
const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;

impl Ask for Mysql {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let session = probing.connect().await?;
        let mut conversation = Conversation {
            session,
            next: 0,
            private: false,
        };
        let greeting = conversation.greeting().await?;
        let entered = self.enter(&mut conversation, &greeting).await?;
        if let (Entered::Yes, Some(query)) = (&entered, &self.query) {
            conversation.command(QUERY, query.as_bytes()).await?;
            self.row(&mut conversation).await?;
        }
        if matches!(entered, Entered::Yes) {
            conversation.part().await?;
        }
        Ok(Answer::good())
    }

    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>> {
        // Of a server that has TLS.
        let greeting = [
            b"\x0a8.0.36\0\x07\0\0\0abcdefgh\0".as_slice(),
            b"\x08\xaa\x2d\x02\0\x08\0\x15",
            &[0; 10],
            b"ijklmnopqrst\0mysql_native_password\0",
        ];
        let greeting = packet::whole(0, &greeting.concat());
        let logins = [None, Some(DatabaseLogin::somebody())];
        let talks = logins.map(|login| {
            let mysql = |tls| Self {
                query: login.as_ref().map(|_| "select 1".to_owned()),
                login: login.clone(),
                expect: None,
                tls,
            };
            let turns = vec![Turn::Says(greeting.clone()), Turn::Hears(Some(36))];
            [
                Talk::plain(mysql(None)),
                Talk::asks_for_tls(mysql(Some(tls.clone())), turns),
            ]
        });
        talks.concat()
    }
}

/// Whether the server lets the probe in.
enum Entered {
    Yes,
    /// It does not, and need not.
    No,
}

impl Mysql {
    /// From the greeting to the end of the login.
    async fn enter(
        &self,
        conversation: &mut Conversation<'_>,
        greeting: &Greeting,
    ) -> Result<Entered, Failure> {
        if let Some(tls) = &self.tls {
            if !greeting.has_tls() {
                return Err(Failure::Tls("the server does not offer TLS".to_owned()));
            }
            conversation.send(&packet::tls_request()).await?;
            conversation.session.start_tls(tls, None).await?;
            conversation.private = true;
        }
        let nobody = DatabaseLogin {
            user: NOBODY.to_owned(),
            password: Secret(String::new()),
            database: None,
        };
        let login = self.login.as_ref().unwrap_or(&nobody);
        let end = conversation.login(greeting, login).await?;
        match (end, &self.login) {
            (LoginEnd::In, _) => Ok(Entered::Yes),
            (LoginEnd::Unable(_), None) => Ok(Entered::No),
            (LoginEnd::Refused(refusal), None) if refusal.denies_access() => Ok(Entered::No),
            (LoginEnd::Refused(refusal), _) => {
                Err(Failure::Told(format!("the login failed: {refusal}")))
            }
            (LoginEnd::Unable(why), Some(_)) => Err(Failure::Protocol(why)),
        }
    }

    /// The first row that is as expected, or all of them.
    async fn row(&self, conversation: &mut Conversation<'_>) -> Result<(), Failure> {
        let expected = "a row";
        let first = conversation.packet(expected).await?;
        let columns = match rows::beginning(&first) {
            Some(rows::Beginning::Columns(columns)) => columns,
            Some(rows::Beginning::NoRows) => return Err(missing(expected, "a result without any")),
            Some(rows::Beginning::Refused(refusal)) => {
                return Err(Failure::Told(format!("the query failed: {refusal}")));
            }
            None => return Err(unreadable(expected)),
        };
        for _ in 0..columns {
            conversation.packet("a column").await?;
        }
        conversation.packet("the end of the columns").await?;
        let mut last = None;
        loop {
            let packet = conversation.packet(expected).await?;
            match rows::row(&packet, columns) {
                Some(rows::Row::Values(values)) => {
                    if self.matches(&values) {
                        return Ok(());
                    }
                    last = Some(values.concat());
                }
                Some(rows::Row::End) => break,
                Some(rows::Row::Refused(refusal)) => {
                    return Err(Failure::Told(format!("the query failed: {refusal}")));
                }
                None => return Err(unreadable(expected)),
            }
        }
        match (&self.expect, last) {
            (Some(expect), Some(row)) => {
                Err(missing(&format!("{expect:?} in a row"), &excerpt(&row)))
            }
            (None, _) | (_, None) => Err(missing(expected, "none")),
        }
    }

    fn matches(&self, values: &[&[u8]]) -> bool {
        let expect = self.expect.as_deref().unwrap_or_default().as_bytes();
        let holds = |value: &&[u8]| value.windows(expect.len()).any(|window| window == expect);
        expect.is_empty() || values.iter().any(holds)
    }
}

/// How a login ended.
enum LoginEnd {
    In,
    Refused(Refusal),
    /// The server wants what this probe does not do, in words.
    Unable(String),
}

/// Packets to and fro, which are numbered.
struct Conversation<'p> {
    session: Session<'p>,
    /// The number of the next packet.
    next: u8,
    /// Whether nobody can listen.
    private: bool,
}

impl Conversation<'_> {
    async fn greeting(&mut self) -> Result<Greeting, Failure> {
        let expected = "the greeting of a MySQL server";
        let whole = frames::next(&mut self.session, expected, |input| match input.get(4) {
            Some(&(packet::VERSION | packet::REFUSED)) | None => packet::length(input),
            Some(_) => Err(NoFrame),
        })
        .await?;
        self.next = 1;
        match packet::greeting(&whole[4..]) {
            Some(Ok(greeting)) => Ok(greeting),
            Some(Err(refusal)) => Err(Failure::Told(format!("the server says: {refusal}"))),
            None => Err(unreadable(expected)),
        }
    }

    async fn login(
        &mut self,
        greeting: &Greeting,
        login: &DatabaseLogin,
    ) -> Result<LoginEnd, Failure> {
        let secret = login.password.0.as_bytes();
        let mut method = greeting.method.clone();
        let begin = password::answer(&method, secret, &greeting.nonce, self.private);
        // For a user whom it knows by another method the server says so next.
        let begin = begin.unwrap_or_default();
        let database = login.database.as_deref();
        let response = packet::response(&login.user, &begin, database, &method, self.private);
        self.send(&response).await?;
        loop {
            let expected = "the end of the login";
            let packet = self.packet(expected).await?;
            match packet::login_step(&packet) {
                Some(packet::Step::In) => return Ok(LoginEnd::In),
                Some(packet::Step::Refused(refusal)) => return Ok(LoginEnd::Refused(refusal)),
                Some(packet::Step::Switch { to, nonce }) => {
                    method = to;
                    match password::answer(&method, secret, &nonce, self.private) {
                        Ok(answer) => self.send(&answer).await?,
                        Err(why) => return Ok(LoginEnd::Unable(why)),
                    }
                }
                Some(packet::Step::Remembered) => {}
                Some(packet::Step::WantsAll) => {
                    match password::in_clear(&method, secret, self.private) {
                        Ok(answer) => self.send(&answer).await?,
                        Err(why) => return Ok(LoginEnd::Unable(why)),
                    }
                }
                None => return Err(unreadable(expected)),
            }
        }
    }

    /// A command, which begins the numbers anew.
    async fn command(&mut self, command: u8, argument: &[u8]) -> Result<(), Failure> {
        self.next = 0;
        self.send(&[&[command], argument].concat()).await
    }

    async fn part(&mut self) -> Result<(), Failure> {
        self.session.part(&packet::whole(0, &[QUIT])).await
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let whole = packet::whole(self.next, payload);
        self.next = self.next.wrapping_add(1);
        self.session.send(&whole).await
    }

    /// The next packet's payload.
    async fn packet(&mut self, expected: &str) -> Result<Vec<u8>, Failure> {
        let mut whole = frames::next(&mut self.session, expected, packet::length).await?;
        self.next = whole.get(3).map_or(0, |number| number.wrapping_add(1));
        Ok(whole.split_off(packet::HEAD))
    }
}

fn missing(expected: &str, got: &str) -> Failure {
    Failure::Reply {
        expected: expected.to_owned(),
        got: got.to_owned(),
        end: End::Complete,
    }
}

fn unreadable(expected: &str) -> Failure {
    Failure::Protocol(format!(
        "expected {expected}, got a packet that cannot be read"
    ))
}

#[cfg(test)]
mod tests;
