//! The cluster's directors: names, paths and timing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::{at_most, by_name, family, names, quote, some_of, suggest};
use crate::config::HostFacts;
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::duration::show;
use crate::config::model::{
    Cluster, Director, HeartbeatPath, HeartbeatTiming, MAX_DIRECTORS, MAX_PATHS,
};
use crate::config::raw::{self, At, Field};
use crate::config::schema::cluster as c;

pub(super) fn cluster(cluster: &raw::Cluster, faults: &mut Faults) -> Option<Cluster> {
    let keys = cluster.keys.given();
    if let Some(keys) = keys {
        if keys.value.is_empty() {
            faults.add(
                Fault::new(&keys.span, "the cluster has no key")
                    .label("expected at least one file")
                    .help("make one with `caribe key generate /etc/caribe/cluster.key`"),
            );
        }
        once(
            "key file",
            keys.value.iter().map(|key| (&key.value, &key.span)),
            faults,
        );
    }
    let name = cluster.name.value()?.clone();
    Some(Cluster {
        name,
        keys: keys?
            .value
            .iter()
            .map(|key| PathBuf::from(&key.value))
            .collect(),
    })
}

/// Reports what comes a second time.
fn once<'f, K: Ord + std::fmt::Display + 'f>(
    what: &str,
    items: impl Iterator<Item = (&'f K, &'f Span)>,
    faults: &mut Faults,
) {
    let mut places = BTreeMap::new();
    for (item, span) in items {
        if let Some(first) = places.get(item) {
            faults.add(
                Fault::new(
                    span,
                    format!("{what} {} is given twice", quote(&item.to_string())),
                )
                .label("the second time")
                .also(first, "the first time"),
            );
        } else {
            places.insert(item, span.clone());
        }
    }
}

pub(super) fn heartbeat(raw: &raw::Heartbeat, faults: &mut Faults) -> Option<HeartbeatTiming> {
    let keepalive = raw.keepalive.or(c::KEEPALIVE.default_duration());
    let deadtime = raw.deadtime.or(c::DEADTIME.default_duration());
    let warntime = raw.warntime.optional();
    let initdead = raw.initdead.optional();
    let port = raw
        .port
        .or(u16::try_from(c::HEARTBEAT_PORT.default_integer()).unwrap_or_default());

    let (keepalive, deadtime) = (keepalive?, deadtime?);
    if deadtime <= keepalive * 2 {
        let text = format!(
            "deadtime of {} is not above twice the keepalive of {}",
            show(deadtime),
            show(keepalive)
        );
        faults.add(match (&raw.deadtime, &raw.keepalive) {
            (Field::Given(at), other) => {
                let fault = Fault::new(&at.span, text)
                    .label(format!("expected more than {}", show(keepalive * 2)));
                match other {
                    Field::Given(other) => fault.also(&other.span, "the keepalive"),
                    Field::Absent | Field::Broken => fault,
                }
            }
            (Field::Absent | Field::Broken, Field::Given(at)) => Fault::new(&at.span, text)
                .label(format!("expected less than {}", show(deadtime / 2)))
                .help("set `deadtime` too; this is its default"),
            (Field::Absent | Field::Broken, Field::Absent | Field::Broken) => {
                Fault::new(&(0..0), text)
            }
        });
        return None;
    }
    let warntime = warntime?.unwrap_or(deadtime / 2);
    if let Some(given) = raw.warntime.given() {
        let (fault, other, text) = if warntime >= deadtime {
            let text = format!("warntime of {} is not below deadtime", show(warntime));
            (Some(text), &raw.deadtime, "the deadtime")
        } else if warntime <= keepalive {
            let text = format!("warntime of {} is not above keepalive", show(warntime));
            (Some(text), &raw.keepalive, "the keepalive")
        } else {
            (None, &Field::Absent, "")
        };
        if let Some(message) = fault {
            let fault = Fault::new(&given.span, message).label(format!(
                "expected more than {} and less than {}",
                show(keepalive),
                show(deadtime)
            ));
            faults.add(match other.given() {
                Some(other) => fault.also(&other.span, text),
                None => fault,
            });
        }
    }
    let initdead = initdead?.unwrap_or_else(|| c::INITDEAD.default_duration().max(deadtime));
    if let Some(given) = raw.initdead.given().filter(|_| initdead < deadtime) {
        let text = format!("initdead of {} is below deadtime", show(initdead));
        let fault =
            Fault::new(&given.span, text).label(format!("expected at least {}", show(deadtime)));
        faults.add(match raw.deadtime.given() {
            Some(other) => fault.also(&other.span, "the deadtime"),
            None => fault,
        });
    }
    Some(HeartbeatTiming {
        keepalive,
        deadtime,
        warntime,
        initdead,
        port: port?,
    })
}

pub(super) fn directors(
    raw: &Field<Vec<raw::Director>>,
    faults: &mut Faults,
) -> Option<BTreeMap<String, Director>> {
    let given = raw.given()?;
    if given.value.is_empty() {
        faults.add(Fault::new(&given.span, "there is no director").label("expected at least one"));
        return None;
    }
    at_most(MAX_DIRECTORS, "director", given, faults);
    for paths in given
        .value
        .iter()
        .filter_map(|director| director.paths.given())
    {
        at_most(MAX_PATHS, "heartbeat path", paths, faults);
    }
    paths_agree(&given.value, faults);
    let paths = given.value.iter().flat_map(usable_paths);
    once(
        "heartbeat address",
        paths.map(|(_, at)| (&at.value, &at.span)),
        faults,
    );
    let built: Vec<_> = given
        .value
        .iter()
        .map(|director| (director.name.given().cloned(), build(director)))
        .collect();
    by_name("director", built, faults)
}

/// The paths that could be read, with their index.
pub(super) fn usable_paths(director: &raw::Director) -> impl Iterator<Item = (usize, &At<IpAddr>)> {
    let paths = director
        .paths
        .value()
        .map(Vec::as_slice)
        .unwrap_or_default();
    paths
        .iter()
        .enumerate()
        .filter_map(|(index, path)| Some((index, path.given()?)))
}

fn build(director: &raw::Director) -> Option<Director> {
    let paths = director.paths.value()?;
    Some(Director {
        name: director.name.value()?.clone(),
        priority: director
            .priority
            .or(u16::try_from(c::PRIORITY.default_integer()).unwrap_or_default())?,
        paths: paths
            .iter()
            .map(|path| path.value().copied().map(HeartbeatPath::Udp))
            .collect::<Option<_>>()?,
    })
}

/// Path `i` of each director must be able to talk to path `i` of every other.
fn paths_agree(directors: &[raw::Director], faults: &mut Faults) {
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
        .filter_map(|director| Some((director, director.paths.given()?)));
    let Some((first, first_paths)) = with_paths.next() else {
        return;
    };
    for (director, paths) in with_paths {
        let (expected, found) = (first_paths.value.len(), paths.value.len());
        if found != expected {
            faults.add(
                Fault::new(
                    &paths.span,
                    "directors have different numbers of heartbeat paths",
                )
                .label(format!("{found} here"))
                .also(&first_paths.span, format!("{expected} here"))
                .help("the first path of one talks to the first of the other, and so on"),
            );
            continue;
        }
        for ((i, a), (j, b)) in usable_paths(first)
            .flat_map(|one| usable_paths(director).map(move |other| (one, other)))
        {
            if i == j && a.value.is_ipv4() != b.value.is_ipv4() {
                let text = format!("path {} of two directors is of two families", i + 1);
                faults.add(
                    Fault::new(&b.span, text)
                        .label(family(b.value))
                        .also(&a.span, family(a.value)),
                );
            }
        }
    }
}

/// This host must be one of the directors.
pub(super) fn node(raw: &Field<Vec<raw::Director>>, host: &HostFacts, faults: &mut Faults) {
    let Some(known) = names(raw, |director| &director.name, faults) else {
        return;
    };
    let Some(directors) = raw.given().filter(|_| host.checks) else {
        return;
    };
    if known.is_empty() || known.contains(&host.node.as_str()) {
        return;
    }
    let message = if host.node_given {
        format!(
            "there is no director {}, which `--node` asks for",
            quote(&host.node)
        )
    } else {
        format!(
            "this host is named {}, and there is no director of that name",
            quote(&host.node)
        )
    };
    let list = some_of(&known);
    let help = match suggest::nearest(&host.node, known.iter().copied()) {
        Some(name) => format!("did you mean `--node {name}`? the directors are {list}"),
        None => format!("the directors are {list}; say which this host is with `--node NAME`"),
    };
    faults.add(
        Fault::new(&directors.span, message)
            .label("the first director")
            .help(help),
    );
}
