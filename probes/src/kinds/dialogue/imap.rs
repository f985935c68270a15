//! IMAP's tagged commands and what comes before their results (RFC 9051).

use crate::failure::Failure;
use crate::session::Session;

/// `* OK`, or `* PREAUTH` of one who knows the client already.
pub(super) async fn greeting(session: &mut Session<'_>) -> Result<(), Failure> {
    let line = session.line("* OK").await?;
    if begins(&line, "* OK") || begins(&line, "* PREAUTH") {
        return Ok(());
    }
    Err(session.unexpected("* OK", &line))
}

/// Says a command by a tag, and reads up to its result, which must be OK.
pub(super) async fn command(
    session: &mut Session<'_>,
    tag: &str,
    command: &str,
) -> Result<(), Failure> {
    let expected = format!("{tag} OK");
    session
        .send(format!("{tag} {command}\r\n").as_bytes())
        .await?;
    loop {
        let line = session.line(&expected).await?;
        if begins(&line, &expected) {
            return Ok(());
        }
        // Untagged responses precede it, and a farewell may be among them.
        let farewell = begins(&line, "* BYE") && tag != "q";
        if farewell || !line.starts_with(b"*") {
            return Err(session.unexpected(&expected, &line));
        }
    }
}

/// A quoted string. Line ends do not get in: the caller has none.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a line begins with these words, in any case.
fn begins(line: &[u8], words: &str) -> bool {
    line.split_at_checked(words.len())
        .is_some_and(|(begin, rest)| {
            begin.eq_ignore_ascii_case(words.as_bytes())
                && matches!(rest.first(), None | Some(b' '))
        })
}
