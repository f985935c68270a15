//! TCP connections of probes, over sockets that are used again.
//!
//! A socket whose connection is given up (connect(2), `AF_UNSPEC`) makes the next one, unless it is
//! bound to an interface or address, which may go: it is opened, set up and put under watch once. To
//! see that a connection can be made takes two system calls, a question and its answer two more. All
//! are watched by one epoll of their own, of which one task wakes who waits.

mod connection;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{connect, sockopt};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use self::connection::Connection;
use crate::failure::{Failure, Stage};
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
    /// What is known of the connections that there are, by the socket's number.
    seen: HashMap<u64, Seen>,
    /// By what they were set up for.
    idle: BTreeMap<Purpose, Vec<Socket>>,
    /// Of all purposes.
    idle_count: usize,
    next_number: u64,
}

/// What is known of a connection.
#[derive(Debug, Default)]
struct Seen {
    /// Whether it could be made, and when that was seen.
    made: Option<(bool, Instant)>,
    /// What was told, and has not turned out to be over.
    ready: epoll::EventFlags,
    /// When something was told last.
    at: Option<Instant>,
    /// Who waits for more.
    waker: Option<Waker>,
}

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
    ) -> Result<Connection, Failure> {
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
        state.seen.insert(socket.number, Seen::default());
        drop(state);
        let connection = Connection::new(self, purpose, socket);
        begun.map_err(failure)?;
        Ok(connection)
    }

    /// Each change is told once; a socket that is closed is watched no more (epoll(7)).
    fn watch(&self, socket: &Socket) -> Result<(), Failure> {
        let flags = epoll::EventFlags::OUT
            | epoll::EventFlags::IN
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(socket.number);
        epoll::add(self.epoll.get_ref(), &socket.descriptor, data, flags).map_err(|errno| {
            let words = words::of(&errno.into());
            Failure::NotRun(format!("its connection cannot be watched: {words}"))
        })
    }

    /// Tells all who wait what has happened.
    fn take_events(&self) {
        let mut events = Vec::with_capacity(EVENTS);
        let mut now = None;
        loop {
            events.clear();
            // What is said of a socket holds as long as no other connection is begun with it.
            let mut state = self.state();
            let at_once = Timespec::default();
            let found = epoll::wait(
                self.epoll.get_ref(),
                spare_capacity(&mut events),
                Some(&at_once),
            );
            if found.is_err_and(|errno| errno != Errno::INTR) {
                return;
            }
            let wakers: Vec<Waker> = events
                .iter()
                .filter_map(|event| {
                    // What comes of giving a connection up concerns nobody.
                    let seen = state.seen.get_mut(&event.data.u64())?;
                    seen.note(event.flags, *now.get_or_insert_with(Instant::now));
                    seen.waker.take()
                })
                .collect();
            drop(state);
            // Whoever is woken may want the state.
            wakers.into_iter().for_each(Waker::wake);
            if events.len() < EVENTS {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Takes note of what was told at `at`.
    fn note(&mut self, flags: epoll::EventFlags, at: Instant) {
        let failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
        self.made.get_or_insert((!failed, at));
        self.ready |= flags;
        self.at = Some(at);
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
