//! HAProxy's agent-check: one line in which a server says itself what it can take.

use serde::{Deserialize, Serialize};

use crate::failure::{End, Failure, excerpt, words_of};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::{Answer, Weight};
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// Reads the line of an agent.
///
/// Its words stand between spaces, tabs or commas, and are of four sorts, of each of which the last
/// one counts: `up` is good, and `down`, `failed`, `fail` and `stopped` are bad; `ready` is good,
/// `drain` is a share of nothing, and `maint` is bad; `75%` is a share of the configured weight, 25600
/// at most; `maxconn:30` has no meaning here. What follows after a `#` is the reason of what is bad.
/// What a line does not say is not remembered from the line before.
///
/// `HAProxy` knows no `failed`, and wants a space before the `#`; a word that it does not understand
/// leaves the server as it was, and is a failure here.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Agent {
    /// Sent once connected; may be empty.
    pub send: Vec<u8>,
}

const EXPECTED: &str = "an agent's line";
/// The largest share, in percent: what is above counts as this.
const MOST: u32 = 256 * 100;
/// Bytes that an agent may say.
const LIMIT: usize = 4096;

impl Ask for Agent {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let mut session = probing.connect().await?;
        session.set_limit(LIMIT);
        if !self.send.is_empty() {
            session.send(&self.send).await?;
        }
        // An agent may end its line by closing.
        let line = loop {
            let end = session
                .input()
                .iter()
                .position(|it| *it == b'\n' || *it == b'\r');
            if let Some(end) = end {
                break session.take(end);
            }
            match session.fill().await? {
                None => {}
                Some(End::Closed) if !session.input().is_empty() => {
                    break session.take(session.input().len());
                }
                Some(end) => return Err(session.missing(EXPECTED, end)),
            }
        };
        judge(&line)
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        vec![Talk::plain(Self::default())]
    }
}

fn judge(line: &[u8]) -> Result<Answer, Failure> {
    let unknown = || Failure::Reply {
        expected: EXPECTED.to_owned(),
        got: excerpt(line),
        end: End::Complete,
    };
    // In whatever writing the reason is, it does not matter to the words.
    let mut parts = line.splitn(2, |byte| *byte == b'#');
    let words = std::str::from_utf8(parts.next().unwrap_or_default()).map_err(|_| unknown())?;
    let reason = parts.next().unwrap_or_default().trim_ascii();
    let mut said = Said::default();
    let mut known = true;
    for word in words
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty())
    {
        known &= said.take(word);
    }
    match (said.admin, said.health) {
        (Some(Admin::Maintenance), _) => Err(told("maintenance", reason)),
        // Whoever says so, and more that is not understood, says so.
        (_, Some(Health::Bad(word))) => Err(told(word, reason)),
        _ if !known || said == Said::default() => Err(unknown()),
        (Some(Admin::Drain), _) => Ok(Answer {
            weight: Some(Weight::Percent(0)),
            ..Answer::good()
        }),
        (Some(Admin::Ready) | None, _) => Ok(Answer {
            weight: said.share.map(Weight::Percent),
            ..Answer::good()
        }),
    }
}

/// What a line says, by the sorts of its words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Said<'l> {
    health: Option<Health<'l>>,
    admin: Option<Admin>,
    /// In percent.
    share: Option<u32>,
    connections: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Health<'l> {
    Good,
    Bad(&'l str),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Admin {
    Ready,
    Drain,
    Maintenance,
}

impl<'l> Said<'l> {
    /// Takes a word; whether it is one.
    fn take(&mut self, word: &'l str) -> bool {
        match word.to_ascii_lowercase().as_str() {
            "up" => self.health = Some(Health::Good),
            "down" | "failed" | "fail" | "stopped" => self.health = Some(Health::Bad(word)),
            "ready" => self.admin = Some(Admin::Ready),
            "drain" => self.admin = Some(Admin::Drain),
            "maint" => self.admin = Some(Admin::Maintenance),
            word if word.starts_with("maxconn:") => self.connections = true,
            word => match word.strip_suffix('%').and_then(percent) {
                Some(share) => self.share = Some(share),
                None => return false,
            },
        }
        true
    }
}

/// Digits alone, without the sign that the standard library allows.
fn percent(digits: &str) -> Option<u32> {
    let all = digits.bytes().all(|digit| digit.is_ascii_digit());
    (all && !digits.is_empty()).then(|| digits.parse().map_or(MOST, |share: u32| share.min(MOST)))
}

fn told(state: &str, reason: &[u8]) -> Failure {
    Failure::Told(match reason {
        [] => format!("its agent says: {state}"),
        reason => format!("its agent says: {state}: \"{}\"", words_of(reason)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ProbeKind;
    use crate::testing::{Server, ask, reasons_of_misbehaviour, say};

    #[test]
    fn every_word_of_an_agent_is_understood() {
        let percent = |share| Ok(Some(Weight::Percent(share)));
        let table = [
            ("up", Ok(None)),
            ("ready", Ok(None)),
            ("UP", Ok(None)),
            ("75%", percent(75)),
            ("up 75%", percent(75)),
            ("75%,up\tready", percent(75)),
            ("0%", percent(0)),
            ("drain", percent(0)),
            ("drain 75%", percent(0)),
            // Of each sort the last word counts.
            ("50% 75%", percent(75)),
            ("drain ready", Ok(None)),
            ("drain ready 75%", percent(75)),
            ("ready drain", percent(0)),
            ("maint ready", Ok(None)),
            ("down up", Ok(None)),
            ("up down", Err("its agent says: down")),
            ("drain down", Err("its agent says: down")),
            (
                "75%,maxconn:30,maint,down",
                Err("its agent says: maintenance"),
            ),
            ("down for a while", Err("its agent says: down")),
            (
                "up for a while",
                Err(r#"expected an agent's line, got "up for a while""#),
            ),
            ("maxconn:30", Ok(None)),
            ("up maxconn:30", Ok(None)),
            ("maint", Err("its agent says: maintenance")),
            ("down", Err("its agent says: down")),
            (
                "down#disk full",
                Err(r#"its agent says: down: "disk full""#),
            ),
            (
                "stopped # tonight",
                Err(r#"its agent says: stopped: "tonight""#),
            ),
            ("up #all well", Ok(None)),
            ("", Err("expected an agent's line, got nothing")),
            ("75", Err(r#"expected an agent's line, got "75""#)),
            ("-5%", Err(r#"expected an agent's line, got "-5%""#)),
            ("+5%", Err(r#"expected an agent's line, got "+5%""#)),
            ("%", Err(r#"expected an agent's line, got "%""#)),
            ("75%x", Err(r#"expected an agent's line, got "75%x""#)),
            ("30000%", percent(25_600)),
            ("99999999999%", percent(25_600)),
            ("#only", Err(r##"expected an agent's line, got "#only""##)),
            (
                "sideways",
                Err(r#"expected an agent's line, got "sideways""#),
            ),
        ];
        for (line, expected) in table {
            let judged = judge(line.as_bytes()).map(|answer| answer.weight);
            let judged = judged.map_err(|failure| failure.to_string());
            assert_eq!(judged, expected.map_err(str::to_owned), "{line}");
        }
    }

    #[test]
    fn a_reason_may_be_in_any_writing() {
        // Latin-1, which is not UTF-8.
        let good = judge(b"up 75% #gr\xfc\xdfe").map(|answer| answer.weight);
        assert_eq!(good, Ok(Some(Weight::Percent(75))));
        let table = [
            (
                "down #Störung".as_bytes(),
                "its agent says: down: \"Störung\"",
            ),
            (
                b"down #St\xf6rung",
                "its agent says: down: \"St\u{fffd}rung\"",
            ),
            (b"maint # #2", "its agent says: maintenance: \"#2\""),
        ];
        for (line, text) in table {
            assert_eq!(judge(line).unwrap_err().to_string(), text);
        }
        judge(b"\xfcp").unwrap_err();
    }

    #[tokio::test]
    async fn a_line_ends_with_its_end_or_the_connection() {
        for line in [&b"50%\n"[..], b"50%\r\nrest", b"50%"] {
            let server = Server::new(move |stream| say(stream, line)).await;
            let answer = ask(server.address(), ProbeKind::Agent(Agent::default())).await;
            assert_eq!(answer.unwrap().weight, Some(Weight::Percent(50)));
        }
    }

    #[tokio::test]
    async fn no_agent_is_no_good_agent() {
        let reasons = reasons_of_misbehaviour(ProbeKind::Agent(Agent::default())).await;
        assert_eq!(
            reasons["silent"],
            "expected an agent's line, got nothing and timed out after 1s"
        );
        let endless = &reasons["endless line"];
        assert!(
            endless.starts_with("expected an agent's line in 4096 bytes"),
            "{endless}"
        );
    }
}
