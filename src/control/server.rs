//! The API's server: one Unix socket, one request a connection, limits on everything.

use std::convert::Infallible;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::events::{Answer, Follower, Followers};
use super::router::{self, Reply};
use super::{EVENTS, Error, orders};
use crate::director::{History, Operator, Sight};

/// Root and the socket's group. The socket will carry commands too, so it fails closed: whoever
/// shall use it joins the group (`chgrp` and setgid on the directory make it last).
const SOCKET_MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o755;
const BACKLOG: i32 = 128;
/// The longest body of an order.
const MOST_ORDERED: usize = 16 * 1024;

/// What a client may take before it is cut off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once. More wait in the kernel's backlog.
    pub(super) connections: usize,
    /// From the connection to the end of the request's headers.
    pub(super) headers_within: Duration,
    /// From the connection to the end of the answer.
    pub(super) answer_within: Duration,
    /// Bytes of request line and headers together.
    pub(super) header_bytes: usize,
    /// How many headers.
    pub(super) headers: usize,
    /// Connections that may follow events at once.
    pub(super) followers: usize,
    /// How long a clean shutdown waits for answers under way.
    pub(super) shutdown_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            headers_within: Duration::from_secs(3),
            answer_within: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            headers: 64,
            followers: 16,
            shutdown_within: Duration::from_secs(1),
        }
    }
}

/// The control socket, in its place; nobody can connect until it is served.
///
/// Whoever holds it is the only `caribe` on that socket. Dropping it removes the socket.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    file: SocketFile,
    limits: Limits,
    history: watch::Receiver<Arc<History>>,
}

impl Server {
    /// Takes the socket at `path`, mode 0660, and creates its directory, mode 0755, if it is missing.
    ///
    /// A socket left behind by a daemon that was killed is replaced. Needs no async runtime.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyRunning`] if another process holds the socket, [`Error::NotASocket`] if
    /// another file is in its place, [`Error::System`] if the system refuses a step.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        Self::bind_with(path, Limits::default())
    }

    pub(super) fn bind_with(path: &Path, limits: Limits) -> Result<Self, Error> {
        create_directory_of(path)?;
        let lock = take_lock(path)?;
        remove_stale(path)?;
        let socket = bind(path).map_err(Error::system("make the control socket", path))?;
        let bound = fs::symlink_metadata(path)
            .map_err(Error::system("look at the control socket", path))?;
        let file = SocketFile {
            path: path.to_owned(),
            inode: bound.ino(),
            _lock: lock,
        };
        Ok(Self {
            socket,
            file,
            limits,
            history: watch::Sender::default().subscribe(),
        })
    }

    /// Offers what has happened, too.
    #[must_use]
    pub fn with_history(self, history: watch::Receiver<Arc<History>>) -> Self {
        Self { history, ..self }
    }

    /// Lets clients connect; they wait for [`serve`](Self::serve), which calls it too.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the system refuses.
    pub fn listen(&self) -> Result<(), Error> {
        let listening = self.socket.listen(BACKLOG);
        listening.map_err(Error::system(
            "listen on the control socket",
            &self.file.path,
        ))
    }

    /// Answers requests from what is in `sight`, and hands orders to `operator`, until
    /// `shutdown` resolves; then removes the socket and lets answers under way end.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the runtime does not take the socket.
    pub async fn serve(
        self,
        sight: Sight,
        operator: Operator,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        self.listen()?;
        let Self {
            socket,
            file,
            limits,
            history,
        } = self;
        let api = Api {
            sight,
            operator,
            followers: Followers::new(history, limits.followers),
        };
        let listener = UnixListener::from_std(StdUnixListener::from(socket))
            .map_err(Error::system("watch the control socket", &file.path))?;
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept(), if connections.len() < limits.connections => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, api.clone(), limits));
                }
                Err(err) => {
                    tracing::warn!(error = %words::of(&err), "cannot accept a connection on the control socket");
                    // Out of descriptors or memory: the error comes again at once otherwise.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(file);
        let rest = async { while connections.join_next().await.is_some() {} };
        if timeout(limits.shutdown_within, rest).await.is_err() {
            tracing::debug!("clients of the control socket cut off by the shutdown");
        }
        Ok(())
    }
}

/// The file that a daemon on `socket` has locked while it runs, with its process number in it.
#[must_use]
pub fn lock_path(socket: &Path) -> PathBuf {
    beside(socket, ".lock")
}

/// The file that the guard of a daemon on `socket` has locked while it lives.
#[must_use]
pub fn guard_lock_path(socket: &Path) -> PathBuf {
    beside(socket, ".guard")
}

fn beside(socket: &Path, suffix: &str) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Proof that no daemon runs on a socket, and none can start while it is held.
#[derive(Debug)]
pub struct Hold {
    _lock: Option<File>,
}

impl Hold {
    /// Makes sure that no daemon runs on `socket`. Leaves no trace in the lock file, by which a
    /// guard knows the next run from the last.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyRunning`], or [`Error::System`] if the lock file can't be looked at.
    pub fn take(socket: &Path) -> Result<Self, Error> {
        let path = lock_path(socket);
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            // None has ever run.
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Self { _lock: None }),
            Err(err) => return Err(Error::system("open the lock file", &path)(err)),
        };
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(already_running(socket, lock)),
            Err(TryLockError::Error(err)) => Err(Error::system("lock", &path)(err)),
        }
    }

    /// Whether a guard lives on `socket` that looks after the addresses of a daemon that has died.
    #[must_use]
    pub fn is_guarded(&self, socket: &Path) -> bool {
        let Ok(lock) = File::open(guard_lock_path(socket)) else {
            return false;
        };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// What requests are answered from.
#[derive(Clone)]
struct Api {
    sight: Sight,
    operator: Operator,
    followers: Followers,
}

async fn serve_connection(stream: UnixStream, api: Api, limits: Limits) {
    let (begin, mut begun) = mpsc::channel(1);
    let service = service_fn(|request: Request<Incoming>| async {
        let response = if orders::takes(request.uri().path()) {
            into_response(obey(request, &api.operator, limits).await)
        } else {
            respond(&request, &api, &begin).await
        };
        Ok::<_, Infallible>(response)
    });
    // One request a connection: its limit in time is then a limit of the connection, and a client
    // that comes back every two seconds pays next to nothing on a Unix socket.
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_within)
        .max_buf_size(limits.header_bytes)
        .max_headers(limits.headers)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever follows events may stay for as long as it takes what there is.
    let patience = async {
        let answered = timeout(limits.answer_within, begun.recv()).await;
        if let Ok(Some(follower)) = answered {
            let follower: Follower = follower;
            if follower.run(limits.answer_within).await {
                tokio::time::sleep(limits.answer_within).await;
            }
        }
    };
    tokio::select! {
        ended = connection => {
            if let Err(err) = ended {
                tracing::debug!(error = %err, "a client of the control socket failed");
            }
        }
        () = patience => tracing::debug!("a client of the control socket was too slow"),
    }
}

async fn obey(request: Request<Incoming>, operator: &Operator, limits: Limits) -> Reply {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let Ok(body) = Limited::new(body, MOST_ORDERED).collect().await else {
        return orders::unreadable();
    };
    let order = match orders::read(&head.method, path, &body.to_bytes()) {
        Ok(order) => order,
        Err(reply) => return reply,
    };
    // What is left of the time for an answer must do to send one.
    let limit = limits.answer_within.mul_f64(0.9);
    match timeout(limit, operator.order(order)).await {
        Ok(outcome) => orders::answer(outcome),
        Err(_) => orders::late(),
    }
}

async fn respond(
    request: &Request<Incoming>,
    api: &Api,
    begin: &mpsc::Sender<Follower>,
) -> Response<Answer> {
    let (method, path) = (request.method(), request.uri().path());
    let has_body = !request.body().is_end_stream();
    let reply = if path == EVENTS {
        let begun = router::accept(method, path, has_body, api.sight.last().as_deref())
            .and_then(|_| api.followers.follow(request, begin));
        match begun {
            Ok(events) => return events,
            Err(refusal) => refusal,
        }
    } else {
        let snapshot = api.sight.look().await;
        router::answer(method, path, has_body, snapshot.as_deref())
    };
    tracing::trace!(
        %method, path, status = reply.status.as_u16(),
        "request on the control socket"
    );
    into_response(reply)
}

fn into_response(reply: Reply) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(allow) = reply.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// The socket in the file system, removed when dropped unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
    /// Dropped after the socket is removed, so that the next one finds the path free.
    _lock: File,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours && let Err(err) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), error = %words::of(&err), "cannot remove the control socket");
        }
    }
}

fn create_directory_of(path: &Path) -> Result<(), Error> {
    let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) else {
        return Ok(());
    };
    if directory.exists() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .and_then(|()| {
            // Whatever the umask has taken away.
            fs::set_permissions(directory, fs::Permissions::from_mode(DIRECTORY_MODE))
        })
        .map_err(Error::system(
            "create the directory of the control socket,",
            directory,
        ))
}

/// Locks `PATH.lock`, which the kernel unlocks however the holder ends. Two daemons that start at
/// the same moment would otherwise each find the socket stale and remove the other's.
///
/// The file stays: to remove it would open the same race again.
fn take_lock(socket: &Path) -> Result<File, Error> {
    let path = lock_path(socket);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::system("open the lock file", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(already_running(socket, lock)),
        Err(TryLockError::Error(source)) => {
            return Err(Error::System {
                action: "lock",
                path,
                source,
            });
        }
    }
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(Error::system("write the lock file", &path))?;
    Ok(lock)
}

fn already_running(socket: &Path, lock: File) -> Error {
    let mut text = String::new();
    let read = lock.take(32).read_to_string(&mut text);
    Error::AlreadyRunning {
        socket: socket.to_owned(),
        process: read.ok().and_then(|_| text.trim().parse().ok()),
    }
}

fn remove_stale(path: &Path) -> Result<(), Error> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(Error::system("look at the control socket", path)(err)),
    };
    if !found.file_type().is_socket() {
        return Err(Error::NotASocket {
            path: path.to_owned(),
        });
    }
    let somebody_listens = match try_connect(path) {
        Ok(()) => true,
        // Its backlog is full: it is stuck, but it is there (connect(2)).
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => true,
        Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => false,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(Error::system("ask who listens on", path)(err)),
    };
    if somebody_listens {
        return Err(Error::AlreadyRunning {
            socket: path.to_owned(),
            process: None,
        });
    }
    tracing::info!(path = %path.display(), "replacing a control socket that was left behind");
    fs::remove_file(path).map_err(Error::system("remove the stale control socket", path))
}

/// Without waiting, so that a stuck daemon's full backlog does not hold up this one's start.
fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// A socket in its place, with its mode; nobody can connect to it yet.
fn bind(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(socket)
}
