//! Targets and little servers for tests: well, and misbehaving in every way that servers have.

mod certificates;
mod talk;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use self::certificates::{Authority, Identity};
pub(crate) use self::talk::{Over, Talk, Turn};
use crate::failure::Failure;
use crate::kinds::tcp::Tcp;
use crate::probing::Shared;
use crate::report::{Answer, Report};
use crate::spec::{DatabaseLogin, Login, ProbeKind, ProbeSpec, Secret};
use crate::target::Target;

/// Every six seconds, two seconds each, two failures or one success in a row.
pub(crate) fn spec() -> ProbeSpec {
    ProbeSpec::new(ProbeKind::Tcp(Tcp))
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
pub(crate) async fn ask(address: SocketAddr, kind: ProbeKind) -> Result<Answer, Failure> {
    ask_for(Duration::from_secs(30), address, kind).await
}

/// Probes `address` once, where the timeout is what is tested.
pub(crate) async fn ask_briefly(address: SocketAddr, kind: ProbeKind) -> Result<Answer, Failure> {
    ask_for(Duration::from_secs(1), address, kind).await
}

async fn ask_for(
    timeout: Duration,
    address: SocketAddr,
    kind: ProbeKind,
) -> Result<Answer, Failure> {
    let spec = ProbeSpec {
        timeout,
        ..ProbeSpec::new(kind)
    };
    report(address, spec).await.result
}

/// Probes `address` once.
pub(crate) async fn report(address: SocketAddr, spec: ProbeSpec) -> Report {
    crate::probe(&Target::new(address, spec), &Shared::default()).await
}

/// Somebody who logs in.
pub(crate) fn somebody() -> Login {
    Login {
        user: "me".to_owned(),
        password: Secret("secret".to_owned()),
    }
}

impl DatabaseLogin {
    /// The same, at a database.
    pub(crate) fn somebody() -> Self {
        let Login { user, password } = somebody();
        Self {
            user,
            password,
            database: None,
        }
    }
}

/// A good answer with nothing more to say.
pub(crate) fn good() -> Result<Answer, Failure> {
    Ok(Answer::good())
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

/// What every probe must survive: a server that misbehaves, and that no kind may find well.
///
/// `kind` is asked of servers that accept and are silent, close at once, send garbage, or garbage
/// without end; the reasons that it gives are returned, each with the name of what was done to it,
/// so that a test can look at them. The times are short: a silent server must be told within 1 s.
pub(crate) async fn reasons_of_misbehaviour(kind: ProbeKind) -> BTreeMap<&'static str, String> {
    let servers = [
        ("silent", Server::new(hold).await),
        (
            "closing",
            Server::new(|stream| async move { drop(stream) }).await,
        ),
        (
            "garbage",
            Server::new(|stream| say(stream, b"\x00\xff\x1b[31m nonsense\r\n")).await,
        ),
        ("endless", Server::new(talk_without_end).await),
        ("endless line", Server::new(talk_without_line).await),
    ];
    let mut reasons = BTreeMap::new();
    for (name, server) in servers {
        let result = ask_briefly(server.address(), kind.clone()).await;
        let failure = result.expect_err(name);
        assert!(failure.concerns_server(), "{name}: {failure}");
        reasons.insert(name, failure.to_string());
    }
    reasons
}

/// Says something and closes, having read what was asked meanwhile.
pub(crate) async fn say(mut stream: TcpStream, words: &'static [u8]) {
    let _ = stream.write_all(words).await;
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

async fn talk_without_end(mut stream: TcpStream) {
    let line = b"whatever it takes\r\n".repeat(400);
    while stream.write_all(&line).await.is_ok() {}
}

async fn talk_without_line(mut stream: TcpStream) {
    while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
}

/// Sends each byte by itself.
pub(crate) async fn drip<W: AsyncWrite + Unpin>(stream: &mut W, words: &[u8]) {
    for byte in words {
        if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Reads a line of a request; empty at the end.
pub(crate) async fn read_line<R: AsyncRead + Unpin>(stream: &mut R) -> String {
    let mut line = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        if byte == b'\n' {
            break;
        }
        line.push(byte);
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// A server on UDP that does not get the first request, and answers the second, which must be the
/// same.
pub(crate) async fn answering_the_second<F>(answer: F) -> SocketAddr
where
    F: Fn(&[u8]) -> Vec<u8> + Send + 'static,
{
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut first, mut second) = ([0; 2000], [0; 2000]);
        let (length, _) = socket.recv_from(&mut first).await.unwrap();
        let (_, from) = socket.recv_from(&mut second).await.unwrap();
        assert_eq!(first, second);
        let answer = answer(&first[..length]);
        socket.send_to(&answer, from).await.unwrap();
    });
    address
}

/// Keeps a connection open without a word, and without reading, until the server stops.
pub(crate) async fn hold<S>(stream: S) {
    std::future::pending::<()>().await;
    drop(stream);
}

/// Closes the port of a socket: it hears nobody but a peer that never speaks. It keeps the port, so
/// that no other test is given it.
pub(crate) async fn close_port(socket: &UdpSocket) {
    socket.connect("127.0.0.1:9").await.unwrap();
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
