//! POP3's one-line replies (RFC 1939).

use crate::failure::Failure;
use crate::session::Session;

/// Says a command, which must be granted.
pub(super) async fn command(session: &mut Session<'_>, command: &str) -> Result<(), Failure> {
    session.send(format!("{command}\r\n").as_bytes()).await?;
    ok(session, "+OK").await
}

/// Takes a reply, which must begin with this word.
pub(super) async fn ok(session: &mut Session<'_>, expected: &str) -> Result<(), Failure> {
    let line = session.line(expected).await?;
    let rest = line.strip_prefix(expected.as_bytes());
    match rest.map(|rest| rest.first()) {
        Some(None | Some(b' ')) => Ok(()),
        Some(Some(_)) | None => Err(session.unexpected(expected, &line)),
    }
}
