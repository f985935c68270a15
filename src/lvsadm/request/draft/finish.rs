//! What a command line asks for once all of it has been read.

use ipvs::{
    Change, Destination, DestinationKey, Encapsulation, Forwarding, Persistence, Protocol, Service,
    ServiceFlags, ServiceKey,
};

use super::Draft;
use crate::lvsadm::request::{Format, Listing, Mistake, Request, What, check, wrong};
use crate::lvsadm::table::{Command, DEFAULT_SCHEDULER, SCHEDULER_FLAGS, Topic};

impl Draft {
    /// Checks the whole, and says what is to be done.
    pub(in crate::lvsadm::request) fn finish(self) -> Result<Request, Mistake> {
        let flags = self.flags()?;
        check(self.command, &self.given)?;
        match self.command {
            Command::Help => Ok(Request::Help),
            Command::Version => Ok(Request::Version),
            Command::Completions => Ok(Request::Completions(self.shell)),
            Command::List => self.listing().map(Request::List),
            Command::Save => Ok(Request::Save {
                numeric: self.has(Topic::Numeric),
            }),
            Command::Restore => Ok(Request::Restore {
                replace: self.has(Topic::Replace),
            }),
            Command::Clear => Ok(Request::Kernel(ipvs::Command::Flush)),
            Command::Zero => Ok(Request::Kernel(ipvs::Command::Zero(self.key))),
            Command::Set => Ok(Request::Kernel(ipvs::Command::SetTimeouts(self.timeouts))),
            Command::StartDaemon => Ok(Request::Kernel(ipvs::Command::StartDaemon(self.daemon))),
            Command::StopDaemon => Ok(Request::Kernel(ipvs::Command::StopDaemon(self.role))),
            Command::AddService
            | Command::EditService
            | Command::DeleteService
            | Command::AddServer
            | Command::EditServer
            | Command::DeleteServer => {
                let change = self.change(flags)?;
                Ok(Request::Kernel(ipvs::Command::Change(change)))
            }
        }
    }

    fn has(&self, topic: Topic) -> bool {
        self.given.contains(&topic)
    }

    /// A change of the table, of a command line that has what its command needs.
    fn change(self, flags: ServiceFlags) -> Result<Change, Mistake> {
        let Some(key) = self.key else {
            return wrong("no service");
        };
        match self.command {
            Command::AddService => {
                let service = self.service(&key, flags)?;
                return Ok(Change::AddService { key, service });
            }
            Command::EditService => {
                let service = self.service(&key, flags)?;
                return Ok(Change::EditService { key, service });
            }
            Command::DeleteService => return Ok(Change::RemoveService { key }),
            _ => {}
        }
        let Some((address, port)) = self.server else {
            return wrong("no real server");
        };
        let server = DestinationKey { address, port };
        if self.command == Command::DeleteServer {
            return Ok(Change::RemoveDestination {
                service: key,
                key: server,
            });
        }
        let (server, destination) = self.destination(&key, server)?;
        Ok(if self.command == Command::AddServer {
            Change::AddDestination {
                service: key,
                key: server,
                destination,
            }
        } else {
            Change::EditDestination {
                service: key,
                key: server,
                destination,
            }
        })
    }

    fn service(self, key: &ServiceKey, flags: ServiceFlags) -> Result<Service, Mistake> {
        if let ServiceKey::Address { protocol, port, .. } = key {
            if *port == 0 && self.persistence.is_none() {
                return wrong("Zero port specified for non-persistent service");
            }
            if self.one_packet && *protocol != Protocol::Udp {
                return wrong("One-Packet Scheduling is only for UDP virtual services");
            }
        }
        let scheduler = if self.scheduler.is_empty() {
            DEFAULT_SCHEDULER.to_owned()
        } else {
            self.scheduler
        };
        Ok(Service {
            scheduler,
            flags,
            persistence: self.persistence.map(|timeout| Persistence {
                timeout,
                granularity: self.granularity,
            }),
            engine: self.engine,
        })
    }

    fn destination(
        &self,
        service: &ServiceKey,
        mut key: DestinationKey,
    ) -> Result<(DestinationKey, Destination), Mistake> {
        // The kernel ignores the port of a server that packets reach unchanged.
        if let (ServiceKey::Address { port, .. }, Forwarding::Direct | Forwarding::Tunnel) =
            (service, self.forwarding)
        {
            key.port = *port;
        }
        let tunnelled = self.forwarding == Forwarding::Tunnel;
        if !tunnelled && key.address.is_ipv6() != service.is_ipv6() {
            return wrong("Different address family is allowed only for tunneling servers");
        }
        let of_tunnels = [
            Topic::TunnelType,
            Topic::TunnelPort,
            Topic::TunnelNoChecksum,
            Topic::TunnelChecksum,
            Topic::TunnelRemoteChecksum,
        ];
        if !tunnelled && of_tunnels.iter().any(|topic| self.has(*topic)) {
            return wrong("Tunnel options conflict with forward method");
        }
        let destination = Destination {
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
            encapsulation: self.encapsulation()?,
            ..Destination::new(self.forwarding, self.weight)
        };
        Ok((key, destination))
    }

    fn encapsulation(&self) -> Result<Encapsulation, Mistake> {
        let tunnel = self.tunnel;
        let (encapsulation, needs_port, allowed): (_, _, &[Topic]) = match tunnel {
            "gue" => (
                Encapsulation::Gue {
                    port: self.tunnel_port,
                    flags: self.tunnel_flags,
                },
                true,
                &[
                    Topic::TunnelPort,
                    Topic::TunnelNoChecksum,
                    Topic::TunnelChecksum,
                    Topic::TunnelRemoteChecksum,
                ],
            ),
            "gre" => (
                Encapsulation::Gre {
                    flags: self.tunnel_flags,
                },
                false,
                &[Topic::TunnelNoChecksum, Topic::TunnelChecksum],
            ),
            _ => (Encapsulation::Ipip, false, &[]),
        };
        if needs_port && !self.has(Topic::TunnelPort) {
            return wrong(format!(
                "You need to supply the 'tun-port' option for the '{tunnel}' tunnel type"
            ));
        }
        let mut checksum: Option<Topic> = None;
        for topic in [
            Topic::TunnelPort,
            Topic::TunnelNoChecksum,
            Topic::TunnelChecksum,
            Topic::TunnelRemoteChecksum,
        ] {
            if !self.has(topic) {
                continue;
            }
            let name = topic.name();
            if !allowed.contains(&topic) {
                return wrong(format!(
                    "Illegal '{name}' option with the '{tunnel}' tunnel type"
                ));
            }
            if topic == Topic::TunnelPort {
                continue;
            }
            if let Some(other) = checksum.replace(topic) {
                return wrong(format!(
                    "The option '{name}' conflicts with the '{}' option in the '{tunnel}' tunnel type",
                    other.name()
                ));
            }
        }
        Ok(encapsulation)
    }

    /// Flags by the names that the scheduler gives them.
    fn flags(&self) -> Result<ServiceFlags, Mistake> {
        let scheduler = match self.scheduler.as_str() {
            "" => DEFAULT_SCHEDULER,
            scheduler => scheduler,
        };
        let mut set = [false; 3];
        let names = self.flags_text.split(',').filter(|name| !name.is_empty());
        if !self.flags_text.is_empty() && names.clone().next().is_none() {
            return wrong(format!("invalid scheduler flag `{}'", self.flags_text));
        }
        for name in names {
            let found = SCHEDULER_FLAGS.iter().find(|(flag, ..)| *flag == name);
            let Some((_, only_for, place)) = found else {
                return wrong(format!("invalid scheduler flag `{name}'"));
            };
            if only_for.is_some_and(|only| only != scheduler) {
                return wrong(format!("incompatible scheduler flag `{name}'"));
            }
            if let Some(flag) = set.get_mut(*place) {
                *flag = true;
            }
        }
        let [fallback, port, third] = set;
        Ok(ServiceFlags {
            one_packet: self.one_packet,
            fallback,
            port,
            third,
        })
    }

    fn listing(&self) -> Result<Listing, Mistake> {
        let any = |topics: &[Topic]| topics.iter().any(|topic| self.has(*topic));
        let no_table = any(&[Topic::Connection, Topic::Timeout, Topic::Daemon]);
        let of_table = any(&[Topic::Stats, Topic::Rate, Topic::Thresholds]);
        let no_server = any(&[Topic::Timeout, Topic::Daemon]);
        if no_table && of_table || no_server && self.has(Topic::PersistentConnections) {
            return wrong("options conflicts in the list command");
        }
        let what = if self.has(Topic::Connection) {
            What::Connections
        } else if let Some(key) = self.key {
            What::Service(key)
        } else if self.has(Topic::Timeout) {
            What::Timeouts
        } else if self.has(Topic::Daemon) {
            What::Daemons
        } else {
            What::Table
        };
        let asked = [
            (Topic::Stats, Format::Stats),
            (Topic::Rate, Format::Rates),
            (Topic::Thresholds, Format::Thresholds),
            (Topic::PersistentConnections, Format::PersistentConnections),
            (Topic::TunnelInfo, Format::TunnelInfo),
        ];
        let asked = asked.into_iter().find(|(topic, _)| self.has(*topic));
        let watched_table = self.watch.is_some() && matches!(what, What::Table | What::Service(_));
        let format = match asked {
            Some((_, format)) => format,
            None if watched_table => Format::Rates,
            None => Format::Plain,
        };
        Ok(Listing {
            what,
            format,
            numeric: self.has(Topic::Numeric),
            exact: self.has(Topic::Exact),
            sorted: !self.has(Topic::NoSort),
            json: self.has(Topic::Json),
            watch: self.watch,
        })
    }
}
