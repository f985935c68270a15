//! What the scheduler `mh` needs beyond others: one order, and known last weights
//! (net/netfilter/ipvs/ip_vs_mh.c; `last_weight` in ip_vs_ctl.c).

use std::collections::{BTreeMap, BTreeSet};

use crate::change::Change;
use crate::model::{
    Destination, DestinationKey, Entry, ListedService, SCHEDULER_NONE, Service, ServiceKey,
};

const MH: &str = "mh";

pub(super) fn is_scheduler_of(service: &Service) -> bool {
    service.scheduler == MH
}

/// How a service is made: it gets its scheduler last.
pub(super) fn creation(key: ServiceKey, wanted: &Entry) -> Vec<Change> {
    let idle = Service {
        scheduler: SCHEDULER_NONE.to_owned(),
        ..wanted.service.clone()
    };
    let mut steps = vec![Change::AddService { key, service: idle }];
    for (server, destination) in &wanted.destinations {
        steps.extend(addition(key, *server, *destination));
    }
    steps.push(Change::EditService {
        key,
        service: wanted.service.clone(),
    });
    steps
}

/// How a destination is added so that its last weight is what is wanted.
pub(super) fn addition(
    service: ServiceKey,
    key: DestinationKey,
    destination: Destination,
) -> impl Iterator<Item = Change> {
    let before = before_rest(&destination);
    let add = Change::AddDestination {
        service,
        key,
        destination: before.unwrap_or(destination),
    };
    let edit = before.map(|_| Change::EditDestination {
        service,
        key,
        destination,
    });
    std::iter::once(add).chain(edit)
}

/// Whether the kernel shall remember a weight that the destination does not have.
pub(super) fn rests(wanted: &Destination) -> bool {
    before_rest(wanted).is_some()
}

/// What the destination must have been before its weight is taken away, if that matters.
pub(super) fn before_rest(wanted: &Destination) -> Option<Destination> {
    let weight = wanted.resting_weight.filter(|weight| *weight != 0)?;
    (wanted.weight == 0).then_some(Destination {
        weight,
        resting_weight: None,
        ..*wanted
    })
}

/// Destinations that are there and must be added once more to be in order.
///
/// The kernel puts each new one before the others. So what may stay as it is are the first wanted
/// ones, as far as each is there and newer than the one before it.
pub(super) fn misplaced(wanted: &Entry, found: &ListedService) -> BTreeSet<DestinationKey> {
    let ages: BTreeMap<_, _> = found
        .destinations
        .iter()
        .enumerate()
        .map(|(age, listed)| (listed.key, age))
        .collect();
    let mut youngest = usize::MAX;
    wanted
        .destinations
        .keys()
        .skip_while(|key| match ages.get(key) {
            Some(age) if *age < youngest => {
                youngest = *age;
                true
            }
            Some(_) | None => false,
        })
        .filter(|key| ages.contains_key(key))
        .copied()
        .collect()
}
