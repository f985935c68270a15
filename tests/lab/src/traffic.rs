//! What lasts longer than a request: conversations on one connection, and datagrams in a row.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Host;

/// Between two rounds of questions on all conversations.
const ROUND: Duration = Duration::from_millis(10);
/// A datagram that has no answer after this long is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connections that stay open and carry one request after another.
#[derive(Debug)]
pub struct Conversations {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: JoinHandle<Vec<String>>,
}

/// Datagrams at a fixed pace, each with a number of its own, whatever becomes of the ones before.
#[derive(Debug)]
pub struct Datagrams {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: JoinHandle<Lost>,
}

/// What a sender of datagrams missed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lost {
    /// How many were sent.
    pub sent: u64,
    /// When those were sent that have no answer, from the first one on.
    pub lost: Vec<Duration>,
}

/// A service that sends every datagram back.
#[derive(Debug)]
pub struct Echo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Opens `count` connections to `address` and asks on each of them again and again.
    ///
    /// # Errors
    ///
    /// When one of them cannot be opened.
    pub fn converse(&self, address: SocketAddr, count: usize) -> io::Result<Conversations> {
        let mut kept = Vec::new();
        for _ in 0..count {
            kept.push(self.keep(address)?);
        }
        let (stop, rounds) = (Arc::default(), Arc::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = self.thread(move || {
            let mut broken = Vec::new();
            while !AtomicBool::load(&stopped, Ordering::Relaxed) {
                kept.retain_mut(|one| match one.ask() {
                    Ok(_) => true,
                    Err(error) => {
                        broken.push(error.to_string());
                        false
                    }
                });
                AtomicU64::fetch_add(&counted, 1, Ordering::Relaxed);
                std::thread::sleep(ROUND);
            }
            broken
        });
        Ok(Conversations {
            stop,
            rounds,
            thread,
        })
    }

    /// Sends a datagram to `address` every `pace`.
    #[must_use]
    pub fn datagrams(&self, address: SocketAddr, pace: Duration) -> Datagrams {
        let (stop, answered) = (Arc::default(), Arc::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&answered));
        let thread = self.thread(move || send(address, pace, &stopped, &counted));
        Datagrams {
            stop,
            answered,
            thread,
        }
    }

    /// Sends every datagram to `address`, which must be one of this host's, back.
    ///
    /// # Errors
    ///
    /// When somebody else does already.
    pub fn echo(&self, address: SocketAddr) -> io::Result<Echo> {
        let socket = self.inside(move || UdpSocket::bind(address))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let _ = socket.set_read_timeout(Some(Duration::from_millis(50)));
            let mut buffer = [0; 64];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        });
        Ok(Echo {
            stop,
            thread: Some(thread),
        })
    }
}

impl Conversations {
    /// How often every connection has been asked on.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Ends all of them; tells what broke those that broke.
    #[must_use]
    pub fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(broken) => broken,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Datagrams {
    /// How many have been answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Sends no more, and waits for the answers that are under way.
    #[must_use]
    pub fn end(self) -> Lost {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(lost) => lost,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send(address: SocketAddr, pace: Duration, stop: &AtomicBool, answered: &AtomicU64) -> Lost {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    // What cannot be sent is never answered, which whoever waits for answers will see.
    let Ok(socket) = UdpSocket::bind(any) else {
        return Lost::default();
    };
    let _ = socket.connect(address);
    let start = Instant::now();
    let mut waiting: BTreeMap<u64, Duration> = BTreeMap::new();
    let (mut sent, mut next, mut ended) = (0, start, None);
    loop {
        let now = Instant::now();
        if stop.load(Ordering::Relaxed) {
            let since = *ended.get_or_insert(now);
            if waiting.is_empty() || now - since > PATIENCE {
                break;
            }
            next = now + pace;
        } else if now >= next {
            next += pace;
            sent += 1;
            waiting.insert(sent, now - start);
            // One that cannot be sent is lost.
            let _ = socket.send(&sent.to_ne_bytes());
        }
        let limit = next.saturating_duration_since(Instant::now());
        let limit = limit.max(Duration::from_micros(1));
        let _ = socket.set_read_timeout(Some(limit));
        let mut number = [0; 8];
        if let Ok(8) = socket.recv(&mut number)
            && waiting.remove(&u64::from_ne_bytes(number)).is_some()
        {
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    let lost = waiting.into_values().collect();
    Lost { sent, lost }
}
