//! A client that asks without a pause, and whoever answers it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::{Host, wait};

/// From one question of the client to the next.
const PACE: Duration = Duration::from_micros(500);
/// Where the directors answer.
pub(super) const ECHO: u16 = 7;

/// What the client missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    /// The longest time without an answer.
    pub(super) gap: Duration,
    /// Questions that were not answered.
    pub(super) packets: u64,
}

/// Answers on any address of a host, of either family.
pub(super) fn echo(host: &Host, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    host.thread(move || {
        let Ok(socket) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, ECHO)) else {
            return;
        };
        let _ = socket.set_read_timeout(Some(Duration::from_millis(50)));
        let mut buffer = [0; 64];
        while !stop.load(Ordering::Relaxed) {
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
    })
}

/// A client that asks without a pause, and remembers when it was answered.
pub(super) struct Client {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: JoinHandle<Missed>,
}

/// So many answers come in so long.
pub(super) fn answers_in(time: Duration) -> u64 {
    // A loaded kernel delays some.
    u64::try_from(time.as_micros() / PACE.as_micros() / 2).unwrap_or(u64::MAX)
}

impl Client {
    pub(super) fn start(host: &Host, to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicU64::new(0));
        let (stopped, answered) = (Arc::clone(&stop), Arc::clone(&answers));
        let thread = host.thread(move || ask(to, &stopped, &answered));
        Self {
            stop,
            answers,
            thread,
        }
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Whether answers come, for so long.
    pub(super) fn is_served(&self, time: Duration) -> bool {
        let before = self.answers();
        let start = Instant::now();
        wait::holds_within(time * 2, &mut || start.elapsed() >= time);
        self.answers() > before + answers_in(time)
    }

    pub(super) fn stop(self) -> Missed {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or(Missed {
            gap: Duration::MAX,
            packets: 0,
        })
    }
}

/// Asks until told to stop. What is missed is counted from the first answer on to the last.
fn ask(to: SocketAddr, stop: &AtomicBool, answered: &AtomicU64) -> Missed {
    let mut missed = Missed {
        gap: Duration::ZERO,
        packets: 0,
    };
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let Ok(socket) = UdpSocket::bind(any) else {
        return missed;
    };
    let _ = socket.set_nonblocking(true);
    let mut buffer = [0; 64];
    let mut sent = 0_u64;
    let mut last: Option<Instant> = None;
    // The first and the last question that was answered, and how many were.
    let mut answers: Option<(u64, u64, u64)> = None;
    while !stop.load(Ordering::Relaxed) {
        sent += 1;
        let _ = socket.send_to(&sent.to_ne_bytes(), to);
        std::thread::sleep(PACE);
        while let Ok((8, _)) = socket.recv_from(&mut buffer) {
            let now = Instant::now();
            let mut number = [0; 8];
            number.copy_from_slice(&buffer[..8]);
            let number = u64::from_ne_bytes(number);
            if let Some(before) = last {
                missed.gap = missed.gap.max(now - before);
            }
            last = Some(now);
            let (first, latest, count) = answers.unwrap_or((number, number, 0));
            answers = Some((first.min(number), latest.max(number), count + 1));
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    // One way may be shorter than the other: what comes later than the next is not lost.
    if let Some((first, latest, count)) = answers {
        missed.packets = (latest - first + 1).saturating_sub(count);
    }
    missed
}
