//! Targets and little servers for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::failure::Failure;
use crate::spec::{ProbeKind, ProbeSpec};
use crate::target::Target;

/// Every six seconds, two seconds each, two failures or one success in a row.
pub(crate) fn spec() -> ProbeSpec {
    ProbeSpec {
        kind: ProbeKind::TcpConnect,
        port: None,
        interval: Duration::from_secs(6),
        timeout: Duration::from_secs(2),
        fall: 2,
        rise: 1,
    }
}

/// The target of host number `host`.
pub(crate) fn target(host: u32) -> Target {
    Target::new(address(host), spec())
}

/// The address of host number `host`.
pub(crate) fn address(host: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + host), 80))
}

/// Probes `address` once, with time enough for a busy host.
pub(crate) async fn ask(address: SocketAddr, kind: ProbeKind) -> Result<(), Failure> {
    ask_for(Duration::from_secs(30), address, kind).await
}

/// Probes `address` once, where the timeout is what is tested.
pub(crate) async fn ask_briefly(address: SocketAddr, kind: ProbeKind) -> Result<(), Failure> {
    ask_for(Duration::from_secs(1), address, kind).await
}

async fn ask_for(timeout: Duration, address: SocketAddr, kind: ProbeKind) -> Result<(), Failure> {
    let spec = ProbeSpec {
        kind,
        timeout,
        ..spec()
    };
    crate::probe(&Target::new(address, spec)).await.result
}

/// A TCP server on loopback; stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Runs `serve` for each connection, on IPv4.
    pub(crate) async fn new<F, S>(serve: S) -> Self
    where
        S: FnMut(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::at("127.0.0.1", serve).await
    }

    /// Runs `serve` for each connection.
    pub(crate) async fn at<F, S>(ip: &str, mut serve: S) -> Self
    where
        S: FnMut(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Self { address, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps a connection open without a word, and without reading, until the server stops.
pub(crate) async fn hold(stream: TcpStream) {
    std::future::pending::<()>().await;
    drop(stream);
}

/// A port that is taken, so that no other test gets it, but refuses connections.
pub(crate) fn refusing(ip: &str) -> TcpSocket {
    let address = SocketAddr::new(ip.parse().unwrap(), 0);
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.unwrap();
    socket.bind(address).unwrap();
    socket
}

/// A listener whose kernel drops every further connection.
pub(crate) struct FullBacklog {
    listener: TcpListener,
    _waiting: TcpStream,
}

impl FullBacklog {
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

/// A backlog of 0 holds one connection that nobody accepts (listen(2)).
pub(crate) async fn full_backlog() -> FullBacklog {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = TcpStream::connect(address).await.unwrap();
    FullBacklog {
        listener,
        _waiting: waiting,
    }
}
