//! What probes have said, by target and by server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use probes::{Failure, Target, Times, Verdict, Weight};
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::health::Subscriptions;

/// What is known of a server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Its probe says that it serves.
    Up,
    /// Its probe says that it does not.
    Down,
    /// Its probe has had no result yet. A server that the kernel's table has keeps its place.
    Unknown,
    /// It has no probe, and counts as serving.
    Unchecked,
}

/// What is known of a server, why, and since when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerHealth<'a> {
    /// After counting failures and successes.
    pub health: Health,
    /// Why the last probe did not succeed, or could not run; also of an up server that has failed
    /// fewer times than it may.
    pub reason: Option<&'a Failure>,
    /// The share of connections that it asks for, if its probe asks it.
    pub weight: Option<Weight>,
    /// What will be wrong soon.
    pub warning: Option<&'a str>,
    /// When `health` became what it is; `None` without a probe.
    pub since: Option<Time>,
    /// What the probe took that had the last verdict; `None` before the first.
    pub times: Option<Times>,
}

/// The latest verdict of every target, and which servers depend on it.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    subscriptions: Subscriptions,
    /// As the subscriptions have their targets.
    states: Vec<State>,
}

#[derive(Clone, Debug)]
struct State {
    known: Known,
    /// Who depends on it: service, and server behind it.
    servers: Vec<(Arc<str>, SocketAddr)>,
}

#[derive(Clone, Debug)]
struct Known {
    health: probes::Health,
    /// Most servers have none.
    reason: Option<Box<Failure>>,
    weight: Option<Weight>,
    warning: Option<String>,
    since: Time,
    times: Option<Times>,
}

/// What the table depends on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    /// Whether the server serves.
    pub health: Health,
    /// The share of connections that it asks for; `None` for its own weight.
    pub weight: Option<Weight>,
}

impl From<Health> for Share {
    fn from(health: Health) -> Self {
        Self {
            health,
            weight: None,
        }
    }
}

impl From<ServerHealth<'_>> for Share {
    fn from(known: ServerHealth<'_>) -> Self {
        Self {
            health: known.health,
            weight: known.weight,
        }
    }
}

impl Verdicts {
    /// Takes the subscriptions of another configuration.
    ///
    /// A target that stays keeps its verdict, and one that replaces a target of other timing takes
    /// over that one's, as [`probes::Schedule::handle_targets`] does. All others are unknown.
    pub fn handle_subscriptions(&mut self, subscriptions: Subscriptions, now: Time) {
        let before = std::mem::take(&mut self.states);
        let old = std::mem::replace(&mut self.subscriptions, subscriptions);
        let known = || old.targets().iter().zip(&before);
        let gone = known().filter(|(target, _)| self.subscriptions.place(target).is_none());
        let gone: BTreeMap<_, _> = gone.map(|(target, state)| (place(target), state)).collect();
        let states = self.subscriptions.targets().iter().map(|target| {
            let same = old.place(target).and_then(|place| before.get(place));
            let before = same.or_else(|| gone.get(&place(target)).copied());
            State {
                known: before.map_or_else(|| Known::unknown(now), |it| it.known.clone()),
                // Few targets decide more than one.
                servers: Vec::with_capacity(1),
            }
        });
        self.states = states.collect();
        for (service, address, place) in self.subscriptions.iter() {
            if let Some(state) = self.states.get_mut(place) {
                state.servers.push((Arc::clone(service), address));
            }
        }
    }

    /// Takes what the runner says; whether what its servers are to be given has changed. A
    /// verdict on a
    /// target that is no longer subscribed to changes nothing.
    pub fn handle_verdict(&mut self, verdict: Verdict) -> bool {
        let place = self.subscriptions.place(&verdict.target);
        let Some(state) = place.and_then(|place| self.states.get_mut(place)) else {
            return false;
        };
        let Verdict {
            health,
            reason,
            weight,
            warning,
            since,
            times,
            target: _,
        } = verdict;
        let changed = state.known.health != health || state.known.weight != weight;
        state.known = Known {
            health,
            reason: reason.map(Box::new),
            weight,
            warning,
            since,
            // An inherited verdict is as old as the one that it comes from.
            times: times.or(state.known.times),
        };
        changed
    }

    /// What is known of the server at `address` behind `service`. The port is the one in the
    /// kernel's table: 0 behind a firewall mark.
    #[must_use]
    pub fn health_of(&self, service: &str, address: SocketAddr) -> ServerHealth<'_> {
        let place = self.subscriptions.place_of(service, address);
        let Some(state) = place.and_then(|place| self.states.get(place)) else {
            return ServerHealth {
                health: Health::Unchecked,
                reason: None,
                weight: None,
                warning: None,
                since: None,
                times: None,
            };
        };
        let known = &state.known;
        let health = match known.health {
            probes::Health::Unknown => Health::Unknown,
            probes::Health::Up => Health::Up,
            probes::Health::Down => Health::Down,
        };
        ServerHealth {
            health,
            reason: known.reason.as_deref(),
            weight: known.weight,
            warning: known.warning.as_deref(),
            since: Some(known.since),
            times: known.times,
        }
    }

    /// The servers that `target` decides, each with its service: for messages.
    #[must_use]
    pub fn servers_of(&self, target: &Target) -> &[(Arc<str>, SocketAddr)] {
        let place = self.subscriptions.place(target);
        let state = place.and_then(|place| self.states.get(place));
        state.map_or(&[], |state| &state.servers)
    }

    /// Whether every probe of `service` has had a result: what a director needs to be ready for
    /// the group of that service.
    #[must_use]
    pub fn is_complete(&self, service: &str) -> bool {
        let places = self.subscriptions.places_of_service(service);
        let mut states = places.filter_map(|place| self.states.get(place));
        states.all(|state| state.known.health != probes::Health::Unknown)
    }

    /// Which probe decides which server.
    #[must_use]
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }
}

impl Known {
    fn unknown(now: Time) -> Self {
        Self {
            health: probes::Health::Unknown,
            reason: None,
            weight: None,
            warning: None,
            since: now,
            times: None,
        }
    }
}

/// What two targets have in common whose verdicts mean the same.
fn place(target: &Target) -> (SocketAddr, &probes::spec::ProbeKind) {
    (target.address(), &target.spec().kind)
}
