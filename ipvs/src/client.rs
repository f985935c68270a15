//! The connection to the kernel's IPVS.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::change::{Change, Error, Refusal, errno};
use crate::model::{ListedDestination, ListedService, ServiceKey, Table, table};
use crate::netlink::{self, Batch, Connection, Family, KernelError, Replies};
use crate::wire::{self, command};

/// A reader and writer of an IPVS table: the kernel's [`Client`], or a [`Fake`](crate::fake::Fake).
pub trait Kernel {
    /// All services with their destinations and counters.
    ///
    /// # Errors
    /// When the table cannot be read whole.
    fn listing(&mut self) -> Result<Vec<ListedService>, Error>;

    /// Carries out changes in their order; one outcome each. A refused one does not stop the rest.
    ///
    /// # Errors
    /// When it is unknown which were carried out; the table must then be read afresh.
    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, Error>;

    /// All services with their destinations.
    ///
    /// # Errors
    /// As for [`listing`](Self::listing).
    fn table(&mut self) -> Result<Table, Error> {
        Ok(table(&self.listing()?))
    }
}

/// Facts about the kernel's IPVS.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Info {
    /// Major, minor and patch number.
    pub version: (u8, u8, u8),
    /// Buckets of the connection table.
    pub connection_table_size: u32,
}

/// A connection to the IPVS of the network namespace in which it was opened.
pub struct Client {
    connection: Connection,
    family: u16,
    request: Vec<u8>,
    replies: Replies,
}

impl Client {
    /// Connects, after trying to load the module where the kernel has no IPVS yet.
    ///
    /// # Errors
    /// [`Error::NoIpvs`] where that did not help, [`Error::Netlink`] without a socket.
    pub fn open() -> Result<Self, Error> {
        let mut connection = Connection::open(Family::Generic)
            .map_err(Error::while_doing("connect to the kernel"))?;
        let family = match find_family(&mut connection)? {
            Some(family) => family,
            None => {
                load_module();
                find_family(&mut connection)?.ok_or(Error::NoIpvs)?
            }
        };
        Ok(Self {
            connection,
            family,
            request: Vec::new(),
            replies: Replies::default(),
        })
    }

    /// Version and size of the kernel's IPVS.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without `CAP_NET_ADMIN`, [`Error::NoIpvs`] when the module has been
    /// removed, otherwise what befell the socket.
    pub fn info(&mut self) -> Result<Info, Error> {
        wire::plain_request(&mut self.request, command::GET_INFO);
        let replies = self
            .connection
            .request(self.family, 0, &self.request)
            .map_err(Error::while_doing("ask for the version of IPVS"))?;
        replies
            .iter()
            .find_map(|message| wire::decode_info(message.payload))
            .ok_or(Error::Unreadable("its version"))
    }

    /// All services, without their destinations, in the kernel's order.
    ///
    /// Services of protocols that this version does not know are left out.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without `CAP_NET_ADMIN`, [`Error::NoIpvs`] when the module has been
    /// removed, otherwise what befell the socket.
    pub fn services(&mut self) -> Result<Vec<ListedService>, Error> {
        match self.dump_services() {
            // The module may have been reloaded, with another number for its family.
            Err(Error::NoIpvs) => {
                self.family = find_family(&mut self.connection)?.ok_or(Error::NoIpvs)?;
                self.dump_services()
            }
            outcome => outcome,
        }
    }

    /// The destinations of one service, in the kernel's order.
    ///
    /// # Errors
    /// [`Error::NoService`] when there is no such service, [`Error::NotPermitted`] without
    /// `CAP_NET_ADMIN`, otherwise what befell the socket.
    pub fn destinations(&mut self, service: &ServiceKey) -> Result<Vec<ListedDestination>, Error> {
        let destinations = self.dump_destinations(service)?;
        // The kernel answers with an empty listing for a service that does not exist.
        if destinations.is_empty() {
            self.require(service)?;
        }
        Ok(destinations)
    }

    fn require(&mut self, service: &ServiceKey) -> Result<(), Error> {
        wire::service_request(&mut self.request, command::GET_SERVICE, service);
        match self.connection.request(self.family, 0, &self.request) {
            Ok(_) => Ok(()),
            Err(netlink::Error::Kernel(KernelError {
                errno: errno::ESRCH,
                ..
            })) => Err(Error::NoService(*service)),
            Err(error) => Err(Error::while_doing("look for a service")(error)),
        }
    }

    fn dump_services(&mut self) -> Result<Vec<ListedService>, Error> {
        wire::plain_request(&mut self.request, command::GET_SERVICE);
        self.connection
            .dump_into(self.family, 0, &self.request, &mut self.replies)
            .map_err(Error::while_doing("list services"))?;
        let mut seen = BTreeSet::new();
        let mut services = Vec::new();
        for message in &self.replies {
            let Some(service) = wire::decode_service(message.payload)? else {
                continue;
            };
            // Dumps resume by position, so a change meanwhile can repeat an entry.
            if seen.insert(service.key) {
                services.push(service);
            }
        }
        Ok(services)
    }

    fn dump_destinations(&mut self, service: &ServiceKey) -> Result<Vec<ListedDestination>, Error> {
        wire::service_request(&mut self.request, command::GET_DEST, service);
        self.connection
            .dump_into(self.family, 0, &self.request, &mut self.replies)
            .map_err(Error::while_doing("list destinations"))?;
        let mut seen = BTreeSet::new();
        let mut destinations = Vec::new();
        for message in &self.replies {
            let destination = wire::decode_destination(message.payload, service.is_ipv6())?;
            if seen.insert(destination.key) {
                destinations.push(destination);
            }
        }
        Ok(destinations)
    }
}

impl Kernel for Client {
    fn listing(&mut self) -> Result<Vec<ListedService>, Error> {
        let mut services = self.services()?;
        for service in &mut services {
            service.destinations = self.dump_destinations(&service.key)?;
        }
        Ok(services)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, Error> {
        let mut batch = Batch::default();
        for change in changes {
            batch.push(self.family, 0, |message| wire::encode(message, change));
        }
        let outcomes = self
            .connection
            .batch(&batch)
            .map_err(Error::while_doing("change the IPVS table"))?;
        let denied = outcomes.iter().any(|outcome| {
            outcome
                .as_ref()
                .is_err_and(|error| error.errno == errno::EPERM)
        });
        if denied {
            return Err(Error::NotPermitted);
        }
        Ok(outcomes
            .into_iter()
            .zip(changes)
            .map(|(outcome, change)| outcome.map_err(|error| Refusal::new(change, error)))
            .collect())
    }
}

/// The number that the kernel gave to the family of IPVS, if it has it.
fn find_family(connection: &mut Connection) -> Result<Option<u16>, Error> {
    let mut request = Vec::new();
    wire::family_request(&mut request);
    match connection.request(wire::GENL_ID_CTRL, 0, &request) {
        Ok(replies) => {
            let family = replies
                .iter()
                .find_map(|message| wire::decode_family(message.payload));
            family.map(Some).ok_or(Error::Unreadable("its families"))
        }
        Err(netlink::Error::Kernel(KernelError {
            errno: errno::ENOENT,
            ..
        })) => Ok(None),
        Err(error) => Err(Error::while_doing("look for IPVS")(error)),
    }
}

/// Runs the kernel's own module loader, as ipvsadm does. Whether it worked shows afterwards.
fn load_module() {
    let loader = fs::read_to_string("/proc/sys/kernel/modprobe").map_or_else(
        |_| PathBuf::from("/sbin/modprobe"),
        |path| PathBuf::from(path.trim_end()),
    );
    let _ = Command::new(loader)
        .args(["-q", "--", "ip_vs"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
