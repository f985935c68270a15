//! TCP checks on the loopback of this machine: the crate `probes` against a bare loop of epoll.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};

use probes::kinds::ProbeKind;
use probes::kinds::tcp::Tcp;
use probes::{Limits, ProbeSpec, Runner, Target};
use rustix::time::{ClockId, clock_gettime};

use super::bare::{self, CONCURRENCY};
use super::say;

/// Targets, all of them on one listener: 127.1.0.1 and so on.
const TARGETS: u32 = 10_000;
/// More than one processor can do, so that it is never idle.
const INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_millis(90);
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

fn bare_loop(port: u16) -> io::Result<u64> {
    let start = Instant::now();
    let targets = (0..).map(|number| target(number, port));
    bare::ask(targets.take_while(|_| start.elapsed() < WINDOW), &[])
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
        while let Ok(Some(verdicts)) = tokio::time::timeout_at(deadline, verdicts.recv()).await {
            if let Some(reason) = verdicts.into_iter().find_map(|verdict| verdict.reason) {
                return Err(io::Error::other(reason.to_string()));
            }
        }
        Ok(runner.stats().started)
    })
}
