//! TCP connect: the server's kernel accepts a connection.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::failure::{Failure, Stage};
use crate::probe::Deadline;

/// Connects and closes.
pub(crate) async fn probe(address: SocketAddr, deadline: &Deadline) -> Result<(), Failure> {
    connect(address, deadline).await.map(drop)
}

/// A connection, for the kinds that say something over it.
pub(crate) async fn connect(
    address: SocketAddr,
    deadline: &Deadline,
) -> Result<TcpStream, Failure> {
    deadline
        .during(Stage::Connecting, TcpStream::connect(address))
        .await?
        .map_err(|error| Failure::io(&error, Stage::Connecting))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::spec::ProbeKind;
    use crate::testing::{Server, ask, ask_briefly, full_backlog, refusing};

    async fn reason(address: SocketAddr) -> String {
        ask(address, ProbeKind::TcpConnect)
            .await
            .unwrap_err()
            .to_string()
    }

    #[tokio::test]
    async fn a_listening_server_is_up_over_both_families() {
        for ip in ["127.0.0.1", "::1"] {
            let server = Server::at(ip, |_stream| async {}).await;
            assert_eq!(
                ask(server.address(), ProbeKind::TcpConnect).await,
                Ok(()),
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
        let failure = ask_briefly(full.address(), ProbeKind::TcpConnect)
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
