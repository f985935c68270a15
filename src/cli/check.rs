//! `caribe check`: whether a configuration holds, and whether this host can run it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use rustix::termios::isatty;
use serde_json::json;

use super::Exit;
use super::args::CheckArgs;
use super::format::{Style, harmless};
use super::output::{print, print_error, print_report, wants_colour};
use super::status::difference;
use crate::config::model::{HeartbeatPath, HeartbeatTiming};
use crate::config::{self, Config, HostFacts, Loaded, Report};
use crate::control::Client;
use crate::director::frame_time;
use crate::lvs;

pub(super) fn check(args: &CheckArgs) -> Exit {
    let host = match &args.node {
        _ if args.no_host => HostFacts::unchecked(),
        Some(node) => HostFacts::named(node),
        None => HostFacts::this_host(),
    };
    let loaded = config::load(args.file(), &host.with_users());
    let mut warnings = match &loaded {
        Ok(loaded) if !args.no_host => warnings(loaded),
        _ => Vec::new(),
    };
    if let Ok(loaded) = &loaded {
        warnings.extend(loaded.warnings.iter().cloned());
        warnings.extend(ties(&loaded.config));
        warnings.extend(lvs::spread_twice(&loaded.config));
        warnings.extend(slow_lines(&loaded.config));
    }
    let printed = if args.json {
        print(&as_json(args, &loaded, &warnings))
    } else {
        show(args, &loaded, &warnings)
    };
    match (printed, loaded) {
        (Err(exit), _) => exit,
        (Ok(()), Ok(_)) => Exit::Done,
        (Ok(()), Err(_)) => Exit::Failed,
    }
}

fn show(
    args: &CheckArgs,
    loaded: &Result<Loaded, Report>,
    warnings: &[String],
) -> Result<(), Exit> {
    let colour = wants_colour(&io::stderr());
    match loaded {
        Ok(loaded) => {
            let title = Style::Warning.paint("warning", colour);
            for warning in warnings {
                print_error(&format!("{title}: {warning}\n"));
            }
            print(&format!(
                "{} is valid: {}\n",
                args.file().display(),
                summary(loaded)
            ))
        }
        Err(report) => {
            print_report(report);
            Ok(())
        }
    }
}

/// `cluster web of 2 directors, 1 group, 3 virtual services; this host is ha1`
fn summary(loaded: &Loaded) -> String {
    let Loaded { config, node, .. } = loaded;
    let mut text = format!(
        "cluster {} of {}, {}, {}",
        config.cluster.name,
        count(config.directors.len(), "director"),
        count(config.groups.len(), "group"),
        count(config.virtuals.len(), "virtual service"),
    );
    if !node.is_empty() {
        text.push_str(&format!("; this host is {node}"));
    }
    text
}

fn count(number: usize, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}

/// One object on one line: `errors` is empty exactly when `valid`.
fn as_json(args: &CheckArgs, loaded: &Result<Loaded, Report>, warnings: &[String]) -> String {
    let file = args.file().display().to_string();
    let object = match loaded {
        Ok(loaded) => json!({
            "file": file,
            "valid": true,
            "digest": loaded.config.digest.to_string(),
            "node": Some(&loaded.node).filter(|node| !node.is_empty()),
            "errors": [],
            "warnings": warnings,
        }),
        Err(report) => json!({
            "file": file,
            "valid": false,
            "errors": report,
            "warnings": [],
        }),
    };
    format!("{object}\n")
}

/// What a director that starts on this host does without for now.
pub(super) fn at_start(loaded: &Loaded) -> Vec<String> {
    let mut told = missing_devices(loaded);
    told.extend(ties(&loaded.config));
    told.extend(lvs::spread_twice(&loaded.config));
    told.extend(slow_lines(&loaded.config));
    told
}

/// What this host lacks now. It may have it by the time the director runs, so these are no errors.
fn warnings(loaded: &Loaded) -> Vec<String> {
    let mut warnings = missing_devices(loaded);
    let setting = |path: &str| fs::read_to_string(Path::new("/proc/sys").join(path)).ok();
    warnings.extend(lvs::missing_for_nat(&loaded.config, setting));
    if let Some(device) = &loaded.config.watchdog.device
        && !device.exists()
    {
        let device = device.display();
        warnings.push(format!(
            "this host has no watchdog {device}: load its driver"
        ));
    }
    if !Path::new("/proc/net/ip_vs").exists() {
        warnings.push("the kernel has no IPVS now: try `modprobe ip_vs`".to_owned());
    }
    warnings.extend(running_otherwise(&loaded.config));
    warnings
}

/// Who runs with another configuration, as the director that runs here knows; nothing where none
/// does, or it does not answer.
fn running_otherwise(config: &Config) -> Vec<String> {
    let Ok(running) = Client::new(&config.control.socket).status() else {
        return Vec::new();
    };
    let mut told = Vec::new();
    if running.config != config.digest.to_string() {
        let node = &running.node;
        told.push(format!(
            "the director that runs here, {node}, has another configuration than this file until it \
             is restarted"
        ));
    }
    told.extend(running.directors.iter().filter_map(difference));
    told.iter().map(|text| harmless(text)).collect()
}

/// Interfaces, addresses and serial lines that are not there.
fn missing_devices(loaded: &Loaded) -> Vec<String> {
    let mut warnings = missing_interfaces(&loaded.config);
    let own = loaded.config.directors.get(&loaded.node);
    for path in own.map(|it| it.paths.as_slice()).unwrap_or_default() {
        let node = &loaded.node;
        warnings.extend(unusable(path).map(|why| format!("director {node}: {why}")));
    }
    if let Some(sync) = &loaded.config.ipvs.sync
        && is_missing(&sync.interface)
    {
        let name = &sync.interface;
        warnings.push(format!("sync: this host has no interface {name}"));
    }
    warnings
}

/// Directors of equal priority that nothing but their names ranks, in some group.
fn ties(config: &Config) -> Vec<String> {
    let mut ties: BTreeSet<(u16, Vec<&str>)> = BTreeSet::new();
    for group in config.groups.values() {
        let mut equals: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for director in config.directors.values() {
            if group.prefer.as_ref() != Some(&director.name) {
                let equals = equals.entry(director.priority).or_default();
                equals.push(&director.name);
            }
        }
        ties.extend(equals.into_iter().filter(|(_, names)| names.len() > 1));
    }
    let told = |(priority, names): (u16, Vec<&str>)| {
        let first = names.first().copied().unwrap_or_default();
        format!(
            "directors {} have the same priority {priority}: {first} is preferred among them, as \
             its name sorts first",
            names.join(", ")
        )
    };
    ties.into_iter().map(told).collect()
}

fn is_missing(interface: &str) -> bool {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None);
    any.is_ok_and(|any| netdevice::name_to_index(&any, interface) == Err(rustix::io::Errno::NODEV))
}

/// Why a heartbeat path cannot be used now.
fn unusable(path: &HeartbeatPath) -> Option<String> {
    match path {
        HeartbeatPath::Udp(address) => is_elsewhere(*address)
            .then(|| format!("no interface of this host has the address {address} of its path")),
        HeartbeatPath::Broadcast {
            interface: Some(interface),
            ..
        } => missing(interface),
        HeartbeatPath::Broadcast {
            address,
            interface: None,
        } => is_elsewhere((*address).into())
            .then(|| format!("no interface of this host has the network of {address} of its path")),
        HeartbeatPath::Multicast { interface, .. } => missing(interface),
        HeartbeatPath::Serial { device, .. } => {
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let opened = open(device, flags, Mode::empty());
            let device = device.display();
            match opened.map(|line| isatty(&line)) {
                Ok(true) => None,
                Ok(false) => Some(format!("{device} of its path is no serial line")),
                Err(error) => Some(format!(
                    "cannot open the serial line {device} of its path: {}",
                    words::of(&error.into())
                )),
            }
        }
    }
}

/// Whether no interface has the address; for a broadcast address, its network.
fn is_elsewhere(address: IpAddr) -> bool {
    let bound = UdpSocket::bind(SocketAddr::new(address, 0));
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

fn missing(interface: &str) -> Option<String> {
    is_missing(interface).then(|| format!("this host has no interface {interface} of its path"))
}

/// Serial lines on which heartbeats are longer than keepalive.
fn slow_lines(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let HeartbeatTiming {
        keepalive,
        deadtime,
        ..
    } = config.heartbeat;
    for director in config.directors.values() {
        for path in &director.paths {
            let HeartbeatPath::Serial { device, baud } = path else {
                continue;
            };
            let time = frame_time(config, &director.name, *baud);
            if time <= keepalive {
                continue;
            }
            let (name, device) = (&director.name, device.display());
            let millis = time.as_millis();
            let mut text = format!(
                "director {name}: a heartbeat takes {millis}ms on {device} at {baud} baud, so it \
                 is sent there every {millis}ms, and not every keepalive"
            );
            if deadtime < time * 3 {
                let enough = (time * 3).as_millis();
                text.push_str(&format!(
                    "; deadtime should be {enough}ms or more for the path to stay up"
                ));
            }
            warnings.push(text);
        }
    }
    warnings
}

fn missing_interfaces(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for group in config.groups.values() {
        let of_vips = group.vips.iter().map(|vip| vip.interface.as_str());
        let monitored = group.monitor_links.iter().map(String::as_str);
        let names: BTreeSet<&str> = of_vips.chain(monitored).collect();
        for name in names {
            if is_missing(name) {
                warnings.push(format!(
                    "group {}: this host has no interface {name}",
                    group.name
                ));
            }
        }
    }
    warnings
}
