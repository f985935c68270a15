//! A client that never pauses: requests at a fixed pace, whatever became of the ones before.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use crate::Host;

/// From the start of one request to the start of the next, unless it is said.
const PACE: Duration = Duration::from_millis(8);
/// A request that has no answer after this long is lost.
const PATIENCE: Duration = Duration::from_secs(1);
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// Requests that go on until it is stopped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    ended: Mutex<Vec<Sample>>,
    /// Every request that began before has ended.
    open_since: Mutex<Option<Instant>>,
}

/// A request that has come to its end.
#[derive(Clone, Debug)]
struct Sample {
    started: Instant,
    ended: Instant,
    /// The body, which is the server's name; or what went wrong.
    outcome: Result<String, String>,
}

/// What a client saw in a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that began in it and have ended.
    pub requests: usize,
    /// Those without a good answer.
    pub lost: usize,
    /// The longest time without a good answer.
    pub longest_gap: Duration,
    /// Good answers, by the server that gave them.
    pub servers: BTreeMap<String, usize>,
    /// What went wrong, and how often.
    pub faults: BTreeMap<String, usize>,
}

impl Host {
    /// Starts to send HTTP requests from this host to `address`, one every 8 ms.
    #[must_use]
    pub fn load(&self, address: SocketAddr) -> Load {
        self.load_every(PACE, address)
    }

    /// Starts to send HTTP requests from this host to `address`, each on a connection of its own.
    #[must_use]
    pub fn load_every(&self, pace: Duration, address: SocketAddr) -> Load {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = self.thread(move || {
            let mut pending = Vec::new();
            let mut next = Instant::now();
            while !theirs.stop.load(Ordering::Relaxed) {
                let now = Instant::now();
                if now >= next {
                    next = now + pace;
                    pending.push(Request::start(address, now));
                }
                turn(&mut pending, next.saturating_duration_since(Instant::now()));
                settle(&mut pending, &theirs);
                let oldest = pending.first().map_or_else(Instant::now, |it| it.started);
                *lock(&theirs.open_since) = Some(oldest);
            }
        });
        Load {
            shared,
            thread: Some(thread),
            started: Instant::now(),
        }
    }
}

impl Load {
    /// Requests that began at `from` or later, up to this moment.
    #[must_use]
    pub fn since(&self, from: Instant) -> Report {
        self.between(from, Instant::now())
    }

    /// All requests up to this moment.
    #[must_use]
    pub fn report(&self) -> Report {
        self.since(self.started)
    }

    /// Whether every request that began before `time` has ended.
    #[must_use]
    pub fn have_ended(&self, time: Instant) -> bool {
        lock(&self.shared.open_since).is_some_and(|oldest| oldest >= time)
    }

    /// Requests that began from `from` and before `to`, those that are under way left out.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant) -> Report {
        let samples = self.shared.ended();
        let mut report = Report::default();
        let mut good = vec![from, to];
        for sample in samples
            .iter()
            .filter(|s| s.started >= from && s.started < to)
        {
            report.requests += 1;
            match &sample.outcome {
                Ok(server) => {
                    *report.servers.entry(server.clone()).or_default() += 1;
                    good.push(sample.ended.min(to));
                }
                Err(fault) => {
                    report.lost += 1;
                    *report.faults.entry(fault.clone()).or_default() += 1;
                }
            }
        }
        good.sort();
        let gaps = good.windows(2).map(|pair| pair[1] - pair[0]);
        report.longest_gap = gaps.max().unwrap_or_default();
        report
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ended(&self) -> MutexGuard<'_, Vec<Sample>> {
        lock(&self.ended)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request under way.
struct Request {
    started: Instant,
    socket: io::Result<Socket>,
    asked: bool,
    answer: Vec<u8>,
    outcome: Option<Result<String, String>>,
}

impl Request {
    fn start(address: SocketAddr, started: Instant) -> Self {
        Self {
            started,
            socket: connect(address),
            asked: false,
            answer: Vec::new(),
            outcome: None,
        }
    }

    /// Goes on as far as it can without waiting.
    fn proceed(&mut self) {
        let progress = match &mut self.socket {
            Ok(socket) => step(socket, &mut self.asked, &mut self.answer),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        self.outcome = match progress {
            Ok(true) => Some(server_of(&self.answer)),
            Ok(false) => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(Err(error.kind().to_string())),
        };
    }
}

fn connect(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        None,
    )?;
    match socket.connect(&address.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(socket),
    }
}

/// Whether the whole answer is there.
fn step(socket: &mut Socket, asked: &mut bool, answer: &mut Vec<u8>) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    if !*asked {
        socket.write_all(REQUEST)?;
        *asked = true;
    }
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer)? {
            0 => return Ok(true),
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
}

/// The body of a good answer, which is the name of the server that gave it.
fn server_of(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.trim().to_owned()),
        _ if answer.is_empty() => Err("closed without an answer".to_owned()),
        _ => Err(format!(
            "answered {:?}",
            text.lines().next().unwrap_or_default()
        )),
    }
}

/// Waits for news of any request, for `limit` at most, and lets those proceed that have some.
fn turn(pending: &mut [Request], limit: Duration) {
    let mut fds: Vec<(usize, PollFd<'_>)> = Vec::new();
    for (index, request) in pending.iter().enumerate() {
        if let Ok(socket) = &request.socket {
            let wanted = if request.asked {
                PollFlags::IN
            } else {
                PollFlags::OUT
            };
            fds.push((index, PollFd::from_borrowed_fd(socket.as_fd(), wanted)));
        }
    }
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|(_, fd)| fd.clone()).collect();
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    let _ = poll(&mut polled, Some(&limit));
    let ready: Vec<usize> = fds
        .iter()
        .zip(&polled)
        .filter(|(_, polled)| !polled.revents().is_empty())
        .map(|((index, _), _)| *index)
        .collect();
    for index in ready {
        pending[index].proceed();
    }
}

/// Moves requests that have come to an end to the samples.
fn settle(pending: &mut Vec<Request>, shared: &Shared) {
    let now = Instant::now();
    pending.retain_mut(|request| {
        if request.socket.is_err() {
            request.proceed();
        }
        if request.outcome.is_none() && now - request.started > PATIENCE {
            let phase = if request.asked {
                "answer"
            } else {
                "connection"
            };
            request.outcome = Some(Err(format!("no {phase} within {PATIENCE:?}")));
        }
        let Some(outcome) = request.outcome.take() else {
            return true;
        };
        shared.ended().push(Sample {
            started: request.started,
            ended: now,
            outcome,
        });
        false
    });
}

/// A connection that stays open and carries one request after another.
#[derive(Debug)]
pub struct Kept {
    stream: TcpStream,
}

impl Host {
    /// Opens a connection that is to last.
    ///
    /// # Errors
    ///
    /// When it cannot be made within a second.
    pub fn keep(&self, address: SocketAddr) -> io::Result<Kept> {
        self.inside(move || {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(Kept { stream })
        })
    }
}

impl Kept {
    /// Sends a request on the connection; returns the name of the server that answered.
    ///
    /// # Errors
    ///
    /// When the connection has broken, or no answer comes within a second.
    pub fn ask(&mut self) -> io::Result<String> {
        self.stream
            .write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        // The body is one line; the headers end with an empty one.
        loop {
            let length = self.stream.read(&mut buffer)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((_, body)) = text.split_once("\r\n\r\n")
                && body.ends_with('\n')
            {
                return server_of(&answer).map_err(io::Error::other);
            }
        }
    }
}
