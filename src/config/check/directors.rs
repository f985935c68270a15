//! The cluster's directors: names, keys and timing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{at_most, by_name, names, paths, quote, some_of, suggest};
use crate::config::HostFacts;
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::duration::show;
use crate::config::model::{Cluster, Director, HeartbeatTiming, MAX_DIRECTORS, MAX_PATHS};
use crate::config::raw::{self, Field};
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
pub(super) fn once<'f, K: Ord + std::fmt::Display + 'f>(
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
    paths::agree(&given.value, faults);
    let built: Vec<_> = given
        .value
        .iter()
        .map(|director| (director.name.given().cloned(), build(director, faults)))
        .collect();
    by_name("director", built, faults)
}

fn build(director: &raw::Director, faults: &mut Faults) -> Option<Director> {
    let paths = paths::build(director, faults);
    Some(Director {
        name: director.name.value()?.clone(),
        priority: director
            .priority
            .or(u16::try_from(c::PRIORITY.default_integer()).unwrap_or_default())?,
        paths: paths?,
    })
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
    // A host's own name is hardly misspelt: what is nearest to it may be another host's.
    let meant = || suggest::nearest(&host.node, known.iter().copied());
    let help = match host.node_given.then(meant).flatten() {
        Some(name) => format!("did you mean `--node {name}`? the directors are {list}"),
        None => format!("the directors are {list}; say which this host is with `--node NAME`"),
    };
    faults.add(
        Fault::new(&directors.span, message)
            .label("the first director")
            .help(help),
    );
}
