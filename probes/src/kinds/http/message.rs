//! The response of an HTTP/1 server, read with bounds (RFC 9112).

use super::broken_off;
use crate::failure::{End, Failure};
use crate::session::Session;

/// Bytes of status line and headers.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;
const EXPECTED: &str = "an HTTP response";

/// Status line and headers.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// The server's own words for it.
    reason: String,
    /// How the body ends.
    length: Length,
}

/// How a body ends (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Length {
    /// After so many bytes.
    Known(u64),
    /// With a chunk of no bytes.
    Chunked,
    /// With the connection, as nobody has said otherwise.
    Open,
    /// With the connection, whatever length is given.
    Close,
}

impl Response {
    /// "503 Service Unavailable"
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.status, self.reason)
            .trim_end()
            .to_owned()
    }
}

/// Reads status line and headers; `bodiless` if the request was one whose response has no body.
pub(super) async fn head(session: &mut Session<'_>, bodiless: bool) -> Result<Response, Failure> {
    loop {
        let mut response = one_head(session).await?;
        // Informational responses precede the one that counts (RFC 9110, section 15.2).
        if !(100..200).contains(&response.status) || response.status == 101 {
            if bodiless {
                response.length = Length::Known(0);
            }
            return Ok(response);
        }
    }
}

async fn one_head(session: &mut Session<'_>) -> Result<Response, Failure> {
    // What speaks another protocol may never end its line.
    while !session.input().contains(&b'\n') {
        let known = session.input().len().min(5);
        if !session.input().starts_with(&b"HTTP/"[..known]) {
            let got = session.input().to_vec();
            return Err(session.unexpected(EXPECTED, &got));
        }
        if session.input().len() > HEAD_LIMIT {
            return Err(session.missing(EXPECTED, End::Limit(HEAD_LIMIT)));
        }
        if let Some(end) = session.fill().await? {
            return Err(session.missing(EXPECTED, end));
        }
    }
    let line = session.line(EXPECTED).await?;
    let Some((status, reason)) = status_line(&line) else {
        return Err(session.unexpected(EXPECTED, &line));
    };
    let mut length = Length::Open;
    let mut size = line.len();
    let mut headers = 0;
    loop {
        let line = session.line("the headers of the response").await?;
        if line.is_empty() {
            break;
        }
        size += line.len();
        if size > HEAD_LIMIT {
            return Err(session.missing("the headers of the response", End::Limit(HEAD_LIMIT)));
        }
        headers += 1;
        // An old server may go on with a header in the next line (RFC 9112, section 5.2).
        if headers > 1 && matches!(line.first(), Some(b' ' | b'\t')) {
            continue;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err(session.unexpected("a header of the response", &line));
        };
        let value = line[colon + 1..].trim_ascii();
        match (&line[..colon], length) {
            (name, _) if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                length = coding(value);
            }
            (name, Length::Open) if name.eq_ignore_ascii_case(b"content-length") => {
                let Some(number) = number(value, 10) else {
                    return Err(session.unexpected("a length of the body", value));
                };
                length = Length::Known(number);
            }
            // Two that differ could end anywhere.
            (name, Length::Known(before))
                if name.eq_ignore_ascii_case(b"content-length")
                    && number(value, 10) != Some(before) =>
            {
                let expected = format!("one length of the body, {before}");
                return Err(session.unexpected(&expected, value));
            }
            _ => {}
        }
    }
    // These have no body, whatever they say.
    if matches!(status, 100..200 | 204 | 304) {
        length = Length::Known(0);
    }
    Ok(Response {
        status,
        reason,
        length,
    })
}

/// How a body ends whose codings are these (RFC 9112, section 6.3): the last one decides.
fn coding(codings: &[u8]) -> Length {
    let last = codings.rsplit(|byte| *byte == b',').next();
    match last {
        Some(last) if last.trim_ascii().eq_ignore_ascii_case(b"chunked") => Length::Chunked,
        Some(_) | None => Length::Close,
    }
}

/// A number of digits alone, without the sign that the standard library allows.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let all = digits
        .iter()
        .all(|digit| char::from(*digit).is_digit(radix));
    let text = std::str::from_utf8(digits).ok().filter(|_| all)?;
    u64::from_str_radix(text, radix).ok()
}

/// `HTTP/1.1 404 Not Found`; the reason may be left out.
fn status_line(line: &[u8]) -> Option<(u16, String)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let rest = match rest.split_first()? {
        (b'0'..=b'9', rest) => rest.strip_prefix(b" ")?,
        _ => return None,
    };
    let (code, reason) = rest.split_at_checked(3)?;
    if !reason.is_empty() && !reason.starts_with(b" ") {
        return None;
    }
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    let shown = reason.trim_ascii();
    let shown = &shown[..shown.len().min(crate::failure::EXCERPT)];
    (100..=999)
        .contains(&code)
        .then(|| (code, shown.escape_ascii().to_string()))
}

/// Reads the body, of which `limit` bytes are enough.
pub(super) async fn body(
    session: &mut Session<'_>,
    head: &Response,
    limit: usize,
) -> Result<Vec<u8>, Failure> {
    match head.length {
        Length::Known(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(limit);
            counted(session, length).await
        }
        Length::Open | Length::Close => open(session, limit).await,
        Length::Chunked => chunked(session, limit).await,
    }
}

async fn counted(session: &mut Session<'_>, length: usize) -> Result<Vec<u8>, Failure> {
    while session.input().len() < length {
        match session.fill().await? {
            None => {}
            Some(End::Limit(_)) => break,
            Some(end) => return Err(broken_off(session, end)),
        }
    }
    Ok(session.take(length))
}

async fn open(session: &mut Session<'_>, limit: usize) -> Result<Vec<u8>, Failure> {
    while session.input().len() < limit {
        match session.fill().await? {
            None => {}
            Some(End::Closed | End::Limit(_)) => break,
            Some(end) => return Err(broken_off(session, end)),
        }
    }
    Ok(session.take(limit))
}

async fn chunked(session: &mut Session<'_>, limit: usize) -> Result<Vec<u8>, Failure> {
    const CHUNK: &str = "the length of a chunk";
    // A chunk of one byte takes six.
    session.set_limit(HEAD_LIMIT + 6 * limit);
    let mut body = Vec::new();
    loop {
        let line = session.line(CHUNK).await?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let length = number(digits.trim_ascii(), 16);
        let Some(length) = length.map(|it| usize::try_from(it).unwrap_or(usize::MAX)) else {
            return Err(session.unexpected(CHUNK, &line));
        };
        if length == 0 {
            return Ok(body);
        }
        let wanted = length.min(limit - body.len());
        body.extend(counted(session, wanted).await?);
        if body.len() >= limit || wanted < length {
            return Ok(body);
        }
        let end = session.line("the end of a chunk").await?;
        if !end.is_empty() {
            return Err(session.unexpected("the end of a chunk", &end));
        }
    }
}
