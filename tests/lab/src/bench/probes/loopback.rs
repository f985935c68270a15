//! TCP checks on the loopback of this machine: the crate `probes` against a bare loop of epoll.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use probes::kinds::ProbeKind;
use probes::kinds::tcp::Tcp;
use probes::{Limits, ProbeSpec, Runner, Target};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::time::{ClockId, clock_gettime};

use super::say;

/// Targets, all of them on one listener: 127.1.0.1 and so on.
const TARGETS: u32 = 10_000;
/// More than one processor can do, so that it is never idle.
const INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_millis(90);
/// Checks under way at a time.
const CONCURRENCY: usize = 256;
/// How long each is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// Measures both in turn and says how many checks a processor does in a second.
pub(in crate::bench) fn run(runs: usize) -> Result<(), String> {
    let failed = |e: io::Error| format!("loopback: {e}");
    let listener = listen().map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    // Whoever asks does the work of the kernel; two threads take what it leaves.
    for _ in 0..2 {
        let listener = listener.try_clone().map_err(failed)?;
        std::thread::spawn(move || while listener.accept().is_ok() {});
    }
    let mut bare = Vec::new();
    let mut ours = Vec::new();
    for _ in 0..runs {
        bare.push(in_a_second(|| bare_loop(port)).map_err(failed)?);
        ours.push(in_a_second(|| crate_runner(port)).map_err(failed)?);
    }
    let (bare, ours) = (middle(bare), middle(ours));
    say(&format!(
        "TCP checks on loopback by one processor, a second: a bare loop of epoll {bare:.0}, \
         the crate {ours:.0}, {:.2} of it (medians of {runs} runs in turn)",
        ours / bare
    ));
    say("");
    Ok(())
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

fn listen() -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    socket.bind(&any.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

fn target(number: u32, port: u16) -> SocketAddr {
    (Ipv4Addr::from_bits(0x7f01_0001 + number % TARGETS), port).into()
}

/// Checks in a second of the processor of the thread that does them.
fn in_a_second(work: impl FnOnce() -> io::Result<u64> + Send) -> io::Result<f64> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let before = used();
            let checks = work()?;
            Ok(checks as f64 / (used() - before).as_secs_f64())
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the checks came to a bad end")))
    })
}

fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The least that a check takes: connect without waiting, wait, see how it went, close.
fn bare_loop(port: u16) -> io::Result<u64> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut under_way: Vec<Option<OwnedFd>> = (0..CONCURRENCY).map(|_| None).collect();
    let mut next = 0_u32;
    for (place, slot) in under_way.iter_mut().enumerate() {
        *slot = Some(begin(&poll, target(next, port), place)?);
        next += 1;
    }
    let mut events = Vec::with_capacity(CONCURRENCY);
    let (start, mut checks) = (Instant::now(), 0);
    while start.elapsed() < WINDOW {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in &events {
            let place = usize::try_from(event.data.u64()).unwrap_or(0);
            let Some(slot) = under_way.get_mut(place) else {
                continue;
            };
            if let Some(socket) = slot.take() {
                sockopt::socket_error(&socket)??;
                sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
                checks += 1;
            }
            *slot = Some(begin(&poll, target(next, port), place)?);
            next = next.wrapping_add(1);
        }
    }
    Ok(checks)
}

fn begin(poll: &OwnedFd, target: SocketAddr, place: usize) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let data = epoll::EventData::new_u64(place as u64);
    epoll::add(poll, &socket, data, epoll::EventFlags::OUT)?;
    Ok(socket)
}

fn crate_runner(port: u16) -> io::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let start = Instant::now();
        let limits = Limits {
            concurrency: NonZero::new(CONCURRENCY).unwrap_or(NonZero::<usize>::MIN),
        };
        let (runner, mut verdicts) =
            Runner::spawn(&tokio::runtime::Handle::current(), limits, move || {
                start.elapsed()
            });
        let spec = Arc::new(ProbeSpec {
            interval: INTERVAL,
            timeout: TIMEOUT,
            ..ProbeSpec::new(ProbeKind::Tcp(Tcp))
        });
        let targets: BTreeSet<Target> = (0..TARGETS)
            .map(|number| Target::new(target(number, port), Arc::clone(&spec)))
            .collect();
        runner.set_targets(targets);
        let deadline = tokio::time::Instant::now() + WINDOW;
        while let Ok(Some(verdict)) = tokio::time::timeout_at(deadline, verdicts.recv()).await {
            if let Some(reason) = verdict.reason {
                return Err(io::Error::other(reason.to_string()));
            }
        }
        Ok(runner.stats().started)
    })
}
