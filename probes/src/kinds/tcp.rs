//! TCP connect: the server's kernel accepts a connection.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// Connects and closes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Tcp;

impl Ask for Tcp {
    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        probing.reach().await?;
        Ok(Answer::good())
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddr};

    use super::*;
    use crate::spec::ProbeKind;
    use crate::testing::{Server, ask, ask_briefly, full_backlog, good, refusing};

    async fn reason(address: SocketAddr) -> String {
        ask(address, ProbeKind::Tcp(Tcp))
            .await
            .unwrap_err()
            .to_string()
    }

    #[tokio::test]
    async fn a_listening_server_is_up_over_both_families() {
        for ip in ["127.0.0.1", "::1"] {
            let server = Server::at(ip, |_stream| async {}).await;
            assert_eq!(
                ask(server.address(), ProbeKind::Tcp(Tcp)).await,
                good(),
                "{ip}"
            );
        }
    }

    #[tokio::test]
    async fn a_port_without_listener_refuses() {
        for ip in ["127.0.0.1", "::1"] {
            let socket = refusing(ip);
            assert_eq!(
                reason(socket.local_addr().unwrap()).await,
                "connection refused",
                "{ip}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_accept_is_timed_out_while_connecting() {
        let full = full_backlog().await;
        let failure = ask_briefly(full.address(), ProbeKind::Tcp(Tcp))
            .await
            .unwrap_err();
        assert_eq!(failure.to_string(), "timed out after 1s while connecting");
    }

    #[tokio::test]
    async fn an_address_without_route_fails_with_words() {
        let multicast = SocketAddr::from((Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 80));
        let text = reason(multicast).await;
        assert!(!text.is_empty() && !text.contains("os error"), "{text}");
    }
}
