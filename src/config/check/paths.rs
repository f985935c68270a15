//! Heartbeat paths, which must lead from each director to every other; and what is asked by ping.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::directors::once;
use super::groups::Vips;
use super::{at_most, family, quote};
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::model::{BAUD_RATES, HeartbeatPath, MAX_TARGETS};
use crate::config::raw::{self, At, Field};
use crate::config::schema::Key;
use crate::config::schema::cluster as c;

/// The unicast paths that could be read.
pub(super) fn unicast(director: &raw::Director) -> impl Iterator<Item = &At<IpAddr>> {
    let paths = director.paths.value().into_iter().flatten();
    paths.filter_map(|path| path.udp.given())
}

/// The paths of one director.
pub(super) fn build(director: &raw::Director, faults: &mut Faults) -> Option<Vec<HeartbeatPath>> {
    let paths = director.paths.value()?;
    let built: Vec<_> = paths.iter().map(|path| one(path, faults)).collect();
    let built = built.into_iter().collect::<Option<Vec<_>>>()?;
    // A director's own lines and groups; addresses are compared over all directors.
    let mut places: BTreeMap<String, &Span> = BTreeMap::new();
    for (path, raw) in built.iter().zip(paths) {
        let place = match path {
            HeartbeatPath::Udp(_) => continue,
            HeartbeatPath::Serial { device, .. } => device.display().to_string(),
            HeartbeatPath::Broadcast { .. } | HeartbeatPath::Multicast { .. } => path.place(0),
        };
        if let Some(first) = places.insert(place, &raw.span) {
            let text = format!("a director has the same {} path twice", path.kind());
            faults.add(
                Fault::new(&raw.span, text)
                    .label("the second time")
                    .also(first, "the first time"),
            );
        }
    }
    Some(built)
}

fn one(path: &raw::Path, faults: &mut Faults) -> Option<HeartbeatPath> {
    let kinds = kinds(path);
    match kinds.as_slice() {
        [] => {
            if !is_broken(path) {
                faults.add(
                    Fault::new(&path.span, "the path does not say which way it goes")
                        .label("expected one of `udp`, `broadcast`, `multicast`, `serial`"),
                );
            }
            return None;
        }
        [_] => {}
        [(first, place), (second, other), ..] => {
            let text = format!("a path goes one way, not by `{first}` and `{second}`");
            faults.add(Fault::new(other, text).also(place, "the first way"));
            return None;
        }
    }
    if let Some(at) = path.udp.given() {
        without(
            path,
            &[&c::PATH_INTERFACE, &c::PATH_TTL, &c::PATH_BAUD],
            "udp",
            faults,
        )?;
        return Some(HeartbeatPath::Udp(at.value));
    }
    if let Some(at) = path.broadcast.given() {
        without(path, &[&c::PATH_TTL, &c::PATH_BAUD], "broadcast", faults)?;
        let interface = path.interface.optional()?;
        if at.value == Ipv4Addr::BROADCAST && interface.is_none() {
            faults.add(
                Fault::new(&at.span, "255.255.255.255 needs an `interface`")
                    .label("it says nothing of the network"),
            );
            return None;
        }
        return Some(HeartbeatPath::Broadcast {
            address: at.value,
            interface,
        });
    }
    if let Some(at) = path.multicast.given() {
        without(path, &[&c::PATH_BAUD], "multicast", faults)?;
        let ttl = u8::try_from(c::PATH_TTL.default_integer()).unwrap_or(1);
        let Some(interface) = path.interface.optional()? else {
            faults.add(
                Fault::new(&at.span, "a multicast path needs an `interface`")
                    .label("the group may be on any network"),
            );
            return None;
        };
        return Some(HeartbeatPath::Multicast {
            group: at.value,
            interface,
            ttl: path.ttl.or(ttl)?,
        });
    }
    let device = path.serial.value()?;
    without(path, &[&c::PATH_INTERFACE, &c::PATH_TTL], "serial", faults)?;
    let default = u32::try_from(c::PATH_BAUD.default_integer()).unwrap_or_default();
    let baud = path.baud.or(default)?;
    if let Some(given) = path.baud.given().filter(|_| !BAUD_RATES.contains(&baud)) {
        let rates: Vec<_> = BAUD_RATES.iter().map(ToString::to_string).collect();
        faults.add(
            Fault::new(&given.span, format!("no serial line runs at {baud} baud"))
                .label(format!("expected one of {}", rates.join(", "))),
        );
        return None;
    }
    Some(HeartbeatPath::Serial {
        device: PathBuf::from(device),
        baud,
    })
}

/// The kinds that a path is said to be of.
fn kinds(path: &raw::Path) -> Vec<(&'static str, &Span)> {
    let udp = path.udp.given().map(|at| ("udp", &at.span));
    let broadcast = path.broadcast.given().map(|at| ("broadcast", &at.span));
    let multicast = path.multicast.given().map(|at| ("multicast", &at.span));
    let serial = path.serial.given().map(|at| ("serial", &at.span));
    let kinds = [udp, broadcast, multicast, serial];
    kinds.into_iter().flatten().collect()
}

/// Whether something of the path has been reported.
fn is_broken(path: &raw::Path) -> bool {
    matches!(path.udp, Field::Broken)
        || matches!(path.broadcast, Field::Broken)
        || matches!(path.multicast, Field::Broken)
        || matches!(path.serial, Field::Broken)
}

/// Refuses keys that mean nothing for a path of this kind.
fn without(path: &raw::Path, keys: &[&Key], kind: &str, faults: &mut Faults) -> Option<()> {
    for key in keys {
        let given = match key.name {
            "interface" => path.interface.given().map(|at| &at.span),
            "ttl" => path.ttl.given().map(|at| &at.span),
            _ => path.baud.given().map(|at| &at.span),
        };
        if let Some(span) = given {
            let text = format!("`{}` has no meaning with `{kind}`", key.name);
            faults.add(Fault::new(span, text).label("remove it"));
            return None;
        }
    }
    Some(())
}

/// Path `i` of each director must be able to talk to path `i` of every other.
pub(super) fn agree(directors: &[raw::Director], faults: &mut Faults) {
    once(
        "heartbeat address",
        directors
            .iter()
            .flat_map(unicast)
            .map(|at| (&at.value, &at.span)),
        faults,
    );
    for director in directors {
        if let Some(paths) = director
            .paths
            .given()
            .filter(|paths| paths.value.is_empty())
        {
            faults.add(
                Fault::new(&paths.span, "the director has no heartbeat path")
                    .label("expected at least one, such as { udp = \"192.0.2.11\" }"),
            );
            return;
        }
    }
    let mut with_paths = directors
        .iter()
        .filter_map(|director| director.paths.given());
    let Some(first) = with_paths.next() else {
        return;
    };
    if directors.len() > 2 {
        for at in first.value.iter().filter_map(|path| path.serial.given()) {
            let text = format!("a serial line cannot join {} directors", directors.len());
            faults.add(Fault::new(&at.span, text).label("expected two directors"));
        }
    }
    for paths in with_paths {
        let (expected, found) = (first.value.len(), paths.value.len());
        if found != expected {
            faults.add(
                Fault::new(
                    &paths.span,
                    "directors have different numbers of heartbeat paths",
                )
                .label(format!("{found} here"))
                .also(&first.span, format!("{expected} here"))
                .help("the first path of one talks to the first of the other, and so on"),
            );
            continue;
        }
        for (index, (a, b)) in first.value.iter().zip(&paths.value).enumerate() {
            pair_agrees(index + 1, a, b, faults);
        }
    }
}

fn pair_agrees(number: usize, a: &raw::Path, b: &raw::Path, faults: &mut Faults) {
    let (kinds_a, kinds_b) = (kinds(a), kinds(b));
    let ([(kind_a, place_a)], [(kind_b, place_b)]) = (kinds_a.as_slice(), kinds_b.as_slice())
    else {
        return;
    };
    let mut differ = |what: &str, a: (String, &Span), b: (String, &Span)| {
        let text = format!("path {number} of two directors is of two {what}");
        faults.add(Fault::new(b.1, text).label(b.0).also(a.1, a.0));
    };
    if kind_a != kind_b {
        let (a, b) = ((*kind_a).to_owned(), (*kind_b).to_owned());
        return differ("kinds", (a, place_a), (b, place_b));
    }
    if let (Some(a), Some(b)) = (a.udp.given(), b.udp.given())
        && a.value.is_ipv4() != b.value.is_ipv4()
    {
        let (one, other) = (family(a.value).to_owned(), family(b.value).to_owned());
        differ("families", (one, &a.span), (other, &b.span));
    }
    if let (Some(a), Some(b)) = (a.broadcast.given(), b.broadcast.given())
        && a.value != b.value
    {
        let (one, other) = (a.value.to_string(), b.value.to_string());
        differ("networks", (one, &a.span), (other, &b.span));
    }
    if let (Some(a), Some(b)) = (a.multicast.given(), b.multicast.given())
        && a.value != b.value
    {
        let (one, other) = (a.value.to_string(), b.value.to_string());
        differ("groups", (one, &a.span), (other, &b.span));
    }
    if a.serial.given().is_some() && b.serial.given().is_some() {
        let default = u32::try_from(c::PATH_BAUD.default_integer()).unwrap_or_default();
        if let (Some(one), Some(other)) = (a.baud.or(default), b.baud.or(default))
            && one != other
        {
            let place = |path: &raw::Path| {
                path.baud
                    .given()
                    .map_or_else(|| path.span.clone(), |at| at.span.clone())
            };
            let (here, there) = (place(a), place(b));
            differ(
                "speeds",
                (one.to_string(), &here),
                (other.to_string(), &there),
            );
        }
    }
}

/// The reachability targets; none when the section is left out.
pub(super) fn targets(
    raw: &Field<Vec<At<IpAddr>>>,
    directors: &Field<Vec<raw::Director>>,
    vips: &Vips<'_>,
    faults: &mut Faults,
) -> Option<Vec<IpAddr>> {
    let given = match raw {
        Field::Absent => return Some(Vec::new()),
        Field::Broken => return None,
        Field::Given(given) => given,
    };
    if given.value.is_empty() {
        faults.add(
            Fault::new(&given.span, "there is no reachability target")
                .label("expected at least one, such as the router's address"),
        );
    }
    at_most(MAX_TARGETS, "reachability target", given, faults);
    once(
        "reachability target",
        given.value.iter().map(|at| (&at.value, &at.span)),
        faults,
    );
    for target in &given.value {
        let text = format!(
            "{} says nothing as a target",
            quote(&target.value.to_string())
        );
        let fault = Fault::new(&target.span, text);
        if let Some(vip) = vips.place(target.value) {
            faults.add(
                fault
                    .label("whoever is active reaches it")
                    .also(vip, "a virtual address"),
            );
            continue;
        }
        let all = directors.value().into_iter().flatten();
        if let Some(own) = all.flat_map(unicast).find(|at| at.value == target.value) {
            faults.add(
                fault
                    .label("that director always reaches it")
                    .also(&own.span, "a director's own address"),
            );
        }
    }
    Some(given.value.iter().map(|at| at.value).collect())
}
