//! The connection to the kernel's IPVS.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Stdio;

use crate::change::Change;
use crate::command::Command;
use crate::error::{Error, Refusal, errno};
use crate::kernel::Kernel;
use crate::model::{Info, ListedDestination, ListedService, ServiceKey, SyncDaemon, Timeouts};
use crate::netlink::{self, Batch, Connection, Family, KernelError, Replies, Writer};
use crate::outline::{self, OutlinedService};
use crate::wire::{self, command};

/// The kernel's own listing, of the network namespace of the thread that asks.
const TABLE_FILE: &str = "/proc/thread-self/net/ip_vs";

/// The kernel hands out what it has written at once: a page, or a service if that is longer.
const READ_BYTES: usize = 64 * 1024;

/// How often an outline is begun anew because the table changed meanwhile.
const OUTLINE_ATTEMPTS: u32 = 3;

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
        let family = find_or_load_family(&mut connection)?;
        Ok(Self {
            connection,
            family,
            request: Vec::new(),
            replies: Replies::default(),
        })
    }

    /// Sets how many changes go in one send at most, which the kernel carries out within one system
    /// call; 256 by default. Fewer go where they take long.
    pub fn set_changes_per_send(&mut self, changes: NonZero<usize>) {
        self.connection.set_messages_per_send(changes);
    }

    /// All services, without their destinations, in the kernel's order.
    ///
    /// Services of protocols that this version does not know are left out.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without `CAP_NET_ADMIN`, [`Error::NoIpvs`] when the module has been
    /// removed, otherwise what befell the socket.
    pub fn services(&mut self) -> Result<Vec<ListedService>, Error> {
        self.with_family(Self::dump_services)
    }

    /// One service with its destinations.
    ///
    /// # Errors
    /// [`Error::NoService`] when there is no such service, [`Error::NotPermitted`] without
    /// `CAP_NET_ADMIN`, otherwise what befell the socket.
    pub fn service(&mut self, key: &ServiceKey) -> Result<ListedService, Error> {
        let mut service = self.with_family(|client| client.find_service(key))?;
        service.destinations = self.dump_destinations(key)?;
        Ok(service)
    }

    /// The destinations of one service, in the kernel's order.
    ///
    /// # Errors
    /// [`Error::NoService`] when there is no such service, [`Error::NotPermitted`] without
    /// `CAP_NET_ADMIN`, otherwise what befell the socket.
    pub fn destinations(&mut self, service: &ServiceKey) -> Result<Vec<ListedDestination>, Error> {
        let destinations = self.with_family(|client| client.dump_destinations(service))?;
        // The kernel answers with an empty listing for a service that does not exist.
        if destinations.is_empty() {
            self.find_service(service)?;
        }
        Ok(destinations)
    }

    /// Does something; once more where the module has come back with another number.
    fn with_family<T>(
        &mut self,
        mut action: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match action(self) {
            Err(Error::NoIpvs) => {
                self.family = find_or_load_family(&mut self.connection)?;
                action(self)
            }
            outcome => outcome,
        }
    }

    /// Asks for one fact.
    fn ask<T>(
        &mut self,
        number: u8,
        action: &'static str,
        decode: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        self.with_family(|client| {
            wire::plain_request(&mut client.request, number);
            let replies = client
                .connection
                .request(client.family, 0, &client.request)
                .map_err(Error::while_doing(action))?;
            replies
                .iter()
                .find_map(|message| decode(message.payload))
                .ok_or(Error::Unreadable("an answer"))
        })
    }

    fn find_service(&mut self, key: &ServiceKey) -> Result<ListedService, Error> {
        wire::service_request(&mut self.request, command::GET_SERVICE, key);
        match self.connection.request(self.family, 0, &self.request) {
            Ok(replies) => replies
                .iter()
                .find_map(|message| wire::decode_service(message.payload).transpose())
                .unwrap_or(Err(Error::Unreadable("a service"))),
            Err(netlink::Error::Kernel(KernelError {
                errno: errno::ESRCH,
                ..
            })) => Err(Error::NoService(*key)),
            Err(error) => Err(Error::while_doing("look for a service")(error)),
        }
    }

    /// Sends a message for each item, in batches; one outcome each.
    fn send_all<T>(
        &mut self,
        items: &[T],
        encode: impl Fn(&mut Writer<'_>, &T),
    ) -> Result<Vec<Result<(), KernelError>>, Error> {
        let outcomes = self.send_batch(items, &encode)?;
        // To a message for a family that is gone the kernel answers ENOENT, as to some others.
        let lost = |outcome: &Result<(), KernelError>| {
            outcome
                .as_ref()
                .is_err_and(|error| error.errno == errno::ENOENT)
        };
        if outcomes.is_empty() || !outcomes.iter().all(lost) {
            return Ok(outcomes);
        }
        let family = find_or_load_family(&mut self.connection)?;
        if family == self.family {
            return Ok(outcomes);
        }
        self.family = family;
        self.send_batch(items, &encode)
    }

    fn send_batch<T>(
        &mut self,
        items: &[T],
        encode: &impl Fn(&mut Writer<'_>, &T),
    ) -> Result<Vec<Result<(), KernelError>>, Error> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut batch = Batch::default();
        // One send's worth at a time: fresh memory costs more than filling it.
        while outcomes.len() < items.len() {
            batch.clear();
            let rest = &items[outcomes.len()..];
            for item in rest.iter().take(self.connection.messages_per_send()) {
                batch.push(self.family, 0, |message| encode(message, item));
            }
            let answered = self
                .connection
                .batch(&batch)
                .map_err(Error::while_doing("change the IPVS table"))?;
            outcomes.extend(answered);
        }
        Ok(outcomes)
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
        // Listings of thousands are kept: no more room than they need.
        let mut destinations = Vec::with_capacity(self.replies.iter().count());
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

    /// It belongs to the network namespace of the calling thread, which must be the one in which
    /// the client was opened. [`listing`](Kernel::listing) stands in where the kernel's file of
    /// destinations is missing, or where the table keeps changing while it is read.
    fn outline(&mut self) -> Result<Vec<OutlinedService>, Error> {
        for _ in 0..OUTLINE_ATTEMPTS {
            let services = self.services()?;
            let Ok(file) = File::open(TABLE_FILE) else {
                break;
            };
            let blocks = outline::read(BufReader::with_capacity(READ_BYTES, file), TABLE_FILE)?;
            if let Some(outline) = outline::join(&services, blocks) {
                return Ok(outline);
            }
        }
        Ok(self.listing()?.into_iter().map(Into::into).collect())
    }

    fn execute(&mut self, commands: &[Command]) -> Result<Vec<Result<(), KernelError>>, Error> {
        self.send_all(commands, wire::encode)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, Error> {
        let outcomes = self.send_all(changes, wire::encode_change)?;
        crate::kernel::explain(changes, outcomes)
    }

    fn info(&mut self) -> Result<Info, Error> {
        self.ask(
            command::GET_INFO,
            "ask for the version of IPVS",
            wire::decode_info,
        )
    }

    fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.ask(
            command::GET_CONFIG,
            "ask for the timeouts",
            wire::decode_timeouts,
        )
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        self.with_family(|client| {
            wire::plain_request(&mut client.request, command::GET_DAEMON);
            client
                .connection
                .dump_into(client.family, 0, &client.request, &mut client.replies)
                .map_err(Error::while_doing("list the sync daemons"))?;
            client
                .replies
                .iter()
                .map(|message| wire::decode_daemon(message.payload))
                .collect()
        })
    }
}

/// The number of the family of IPVS, after trying to load the module where there is none.
fn find_or_load_family(connection: &mut Connection) -> Result<u16, Error> {
    if let Some(family) = find_family(connection)? {
        return Ok(family);
    }
    load_module();
    find_family(connection)?.ok_or(Error::NoIpvs)
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
    let _ = std::process::Command::new(loader)
        .args(["-q", "--", "ip_vs"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
