//! keepalived and caribe in turn, in the same hosts: what a client misses when a director fails,
//! and what they cost when none does.
//!
//! Both directors answer datagrams on the VIP themselves, so that nothing but the address is
//! measured. The client sends one every half millisecond and waits for none.

mod bare;
mod calm;
mod client;
mod crowd;
mod load;
mod pair;
mod urgent;
mod vips;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::{Family, Lab, wait};
use rustix::process::Signal;

use super::say;
use client::{Client, ECHO, Missed, answers_in, echo};
use load::Rewriting;
use pair::{Daemon, LIMIT, Pair, Peer, Setting, vip};

/// The client has been served for so long before and after a fault.
const STEADY: Duration = Duration::from_millis(400);
/// VIPs of a large group.
const MANY: u32 = 1000;

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);
const SHORT: Duration = Duration::from_millis(30);
const SHORTEST: Duration = Duration::from_millis(10);

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Measure {
    /// What the client misses when something befalls the active director.
    Missed(Fault),
    /// When the last of many VIPs is announced after a cut.
    Announced,
    /// What an idle pair takes of the processor in each second.
    Idle,
}

/// What befalls the active director.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    /// The switch forgets its port; it keeps its carrier.
    Cut,
    /// Every process of the daemon gets SIGKILL.
    Kill,
    /// It is asked to stop.
    Stop,
    /// It is asked to give its VIP to the other.
    HandOver,
}

/// A row of the table: its name, between two heartbeats or adverts, and what is measured.
type Row = (&'static str, Duration, Measure);

/// What the rows begin with in which everything is IPv6.
const IPV6: &str = "IPv6";

const ROWS: [Row; 12] = [
    ("cable cut, 1 s", SECOND, Measure::Missed(Fault::Cut)),
    ("cable cut, 100 ms", TENTH, Measure::Missed(Fault::Cut)),
    ("cable cut, 30 ms", SHORT, Measure::Missed(Fault::Cut)),
    ("cable cut, 10 ms", SHORTEST, Measure::Missed(Fault::Cut)),
    ("SIGKILL, 100 ms", TENTH, Measure::Missed(Fault::Kill)),
    ("clean stop, 100 ms", TENTH, Measure::Missed(Fault::Stop)),
    ("handover, 100 ms", TENTH, Measure::Missed(Fault::HandOver)),
    ("IPv6 cut, 100 ms", TENTH, Measure::Missed(Fault::Cut)),
    (
        "IPv6 handover, 100 ms",
        TENTH,
        Measure::Missed(Fault::HandOver),
    ),
    ("1,000 VIPs, 100 ms", TENTH, Measure::Announced),
    ("idle, 100 ms", TENTH, Measure::Idle),
    ("idle, 10 ms", SHORTEST, Measure::Idle),
];

/// One reading.
#[derive(Clone, Copy, Debug)]
struct Reading {
    time: Duration,
    /// Where packets are counted.
    lost: Option<u64>,
}

/// Measured only if it is asked for by name: it takes ten minutes for each of them.
const CALM: &str = "calm";

/// A handover and a failback with traffic through the directors.
const CROWDED: &str = "there and back";

/// Heartbeats of 10 ms under load: the row, what happens to the table in it, and how.
const LATE: [(&str, &str, Rewriting); 3] = [
    ("lateness, calm", "nothing is rewritten", Rewriting::Nothing),
    (
        "lateness, in place",
        "every server is rewritten again and again",
        Rewriting::InPlace,
    ),
    (
        "lateness, anew",
        "every service is deleted and added again and again",
        Rewriting::Anew,
    ),
];

/// Measures everything, or the rows whose names begin as `only` says, so many times and prints a
/// table.
///
/// # Errors
///
/// When a daemon does not do its part at all.
pub(super) fn run(lab: &Lab, runs: usize, only: &str) -> Result<(), String> {
    let pair = Pair::new(lab);
    let mut table = format!(
        "{:<21} {:>30} {:>30} {:>7}\n",
        format!("{runs} runs each"),
        "keepalived: median, worst, lost",
        "caribe: median, worst, lost",
        "ratio"
    );
    for (name, interval, measure) in ROWS.iter().filter(|(name, ..)| name.starts_with(only)) {
        let mut setting = Setting::of(*interval);
        if name.starts_with(IPV6) {
            setting.family = Family::V6;
        }
        // An idle pair is the same every time; one reading is long.
        let runs = if *measure == Measure::Idle {
            runs.min(3)
        } else {
            runs
        };
        if *measure == Measure::Announced {
            setting.more_vips = MANY;
        }
        let mut readings: BTreeMap<Peer, Vec<Reading>> = BTreeMap::new();
        for run in 0..runs {
            for peer in [Peer::Keepalived, Peer::Caribe] {
                let reading = pair
                    .measure(lab, peer, &setting, *measure)
                    .map_err(|why| format!("{name}: {why}"))?;
                let millis = reading.time.as_secs_f64() * 1e3;
                say(&format!("{name} {peer:?} {run}: {millis:.1} ms"));
                readings.entry(peer).or_default().push(reading);
            }
        }
        let figures: Vec<(f64, String)> = readings.values().map(|all| figures(all)).collect();
        let [(theirs, their_text), (ours, our_text)] = &figures[..] else {
            continue;
        };
        let ratio = ours / theirs;
        let _ = writeln!(
            table,
            "{name:<21} {their_text:>30} {our_text:>30} {ratio:>7.2}"
        );
    }
    if !only.is_empty() && CALM.starts_with(only) {
        table = calm(&pair, runs)?;
    }
    if CROWDED.starts_with(only) {
        table.push_str(&pair.crowded(lab, runs, TENTH)?);
    }
    for (name, what, rewriting) in LATE.iter().filter(|(name, ..)| name.starts_with(only)) {
        let late = pair.lateness(SHORTEST, *rewriting)?;
        let _ = writeln!(
            table,
            "{name}: {what}, {:.0} changes a second",
            late.written
        );
        for (whose, [most, worst]) in [("caribe's", late.ours), ("bare datagrams", late.bare)] {
            let _ = writeln!(
                table,
                "  {whose}: late by {:.1} ms (99.9 %), {:.1} ms at most",
                most.as_secs_f64() * 1e3,
                worst.as_secs_f64() * 1e3
            );
        }
    }
    say(&format!(
        "\n{table}\na gap is the longest time without an answer, in ms; lost is the median of packets\n\
         1,000 VIPs: until the last one is announced; idle: what both take of the\n\
         processor in ms a second, guest's kernel included"
    ));
    Ok(())
}

/// Counts what each does in ten minutes without a cause, so many times.
fn calm(pair: &Pair, runs: usize) -> Result<String, String> {
    let mut setting = Setting::of(TENTH);
    setting.more_vips = MANY;
    let mut table = "1,000 VIPs at 100 ms, ten minutes under load:\n".to_owned();
    for run in 0..runs {
        for peer in [Peer::Keepalived, Peer::Caribe] {
            let night = pair.calm(peer, &setting)?;
            let gap = night.missed.gap.as_secs_f64() * 1e3;
            let line = format!(
                "{peer:?} {run}: {} false takeovers; the client missed {} packets, {gap:.1} ms at most",
                night.takeovers, night.missed.packets
            );
            say(&line);
            let _ = writeln!(table, "{line}");
        }
    }
    Ok(table)
}

fn figures(all: &[Reading]) -> (f64, String) {
    let mut times: Vec<f64> = all.iter().map(|it| it.time.as_secs_f64() * 1e3).collect();
    let mut lost: Vec<u64> = all.iter().filter_map(|it| it.lost).collect();
    times.sort_by(f64::total_cmp);
    lost.sort_unstable();
    let median = times[times.len() / 2];
    let worst = times.last().copied().unwrap_or_default();
    let lost = lost.get(lost.len() / 2).map(|lost| format!(", {lost}"));
    let lost = lost.unwrap_or_default();
    (median, format!("{median:.1}, {worst:.1}{lost}"))
}

impl Pair {
    fn measure(
        &self,
        lab: &Lab,
        peer: Peer,
        setting: &Setting,
        measure: Measure,
    ) -> Result<Reading, String> {
        let alone = |time| Reading { time, lost: None };
        match measure {
            Measure::Missed(fault) => self.missed(peer, setting, fault).map(|missed| Reading {
                time: missed.gap,
                lost: Some(missed.packets),
            }),
            Measure::Announced => self.last_announced(peer, setting).map(alone),
            Measure::Idle => self.idle(lab, peer, setting).map(alone),
        }
    }

    /// Starts a pair of daemons, waits until the first serves, lets the fault befall it, and waits
    /// until the client is served again.
    fn missed(&self, peer: Peer, setting: &Setting, fault: Fault) -> Result<Missed, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let echoes = self
            .directors
            .each_ref()
            .map(|host| echo(host, Arc::clone(&stop)));
        let started = self.start(peer, setting).ok_or("did not start");
        let outcome = started.and_then(|mut daemons| {
            let missed = self.watch(&mut daemons[0], setting, fault);
            self.end(&mut daemons);
            missed
        });
        stop.store(true, Ordering::Relaxed);
        for echo in echoes {
            let _ = echo.join();
        }
        outcome.map_err(|what| format!("{peer:?} {what}"))
    }

    fn watch(
        &self,
        daemon: &mut Daemon,
        setting: &Setting,
        fault: Fault,
    ) -> Result<Missed, &'static str> {
        let client = Client::start(&self.client, SocketAddr::new(vip(setting.family), ECHO));
        let before = client.answers();
        let steady = answers_in(STEADY);
        if !wait::holds_within(LIMIT, &mut || client.answers() > before + steady) {
            client.stop();
            return Err("did not serve before");
        }
        match fault {
            Fault::Cut => self.cables[0].cut(),
            Fault::Kill => daemon.kill(),
            Fault::Stop => daemon.signal(Signal::TERM),
            Fault::HandOver => daemon.hand_over(setting),
        }
        let faulted = Instant::now();
        let [_, second] = &self.directors;
        // Whatever is still on its way is no answer of the other.
        let settled = setting.interval * 4 + STEADY;
        let again = wait::holds_within(LIMIT, &mut || {
            faulted.elapsed() > settled
                && second.has_address(vip(setting.family))
                && client.is_served(STEADY)
        });
        let missed = client.stop();
        again.then_some(missed).ok_or("did not serve afterwards")
    }
}
