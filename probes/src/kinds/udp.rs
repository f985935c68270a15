//! UDP: a datagram is sent, and another expected.

use serde::{Deserialize, Serialize};

use crate::failure::{End, Failure, excerpt};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// Sends a datagram and looks at the one that comes back.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Udp {
    /// What is sent; may be empty.
    pub send: Vec<u8>,
    /// What must come back.
    pub expect: Reply,
}

/// What must come back.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Reply {
    /// A datagram with these bytes in it; empty for any.
    With(Vec<u8>),
    /// Nothing need come, for servers that never answer. Only what the network says is a failure: the
    /// host that nobody listens there (ICMP port unreachable), a router that there is no way to it.
    /// Whether they say so is up to their firewalls.
    None,
}

impl Ask for Udp {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let mut datagrams = probing.datagrams()?;
        datagrams.send(&self.send).await?;
        let expected = match &self.expect {
            Reply::With(bytes) => bytes,
            Reply::None => {
                return match datagrams.receive("nothing").await {
                    Ok(_) | Err(Failure::Reply { .. }) => Ok(Answer::good()),
                    Err(failure) => Err(failure),
                };
            }
        };
        let shown = match expected.as_slice() {
            [] => "any reply".to_owned(),
            bytes => format!("{} in the reply", excerpt(bytes)),
        };
        let reply = datagrams.receive(&shown).await?;
        let mut windows = reply.windows(expected.len().max(1));
        if expected.is_empty() || windows.any(|window| window == expected) {
            return Ok(Answer::good());
        }
        Err(Failure::Reply {
            expected: shown,
            got: excerpt(&reply),
            end: End::Complete,
        })
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        vec![Talk::datagrams(Self {
            send: b"HELLO".to_vec(),
            expect: Reply::With(b"HELLO".to_vec()),
        })]
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;
    use crate::spec::ProbeKind;
    use crate::testing::{ask, ask_briefly, close_port, good};

    fn kind(expect: &[u8]) -> ProbeKind {
        ProbeKind::Udp(Udp {
            send: b"ping".to_vec(),
            expect: Reply::With(expect.to_vec()),
        })
    }

    /// A server that gives `reply` to each "ping".
    async fn answering(ip: &str, reply: &'static [u8]) -> std::net::SocketAddr {
        let socket = UdpSocket::bind((ip, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 100];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                assert_eq!(&buffer[..length], b"ping");
                socket.send_to(reply, from).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn the_expected_bytes_anywhere_in_the_reply_are_good() {
        for ip in ["127.0.0.1", "::1"] {
            let server = answering(ip, b"well, pong").await;
            assert_eq!(ask(server, kind(b"pong")).await, good(), "{ip}");
            assert_eq!(ask(server, kind(b"")).await, good(), "{ip}");
        }
        let empty = answering("127.0.0.1", b"").await;
        assert_eq!(ask(empty, kind(b"")).await, good(), "empty, but a reply");
    }

    #[tokio::test]
    async fn another_reply_is_quoted() {
        let server = answering("127.0.0.1", b"\x00no").await;
        let failure = ask(server, kind(b"pong")).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            r#"expected "pong" in the reply, got "\x00no""#
        );
        let server = answering("127.0.0.1", b"").await;
        let failure = ask(server, kind(b"pong")).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            r#"expected "pong" in the reply, got nothing"#
        );
    }

    #[tokio::test]
    async fn a_silent_server_is_bad_unless_no_reply_was_asked_for() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        let failure = ask_briefly(server, kind(b"")).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "expected any reply, got nothing and timed out after 1s"
        );
        let quiet = ProbeKind::Udp(Udp {
            send: b"ping".to_vec(),
            expect: Reply::None,
        });
        assert_eq!(ask_briefly(server, quiet.clone()).await, good());
        close_port(&socket).await;
        let failure = ask(server, quiet).await.unwrap_err();
        assert_eq!(failure.to_string(), "port unreachable");
        let failure = ask(server, kind(b"")).await.unwrap_err();
        assert_eq!(failure.to_string(), "port unreachable");
    }
}
