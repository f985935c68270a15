//! What may become of a good server and of the way to it.

use std::net::SocketAddr;
use std::time::Duration;

use probes::spec::ProbeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::process::Process;
use crate::{ask_for, is_up};

/// That a probe that finds the server at `address` well finds it well over a way that carries each
/// byte by itself; that it is not held up when the server hangs, so that its kernel takes
/// connections and nobody says a word; and that it finds the server well again after that.
pub(crate) async fn is_told_right_in_trouble(
    server: &Process,
    address: SocketAddr,
    kind: ProbeKind,
) {
    let relay = Relay::to(address).await;
    is_up(relay.address, kind.clone()).await;
    hangs_and_returns(server, address, kind).await;
}

/// The second half, for what goes in datagrams.
pub(crate) async fn hangs_and_returns(server: &Process, address: SocketAddr, kind: ProbeKind) {
    server.hang();
    let reason = ask_for(Duration::from_millis(500), address, kind.clone()).await;
    server.go_on();
    let reason = reason.unwrap_err();
    assert!(reason.contains("timed out after 500ms"), "{reason}");
    is_up(address, kind).await;
}

/// Carries connections to a server, each byte by itself.
struct Relay {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    async fn to(server: SocketAddr) -> Self {
        // At the same address, for which the server's certificate is.
        let listener = TcpListener::bind((server.ip(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((probe, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                probe.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from_probe, to_probe) = probe.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_probe, to_server));
                tokio::spawn(carry(from_server, to_probe));
            }
        });
        Self { address, task }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    while let Ok(byte) = from.read_u8().await {
        if to.write_u8(byte).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
}
