//! Why a probe did not succeed, in words that a person understands.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Why a probe did not succeed. Its `Display` is the reason shown to operators.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub enum Failure {
    /// The network or the server's kernel said no: "connection refused".
    #[error("{}", describe_io(what, *stage))]
    Io {
        /// What went wrong, without an error number.
        what: String,
        /// During what.
        stage: Stage,
    },
    /// Nothing happened for too long.
    #[error("timed out after {after:?} while {stage}")]
    TimedOut {
        /// The probe's timeout.
        after: Duration,
        /// During what.
        stage: Stage,
    },
    /// The server answered, or did not, but what was expected did not come.
    #[error("{}", describe_reply(expected, got, *end))]
    Reply {
        /// What was expected: `220`, `any reply`.
        expected: String,
        /// What came instead, or how it began; empty for nothing.
        got: String,
        /// Why no more was awaited.
        end: End,
    },
    /// The HTTP status is not among the good ones.
    #[error("expected status {expected}, got {got}")]
    Status {
        /// "200-299, 404"
        expected: String,
        /// "503 Service Unavailable"
        got: String,
    },
    /// No agreement on TLS, or a certificate that is not good, in words.
    #[error("{0}")]
    Tls(String),
    /// The server does not speak the protocol as it should, in words.
    #[error("{0}")]
    Protocol(String),
    /// The server, or who speaks for it, says that it is down, in words.
    #[error("{0}")]
    Told(String),
    /// This host could not do the probe, so it says nothing about the server.
    #[error("the probe could not run: {0}")]
    NotRun(String),
}

/// What a probe was doing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Stage {
    /// Waiting for the connection to be accepted.
    Connecting,
    /// Agreeing on TLS.
    Agreeing,
    /// Handing the request to the connection.
    Sending,
    /// Waiting for the first byte, or for the response's head.
    Waiting,
    /// Reading what follows.
    Reading,
    /// Waiting for a command to end.
    Running,
}

/// Why no more of a reply was awaited.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum End {
    /// The reply is complete, and it is another.
    Complete,
    /// The server closed the connection.
    Closed,
    /// The server reset the connection.
    Reset,
    /// The probe's timeout, given here, was over.
    TimedOut(Duration),
    /// This many bytes had come.
    Limit(usize),
}

impl Failure {
    /// Whether it tells something about the server, rather than about the host that probes.
    #[must_use]
    pub fn concerns_server(&self) -> bool {
        match self {
            Self::Io { .. }
            | Self::TimedOut { .. }
            | Self::Reply { .. }
            | Self::Status { .. }
            | Self::Tls(_)
            | Self::Protocol(_)
            | Self::Told(_) => true,
            Self::NotRun(_) => false,
        }
    }

    /// The same told without a probe.
    pub(crate) fn into_words(self) -> String {
        match self {
            Self::NotRun(why) => why,
            other => other.to_string(),
        }
    }

    /// An error of a socket's system call.
    ///
    /// What this host lacks (descriptors, memory, an address or port to probe from: connect(2),
    /// socket(2)) must never put servers out of service, so it is told apart here.
    pub(crate) fn io(error: &io::Error, stage: Stage) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE) => Self::NotRun("too many open files in this process".to_owned()),
            Some(Errno::NFILE) => Self::NotRun("too many open files on this host".to_owned()),
            Some(Errno::NOBUFS | Errno::NOMEM) => Self::NotRun("out of memory".to_owned()),
            Some(Errno::ADDRNOTAVAIL) => {
                Self::NotRun("this host has no address or port to probe from".to_owned())
            }
            Some(Errno::AFNOSUPPORT) => {
                Self::NotRun("this host's kernel has no IP of that version".to_owned())
            }
            // The words of a send or a connection that was filtered here (connect(2), send(2)).
            Some(Errno::PERM) => Self::Io {
                what: "this host's firewall lets nothing through".to_owned(),
                stage,
            },
            _ => Self::Io {
                what: words::of(error),
                stage,
            },
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Agreeing => "agreeing on TLS",
            Self::Sending => "sending",
            Self::Waiting => "waiting for the reply",
            Self::Reading => "reading the reply",
            Self::Running => "the command ran",
        })
    }
}

/// Quotes the beginning of what a server said: printable, on one line and short.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let shown = &bytes[..bytes.len().min(EXCERPT)];
    let dots = if bytes.len() > EXCERPT { "..." } else { "" };
    format!("\"{}\"{dots}", shown.escape_ascii())
}

/// Quotes a line, or the beginning of it: printable and short, as it is said in protocols of lines.
pub(crate) fn line_excerpt(line: &[u8]) -> String {
    let line = line.trim_ascii_end();
    let shown = &line[..line.len().min(EXCERPT)];
    let dots = if line.len() > EXCERPT { "..." } else { "" };
    match shown {
        [] => "an empty line".to_owned(),
        shown if shown.is_ascii() => format!("{}{dots}", shown.escape_ascii()),
        shown => format!("\"{}\"{dots}", shown.escape_ascii()),
    }
}

/// What a server says for people to read, as it says it: printable, and not for ever.
pub(crate) fn words_of(server: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(server);
    let mut chars = text.trim().chars();
    let mut words = String::new();
    for c in chars.by_ref().take(LONGEST) {
        match c {
            '\'' | '"' => words.push(c),
            c => words.extend(c.escape_debug()),
        }
    }
    if chars.next().is_some() {
        words.push_str("...");
    }
    words
}

/// Bytes of a reply that are quoted.
pub(crate) const EXCERPT: usize = 60;

fn describe_io(what: &str, stage: Stage) -> String {
    match stage {
        Stage::Connecting => what.to_owned(),
        Stage::Agreeing | Stage::Sending | Stage::Waiting | Stage::Reading | Stage::Running => {
            format!("{what} while {stage}")
        }
    }
}

fn describe_reply(expected: &str, got: &str, end: End) -> String {
    let nothing = got.is_empty();
    let got = if nothing { "nothing" } else { got };
    match end {
        End::Closed if nothing => {
            format!("expected {expected}, but the server closed the connection")
        }
        End::Reset if nothing => {
            format!("expected {expected}, but the server reset the connection")
        }
        End::Complete => format!("expected {expected}, got {got}"),
        End::Closed => format!("expected {expected}, got {got} and the end of the connection"),
        End::Reset => format!("expected {expected}, got {got} and a reset"),
        End::TimedOut(after) => {
            format!("expected {expected}, got {got} and timed out after {after:?}")
        }
        End::Limit(bytes) => format!("expected {expected} in {bytes} bytes, got {got}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_like_sentences() {
        let seconds = Duration::from_secs;
        let io = |errno: Errno, stage| Failure::io(&io::Error::from(errno), stage);
        let reply = |expected: &str, got: &[u8], end| Failure::Reply {
            expected: expected.to_owned(),
            got: excerpt(got),
            end,
        };
        let line = |got: &[u8]| Failure::Reply {
            expected: "220".to_owned(),
            got: line_excerpt(got),
            end: End::Complete,
        };
        let table = [
            (
                io(Errno::CONNREFUSED, Stage::Connecting),
                "connection refused",
            ),
            (
                io(Errno::HOSTUNREACH, Stage::Connecting),
                "no route to host",
            ),
            (
                io(Errno::PERM, Stage::Connecting),
                "this host's firewall lets nothing through",
            ),
            (
                io(Errno::CONNRESET, Stage::Waiting),
                "connection reset by peer while waiting for the reply",
            ),
            (
                io(Errno::MFILE, Stage::Connecting),
                "the probe could not run: too many open files in this process",
            ),
            (
                Failure::TimedOut {
                    after: seconds(2),
                    stage: Stage::Connecting,
                },
                "timed out after 2s while connecting",
            ),
            (line(b"421 closing\r\n"), "expected 220, got 421 closing"),
            (line(b"\x1b[0m\r\n"), r"expected 220, got \x1b[0m"),
            (line(b"\r\n"), "expected 220, got an empty line"),
            (
                reply("a greeting", b"421 clo", End::Closed),
                r#"expected a greeting, got "421 clo" and the end of the connection"#,
            ),
            (
                reply("a greeting", b"", End::Closed),
                "expected a greeting, but the server closed the connection",
            ),
            (
                reply("any reply", b"", End::TimedOut(seconds(2))),
                "expected any reply, got nothing and timed out after 2s",
            ),
            (
                reply("+OK", &[0, b'\n', 0xff], End::Limit(65536)),
                r#"expected +OK in 65536 bytes, got "\x00\n\xff""#,
            ),
        ];
        for (failure, text) in table {
            assert_eq!(failure.to_string(), text);
        }
    }

    #[test]
    fn only_what_this_host_lacks_is_not_the_servers_fault() {
        let own = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::AFNOSUPPORT,
        ];
        for errno in own {
            assert!(
                !Failure::io(&errno.into(), Stage::Connecting).concerns_server(),
                "{errno:?}"
            );
        }
        let servers = [
            Errno::CONNREFUSED,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::CONNRESET,
        ];
        for errno in servers {
            assert!(
                Failure::io(&errno.into(), Stage::Connecting).concerns_server(),
                "{errno:?}"
            );
        }
    }

    #[test]
    fn the_words_of_a_server_stay_as_they_are_if_they_can_be_shown() {
        let table = [
            (
                "Zugriff für 'probe' verweigert\n",
                "Zugriff für 'probe' verweigert",
            ),
            ("\x1b[2J\u{202e}x\r\ny", r"\u{1b}[2J\u{202e}x\r\ny"),
            ("", ""),
        ];
        for (server, words) in table {
            assert_eq!(words_of(server.as_bytes()), words);
        }
        let long = words_of(&[b'x'; 1000]);
        assert_eq!(long, format!("{}...", "x".repeat(200)));
        assert_eq!(words_of(b"\xffx"), "\u{fffd}x");
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        let long = excerpt(&[b'x'; 1000]);
        assert_eq!(long, format!("\"{}\"...", "x".repeat(EXCERPT)));
        assert!(excerpt(b"\x1b[31m\r\n\"").is_ascii());
        assert!(!excerpt(b"\x1b[31m\r\n\"").contains('\x1b'));
    }
}
