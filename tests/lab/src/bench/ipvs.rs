//! `bench ipvs`: ipvsadm, lvsadm, the crate, and the kernel's own part of the work.

mod floor;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ipvs::{
    Client, Destination, DestinationKey, Entry, Forwarding, Kernel, Protocol, Service, ServiceKey,
    Table, plan,
};
use lab::{Lab, director, guest};

use super::{median, say, text};

/// Services, and destinations of each.
const SHAPES: [(u32, u32); 2] = [(1000, 10), (10, 1000)];

/// What both tools are asked to do, in this order, run after run.
const WORK: [(&str, &[&str]); 5] = [
    ("restore (-R)", &["-R"]),
    ("save (-S -n)", &["-S", "-n"]),
    ("list (-L -n)", &["-L", "-n"]),
    ("list --stats (-L -n --stats)", &["-L", "-n", "--stats"]),
    ("clear (-C)", &["-C"]),
];

pub(super) fn run(lab: &Lab, runs: usize) -> Result<(), String> {
    for (services, each) in SHAPES {
        let table = table(services, each);
        say(&format!(
            "{services} services x {each} destinations, median of {runs} runs in turn"
        ));
        say("");
        tools(lab, &table, runs)?;
        say("");
        let floor = floor::table(lab, &table, runs)?;
        say("");
        library(lab, &table, runs, floor)?;
        say("");
    }
    Ok(())
}

/// So many services with so many destinations each, no two alike.
fn table(services: u32, each: u32) -> Table {
    (0..services)
        .map(|number| {
            let key = ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: std::net::Ipv4Addr::from_bits(0xc612_0001 + number).into(),
                port: 80,
            };
            let destinations = (0..each)
                .map(|server| {
                    let key = DestinationKey {
                        address: std::net::Ipv4Addr::from_bits(
                            0x0a00_0001 + number * each + server,
                        )
                        .into(),
                        port: 80,
                    };
                    (
                        key,
                        Destination::new(Forwarding::Masquerade, 1 + server % 7),
                    )
                })
                .collect();
            let entry = Entry {
                service: Service::new("wlc"),
                destinations,
            };
            (key, entry)
        })
        .collect()
}

/// The table as ipvsadm saves it.
fn lines(table: &Table) -> String {
    let mut text = String::new();
    for (key, entry) in table {
        let ServiceKey::Address { address, port, .. } = key else {
            continue;
        };
        let scheduler = &entry.service.scheduler;
        text.push_str(&format!("-A -t {address}:{port} -s {scheduler}\n"));
        for (server, destination) in &entry.destinations {
            let weight = destination.weight;
            text.push_str(&format!(
                "-a -t {address}:{port} -r {server} -m -w {weight}\n"
            ));
        }
    }
    text
}

/// Does something in a network namespace of its own.
///
/// The kernel keeps removed destinations for two minutes and looks through them whenever one is
/// added (`ip_vs_trash_get_dest`), so what was measured before would be measured again.
fn afresh<T: Send>(
    lab: &Lab,
    action: impl FnOnce() -> Result<T, String> + Send,
) -> Result<T, String> {
    let host = lab.host("fresh");
    host.inside(|| {
        let outcome = action();
        clear()?;
        outcome
    })
}

/// Both tools, the same work in turn.
fn tools(lab: &Lab, table: &Table, runs: usize) -> Result<(), String> {
    let programs = ["/usr/sbin/ipvsadm".to_owned(), director::program("lvsadm")];
    fs::write("/run/table", lines(table)).map_err(|e| format!("cannot write the table: {e}"))?;
    let mut readings: [[Vec<Duration>; 2]; WORK.len()] = Default::default();
    for _ in 0..runs {
        for (program, tool) in programs.iter().zip(0..) {
            afresh(lab, || {
                for ((_, args), readings) in WORK.iter().zip(&mut readings) {
                    readings[tool].extend(timed(program, args)?);
                }
                Ok(())
            })?;
        }
    }
    say(&format!(
        "{:<30} {:>10} {:>10} {:>7}",
        "", "ipvsadm", "lvsadm", "ratio"
    ));
    for ((name, _), [theirs, ours]) in WORK.iter().zip(readings) {
        let (theirs, ours) = (median(theirs), median(ours));
        let ratio = theirs.zip(ours).map_or_else(String::new, |(theirs, ours)| {
            format!("{:.1}", theirs.as_secs_f64() / ours.as_secs_f64())
        });
        say(&format!(
            "{name:<30} {:>10} {:>10} {ratio:>7}",
            text(theirs),
            text(ours)
        ));
    }
    let peak = afresh(lab, || peak_of_restore(&programs[1]))?;
    say(&format!("peak memory of lvsadm -R: {peak} KiB"));
    Ok(())
}

/// One run of a program; nothing where it does not know the command.
fn timed(program: &str, args: &[&str]) -> Result<Option<Duration>, String> {
    let mut command = prepared(program, args)?;
    let start = Instant::now();
    let status = command
        .status()
        .map_err(|e| format!("cannot run {program}: {e}"))?;
    Ok(status.success().then(|| start.elapsed()))
}

fn prepared(program: &str, args: &[&str]) -> Result<Command, String> {
    let open = |file: std::io::Result<File>| file.map_err(|e| format!("cannot open a file: {e}"));
    let mut command = guest::command(program);
    command
        .args(args)
        .stdin(open(File::open("/run/table"))?)
        .stdout(open(File::create("/run/output"))?)
        .stderr(Stdio::null());
    Ok(command)
}

/// The most memory that a restore has held, in KiB, as seen just before its end.
fn peak_of_restore(program: &str) -> Result<u64, String> {
    let mut child = prepared(program, &["-R"])?
        .spawn()
        .map_err(|e| format!("cannot run {program}: {e}"))?;
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while let Ok(None) = child.try_wait() {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim_end_matches("kB").trim().parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(peak)
}

fn clear() -> Result<(), String> {
    Client::open()
        .and_then(|mut kernel| kernel.command(ipvs::Command::Flush))
        .map_err(|e| e.to_string())
}

/// What programs that use the crate wait for.
fn library(lab: &Lab, table: &Table, runs: usize, floor: Option<Duration>) -> Result<(), String> {
    let mut full = Vec::new();
    let mut read = Vec::new();
    let mut outline = Vec::new();
    let mut weight = Vec::new();
    let nobody = BTreeSet::new();
    for _ in 0..runs {
        let mut measure = || -> Result<(), ipvs::Error> {
            let mut kernel = Client::open()?;
            let start = Instant::now();
            let changes = plan(table, &[], &nobody);
            let refused = kernel.apply(&changes)?.into_iter().find_map(Result::err);
            full.push(start.elapsed());
            refused.map_or(Ok(()), Err)?;

            let start = Instant::now();
            let listing = kernel.listing()?;
            read.push(start.elapsed());
            drop(listing);

            let start = Instant::now();
            let listing = kernel.outline()?;
            outline.push(start.elapsed());
            drop(listing);

            let mut other = table.clone();
            if let Some(entry) = other.values_mut().next()
                && let Some(server) = entry.destinations.values_mut().next()
            {
                server.weight += 1;
            }
            let start = Instant::now();
            let changes = plan(&other, &kernel.listing()?, &nobody);
            kernel.apply(&changes)?;
            weight.push((start.elapsed(), changes.len()));
            Ok(())
        };
        afresh(lab, || measure().map_err(|e| e.to_string()))?;
    }
    let full = median(full);
    let sent = weight.iter().map(|(_, sent)| *sent).max().unwrap_or(0);
    let weight = median(weight.into_iter().map(|(taken, _)| taken).collect());
    let above = full.zip(floor).map_or_else(String::new, |(full, floor)| {
        format!(
            ", {:.2} of the floor",
            full.as_secs_f64() / floor.as_secs_f64()
        )
    });
    for (name, value, remark) in [
        ("crate: apply of the full table", full, above),
        ("crate: full read", median(read), String::new()),
        ("crate: outline", median(outline), String::new()),
        (
            "crate: one weight, read included",
            weight,
            format!(", {sent} change sent"),
        ),
    ] {
        say(&format!("{name:<34} {:>10}{remark}", text(value)));
    }
    Ok(())
}
