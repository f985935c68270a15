//! From values of the right kind to a model whose parts agree with each other.

mod directors;
mod groups;
mod ipvs;
mod paths;
mod servers;
mod services;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::diagnostic::{Fault, Faults, Span};
use super::model::{Config, Control, Digest, Watchdog};
use super::raw::{self, At, Field, quote};
use super::schema::cluster as c;
use super::suggest;
use super::{HostFacts, digest};

/// Builds the model and reports what contradicts itself; `None` only with a fault reported, or
/// with text lost to syntax errors.
pub(super) fn check(file: &raw::File, host: &HostFacts, faults: &mut Faults) -> Option<Config> {
    let cluster = directors::cluster(&file.cluster, faults);
    let heartbeat = directors::heartbeat(&file.heartbeat, faults);
    let directors = directors::directors(&file.directors, faults);
    directors::node(&file.directors, host, faults);
    let vips = groups::Vips::collect(&file.groups, faults);
    let reachability = paths::targets(&file.targets, &file.directors, &vips, faults);
    let groups = groups::groups(&file.groups, &file.directors, faults);
    vips.refuse_as_heartbeat_paths(&file.directors, faults);
    let virtuals = services::virtuals(&file.virtuals, &file.groups, &vips, faults);
    let ipvs = ipvs::ipvs(&file.ipvs, faults);
    if let Some(virtuals) = &virtuals {
        ipvs::refuse_mixed_families(&file.ipvs, &file.virtuals, virtuals, faults);
    }
    let control = control(&file.control, faults);
    let watchdog = watchdog(&file.watchdog);

    let mut config = Config {
        cluster: cluster?,
        heartbeat: heartbeat?,
        directors: directors?,
        groups: groups?,
        virtuals: virtuals?,
        ipvs: ipvs?,
        reachability: reachability?,
        control: control?,
        watchdog: watchdog?,
        digest: Digest::default(),
    };
    ipvs::stand_aside(&mut config);
    match digest::of(&config) {
        Ok(digest) => config.digest = digest,
        Err(error) => {
            faults.add(Fault::new(
                &(0..0),
                format!("the settings have no digest: {error}"),
            ));
        }
    }
    Some(config)
}

fn control(control: &raw::Control, faults: &mut Faults) -> Option<Control> {
    let socket = control.socket.or(c::SOCKET.default_text().to_owned())?;
    // The size of `sun_path` with its closing zero (unix(7)).
    if let Some(given) = control
        .socket
        .given()
        .filter(|given| given.value.len() > 107)
    {
        faults.add(
            Fault::new(&given.span, "the socket's path is too long")
                .label("the kernel takes at most 107 bytes"),
        );
        return None;
    }
    Some(Control {
        socket: PathBuf::from(socket),
    })
}

fn watchdog(watchdog: &raw::Watchdog) -> Option<Watchdog> {
    let device = watchdog.device.optional()?;
    Some(Watchdog {
        device: device.map(PathBuf::from),
    })
}

/// Collects named things, and reports a name that comes twice.
fn by_name<T>(
    what: &str,
    things: impl IntoIterator<Item = (Option<At<String>>, Option<T>)>,
    faults: &mut Faults,
) -> Option<BTreeMap<String, T>> {
    let mut places: BTreeMap<String, Span> = BTreeMap::new();
    let mut map = BTreeMap::new();
    let mut whole = true;
    for (name, thing) in things {
        let Some(At { value: name, span }) = name else {
            whole = false;
            continue;
        };
        if let Some(first) = places.get(&name) {
            faults.add(
                Fault::new(
                    &span,
                    format!("there are two {what}s named {}", quote(&name)),
                )
                .label("the second")
                .also(first, "the first"),
            );
            whole = false;
            continue;
        }
        places.insert(name.clone(), span);
        match thing {
            Some(thing) => drop(map.insert(name, thing)),
            None => whole = false,
        }
    }
    whole.then_some(map)
}

/// Reports more things than a heartbeat or a host can carry.
fn at_most<T>(most: usize, what: &str, list: &At<Vec<T>>, faults: &mut Faults) {
    let count = list.value.len();
    if count > most {
        faults.add(
            Fault::new(&list.span, format!("there are {count} {what}s"))
                .label(format!("expected at most {most}")),
        );
    }
}

/// The names that are readable; `None` when one is not, so that what is not found may be that one.
fn names<'f, T>(
    list: &'f Field<Vec<T>>,
    name: impl Fn(&'f T) -> &'f Field<String>,
    faults: &Faults,
) -> Option<Vec<&'f str>> {
    if faults.text_is_lost() {
        return None;
    }
    list.value()?
        .iter()
        .map(|item| name(item).value().map(String::as_str))
        .collect()
}

/// Reports a reference to something that is not there.
fn require_known(what: &str, reference: &At<String>, known: &[&str], faults: &mut Faults) -> bool {
    if known.contains(&reference.value.as_str()) {
        return true;
    }
    let fault = Fault::new(
        &reference.span,
        format!("there is no {what} {}", quote(&reference.value)),
    );
    let help = suggest::did_you_mean(&reference.value, known.iter().copied())
        .unwrap_or_else(|| format!("the {what}s are {}", some_of(known)));
    faults.add(
        fault
            .label(format!("expected the name of a {what}"))
            .help(help),
    );
    false
}

/// The first of some words, and how many more there are.
fn some_of(words: &[&str]) -> String {
    const SOME: usize = 8;
    let first = words
        .iter()
        .take(SOME)
        .map(|word| quote(word))
        .collect::<Vec<_>>()
        .join(", ");
    match words.len().saturating_sub(SOME) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
