//! TCP connections that are made only to see that they can be, and given up at once.
//!
//! A socket whose connection is given up (connect(2), `AF_UNSPEC`) makes the next one: it is opened,
//! set up and put under watch once, and a check takes two system calls. All are watched by one epoll
//! of their own, of which one task tells who waits.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{connect, connect_unspec, sockopt};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::failure::{Failure, Stage, words};
use crate::socket;
use crate::spec::Source;

/// Sockets that are kept for later checks; each is a descriptor.
const IDLE: usize = 128;
/// Connections that are heard of at once.
const EVENTS: usize = 256;

/// The watch over all connections, once it has been needed.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    connects: Arc<Connects>,
    reader: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Connections under way, and sockets for more.
#[derive(Debug)]
pub(crate) struct Connects {
    epoll: AsyncFd<OwnedFd>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Who waits for a socket's connection, by the socket's number.
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    /// By what they were set up for.
    idle: BTreeMap<Purpose, Vec<Socket>>,
    /// Of all purposes.
    idle_count: usize,
    next_number: u64,
}

/// Whether there is a connection, and when that was seen.
type Outcome = (bool, Instant);

/// What a socket can't be used for anything but.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Purpose {
    family: Family,
    source: Source,
}

/// Whose addresses a socket can be connected to. An IPv6 socket that was connected to an IPv4
/// address, or over one link, keeps to that.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Family {
    V4,
    V6 { mapped: bool, link: u32 },
}

/// A socket under watch. Its number is what events call it by; no other ever has the same.
#[derive(Debug)]
struct Socket {
    number: u64,
    descriptor: OwnedFd,
}

/// A connection that is awaited. Dropping it gives the connection up.
#[derive(Debug)]
pub(crate) struct Waiting {
    connects: Arc<Connects>,
    purpose: Purpose,
    socket: Option<Socket>,
    outcome: oneshot::Receiver<Outcome>,
}

impl Watch {
    /// The watch of the runtime that this is called in.
    pub(crate) fn get(&self) -> Result<Arc<Connects>, Failure> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that has ended, or whose runtime has, is replaced.
        if let Some(known) = open.as_ref().filter(|it| !it.reader.is_finished()) {
            return Ok(Arc::clone(&known.connects));
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failure)?;
        #[expect(
            deprecated,
            reason = "it is for descriptors that may change; an owned one does not"
        )]
        let epoll = AsyncFd::with_interest(epoll, Interest::READABLE)
            .map_err(|error| Failure::io(&error, Stage::Connecting))?;
        let connects = Arc::new(Connects {
            epoll,
            state: Mutex::default(),
        });
        let reader = tokio::spawn(read(Arc::clone(&connects)));
        let known = Open {
            connects: Arc::clone(&connects),
            reader,
        };
        *open = Some(known);
        Ok(connects)
    }
}

impl Connects {
    /// Begins to connect to `to`.
    pub(crate) fn begin(
        self: Arc<Self>,
        to: SocketAddr,
        source: &Source,
    ) -> Result<Waiting, Failure> {
        let purpose = Purpose {
            family: Family::of(to),
            source: source.clone(),
        };
        // Until its connection has begun, an event would tell of the one before.
        let mut state = self.state();
        let (socket, known) = match state.take_idle(&purpose) {
            Some(socket) => (socket, true),
            None => (state.open(to, source)?, false),
        };
        let begun = match connect(&socket.descriptor, &to) {
            Err(Errno::INPROGRESS) => Ok(()),
            begun => begun,
        };
        // A new one is watched when there is something to be seen.
        if !known {
            self.watch(&socket)?;
        }
        let (sender, outcome) = oneshot::channel();
        state.waiting.insert(socket.number, sender);
        drop(state);
        let waiting = Waiting {
            connects: self,
            purpose,
            socket: Some(socket),
            outcome,
        };
        begun.map_err(failure)?;
        Ok(waiting)
    }

    /// Each change is told once; a socket that is closed is watched no more (epoll(7)).
    fn watch(&self, socket: &Socket) -> Result<(), Failure> {
        let flags = epoll::EventFlags::OUT | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(socket.number);
        epoll::add(self.epoll.get_ref(), &socket.descriptor, data, flags).map_err(|errno| {
            let words = words(&errno.into());
            Failure::NotRun(format!("its connection cannot be watched: {words}"))
        })
    }

    /// Tells all who wait for what has happened.
    fn take_events(&self) {
        let mut events = Vec::with_capacity(EVENTS);
        // What is said of a socket holds as long as no other connection is begun with it.
        let mut state = self.state();
        let mut now = None;
        loop {
            events.clear();
            let at_once = Timespec::default();
            let found = epoll::wait(
                self.epoll.get_ref(),
                spare_capacity(&mut events),
                Some(&at_once),
            );
            if found.is_err_and(|errno| errno != Errno::INTR) {
                return;
            }
            for event in &events {
                let flags = event.flags;
                // What comes of giving a connection up concerns nobody.
                let Some(sender) = state.waiting.remove(&event.data.u64()) else {
                    continue;
                };
                let at = *now.get_or_insert_with(Instant::now);
                let failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
                let _ = sender.send((!failed, at));
            }
            if events.len() < EVENTS {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_idle(&mut self, purpose: &Purpose) -> Option<Socket> {
        let socket = self.idle.get_mut(purpose)?.pop()?;
        self.idle_count -= 1;
        Some(socket)
    }

    fn keep(&mut self, purpose: Purpose, socket: Socket) {
        self.idle_count += 1;
        self.idle.entry(purpose).or_default().push(socket);
    }

    fn open(&mut self, to: SocketAddr, source: &Source) -> Result<Socket, Failure> {
        let domain = Domain::for_address(to);
        let socket = socket::open(domain, source, Type::STREAM, Protocol::TCP)?;
        // However it is closed, it leaves nothing in TIME_WAIT.
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).map_err(failure)?;
        let number = self.next_number;
        self.next_number += 1;
        Ok(Socket {
            number,
            descriptor: socket.into(),
        })
    }
}

impl Family {
    fn of(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(v6) => Self::V6 {
                mapped: v6.ip().to_ipv4_mapped().is_some(),
                link: v6.scope_id(),
            },
        }
    }
}

impl Waiting {
    /// Waits for the connection; when it was made.
    pub(crate) async fn made(mut self) -> Result<Instant, Failure> {
        let told = (&mut self.outcome).await;
        let unheard = || Failure::NotRun("nobody watches connections any more".to_owned());
        let (made, at) = told.map_err(|_| unheard())?;
        match &self.socket {
            Some(socket) if !made => {
                // A connection that has been reset since has no error to tell.
                sockopt::socket_error(&socket.descriptor)
                    .and_then(|error| error)
                    .map_err(failure)?;
                Err(failure(Errno::CONNRESET))
            }
            Some(_) | None => Ok(at),
        }
    }
}

impl Drop for Waiting {
    /// Gives the connection up with a reset, or what there is of it.
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        let mut state = self.connects.state();
        state.waiting.remove(&socket.number);
        if state.idle_count < IDLE && connect_unspec(&socket.descriptor).is_ok() {
            state.keep(self.purpose.clone(), socket);
        }
    }
}

/// Reads events until it is aborted.
async fn read(connects: Arc<Connects>) {
    while let Ok(mut ready) = connects.epoll.readable().await {
        // Before they are read, so that none that comes meanwhile is missed.
        ready.clear_ready();
        connects.take_events();
    }
}

fn failure(errno: Errno) -> Failure {
    Failure::io(&errno.into(), Stage::Connecting)
}

#[cfg(test)]
mod tests;
