//! A table in memory that answers as the kernel does, for tests without one.

#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::change::{Change, Error, Refusal, errno};
use crate::client::Kernel;
use crate::model::{
    Destination, DestinationKey, Entry, Forwarding, ListedDestination, ListedService, ServiceKey,
    Stats, Table,
};
use crate::netlink::KernelError;

/// An IPVS table in memory.
#[derive(Debug, Default)]
pub struct Fake {
    /// What it holds; tests may change it as another tool would.
    pub table: Table,
    /// Schedulers that it has; empty means any.
    pub schedulers: BTreeSet<String>,
    /// Addresses of its own, whose destinations it lists as [`Forwarding::Local`].
    pub local: BTreeSet<IpAddr>,
    /// Counters that it lists.
    pub stats: BTreeMap<(ServiceKey, Option<DestinationKey>), Stats>,
    /// What the next call fails with, before it does anything.
    pub fault: Option<Error>,
    /// Every change carried out, in order.
    pub done: Vec<Change>,
}

impl Fake {
    /// A fake that holds a table.
    pub fn holding(table: Table) -> Self {
        Self {
            table,
            ..Self::default()
        }
    }

    fn carry_out(&mut self, change: &Change) -> Result<(), i32> {
        match change {
            Change::AddService { key, service } => {
                self.check_scheduler(&service.scheduler)?;
                let Slot::Vacant(slot) = self.table.entry(*key) else {
                    return Err(errno::EEXIST);
                };
                slot.insert(Entry {
                    service: service.clone(),
                    destinations: BTreeMap::new(),
                });
            }
            Change::EditService { key, service } => {
                let has = self.table.contains_key(key);
                if has {
                    self.check_scheduler(&service.scheduler)?;
                }
                self.entry(key)?.service = service.clone();
            }
            Change::RemoveService { key } => {
                self.table.remove(key).ok_or(errno::ESRCH)?;
            }
            Change::AddDestination {
                service,
                key,
                destination,
            } => {
                let seen = self.as_listed(*key, *destination);
                let entry = self.entry(service)?;
                check_destination(service, key, destination)?;
                let Slot::Vacant(slot) = entry.destinations.entry(*key) else {
                    return Err(errno::EEXIST);
                };
                slot.insert(seen);
            }
            Change::EditDestination {
                service,
                key,
                destination,
            } => {
                let seen = self.as_listed(*key, *destination);
                let entry = self.entry(service)?;
                check_destination(service, key, destination)?;
                *entry.destinations.get_mut(key).ok_or(errno::ENOENT)? = seen;
            }
            Change::RemoveDestination { service, key } => {
                self.entry(service)?
                    .destinations
                    .remove(key)
                    .ok_or(errno::ENOENT)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, key: &ServiceKey) -> Result<&mut Entry, i32> {
        self.table.get_mut(key).ok_or(errno::ESRCH)
    }

    fn check_scheduler(&self, name: &str) -> Result<(), i32> {
        if self.schedulers.is_empty() || self.schedulers.contains(name) {
            Ok(())
        } else {
            Err(errno::ENOENT)
        }
    }

    fn as_listed(&self, key: DestinationKey, destination: Destination) -> Destination {
        if self.local.contains(&key.address) {
            Destination {
                forwarding: Forwarding::Local,
                ..destination
            }
        } else {
            destination
        }
    }
}

fn check_destination(
    service: &ServiceKey,
    key: &DestinationKey,
    destination: &Destination,
) -> Result<(), i32> {
    let mixed = service.is_ipv6() != key.address.is_ipv6();
    if mixed && destination.forwarding != Forwarding::Tunnel {
        return Err(errno::EINVAL);
    }
    let thresholds_crossed = destination.lower_threshold > destination.upper_threshold;
    if i32::try_from(destination.weight).is_err() || thresholds_crossed {
        return Err(errno::ERANGE);
    }
    Ok(())
}

impl Kernel for Fake {
    fn listing(&mut self) -> Result<Vec<ListedService>, Error> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let stats = |key| self.stats.get(&key).copied().unwrap_or_default();
        let list = |(key, entry): (&ServiceKey, &Entry)| ListedService {
            key: *key,
            service: entry.service.clone(),
            stats: stats((*key, None)),
            destinations: entry
                .destinations
                .iter()
                .map(|(server, destination)| ListedDestination {
                    key: *server,
                    destination: *destination,
                    active: 0,
                    inactive: 0,
                    persistent: 0,
                    stats: stats((*key, Some(*server))),
                })
                .collect(),
        };
        Ok(self.table.iter().map(list).collect())
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, Error> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            let outcome = self.carry_out(change);
            if outcome.is_ok() {
                self.done.push(change.clone());
            }
            outcomes.push(
                outcome.map_err(|errno| Refusal::new(change, KernelError { errno, text: None })),
            );
        }
        Ok(outcomes)
    }
}
