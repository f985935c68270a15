//! The server of all targets: it accepts, answers HTTP where it is asked for, and keeps the times.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Host;
use socket2::{Domain, Socket, Type};

use super::{Kind, target};

/// Where all targets listen.
pub(super) const PORT: u16 = 80;
/// Connections that the kernel keeps until they are accepted.
const WAITING: i32 = 16_384;
/// After so long without anybody it is looked whether to stop; and an asker that says nothing, being
/// busy with others, is left.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who waits for questions over HTTP, each for one at a time.
const LISTENERS: usize = 16;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";

/// What has been asked so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    pub(super) count: usize,
    /// From each question to the next of the same target, in the order of arrival.
    pub(super) gaps: Vec<Duration>,
    /// When each target was asked last.
    last: BTreeMap<usize, Instant>,
}

pub(super) struct Server {
    stop: Arc<AtomicBool>,
    arrivals: Arc<Mutex<Arrivals>>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(host: &Host, kind: Kind) -> Result<Self, String> {
        host.sysctl("net/core/somaxconn", &WAITING.to_string());
        host.sysctl("net/ipv4/tcp_max_syn_backlog", &WAITING.to_string());
        let listener = host
            .inside(listen)
            .map_err(|e| format!("the targets cannot listen: {e}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let arrivals = Arc::new(Mutex::new(Arrivals::default()));
        let listeners = match kind {
            Kind::Tcp => 1,
            Kind::Http => LISTENERS,
        };
        let mut threads = Vec::new();
        for _ in 0..listeners {
            let (stopped, kept) = (Arc::clone(&stop), Arc::clone(&arrivals));
            let listener = listener
                .try_clone()
                .map_err(|e| format!("the targets cannot share a socket: {e}"))?;
            threads.push(std::thread::spawn(move || {
                serve(&listener, kind, &stopped, &kept);
            }));
        }
        Ok(Self {
            stop,
            arrivals,
            threads,
        })
    }

    /// How many questions there were so far.
    pub(super) fn asked(&self) -> usize {
        let arrivals = self.arrivals.lock();
        arrivals.unwrap_or_else(PoisonError::into_inner).count
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        self.arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    let any: std::net::SocketAddr = (std::net::Ipv4Addr::UNSPECIFIED, PORT).into();
    socket.bind(&any.into())?;
    socket.listen(WAITING)?;
    // Who is accepted inherits it, which spares a call for each.
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

fn serve(listener: &TcpListener, kind: Kind, stop: &AtomicBool, arrivals: &Mutex<Arrivals>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((mut stream, _)) = listener.accept() else {
            continue;
        };
        let now = Instant::now();
        if matches!(kind, Kind::Http) {
            let mut question = [0; 1024];
            if stream.read(&mut question).is_ok_and(|length| length > 0) {
                let _ = stream.write_all(ANSWER);
            }
        }
        let place = stream.local_addr().ok().and_then(|own| target(own.ip()));
        let Some(place) = place else {
            continue;
        };
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let before = arrivals.last.insert(place, now);
        arrivals.count += 1;
        arrivals.gaps.extend(before.map(|before| now - before));
    }
}
