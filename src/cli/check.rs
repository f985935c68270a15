//! `caribe check`: whether a configuration holds, and whether this host can run it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use serde_json::json;

use super::Exit;
use super::args::CheckArgs;
use super::format::Style;
use super::output::{print, print_error, print_report, wants_colour};
use crate::config::model::HeartbeatPath;
use crate::config::{self, Config, HostFacts, Loaded, Report};
use crate::lvs;

pub(super) fn check(args: &CheckArgs) -> Exit {
    let host = match &args.node {
        _ if args.no_host => HostFacts::unchecked(),
        Some(node) => HostFacts::named(node),
        None => HostFacts::this_host(),
    };
    let loaded = config::load(&args.file, &host);
    // With --node it may be another host than this one that is meant, whose links are not here.
    let this_host = !args.no_host && args.node.is_none();
    let warnings = match &loaded {
        Ok(loaded) if this_host => warnings(loaded),
        _ => Vec::new(),
    };
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
                args.file.display(),
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
    let file = args.file.display().to_string();
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

/// What this host lacks now. It may have it by the time the director runs, so these are no errors.
fn warnings(loaded: &Loaded) -> Vec<String> {
    let mut warnings = missing_interfaces(&loaded.config);
    let own = loaded.config.directors.get(&loaded.node);
    for HeartbeatPath::Udp(address) in own.map(|it| it.paths.as_slice()).unwrap_or_default() {
        let bound = UdpSocket::bind(SocketAddr::new(*address, 0));
        if bound.is_err_and(|err| err.kind() == io::ErrorKind::AddrNotAvailable) {
            let node = &loaded.node;
            warnings.push(format!(
                "director {node}: no interface of this host has the address {address} of its path"
            ));
        }
    }
    if let Some(sync) = &loaded.config.ipvs.sync
        && is_missing(&sync.interface)
    {
        let name = &sync.interface;
        warnings.push(format!("sync: this host has no interface {name}"));
    }
    let setting = |path: &str| fs::read_to_string(Path::new("/proc/sys").join(path)).ok();
    warnings.extend(lvs::missing_for_nat(&loaded.config, setting));
    if !Path::new("/proc/net/ip_vs").exists() {
        warnings.push("the kernel has no IPVS now: try `modprobe ip_vs`".to_owned());
    }
    warnings
}

fn is_missing(interface: &str) -> bool {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None);
    any.is_ok_and(|any| netdevice::name_to_index(&any, interface) == Err(rustix::io::Errno::NODEV))
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
