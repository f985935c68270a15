//! keepalived and caribe in turn, in the same hosts: what a client misses when a director fails.
//!
//! Both directors answer datagrams on the VIP themselves, so that nothing but the address is
//! measured. The client sends one every half millisecond and waits for none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::farm::service_address;
use lab::{Cable, Family, Host, Lab, Process, director, wait};
use rustix::process::Signal;

/// From one question of the client to the next.
const PACE: Duration = Duration::from_micros(500);
/// The client has been served for so long before and after a fault.
const STEADY: Duration = Duration::from_millis(400);
/// What a start, or a takeover, may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Where the directors answer.
const ECHO: u16 = 7;

/// What befalls the active director.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    /// The switch forgets its port; it keeps its carrier.
    Cut,
    /// Every process of the daemon gets SIGKILL.
    Kill,
    /// It is asked to stop.
    Stop,
}

/// A row of the table.
struct Work {
    what: &'static str,
    fault: Fault,
    /// Between two heartbeats or adverts.
    interval: Duration,
}

const WORKS: [Work; 6] = [
    Work {
        what: "cable cut, 1 s",
        fault: Fault::Cut,
        interval: Duration::from_secs(1),
    },
    Work {
        what: "cable cut, 100 ms",
        fault: Fault::Cut,
        interval: Duration::from_millis(100),
    },
    Work {
        what: "cable cut, 30 ms",
        fault: Fault::Cut,
        interval: Duration::from_millis(30),
    },
    Work {
        what: "cable cut, 10 ms",
        fault: Fault::Cut,
        interval: Duration::from_millis(10),
    },
    Work {
        what: "SIGKILL, 100 ms",
        fault: Fault::Kill,
        interval: Duration::from_millis(100),
    },
    Work {
        what: "clean stop, 100 ms",
        fault: Fault::Stop,
        interval: Duration::from_millis(100),
    },
];

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Peer {
    Keepalived,
    Caribe,
}

/// What the client missed.
#[derive(Clone, Copy, Debug)]
struct Missed {
    gap: Duration,
    packets: u64,
}

/// Two directors and a client.
struct Pair {
    directors: [Host; 2],
    cables: [Cable; 2],
    client: Host,
    vip: Ipv4Addr,
}

/// Measures everything so many times and prints a table.
///
/// # Errors
///
/// When a daemon does not do its part at all.
pub(super) fn run(lab: &Lab, runs: usize) -> Result<(), String> {
    let pair = Pair::new(lab);
    let mut out = std::io::stdout();
    let mut text = format!(
        "{:<20} {:>30} {:>30} {:>7}\n",
        format!("{runs} runs each"),
        "keepalived: median, worst, lost",
        "caribe: median, worst, lost",
        "ratio"
    );
    for work in &WORKS {
        let mut missed: BTreeMap<Peer, Vec<Missed>> = BTreeMap::new();
        for run in 0..runs {
            for peer in [Peer::Keepalived, Peer::Caribe] {
                let one = pair.measure(peer, work)?;
                let _ = writeln!(
                    out,
                    "{} {peer:?} {run}: {} ms",
                    work.what,
                    one.gap.as_millis()
                );
                missed.entry(peer).or_default().push(one);
            }
        }
        let figures: Vec<(f64, String)> = missed.values().map(|all| figures(all)).collect();
        let [(theirs, their_text), (ours, our_text)] = &figures[..] else {
            continue;
        };
        let ratio = ours / theirs;
        let _ = writeln!(
            text,
            "{:<20} {their_text:>30} {our_text:>30} {ratio:>7.2}",
            work.what
        );
    }
    let _ = write!(
        out,
        "\n{text}\na gap is the longest time without an answer, in ms; lost is the median of packets\n"
    );
    Ok(())
}

fn figures(all: &[Missed]) -> (f64, String) {
    let mut gaps: Vec<f64> = all.iter().map(|m| m.gap.as_secs_f64() * 1e3).collect();
    let mut lost: Vec<u64> = all.iter().map(|m| m.packets).collect();
    gaps.sort_by(f64::total_cmp);
    lost.sort_unstable();
    let median = gaps[gaps.len() / 2];
    let worst = gaps.last().copied().unwrap_or_default();
    (
        median,
        format!("{median:.1}, {worst:.1}, {}", lost[lost.len() / 2]),
    )
}

impl Pair {
    fn new(lab: &Lab) -> Self {
        let switch = lab.bridge("service");
        let address = |last| format!("{}/24", service_address(Family::V4, last));
        let client = lab.host("client");
        client.connect(&switch, "eth0", &[&address(100)]);
        let directors = [1, 2].map(|n| lab.host(&format!("ha{n}")));
        let cables = [0, 1].map(|i| {
            let last = if i == 0 { 11 } else { 12 };
            directors[i].connect(&switch, "eth0", &[&address(last)])
        });
        for host in &directors {
            host.write(director::KEY, 0o600, &"6b".repeat(32));
        }
        Self {
            directors,
            cables,
            client,
            vip: Ipv4Addr::new(192, 0, 2, 80),
        }
    }

    /// Starts a pair of daemons, waits until the first serves, lets the fault befall it, and waits
    /// until the client is served again.
    fn measure(&self, peer: Peer, work: &Work) -> Result<Missed, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let echoes = self
            .directors
            .each_ref()
            .map(|host| echo(host, Arc::clone(&stop)));
        let mut daemons = [0, 1].map(|i| self.start(peer, i, work.interval));
        let first = &self.directors[0];
        let served = wait::holds_within(LIMIT, &mut || {
            first.has_address(self.vip.into()) && !self.directors[1].has_address(self.vip.into())
        });
        let outcome = if served {
            self.watch(&mut daemons[0], work)
        } else {
            None
        };
        for daemon in &mut daemons {
            daemon.kill();
        }
        stop.store(true, Ordering::Relaxed);
        for echo in echoes {
            let _ = echo.join();
        }
        self.clear();
        outcome.ok_or_else(|| format!("{peer:?} did not serve before or after: {}", work.what))
    }

    fn watch(&self, daemon: &mut Daemon, work: &Work) -> Option<Missed> {
        let client = Client::start(&self.client, SocketAddr::new(self.vip.into(), ECHO));
        let before = client.answers();
        let steady = answers_in(STEADY);
        if !wait::holds_within(LIMIT, &mut || client.answers() > before + steady) {
            return None;
        }
        match work.fault {
            Fault::Cut => self.cables[0].cut(),
            Fault::Kill => daemon.kill(),
            Fault::Stop => daemon.signal(Signal::TERM),
        }
        let faulted = Instant::now();
        // Whatever is still on its way is no answer of the other.
        let settled = work.interval * 4 + STEADY;
        let again = wait::holds_within(LIMIT, &mut || {
            faulted.elapsed() > settled && client.is_served(STEADY)
        });
        let missed = client.stop();
        again.then_some(missed)
    }

    fn start(&self, peer: Peer, index: usize, interval: Duration) -> Daemon {
        let host = &self.directors[index];
        let priority = if index == 0 { 150 } else { 100 };
        match peer {
            Peer::Caribe => {
                host.write(director::CONFIG, 0o644, &caribe_config(interval));
                let program = director::program("caribe");
                let process = host.spawn(&[&program, "run", "--config", director::CONFIG]);
                Daemon {
                    host: host.clone(),
                    process,
                    children: None,
                }
            }
            Peer::Keepalived => {
                let config = "/run/caribe/keepalived.conf";
                host.write(config, 0o644, &keepalived_config(interval, priority));
                let process = host.spawn(&[
                    "keepalived",
                    "--dont-fork",
                    "--vrrp",
                    "--use-file",
                    config,
                    "--pid",
                    "/run/caribe/k.pid",
                    "--vrrp_pid",
                    "/run/caribe/v.pid",
                ]);
                Daemon {
                    host: host.clone(),
                    process,
                    children: Some("/run/caribe/v.pid"),
                }
            }
        }
    }

    /// Removes what a killed daemon leaves, and heals the cable.
    fn clear(&self) {
        for cable in &self.cables {
            cable.restore();
        }
        for host in &self.directors {
            let _ = host.exec(&["ip", "address", "del", "192.0.2.80/24", "dev", "eth0"]);
            let _ = host.exec(&["ip", "address", "del", "192.0.2.80/32", "dev", "eth0"]);
            let _ = host.exec(&["sh", "-c", "rm -f /run/caribe/*"]);
        }
        let _ = self.client.exec(&["ip", "neigh", "flush", "all"]);
    }
}

/// A daemon with all its processes.
struct Daemon {
    host: Host,
    process: Process,
    /// A file with the number of a child that must be killed along.
    children: Option<&'static str>,
}

impl Daemon {
    fn kill(&mut self) {
        if let Some(file) = self.children {
            let _ = self
                .host
                .exec(&["sh", "-c", &format!("kill -9 $(cat {file})")]);
        }
        self.process.kill();
    }

    fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }
}

fn caribe_config(interval: Duration) -> String {
    let keepalive = interval.as_millis();
    let deadtime = keepalive * 3;
    let initdead = (deadtime * 2).max(2000);
    let directors: String = [("ha1", 150, 11), ("ha2", 100, 12)]
        .iter()
        .map(|(name, priority, last)| {
            format!(
                "[[director]]\nname = \"{name}\"\npriority = {priority}\n\
                 paths = [{{ udp = \"{}\" }}]\n",
                service_address(Family::V4, *last)
            )
        })
        .collect();
    format!(
        "[cluster]\nname = \"bench\"\nkeys = [\"{}\"]\n\
         [heartbeat]\nkeepalive = \"{keepalive}ms\"\ndeadtime = \"{deadtime}ms\"\n\
         initdead = \"{initdead}ms\"\n{directors}\
         [[group]]\nname = \"vip\"\nfailback = \"manual\"\n\
         vips = [{{ address = \"192.0.2.80/24\", interface = \"eth0\" }}]\n",
        director::KEY
    )
}

fn keepalived_config(interval: Duration, priority: u8) -> String {
    format!(
        "global_defs {{\n vrrp_version 3\n vrrp_garp_master_repeat 5\n}}\n\
         vrrp_instance vip {{\n state BACKUP\n nopreempt\n interface eth0\n virtual_router_id 51\n \
         priority {priority}\n advert_int {}\n virtual_ipaddress {{\n 192.0.2.80/24\n }}\n}}\n",
        interval.as_secs_f64()
    )
}

/// Answers on any address of a host.
fn echo(host: &Host, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    host.thread(move || {
        let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, ECHO)) else {
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
struct Client {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: JoinHandle<Missed>,
}

/// So many answers come in so long.
fn answers_in(time: Duration) -> u64 {
    // A loaded kernel delays some.
    u64::try_from(time.as_micros() / PACE.as_micros() / 2).unwrap_or(u64::MAX)
}

impl Client {
    fn start(host: &Host, to: SocketAddr) -> Self {
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

    fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Whether answers come, for so long.
    fn is_served(&self, time: Duration) -> bool {
        let before = self.answers();
        let start = Instant::now();
        wait::holds_within(time * 2, &mut || start.elapsed() >= time);
        self.answers() > before + answers_in(time)
    }

    fn stop(self) -> Missed {
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
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else {
        return missed;
    };
    let _ = socket.set_nonblocking(true);
    let mut buffer = [0; 64];
    let (mut sent, mut last): (u64, Option<(Instant, u64)>) = (0, None);
    while !stop.load(Ordering::Relaxed) {
        sent += 1;
        let _ = socket.send_to(&sent.to_ne_bytes(), to);
        std::thread::sleep(PACE);
        while let Ok((8, _)) = socket.recv_from(&mut buffer) {
            let now = Instant::now();
            let mut number = [0; 8];
            number.copy_from_slice(&buffer[..8]);
            let number = u64::from_ne_bytes(number);
            if let Some((before, previous)) = last {
                missed.gap = missed.gap.max(now - before);
                missed.packets += number.saturating_sub(previous + 1);
            }
            last = Some((now, number));
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    missed
}
