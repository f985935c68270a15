//! Transfers that last: bytes without an end, either way, each transfer on a connection of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Host;

/// What is sent at a time, and how long then nothing is: a processor that everybody shares has
/// more to do.
const CHUNK: usize = 8192;
const PAUSE: Duration = Duration::from_millis(10);
/// A transfer that does not go on for so long is broken.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first byte on a connection says which way.
const DOWN: u8 = b'd';
const UP: u8 = b'u';

/// A host that others can download from and upload to.
#[derive(Debug)]
pub struct Depot {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Transfers under way.
#[derive(Debug)]
pub struct Transfers {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Host {
    /// Serves transfers at `address`.
    ///
    /// # Errors
    ///
    /// When somebody else has the address.
    pub fn depot(&self, address: SocketAddr) -> io::Result<Depot> {
        let listener = self.inside(move || TcpListener::bind(address))?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        std::thread::spawn(move || serve(stream));
                    }
                    Err(_) => std::thread::sleep(PAUSE),
                }
            }
        });
        Ok(Depot {
            stop,
            thread: Some(thread),
        })
    }

    /// Starts so many downloads from `address`, and as many uploads.
    ///
    /// # Errors
    ///
    /// When one of the connections cannot be made.
    pub fn transfer(&self, address: SocketAddr, each_way: usize) -> io::Result<Transfers> {
        let mut transfers = Transfers {
            stop: Arc::default(),
            bytes: Arc::default(),
            threads: Vec::new(),
        };
        for way in [DOWN, UP] {
            for _ in 0..each_way {
                let stream = self.inside(move || open(address, way))?;
                let (stop, bytes) = (Arc::clone(&transfers.stop), Arc::clone(&transfers.bytes));
                let thread = std::thread::spawn(move || go_on(stream, way, &stop, &bytes));
                transfers.threads.push(thread);
            }
        }
        Ok(transfers)
    }
}

impl Transfers {
    /// How many bytes have come or gone, all transfers together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Ends all of them; tells what broke those that broke.
    #[must_use]
    pub fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.threads.into_iter().map(JoinHandle::join);
        ended
            .filter_map(|ended| match ended {
                Ok(ended) => ended.err().map(|error| error.kind().to_string()),
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    }
}

impl Drop for Depot {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(address: SocketAddr, way: u8) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.write_all(&[way])?;
    Ok(stream)
}

/// The client's end.
fn go_on(mut stream: TcpStream, way: u8, stop: &AtomicBool, bytes: &AtomicU64) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut chunk = [0; CHUNK];
    while !stop.load(Ordering::Relaxed) {
        let length = if way == UP {
            std::thread::sleep(PAUSE);
            stream.write(&chunk)?
        } else {
            stream.read(&mut chunk)?
        };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.fetch_add(u64::try_from(length).unwrap_or_default(), Ordering::Relaxed);
    }
    Ok(())
}

/// The server's end, until the client has gone.
fn serve(mut stream: TcpStream) {
    let mut chunk = [0; CHUNK];
    // The listener did not block, and its connections may not either.
    let opened = stream.set_nonblocking(false);
    if opened
        .and_then(|()| stream.read_exact(&mut chunk[..1]))
        .is_err()
    {
        return;
    }
    if chunk[0] == UP {
        while stream.read(&mut chunk).is_ok_and(|length| length > 0) {}
    } else {
        while stream.write_all(&chunk).is_ok() {
            std::thread::sleep(PAUSE);
        }
    }
}
