//! Requests and responses of SIP: RFC 3261.

use std::net::SocketAddr;

use ring::rand::{SecureRandom, SystemRandom};

use super::digest::{Challenge, hex};
use super::{RESPONSE, Sip, Transport};
use crate::failure::{EXCERPT, End, Failure};
use crate::session::Session;

const USER_AGENT: &str = concat!("caribe-probe/", env!("CARGO_PKG_VERSION"));

/// An OPTIONS request that may be made a second time, with credentials.
pub(super) struct Request {
    /// Of who is asked, and who asks: what is asked for over TLS is to be answered so too (section
    /// 8.1.1.8).
    scheme: &'static str,
    /// Who is asked.
    uri: String,
    transport: &'static str,
    local: SocketAddr,
    /// What nobody else has: for the names of this dialogue, and the client's nonce.
    chance: String,
    /// The number of the attempt.
    sequence: u32,
    /// A header with credentials.
    credentials: Option<String>,
}

/// A response, as far as it matters.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    reason: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(super) fn new(sip: &Sip, server: SocketAddr, local: SocketAddr) -> Result<Self, Failure> {
        let mut chance = [0; 12];
        SystemRandom::new()
            .fill(&mut chance)
            .map_err(|_| Failure::NotRun("this host has no random numbers".to_owned()))?;
        let (scheme, transport) = match &sip.transport {
            Transport::Udp => ("sip", "UDP"),
            Transport::Tcp => ("sip", "TCP"),
            Transport::Tls(_) => ("sips", "TLS"),
        };
        let host = sip.host.clone().unwrap_or_else(|| server.to_string());
        let user = sip.user.as_ref().map(|user| format!("{user}@"));
        Ok(Self {
            scheme,
            uri: format!("{scheme}:{}{host}", user.unwrap_or_default()),
            transport,
            local,
            chance: hex(&chance),
            sequence: 1,
            credentials: None,
        })
    }

    /// Section 11.1. The branch begins as section 8.1.1.7 says, and `rport` (RFC 3581) has the
    /// response come back to where the request came from.
    pub(super) fn text(&self) -> String {
        let Self {
            scheme,
            uri,
            transport,
            local,
            chance,
            sequence,
            ..
        } = self;
        let credentials = self.credentials.as_deref().unwrap_or_default();
        format!(
            "OPTIONS {uri} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {local};rport;branch=z9hG4bK{chance}{sequence}\r\n\
             Max-Forwards: 70\r\n\
             From: <{uri}>;tag={chance}\r\n\
             To: <{uri}>\r\n\
             Call-ID: {chance}\r\n\
             CSeq: {sequence} OPTIONS\r\n\
             Contact: <{scheme}:{local}>\r\n\
             Accept: application/sdp\r\n\
             User-Agent: {USER_AGENT}\r\n\
             {credentials}Content-Length: 0\r\n\r\n"
        )
    }

    /// Whether a response is to this attempt, and not one to the one before that comes again.
    pub(super) fn is_answered_by(&self, response: &Response) -> bool {
        let sequence = response.header("cseq").and_then(|it| it.split(' ').next());
        let own = self.sequence.to_string();
        // What has none is none of a server that works; its status is told.
        sequence.is_none_or(|it| it == own)
    }

    /// Whether the request is to be made again, with the credentials that the response asks for:
    /// once, and if there are any.
    pub(super) fn prove(&mut self, sip: &Sip, response: &Response) -> bool {
        let (asked, given) = match response.status {
            401 => ("www-authenticate", "Authorization"),
            407 => ("proxy-authenticate", "Proxy-Authorization"),
            _ => return false,
        };
        let (Some(user), Some(password), None) = (&sip.user, &sip.password, &self.credentials)
        else {
            return false;
        };
        let mut challenges = response.headers_of(asked).filter_map(Challenge::read);
        let Some(challenge) = challenges.next() else {
            return false;
        };
        let place = ("OPTIONS", self.uri.as_str());
        let proof = challenge.meet(user, &password.0, place, &self.chance);
        self.credentials = Some(format!("{given}: {proof}\r\n"));
        self.sequence += 1;
        true
    }
}

impl Response {
    /// Whether another one follows (section 7.2).
    pub(super) fn is_provisional(&self) -> bool {
        self.status < 200
    }

    /// As in "503 Service Unavailable".
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.status, self.reason)
            .trim_end()
            .to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers_of(name).next()
    }

    fn headers_of(&self, name: &str) -> impl Iterator<Item = &str> {
        let headers = self.headers.iter().filter(move |(it, _)| it == name);
        headers.map(|(_, value)| value.as_str())
    }
}

/// The response that a datagram is.
pub(super) fn response(datagram: &[u8]) -> Option<Response> {
    let mut lines = datagram.split(|byte| *byte == b'\n');
    let mut response = status_line(lines.next()?.trim_ascii_end())?;
    for line in lines {
        match line.trim_ascii_end() {
            [] => break,
            line => response.headers.extend(header(line)),
        }
    }
    Some(response)
}

/// The next response of a connection, with what follows it.
pub(super) async fn read(session: &mut Session<'_>) -> Result<Response, Failure> {
    let mut line = session.line(RESPONSE).await?;
    // Line ends before a message mean nothing (section 7.5).
    while line.is_empty() {
        line = session.line(RESPONSE).await?;
    }
    let response = status_line(&line);
    let mut response = response.ok_or_else(|| session.unexpected(RESPONSE, &line))?;
    loop {
        let line = session.line("the rest of the response").await?;
        if line.is_empty() {
            break;
        }
        response.headers.extend(header(&line));
    }
    // `l` is its short form (section 7.3.3).
    let length = response
        .header("content-length")
        .or_else(|| response.header("l"));
    let length = length.map_or(Ok(0), str::parse::<usize>);
    let Ok(length) = length else {
        return Err(session.missing("the length of the body", End::Complete));
    };
    session.exactly(length, "the body").await?;
    Ok(response)
}

fn status_line(line: &[u8]) -> Option<Response> {
    let line = line.strip_prefix(b"SIP/2.0 ")?;
    let (digits, reason) = line.split_at_checked(3)?;
    let digit = |sum: u16, byte: &u8| sum * 10 + u16::from(byte - b'0');
    let all = digits.iter().all(u8::is_ascii_digit);
    let status = all.then(|| digits.iter().fold(0, digit))?;
    let reason = reason.trim_ascii();
    let reason = &reason[..reason.len().min(EXCERPT)];
    Some(Response {
        status,
        reason: reason.escape_ascii().to_string(),
        headers: Vec::new(),
    })
}

fn header(line: &[u8]) -> Option<(String, String)> {
    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once(':')?;
    Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}
