//! A table in memory that answers as the kernel does, for tests without one.
//!
//! What it does and refuses is that of Linux 6.1, error numbers and the order of its checks
//! included; tests hold the two against each other. It has no packets: no counters but those that
//! a test gives it, and no connections.

mod check;
#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;

use crate::change::Change;
use crate::command::Command;
use crate::error::{Error, errno};
use crate::kernel::Kernel;
use crate::model::{
    Destination, DestinationKey, Encapsulation, Entry, Forwarding, Granularity, Info,
    ListedDestination, ListedService, Persistence, Service, ServiceKey, Stats, SyncDaemon,
    SyncRole, Table, Timeouts,
};
use crate::netlink::KernelError;

/// What the kernel refuses above: `INT_MAX` ticks, at a hundred a second.
const LONGEST_TIMEOUT: u32 = i32::MAX.unsigned_abs() / 100;

/// Bytes, IP header included.
const LONGEST_PACKET: u32 = 65_535;

/// `IP_VS_SYNC_GROUP`.
const DEFAULT_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));

/// An IPVS table in memory.
#[derive(Debug)]
pub struct Fake {
    /// What it holds; tests may change it as another tool would.
    pub table: Table,
    /// Schedulers that it has; empty means any.
    pub schedulers: BTreeSet<String>,
    /// Persistence engines that it has; empty means any.
    pub engines: BTreeSet<String>,
    /// Interfaces that it has, with their MTU in bytes; empty means any, with 1500.
    pub interfaces: BTreeMap<String, u32>,
    /// Addresses whose destinations it lists as [`Forwarding::Local`], as kernels before 4.1 do
    /// with their own.
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
    /// The destinations of each service, newest first, with their last weights. What is in the
    /// table only came in another way, and counts as added last.
    pub lists: BTreeMap<ServiceKey, Vec<(DestinationKey, u32)>>,
}

impl Default for Fake {
    /// An empty table, every scheduler, and the kernel's own timeouts.
    fn default() -> Self {
        Self {
            table: Table::new(),
            schedulers: BTreeSet::new(),
            engines: BTreeSet::new(),
            interfaces: BTreeMap::new(),
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
            lists: BTreeMap::new(),
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

    /// What the kernel would fill the lookup table of a service with scheduler `mh` from: its
    /// destinations, newest first, with the last weight other than 0 of each.
    ///
    /// Those that never had such a weight have no place in the lookup table and are left out.
    pub fn weights_of_mh(&self, service: &ServiceKey) -> Vec<(DestinationKey, u32)> {
        self.list(service)
            .into_iter()
            .filter(|(_, weight)| *weight != 0)
            .collect()
    }

    /// The destinations of a service, newest first, with their last weights.
    fn list(&self, service: &ServiceKey) -> Vec<(DestinationKey, u32)> {
        let Some(entry) = self.table.get(service) else {
            return Vec::new();
        };
        let known = self.lists.get(service).map_or(&[][..], Vec::as_slice);
        let foreign = entry
            .destinations
            .iter()
            .rev()
            .filter(|(key, _)| known.iter().all(|(other, _)| other != *key))
            .map(|(key, destination)| (*key, destination.weight));
        let there = known
            .iter()
            .filter(|(key, _)| entry.destinations.contains_key(key));
        foreign.chain(there.copied()).collect()
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
                check::key(key)?;
                self.entry(key)?;
                self.stats.retain(|(service, _), _| service != key);
            }
            Command::Flush => {
                self.table.clear();
                self.lists.clear();
                self.stats.clear();
            }
            Command::SetTimeouts(timeouts) => self.set_timeouts(*timeouts)?,
            Command::StartDaemon(daemon) => {
                check::daemon(daemon, self)?;
                let mtu = self.interfaces.get(&daemon.interface).copied();
                self.daemons.push(as_started(daemon, mtu.unwrap_or(1500)));
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
        let key = change.service();
        check::key(&key)?;
        match change {
            Change::AddService { service, .. } => {
                check::names(service)?;
                if self.table.contains_key(&key) {
                    return Err(errno::EEXIST);
                }
                check::service(&key, service, self)?;
                let entry = Entry {
                    service: service_as_listed(&key, service),
                    destinations: BTreeMap::new(),
                };
                self.table.insert(key, entry);
                self.lists.remove(&key);
            }
            Change::EditService { service, .. } => {
                check::names(service)?;
                self.entry(&key)?;
                check::service(&key, service, self)?;
                self.entry(&key)?.service = service_as_listed(&key, service);
            }
            Change::RemoveService { .. } => {
                self.table.remove(&key).ok_or(errno::ESRCH)?;
                self.lists.remove(&key);
                self.stats.retain(|(service, _), _| *service != key);
            }
            Change::AddDestination {
                key: server,
                destination,
                ..
            } => {
                let seen = self.as_listed(*server, *destination);
                let mut list = self.list(&key);
                self.entry(&key)?;
                check::family(&key, server, destination, self)?;
                check::numbers(destination)?;
                let Slot::Vacant(slot) = self.entry(&key)?.destinations.entry(*server) else {
                    return Err(errno::EEXIST);
                };
                check::address(server)?;
                slot.insert(seen);
                list.insert(0, (*server, seen.weight));
                self.lists.insert(key, list);
            }
            Change::EditDestination {
                key: server,
                destination,
                ..
            } => {
                let seen = self.as_listed(*server, *destination);
                let mut list = self.list(&key);
                self.entry(&key)?;
                check::family(&key, server, destination, self)?;
                check::numbers(destination)?;
                let found = self.entry(&key)?.destinations.get_mut(server);
                *found.ok_or(errno::ENOENT)? = seen;
                for (_, last) in list.iter_mut().filter(|(other, _)| other == server) {
                    if seen.weight != 0 {
                        *last = seen.weight;
                    }
                }
                self.lists.insert(key, list);
            }
            Change::RemoveDestination { key: server, .. } => {
                let list = self.list(&key);
                let removed = self.entry(&key)?.destinations.remove(server);
                removed.ok_or(errno::ENOENT)?;
                let rest = list.into_iter().filter(|(other, _)| other != server);
                self.lists.insert(key, rest.collect());
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

    fn as_listed(&self, key: DestinationKey, destination: Destination) -> Destination {
        let tunnelled = destination.forwarding == Forwarding::Tunnel;
        Destination {
            forwarding: if self.local.contains(&key.address) {
                Forwarding::Local
            } else {
                destination.forwarding
            },
            encapsulation: if tunnelled {
                destination.encapsulation
            } else {
                Encapsulation::Ipip
            },
            resting_weight: None,
            ..destination
        }
    }
}

/// Of the wrong family's granularity the kernel reads the bytes that there are.
fn service_as_listed(key: &ServiceKey, service: &Service) -> Service {
    let mut service = service.clone();
    if let Some(Persistence { granularity, .. }) = &mut service.persistence {
        *granularity = match (*granularity, key.is_ipv6()) {
            (Granularity::Prefix(length), false) => {
                Granularity::Mask(Ipv4Addr::from(u32::from(length).to_ne_bytes()))
            }
            (Granularity::Mask(mask), true) => {
                Granularity::Prefix(check::length(mask).try_into().unwrap_or(u8::MAX))
            }
            (fitting, _) => fitting,
        };
    }
    if service.engine.as_deref() == Some("") {
        service.engine = None;
    }
    service
}

/// A daemon with what the kernel chooses (`start_sync_thread` in ip_vs_sync.c).
fn as_started(daemon: &SyncDaemon, mtu: u32) -> SyncDaemon {
    let ipv6 = daemon.group.is_some_and(|group| group.is_ipv6());
    // IP and UDP headers.
    let headers = if ipv6 { 48 } else { 28 };
    let (packet, shortest) = match daemon.role {
        SyncRole::Sender => (1500, 1),
        SyncRole::Receiver => (mtu.clamp(1500, LONGEST_PACKET), 1024),
    };
    let length = daemon.max_length.map_or(packet - headers, |length| {
        u32::from(length.get()).clamp(shortest, LONGEST_PACKET - headers)
    });
    let mut started = daemon.clone();
    started.max_length = u16::try_from(length).ok().and_then(NonZero::new);
    started.group = started.group.or(Some(DEFAULT_GROUP));
    started.port = started.port.or_else(|| NonZero::new(8848));
    started.ttl = started.ttl.or(Some(NonZero::<u8>::MIN));
    started
}

impl Kernel for Fake {
    /// Services come in the order of their keys, which is not the kernel's.
    fn listing(&mut self) -> Result<Vec<ListedService>, Error> {
        self.fail_if_told()?;
        let stats = |key| self.stats.get(&key).copied().unwrap_or_default();
        let list = |(key, entry): (&ServiceKey, &Entry)| {
            let listed = |(server, _): (DestinationKey, u32)| {
                let destination = entry.destinations.get(&server)?;
                Some(ListedDestination {
                    key: server,
                    destination: *destination,
                    active: 0,
                    inactive: 0,
                    persistent: 0,
                    stats: stats((*key, Some(server))),
                })
            };
            ListedService {
                key: *key,
                service: entry.service.clone(),
                stats: stats((*key, None)),
                destinations: self.list(key).into_iter().filter_map(listed).collect(),
            }
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
