//! What a pair costs when nothing happens, and how late its heartbeats are when much does.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::{Lab, director, wait};
use serde_json::Value;

use super::super::say;
use super::bare::BareBeats;
use super::pair::{Daemon, LIMIT, Pair, Peer, Setting};
use super::urgent::UrgentPackets;

/// How long an idle pair is watched once it has settled, and for half of it the guest without one.
const IDLE: Duration = Duration::from_secs(30);
/// A stretch of that in which a daemon does everything that it does again and again.
const STRETCH: Duration = Duration::from_secs(10);
/// How long a busy pair is watched at least.
const BUSY: Duration = Duration::from_secs(60);
/// What a start, or an end, does is over after so long.
const SETTLES: Duration = Duration::from_secs(5);
const SERVICES: u32 = 1000;
const SERVERS: u32 = 10;
/// Where the lines are with which somebody else changes the table, again and again.
const CHANGES: &str = "/run/caribe/changes";
/// A server that comes and goes, so that the directors look at the table at once and again.
const FLAPPING: (&str, u16) = ("192.0.2.100", 81);
/// Between its coming and its going.
const FLAP: Duration = Duration::from_secs(1);
/// Real servers are numbered from here.
const FIRST_SERVER: [u8; 4] = [10, 88, 0, 1];

/// What befalls the table of 1,000 services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rewriting {
    /// Nothing but that one server comes and goes.
    Nothing,
    /// Somebody changes the weight of every server, and the directors change it back.
    InPlace,
    /// Somebody deletes every service, and the directors add all of them anew.
    Anew,
}

/// How late heartbeats were: at most 999 of 1,000 of them, and all.
pub(super) struct Lateness {
    /// The directors'.
    pub(super) ours: [Duration; 2],
    /// Bare ones beside them.
    pub(super) bare: [Duration; 2],
    /// So many changes of the kernel's tables the directors made in each second.
    pub(super) written: f64,
}

impl Pair {
    /// What an idle pair takes of the processor in each second: what the guest takes with it, less
    /// what it takes without.
    pub(super) fn idle(
        &self,
        lab: &Lab,
        peer: Peer,
        setting: &Setting,
    ) -> Result<Duration, String> {
        let without = taken(lab, IDLE / 2)?;
        let mut daemons = self
            .start(peer, setting)
            .ok_or_else(|| format!("{peer:?} did not start"))?;
        pass(SETTLES * 3);
        let wakings = || daemons.iter().map(Daemon::wakings).sum::<u64>();
        let (woken, start) = (wakings(), Instant::now());
        let with = taken(lab, IDLE);
        let (woken, passed) = (wakings().saturating_sub(woken), start.elapsed().as_secs());
        self.end(&mut daemons);
        let with = with?;
        say(&format!(
            "{peer:?}: {with:.1?} in each second, {without:.1?} without; its threads are woken {} \
             times a second",
            woken.checked_div(passed).unwrap_or_default()
        ));
        Ok(with.saturating_sub(without))
    }

    /// By how much heartbeats were late, while 10,000 targets are probed, a busy loop competes, and
    /// the table of 1,000 services is rewritten again and again, as told; and beside them the same
    /// of bare ones.
    pub(super) fn lateness(
        &self,
        interval: Duration,
        rewriting: Rewriting,
    ) -> Result<Lateness, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let targets = self.servers(&stop);
        let setting = Setting {
            more: services(),
            // Late heartbeats are to be measured, and not to be feared.
            misses: 100,
            ..Setting::of(interval)
        };
        let outcome = self.lateness_of(&setting, rewriting);
        stop.store(true, Ordering::Relaxed);
        // One more connection, so that it looks.
        let _ = self
            .client
            .inside(|| std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, 80)));
        for target in targets {
            let _ = target.join();
        }
        outcome
    }

    fn lateness_of(&self, setting: &Setting, rewriting: Rewriting) -> Result<Lateness, String> {
        let mut daemons = self
            .start(Peer::Caribe, setting)
            .ok_or("the pair did not start")?;
        let _packets = UrgentPackets::new();
        let mut competitors: Vec<_> = Vec::new();
        for host in &self.directors {
            if let Some(changes) = rewriting.changes() {
                host.write(CHANGES, 0o644, &changes);
                let again = format!("while :; do ipvsadm -R < {CHANGES}; sleep 1; done");
                competitors.push(host.spawn(&["sh", "-c", &again]));
            }
        }
        competitors.push(self.client.spawn(&["sh", "-c", "while :; do :; done"]));
        // The first probes, and the first tables, are no part of it.
        pass(SETTLES * 3);
        let (before, written) = (self.delays(), self.written());
        let [first, second] = &self.directors;
        let bare = BareBeats::start([first, second], setting.interval)?;
        let start = Instant::now();
        let enough = wait::holds_within(LIMIT * 2, &mut || {
            start.elapsed() > BUSY && total(&self.delays()) > total(&before) + 8000
        });
        let (after, written) = (self.delays(), self.written() - written);
        let passed = start.elapsed();
        let floor = bare.end();
        for mut competitor in competitors {
            competitor.kill();
        }
        let takeovers: Vec<u64> = self
            .directors
            .iter()
            .map(|host| {
                let status = status(host.pid());
                status["counters"]["takeovers"].as_u64().unwrap_or(0)
            })
            .collect();
        self.end(&mut daemons);
        if takeovers != [1, 0] {
            return Err(format!("a false alarm: takeovers {takeovers:?}"));
        }
        if !enough {
            return Err("too few heartbeats came".to_owned());
        }
        Ok(Lateness {
            ours: quantiles(&before, &after),
            bare: floor,
            written: written as f64 / passed.as_secs_f64(),
        })
    }

    /// How many changes both directors have made to their kernel's tables.
    fn written(&self) -> u64 {
        let written = self.directors.iter().map(|host| {
            let status = status(host.pid());
            status["counters"]["table_changes"].as_u64().unwrap_or(0)
        });
        written.sum()
    }

    /// What both directors have counted of the other's heartbeats: where buckets end in
    /// microseconds, and how many were in them.
    fn delays(&self) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        for host in &self.directors {
            let status = status(host.pid());
            let directors = status["directors"].as_array().cloned().unwrap_or_default();
            for peer in directors.iter().filter(|it| it["local"] == false) {
                let delays = &peer["rhythm"]["delays"];
                let longest = delays["longest_us"].as_u64().unwrap_or(u64::MAX);
                for bucket in delays["buckets"].as_array().into_iter().flatten() {
                    let below = bucket[0].as_u64().unwrap_or(u64::MAX).min(longest);
                    all.push((below, bucket[1].as_u64().unwrap_or(0)));
                }
            }
        }
        all.sort_unstable();
        all
    }

    /// Makes the client's host answer for every real server, and for one that comes and goes.
    fn servers(&self, stop: &Arc<AtomicBool>) -> [JoinHandle<()>; 2] {
        self.client.sh("ip route replace local 10.88.0.0/16 dev lo");
        for host in &self.directors {
            host.sh("ip route replace 10.88.0.0/16 via 192.0.2.100");
        }
        let stopped = Arc::clone(stop);
        let steady = self.client.thread(move || {
            let Ok(listener) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)) else {
                return;
            };
            for _ in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let stopped = Arc::clone(stop);
        let flapping = self.client.thread(move || {
            while !stopped.load(Ordering::Relaxed) {
                // Nobody needs to accept: the kernel answers for it.
                let listener = TcpListener::bind(FLAPPING);
                pass(FLAP);
                drop(listener);
                pass(FLAP);
            }
        });
        [steady, flapping]
    }
}

impl Rewriting {
    /// Lines for `ipvsadm -R`: what somebody else changes, for the directors to change back.
    fn changes(self) -> Option<String> {
        // One by one: to clear a table is one long call of the kernel.
        let line: fn(u32) -> String = match self {
            Self::Nothing => return None,
            Self::InPlace => |service| {
                let lines = (0..SERVERS).map(|server| {
                    let address = server_address(service, server);
                    format!(
                        "-e -t 192.0.2.80:{} -r {address}:80 -m -w 7\n",
                        port(service)
                    )
                });
                lines.collect()
            },
            Self::Anew => |service| format!("-D -t 192.0.2.80:{}\n", port(service)),
        };
        Some((0..SERVICES).map(line).collect())
    }
}

/// What the director on a host knows.
pub(super) fn status(host: u32) -> Value {
    let socket = format!("/proc/{host}/root/run/caribe/caribe.sock");
    director::ask_status(socket.as_ref()).map_or(Value::Null, |(status, _)| status)
}

fn services() -> String {
    // What the manual asks of whoever has many servers and short keepalives on such a kernel.
    let mut text = "[ipvs]\nsysctl = { run_estimation = 0 }\n".to_owned();
    for service in 0..SERVICES {
        text.push_str(&format!(
            "[[virtual]]\nname = \"v{service}\"\ngroup = \"vip\"\naddress = \"192.0.2.80\"\n\
             port = {}\nprotocol = \"tcp\"\nforward = \"nat\"\n\
             probe = {{ tcp = true, interval = \"60s\", timeout = \"5s\" }}\n",
            port(service)
        ));
        for server in 0..SERVERS {
            let address = server_address(service, server);
            text.push_str(&format!(
                "[[virtual.server]]\naddress = \"{address}\"\nport = 80\n"
            ));
        }
    }
    let (address, port) = FLAPPING;
    text.push_str(&format!(
        "[[virtual]]\nname = \"flapping\"\ngroup = \"vip\"\naddress = \"192.0.2.80\"\n\
         port = 999\nprotocol = \"tcp\"\nforward = \"nat\"\n\
         probe = {{ tcp = true, interval = \"500ms\", timeout = \"400ms\", fall = 1, rise = 1 }}\n\
         [[virtual.server]]\naddress = \"{address}\"\nport = {port}\n"
    ));
    text
}

fn port(service: u32) -> u32 {
    1000 + service
}

fn server_address(service: u32, server: u32) -> Ipv4Addr {
    let first = u32::from_be_bytes(FIRST_SERVER);
    Ipv4Addr::from_bits(first + service * SERVERS + server)
}

fn total(delays: &[(u64, u64)]) -> u64 {
    delays.iter().map(|(_, count)| count).sum()
}

/// Of what has been counted since.
fn quantiles(before: &[(u64, u64)], after: &[(u64, u64)]) -> [Duration; 2] {
    let earlier = |below: u64| {
        let same = before.iter().filter(|(it, _)| *it == below);
        same.map(|(_, count)| count).sum::<u64>()
    };
    let mut counts: std::collections::BTreeMap<u64, u64> = std::collections::BTreeMap::new();
    for (below, count) in after {
        *counts.entry(*below).or_default() += count;
    }
    for (below, count) in &mut counts {
        *count = count.saturating_sub(earlier(*below));
    }
    let all: u64 = counts.values().sum();
    let (mut seen, mut most, mut longest) = (0, 0, 0);
    for (below, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        if seen * 1000 <= all * 999 {
            most = below;
        }
        seen += count;
        longest = below;
    }
    [most, longest].map(Duration::from_micros)
}

/// What this guest takes of the processor in each second, once what came before is over: in the
/// stretch in which it took least, because what others do on this machine can only add to it.
fn taken(lab: &Lab, time: Duration) -> Result<Duration, String> {
    // To wait for nothing is to take nothing.
    std::thread::sleep(SETTLES);
    let before = lab.processor().len();
    std::thread::sleep(time);
    let readings = lab.processor();
    let readings = readings.get(before..).unwrap_or_default();
    let rates = readings.iter().filter_map(|earlier| {
        let end = earlier.at + STRETCH;
        let later = readings.iter().find(|later| later.at >= end)?;
        Some(later.each_second_since(earlier))
    });
    rates
        .min()
        .ok_or_else(|| "nobody meters this guest".to_owned())
}

/// Lets time go by.
fn pass(time: Duration) {
    let start = Instant::now();
    wait::holds_within(time * 2, &mut || start.elapsed() >= time);
}
