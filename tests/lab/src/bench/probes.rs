//! `bench probes`: keepalived's checker and caribe in turn, probing the same ten thousand targets.
//!
//! What they ask is a server that counts and times every question, so that both are measured from
//! outside: the processor that a check takes, how late it comes, and how long it takes from the
//! start until all targets have been found well and are in the kernel's table. What a bare loop needs
//! to ask all of them once shows what is possible there.

mod bare;
mod loopback;
mod server;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ipvs::{Client, Kernel};
use lab::{Cable, Host, Lab, Process, director};

use super::{median, say, text};
pub(super) use loopback::run as on_host;
use server::{Arrivals, Server};

/// Services, and servers of each: ten thousand targets.
const SERVICES: u16 = 100;
const SERVERS: u16 = 100;
const TARGETS: usize = SERVICES as usize * SERVERS as usize;
/// From one check of a target to the next: two thousand checks a second.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long checks are counted.
const WINDOW: Duration = Duration::from_secs(20);
/// What the first round of all targets may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at the table.
const LOOK: Duration = Duration::from_millis(100);
/// What a target may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Peer {
    Keepalived,
    Caribe,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tcp,
    Http,
}

/// What one run shows.
struct Reading {
    per_check: Duration,
    checks: usize,
    first_round: Duration,
    memory: u64,
    /// How late checks came: median, 99 of 100, latest.
    late: [Duration; 3],
}

pub(super) fn run(lab: &Lab, runs: usize) -> Result<(), String> {
    say(&format!(
        "{TARGETS} targets, each every {} s; median of {runs} runs in turn",
        INTERVAL.as_secs()
    ));
    for kind in [Kind::Tcp, Kind::Http] {
        let mut readings: [Vec<Reading>; 2] = Default::default();
        let mut floors = Vec::new();
        for _ in 0..runs {
            floors.push(floor(lab, kind)?);
            for (peer, readings) in [Peer::Keepalived, Peer::Caribe]
                .into_iter()
                .zip(&mut readings)
            {
                readings.push(measure(lab, peer, kind)?);
            }
        }
        table(kind, &readings);
        let name = "a bare loop asks all once in";
        say(&format!("{name:<34} {:>12}", text(median(floors))));
    }
    Ok(())
}

fn table(kind: Kind, [theirs, ours]: &[Vec<Reading>; 2]) {
    say("");
    say(&format!(
        "{:<34} {:>12} {:>12} {:>7}",
        format!("{kind:?} checks"),
        "keepalived",
        "caribe",
        "ratio"
    ));
    type Figure = fn(&Reading) -> Duration;
    type Count = fn(&Reading) -> u64;
    let figures: [(&str, Figure); 5] = [
        ("processor per check", |r| r.per_check),
        ("start to the last first verdict", |r| r.first_round),
        ("late, median", |r| r.late[0]),
        ("late, 99 of 100", |r| r.late[1]),
        ("late, most", |r| r.late[2]),
    ];
    for (name, figure) in figures {
        let middle = |all: &[Reading]| median(all.iter().map(figure).collect());
        let (theirs, ours) = (middle(theirs), middle(ours));
        let ratio = theirs.zip(ours).map_or_else(String::new, |(theirs, ours)| {
            format!("{:.2}", ours.as_secs_f64() / theirs.as_secs_f64())
        });
        say(&format!(
            "{name:<34} {:>12} {:>12} {ratio:>7}",
            text(theirs),
            text(ours)
        ));
    }
    let middle = |all: &[Reading], figure: Count| {
        let mut figures: Vec<u64> = all.iter().map(figure).collect();
        figures.sort_unstable();
        figures.get(figures.len() / 2).copied().unwrap_or(0)
    };
    let counts: [(&str, Count); 2] = [
        ("checks a second", |r| r.checks as u64 / WINDOW.as_secs()),
        ("resident memory, KiB", |r| r.memory),
    ];
    for (name, figure) in counts {
        let (theirs, ours) = (middle(theirs, figure), middle(ours, figure));
        let ratio = ours as f64 / theirs.max(1) as f64;
        say(&format!("{name:<34} {theirs:>12} {ours:>12} {ratio:>7.2}"));
    }
}

/// Who asks, and who is asked.
struct Field<'l> {
    lab: &'l Lab,
    director: Host,
    cables: [Cable; 2],
    server: Server,
}

impl<'l> Field<'l> {
    fn new(lab: &'l Lab, kind: Kind) -> Result<Self, String> {
        let switch = lab.bridge("checks");
        let (director, servers) = (lab.host("director"), lab.host("servers"));
        let cables = [
            director.connect(&switch, "eth0", &["10.21.0.1/16"]),
            servers.connect(&switch, "eth0", &["10.21.0.2/16"]),
        ];
        servers.ip(&["route add local 10.20.0.0/16 dev lo".to_owned()]);
        director.ip(&["route add 10.20.0.0/16 via 10.21.0.2".to_owned()]);
        let server = Server::start(&servers, kind)?;
        Ok(Self {
            lab,
            director,
            cables,
            server,
        })
    }

    fn end(self) {
        self.server.stop();
        // The kernel takes its time to clear up behind a host; the next has the same names.
        self.cables.into_iter().for_each(Cable::remove);
        self.lab.remove_bridge("checks");
    }
}

/// What a bare loop takes to ask all targets once.
fn floor(lab: &Lab, kind: Kind) -> Result<Duration, String> {
    let field = Field::new(lab, kind)?;
    let question: &[u8] = match kind {
        Kind::Tcp => &[],
        Kind::Http => b"GET / HTTP/1.1\r\nHost: target\r\nConnection: close\r\n\r\n",
    };
    let targets = (0..SERVICES).flat_map(|service| {
        (0..SERVERS).map(move |number| (server(service, number), server::PORT).into())
    });
    let start = Instant::now();
    let asked = field.director.inside(|| bare::ask(targets, question));
    let took = start.elapsed();
    field.end();
    asked.map_err(|e| format!("a bare loop: {e}"))?;
    Ok(took)
}

/// One daemon, from its start until its checks have been counted.
fn measure(lab: &Lab, peer: Peer, kind: Kind) -> Result<Reading, String> {
    let field = Field::new(lab, kind)?;
    let (director, server) = (&field.director, &field.server);
    director.write(director::KEY, 0o600, &"6b".repeat(32));
    let command = configure(director, peer, kind);
    let words: Vec<&str> = command.iter().map(String::as_str).collect();

    let start = Instant::now();
    let mut process = director.spawn(&words);
    let first_round = first_round(director, server, start);
    let reading = if let Some(first_round) = first_round {
        // What was late in the first round is not counted with what comes after, nor the way from
        // there to a target's own moments, which takes caribe up to one interval and a half.
        std::thread::sleep(INTERVAL * 3 / 2);
        let before = (processor(&process), server.arrivals());
        std::thread::sleep(WINDOW);
        let after = (processor(&process), server.arrivals());
        Ok(read(&process, first_round, before, after))
    } else {
        Err(format!(
            "{peer:?} had {} of {TARGETS} servers after {LIMIT:?}\n{}",
            entries(director),
            process.log()
        ))
    };
    end(&mut process);
    field.end();
    reading
}

fn read(
    process: &Process,
    first_round: Duration,
    before: (Duration, Arrivals),
    after: (Duration, Arrivals),
) -> Reading {
    let checks = after.1.count - before.1.count;
    let mut late: Vec<Duration> = after.1.gaps[before.1.gaps.len()..]
        .iter()
        .map(|gap| gap.saturating_sub(INTERVAL))
        .collect();
    late.sort_unstable();
    let at = |share: f64| {
        let place = (late.len() as f64 * share) as usize;
        late.get(place.min(late.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    Reading {
        per_check: (after.0 - before.0) / u32::try_from(checks.max(1)).unwrap_or(u32::MAX),
        checks,
        first_round,
        memory: family(process.pid()).into_iter().map(memory).sum(),
        late: [at(0.5), at(0.99), at(1.0)],
    }
}

/// Writes what a daemon is to do; the command that starts it.
fn configure(host: &Host, peer: Peer, kind: Kind) -> Vec<String> {
    let (path, config) = match peer {
        Peer::Caribe => (director::CONFIG, caribe_config(kind)),
        Peer::Keepalived => ("/run/caribe/keepalived.conf", keepalived_config(kind)),
    };
    host.write(path, 0o644, &config);
    let caribe = director::program("caribe");
    let command: &[&str] = match peer {
        Peer::Caribe => &[&caribe, "run", "--config", path],
        Peer::Keepalived => &[
            "keepalived",
            "--dont-fork",
            "--check",
            "--use-file",
            path,
            "--pid",
            "/run/caribe/k.pid",
            "--checkers_pid",
            "/run/caribe/c.pid",
        ],
    };
    command.iter().map(|word| (*word).to_owned()).collect()
}

fn end(process: &mut Process) {
    for child in family(process.pid()) {
        if let Some(pid) = i32::try_from(child)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    process.kill();
}

fn service(number: u16) -> u16 {
    1000 + number
}

fn server(service: u16, number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a14_0101 + u32::from(service) * 256 + u32::from(number))
}

fn caribe_config(kind: Kind) -> String {
    let (interval, timeout) = (INTERVAL.as_secs(), TIMEOUT.as_secs());
    let ask = match kind {
        Kind::Tcp => "tcp = true",
        Kind::Http => "http = \"/\", status = 200",
    };
    let mut config = format!(
        "[cluster]\nname = \"bench\"\nkeys = [\"{}\"]\n\
         [heartbeat]\nkeepalive = \"200ms\"\ndeadtime = \"600ms\"\ninitdead = \"600ms\"\n\
         [[director]]\nname = \"director\"\npaths = [{{ udp = \"10.21.0.1\" }}]\n\
         [[group]]\nname = \"vip\"\n\
         vips = [{{ address = \"10.21.0.80/16\", interface = \"eth0\" }}]\n",
        director::KEY
    );
    for number in 0..SERVICES {
        let _ = write!(
            config,
            "[[virtual]]\nname = \"v{number}\"\ngroup = \"vip\"\naddress = \"10.21.0.80\"\n\
             port = {}\nscheduler = \"rr\"\nforward = \"nat\"\n\
             probe = {{ {ask}, interval = \"{interval}s\", timeout = \"{timeout}s\" }}\n",
            service(number)
        );
        for place in 0..SERVERS {
            let address = server(number, place);
            let _ = write!(
                config,
                "[[virtual.server]]\naddress = \"{address}\"\nport = {}\n",
                server::PORT
            );
        }
    }
    config
}

fn keepalived_config(kind: Kind) -> String {
    let (interval, timeout) = (INTERVAL.as_secs(), TIMEOUT.as_secs());
    let check = match kind {
        Kind::Tcp => format!("TCP_CHECK {{\n connect_timeout {timeout}\n }}"),
        Kind::Http => format!(
            "HTTP_GET {{\n url {{\n path /\n status_code 200\n }}\n connect_timeout {timeout}\n }}"
        ),
    };
    let mut config = String::new();
    for number in 0..SERVICES {
        let _ = write!(
            config,
            "virtual_server 10.21.0.80 {} {{\n delay_loop {interval}\n lvs_sched rr\n \
             lvs_method NAT\n protocol TCP\n alpha\n",
            service(number)
        );
        for place in 0..SERVERS {
            let address = server(number, place);
            let _ = write!(
                config,
                " real_server {address} {} {{\n weight 1\n {check}\n }}\n",
                server::PORT
            );
        }
        config.push_str("}\n");
    }
    config
}

/// Waits until all servers are in the table.
fn first_round(director: &Host, server: &Server, start: Instant) -> Option<Duration> {
    while start.elapsed() < LIMIT {
        // To look takes the processor from those who are looked at, and shows nothing before all
        // have been asked.
        if server.asked() >= TARGETS && entries(director) == TARGETS {
            return Some(start.elapsed());
        }
        std::thread::sleep(LOOK);
    }
    None
}

/// How many servers the kernel's table has.
fn entries(host: &Host) -> usize {
    host.inside(|| {
        let outline = Client::open().and_then(|mut kernel| kernel.outline());
        outline.map_or(0, |services| {
            services.iter().map(|s| s.destinations.len()).sum()
        })
    })
}

/// A process and its children.
fn family(pid: u32) -> BTreeSet<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = numbers.filter(|child| stat(*child, PARENT) == Some(u64::from(pid)));
    children.chain([pid]).collect()
}

// Places in /proc/PID/stat after the name (proc_pid_stat(5)).
const PARENT: usize = 1;
const USER: usize = 11;
const SYSTEM: usize = 12;

fn stat(pid: u32, place: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(place)?.parse().ok()
}

/// What a daemon has taken of the processor.
fn processor(process: &Process) -> Duration {
    let ticks: u64 = family(process.pid())
        .into_iter()
        .flat_map(|pid| [stat(pid, USER), stat(pid, SYSTEM)])
        .flatten()
        .sum();
    let in_a_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs_f64(ticks as f64 / in_a_second as f64)
}

/// What a process holds of the memory, in KiB; its part of what it shares.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0)
}

/// The address that a question came to, as a number from 0, if it is a target's.
fn target(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address else {
        return None;
    };
    let [_, _, service, server] = address.octets();
    let service = usize::from(service).checked_sub(1)?;
    let server = usize::from(server).checked_sub(1)?;
    (server < SERVERS.into() && service < SERVICES.into())
        .then_some(service * usize::from(SERVERS) + server)
}
