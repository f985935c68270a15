//! A table in memory that answers as the kernel does, for tests without one.

#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::change::Change;
use crate::command::Command;
use crate::error::{Error, errno};
use crate::kernel::Kernel;
use crate::model::{
    Destination, DestinationKey, Entry, Forwarding, Info, ListedDestination, ListedService,
    ServiceKey, Stats, SyncDaemon, Table, Timeouts,
};
use crate::netlink::KernelError;

/// What the kernel refuses above: `INT_MAX` ticks, at a hundred a second.
const LONGEST_TIMEOUT: u32 = i32::MAX.unsigned_abs() / 100;

/// An IPVS table in memory.
#[derive(Debug)]
pub struct Fake {
    /// What it holds; tests may change it as another tool would.
    pub table: Table,
    /// Schedulers that it has; empty means any.
    pub schedulers: BTreeSet<String>,
    /// Addresses of its own, whose destinations it lists as [`Forwarding::Local`].
    pub local: BTreeSet<IpAddr>,
    /// Counters that it lists.
    pub stats: BTreeMap<(ServiceKey, Option<DestinationKey>), Stats>,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// Its sync daemons, at most one of each role.
    pub daemons: Vec<SyncDaemon>,
    /// What the next call fails with, before it does anything.
    pub fault: Option<Error>,
    /// Every change carried out, in order.
    pub done: Vec<Change>,
}

impl Default for Fake {
    /// An empty table, every scheduler, and the kernel's own timeouts.
    fn default() -> Self {
        Self {
            table: Table::new(),
            schedulers: BTreeSet::new(),
            local: BTreeSet::new(),
            stats: BTreeMap::new(),
            timeouts: Timeouts {
                tcp: 900,
                tcp_fin: 120,
                udp: 300,
            },
            daemons: Vec::new(),
            fault: None,
            done: Vec::new(),
        }
    }
}

impl Fake {
    /// A fake that holds a table.
    pub fn holding(table: Table) -> Self {
        Self {
            table,
            ..Self::default()
        }
    }

    fn fail_if_told(&mut self) -> Result<(), Error> {
        self.fault.take().map_or(Ok(()), Err)
    }

    fn carry_out(&mut self, command: &Command) -> Result<(), i32> {
        match command {
            Command::Change(change) => {
                self.change(change)?;
                self.done.push(change.clone());
            }
            Command::Zero(None) => self.stats.clear(),
            Command::Zero(Some(key)) => {
                self.entry(key)?;
                self.stats.retain(|(service, _), _| service != key);
            }
            Command::Flush => {
                self.table.clear();
                self.stats.clear();
            }
            Command::SetTimeouts(timeouts) => self.set_timeouts(*timeouts)?,
            Command::StartDaemon(daemon) => {
                if self.daemons.iter().any(|runs| runs.role == daemon.role) {
                    return Err(errno::EEXIST);
                }
                self.daemons.push(daemon.clone());
                self.daemons.sort_by_key(|daemon| daemon.role);
            }
            Command::StopDaemon(role) => {
                let running = self.daemons.len();
                self.daemons.retain(|daemon| daemon.role != *role);
                if self.daemons.len() == running {
                    return Err(errno::ESRCH);
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<(), i32> {
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

    fn set_timeouts(&mut self, wanted: Timeouts) -> Result<(), i32> {
        let pairs = [
            (wanted.tcp, &mut self.timeouts.tcp),
            (wanted.tcp_fin, &mut self.timeouts.tcp_fin),
            (wanted.udp, &mut self.timeouts.udp),
        ];
        if pairs.iter().any(|(seconds, _)| *seconds > LONGEST_TIMEOUT) {
            return Err(errno::EINVAL);
        }
        for (seconds, timeout) in pairs {
            if seconds != 0 {
                *timeout = seconds;
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
        self.fail_if_told()?;
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

    fn execute(&mut self, commands: &[Command]) -> Result<Vec<Result<(), KernelError>>, Error> {
        self.fail_if_told()?;
        Ok(commands
            .iter()
            .map(|command| {
                self.carry_out(command)
                    .map_err(|errno| KernelError { errno, text: None })
            })
            .collect())
    }

    fn info(&mut self) -> Result<Info, Error> {
        self.fail_if_told()?;
        Ok(Info {
            version: (1, 2, 1),
            connection_table_size: 4096,
        })
    }

    fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.fail_if_told()?;
        Ok(self.timeouts)
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        self.fail_if_told()?;
        Ok(self.daemons.clone())
    }
}
