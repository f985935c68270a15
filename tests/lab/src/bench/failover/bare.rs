//! How late heartbeats are by the doing of the guest's kernel alone, and of whoever competes.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Host;
use lab::farm::service_address;
use rustix::thread::gettid;

use super::urgent;

/// A port that nobody else has.
const PORT: u16 = 9;
/// How long the listener waits before it looks whether it shall end.
const PATIENCE: Duration = Duration::from_secs(1);

/// A thread that sends a datagram at fixed times, and one on another host that notes when they
/// come: both do nothing else, as urgently as caribe's heartbeats.
pub(super) struct BareBeats {
    stop: Arc<AtomicBool>,
    talker: JoinHandle<()>,
    listener: JoinHandle<Vec<Duration>>,
}

impl BareBeats {
    pub(super) fn start([from, to]: [&Host; 2], interval: Duration) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let address: Ipv4Addr = service_address(lab::Family::V4, 12)
            .parse()
            .map_err(|e| format!("the second director's address: {e}"))?;
        let address = SocketAddr::from((address, PORT));
        let stopped = Arc::clone(&stop);
        let listener = to.thread(move || listen(address, interval, &stopped));
        let stopped = Arc::clone(&stop);
        let talker = from.thread(move || talk(address, interval, &stopped));
        Ok(Self {
            stop,
            talker,
            listener,
        })
    }

    /// By how much they came late at most, 999 of 1,000 and all; as caribe counts: what an interval
    /// was longer than meant.
    pub(super) fn end(self) -> [Duration; 2] {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.talker.join();
        let mut late = self.listener.join().unwrap_or_default();
        late.sort_unstable();
        let most = late.get(late.len() * 999 / 1000).copied();
        [most, late.last().copied()].map(Option::unwrap_or_default)
    }
}

fn talk(to: SocketAddr, interval: Duration, stop: &AtomicBool) {
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else {
        return;
    };
    hurry();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due = Instant::now() + interval;
        // One that is lost is a long interval at the other end.
        let _ = socket.send_to(&[0; 200], to);
    }
}

fn listen(address: SocketAddr, interval: Duration, stop: &AtomicBool) -> Vec<Duration> {
    let mut late = Vec::new();
    let Ok(socket) = UdpSocket::bind(address) else {
        return late;
    };
    if socket.set_read_timeout(Some(PATIENCE)).is_err() {
        return late;
    }
    hurry();
    let mut last: Option<Instant> = None;
    while !stop.load(Ordering::Relaxed) {
        if socket.recv(&mut [0; 256]).is_ok() {
            let now = Instant::now();
            late.extend(last.map(|last| (now - last).saturating_sub(interval)));
            last = Some(now);
        }
    }
    late
}

/// Puts this thread under the policy and priority of caribe's heartbeats.
fn hurry() {
    urgent::set(Some(20), gettid());
}
