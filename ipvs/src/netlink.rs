//! One blocking netlink engine: requests, dumps and batches whose every error reaches the caller.
//!
//! It knows framing and acknowledgements, not what the messages say, so that IPVS (generic netlink)
//! and addresses (`NETLINK_ROUTE`) share it. The kernel carries a request out within `send`, so
//! nothing is gained by waiting asynchronously; a receive timeout bounds what a fault could block.
//!
//! ```no_run
//! use ipvs::netlink::{Attributes, Batch, Connection, Family, flags};
//!
//! const RTM_NEWADDR: u16 = 20; // linux/rtnetlink.h
//! const RTM_GETADDR: u16 = 22;
//! const IFA_LOCAL: u16 = 2; // linux/if_addr.h
//!
//! # fn main() -> Result<(), ipvs::netlink::Error> {
//! let mut route = Connection::open(Family::Route)?;
//!
//! // struct ifaddrmsg: family, prefix length, flags, scope, interface index
//! for message in &route.dump(RTM_GETADDR, 0, &[0; 8])? {
//!     for attribute in message.attributes_after(8) {
//!         if attribute.kind == IFA_LOCAL {
//!             println!("{:?}", attribute.payload);
//!         }
//!     }
//! }
//!
//! let mut batch = Batch::default();
//! batch.push(RTM_NEWADDR, flags::CREATE | flags::EXCL, |message| {
//!     message.raw(&[2, 32, 0, 0]).raw(&7_u32.to_ne_bytes());
//!     message.bytes(IFA_LOCAL, &[192, 0, 2, 80]);
//! });
//! for outcome in route.batch(&batch)? {
//!     if let Err(refusal) = outcome {
//!         println!("{refusal}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod attr;
mod batch;
mod error;
mod frame;
mod pace;
mod socket;
#[cfg(test)]
mod tests;

use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

pub use attr::{Attribute, Attributes, Writer};
pub use batch::Batch;
pub use error::{Error, KernelError};
pub use frame::{Message, Messages, Replies, flags};

use frame::Verdict;
use pace::Pace;
use socket::{Received, Socket};

/// Dumps that the kernel marks as changed beneath us are repeated this often before giving up.
const DUMP_ATTEMPTS: u32 = 10;

/// How long an answer may take before it is given up. The kernel's are ready at once; the slowest
/// known command waits for one grace period of RCU, some ten milliseconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a netlink socket talks to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// `NETLINK_ROUTE`: links, addresses, routes.
    Route,
    /// `NETLINK_GENERIC`: families with names, IPVS among them.
    Generic,
}

/// A netlink socket with its buffers and sequence numbers.
///
/// It belongs to the network namespace of the thread that opened it. After a failure that leaves
/// answers in flight it opens itself anew on next use, so an error never spoils later requests.
pub struct Connection {
    family: Family,
    socket: Socket,
    timeout: Duration,
    pace: Pace,
    groups: Vec<u32>,
    strict: bool,
    received: Received,
    outgoing: Vec<u8>,
    sequence: u32,
    spoiled: bool,
}

impl Connection {
    /// Opens a socket with extended acknowledgements and [`DEFAULT_TIMEOUT`].
    ///
    /// # Errors
    /// [`Error::Open`] when the kernel refuses the socket or one of its settings.
    pub fn open(family: Family) -> Result<Self, Error> {
        Ok(Self {
            family,
            socket: Socket::open(family, DEFAULT_TIMEOUT)?,
            timeout: DEFAULT_TIMEOUT,
            pace: Pace::up_to(batch::CHUNK_MESSAGES),
            groups: Vec::new(),
            strict: false,
            received: Received::for_answers(),
            outgoing: Vec::new(),
            sequence: 0,
            spoiled: false,
        })
    }

    /// Sets how long an answer may take; must not be zero.
    ///
    /// # Errors
    /// [`Error::Open`] when the kernel refuses the setting.
    pub fn set_timeout(&mut self, timeout: Duration) -> Result<(), Error> {
        self.socket.set_timeout(timeout)?;
        self.timeout = timeout;
        Ok(())
    }

    /// Has the kernel read the headers of dump requests as filters, so that it lists, for example,
    /// one routing table only (`NETLINK_GET_STRICT_CHK`). Kernels before 4.20 don't know how, and
    /// list everything.
    pub fn filter_dumps(&mut self) {
        self.strict = true;
        self.socket.check_strictly();
    }

    /// Sets how many messages of a [`batch`](Self::batch) go in one send at most; 256 by default.
    /// Fewer go where they take the kernel so long that others would wait: it does a send's work
    /// within the system call, in which many kernels let nobody else run.
    ///
    /// More than 256 gains little, and risks [`Error::Overrun`] where many are refused: each
    /// refusal takes some 1,300 of the socket's 1,048,576 bytes.
    pub fn set_messages_per_send(&mut self, messages: NonZero<usize>) {
        self.pace = Pace::up_to(messages);
    }

    /// How many messages of a [`batch`](Self::batch) the next send takes, by what the last took.
    pub fn messages_per_send(&self) -> usize {
        self.pace.messages()
    }

    /// Joins a multicast group, such as `RTNLGRP_LINK`; read it with [`events`](Self::events).
    ///
    /// Use a connection of its own for this: requests drop events that arrive in between.
    ///
    /// # Errors
    /// [`Error::Open`] when the group does not exist or the caller may not join it.
    pub fn subscribe(&mut self, group: u32) -> Result<(), Error> {
        self.ready()?;
        self.socket.join(group)?;
        self.groups.push(group);
        self.received = Received::for_events();
        Ok(())
    }

    /// Takes what has arrived for the joined groups, without waiting for more.
    ///
    /// # Errors
    /// [`Error::Overrun`] when the kernel had to drop events: what they told must be read afresh.
    pub fn events(&mut self) -> Result<Replies, Error> {
        self.ready()?;
        let mut replies = Replies::default();
        loop {
            self.socket.receive_waiting(&mut self.received)?;
            for message in self.received.datagrams().flat_map(Messages::new) {
                replies.push(&message?);
            }
            if !self.received.is_full() {
                return Ok(replies);
            }
        }
    }

    /// Sends one request and returns what the kernel answered before its acknowledgement.
    ///
    /// `NLM_F_REQUEST` and `NLM_F_ACK` are added to `flags`.
    ///
    /// # Errors
    /// [`Error::Kernel`] when the kernel refuses it, otherwise what befell the socket.
    pub fn request(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<Replies, Error> {
        let sequence = self.send_one(kind, flags | flags::ACK, payload)?;
        let mut replies = Replies::default();
        let outcome = self.collect(sequence, &mut replies);
        self.spoil_unless_answered(&outcome);
        outcome?;
        Ok(replies)
    }

    /// Asks for a listing and returns all of it; an incomplete one is an error.
    ///
    /// `NLM_F_REQUEST` and `NLM_F_DUMP` are added to `flags`. A listing that the kernel says has
    /// changed while it was read (`NLM_F_DUMP_INTR`) is read again.
    ///
    /// # Errors
    /// [`Error::Kernel`] when the kernel refuses or breaks off, [`Error::Unsteady`] when the
    /// listing changed during each of ten attempts, otherwise what befell the socket.
    pub fn dump(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<Replies, Error> {
        let mut replies = Replies::default();
        self.dump_into(kind, flags, payload, &mut replies)?;
        Ok(replies)
    }

    /// Like [`dump`](Self::dump), into a buffer of the caller, which is emptied first.
    ///
    /// # Errors
    /// As for [`dump`](Self::dump).
    pub fn dump_into(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        replies: &mut Replies,
    ) -> Result<(), Error> {
        for _ in 0..DUMP_ATTEMPTS {
            replies.clear();
            let sequence = self.send_one(kind, flags | flags::DUMP, payload)?;
            let outcome = self.collect(sequence, replies);
            self.spoil_unless_answered(&outcome);
            if outcome? == Completeness::Whole {
                return Ok(());
            }
        }
        Err(Error::Unsteady)
    }

    /// Carries out many requests with few system calls; one outcome each, in their order.
    ///
    /// A refused request does not stop those after it. `NLM_F_REQUEST` is added to each message's
    /// flags; acknowledgements are asked for as needed.
    ///
    /// # Errors
    /// What befell the socket. How many of the requests were carried out is then unknown, so what
    /// they were to change must be read afresh.
    pub fn batch(&mut self, batch: &Batch) -> Result<Vec<Result<(), KernelError>>, Error> {
        self.ready()?;
        let mut outcomes = Vec::with_capacity(batch.len());
        while let Some(chunk) = batch.chunk(outcomes.len(), self.pace.messages()) {
            let first = self.sequence.wrapping_add(1);
            chunk.write(first, &mut self.outgoing);
            self.sequence = self.sequence.wrapping_add(chunk.len() + 1);
            let outcome = self.acknowledged(first, chunk.len(), &mut outcomes);
            if outcome.is_err() {
                self.spoiled = true;
            }
            outcome?;
        }
        Ok(outcomes)
    }

    /// Sends what is in `outgoing` and appends an outcome for each of its messages but the last,
    /// whose answer ends the wait. A message without an answer is done.
    fn acknowledged(
        &mut self,
        first: u32,
        count: u32,
        outcomes: &mut Vec<Result<(), KernelError>>,
    ) -> Result<(), Error> {
        let base = outcomes.len();
        outcomes.extend((0..count).map(|_| Ok(())));
        let start = Instant::now();
        self.socket.send(&self.outgoing)?;
        self.pace.learn(count as usize, start.elapsed());
        loop {
            self.socket.receive(&mut self.received)?;
            for message in self.received.datagrams().flat_map(Messages::new) {
                let message = message?;
                let place = message.sequence.wrapping_sub(first);
                if place > count {
                    continue;
                }
                let Verdict::Answer(answer) = message.verdict()? else {
                    continue;
                };
                if place == count {
                    return Ok(());
                }
                if let Some(outcome) = outcomes.get_mut(base + place as usize) {
                    *outcome = answer;
                }
            }
        }
    }

    fn send_one(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<u32, Error> {
        self.ready()?;
        self.sequence = self.sequence.wrapping_add(1);
        self.outgoing.clear();
        frame::write(
            &mut self.outgoing,
            kind,
            flags | flags::REQUEST,
            self.sequence,
            |writer| {
                writer.raw(payload);
            },
        );
        self.socket.send(&self.outgoing)?;
        Ok(self.sequence)
    }

    /// Receives until the acknowledgement, the end of the dump, or an error.
    fn collect(&mut self, sequence: u32, replies: &mut Replies) -> Result<Completeness, Error> {
        let mut completeness = Completeness::Whole;
        loop {
            self.socket.receive(&mut self.received)?;
            for message in self.received.datagrams().flat_map(Messages::new) {
                let message = message?;
                if message.sequence != sequence {
                    continue;
                }
                if message.flags & flags::DUMP_INTR != 0 {
                    completeness = Completeness::ChangedMeanwhile;
                }
                match message.verdict()? {
                    Verdict::Data => replies.push(&message),
                    Verdict::Nothing => {}
                    Verdict::Answer(Ok(())) => return Ok(completeness),
                    Verdict::Answer(Err(refusal)) => return Err(Error::Kernel(refusal)),
                }
            }
        }
    }

    fn spoil_unless_answered(&mut self, outcome: &Result<Completeness, Error>) {
        if !matches!(outcome, Ok(_) | Err(Error::Kernel(_))) {
            self.spoiled = true;
        }
    }

    fn ready(&mut self) -> Result<(), Error> {
        if self.spoiled {
            let socket = Socket::open(self.family, self.timeout)?;
            for group in &self.groups {
                socket.join(*group)?;
            }
            if self.strict {
                socket.check_strictly();
            }
            self.socket = socket;
            self.spoiled = false;
        }
        Ok(())
    }
}

impl AsFd for Connection {
    /// For waiting until there are [`events`](Self::events).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether a listing stood still while it was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Completeness {
    Whole,
    ChangedMeanwhile,
}
