//! Replies with codes of three digits: SMTP, FTP, NNTP (RFC 5321, section 4.2).

use super::Login;
use crate::failure::Failure;
use crate::session::Session;

/// Says a command, and takes its reply: its code, which is among `expected`.
pub(super) async fn command(
    session: &mut Session<'_>,
    command: &str,
    expected: &[u16],
) -> Result<u16, Failure> {
    session.send(format!("{command}\r\n").as_bytes()).await?;
    expect(session, expected).await
}

/// Takes a reply, of one line or several. A code that is not among `expected` is a failure.
pub(super) async fn expect(session: &mut Session<'_>, expected: &[u16]) -> Result<u16, Failure> {
    let shown: Vec<_> = expected.iter().map(u16::to_string).collect();
    let shown = shown.join(" or ");
    let mut first: Option<(u16, Vec<u8>)> = None;
    loop {
        let line = session.line(&shown).await?;
        let code = code(&line);
        match (&first, code) {
            // FTP has lines without a code between the first and the last (RFC 959, section 4.2).
            (Some(_), None) => continue,
            (Some((begun, _)), Some((code, _))) if code != *begun => continue,
            (None, None) => return Err(session.unexpected(&shown, &line)),
            (_, Some((_, More::Follows))) => {
                if let (None, Some((code, _))) = (&first, code) {
                    first = Some((code, line));
                }
            }
            (_, Some((code, More::Not))) => {
                if expected.contains(&code) {
                    return Ok(code);
                }
                // The first line is the one that says something.
                let line = first.map_or(line, |(_, line)| line);
                return Err(session.unexpected(&shown, &line));
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum More {
    Follows,
    Not,
}

/// `250-` or `250 `, or the code alone.
fn code(line: &[u8]) -> Option<(u16, More)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code = std::str::from_utf8(digits).ok()?;
    let code: u16 = code
        .parse()
        .ok()
        .filter(|code| (100..=999).contains(code))?;
    match rest.first() {
        Some(b'-') => Some((code, More::Follows)),
        Some(b' ') | None => Some((code, More::Not)),
        Some(_) => None,
    }
}

/// Says who the client is; to a server that does not know extensions, as one did before them.
pub(super) async fn hello(session: &mut Session<'_>, hello: &str) -> Result<(), Failure> {
    let code = command(session, &format!("EHLO {hello}"), &[250, 500, 502]).await?;
    if code != 250 {
        command(session, &format!("HELO {hello}"), &[250]).await?;
    }
    Ok(())
}

/// Logs in as RFC 4954 and RFC 4616 say.
pub(super) async fn plain(session: &mut Session<'_>, login: &Login) -> Result<(), Failure> {
    let text = format!("\0{}\0{}", login.user, login.password.0);
    let text = base64(text.as_bytes());
    command(session, &format!("AUTH PLAIN {text}"), &[235])
        .await
        .map(drop)
}

/// RFC 4648, section 4.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| group.get(at).copied().unwrap_or(0));
        let bits = u32::from_be_bytes([0, a, b, c]);
        for at in 0..4_usize {
            let digit = (bits >> (18 - 6 * at)) & 0x3f;
            let digit = DIGITS.get(digit as usize).copied().unwrap_or(b'=');
            text.push(char::from(if at <= group.len() { digit } else { b'=' }));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in table {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn codes_are_read_with_what_follows() {
        let table = [
            ("220 ready", Some((220, More::Not))),
            ("220", Some((220, More::Not))),
            ("250-SIZE", Some((250, More::Follows))),
            ("22 ready", None),
            ("22x ready", None),
            ("099 ready", None),
            ("2200 ready", None),
            ("+20 ready", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(code(line.as_bytes()), expected, "{line}");
        }
    }
}
