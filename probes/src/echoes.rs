//! Echo requests (ping) to many targets over one socket, and whose each reply is.
//!
//! Who waits is known by a number that nobody can guess, which a reply repeats, and so do routers
//! and hosts that say why a request did not arrive. One task reads for all who share a socket.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Stage};
use crate::refusals::{self, Refusal, Returned};
use crate::socket;
use crate::spec::Source;

/// Type, code, checksum, identifier and number (RFC 792, RFC 4443).
const HEADER: usize = 8;
/// Bytes of the number by which a reply is known.
const MARK: usize = 16;
/// Bytes of replies that may wait to be read.
const RECEIVE: usize = 4 << 20;
/// Datagrams that are read before other tasks have their turn.
const BURST: usize = 64;
/// How often a request is sent that fails with what may be the error of another.
const ATTEMPTS: usize = 4;

/// Sockets by family and source, once they have been needed.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: Mutex<BTreeMap<(bool, Source), Open>>,
}

#[derive(Debug)]
struct Open {
    echoes: Arc<Echoes>,
    reader: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// One socket, and who waits for a reply.
#[derive(Debug)]
struct Echoes {
    socket: UdpSocket,
    ipv6: bool,
    /// The identifier of its requests where it is raw, and datagrams come with their IP header; other
    /// sockets have one of the kernel's.
    raw: Option<u16>,
    waiting: Mutex<BTreeMap<Request, oneshot::Sender<Reply>>>,
}

/// Whom a request went to, and its number.
type Request = (IpAddr, u128);
/// What came of it.
type Reply = Result<(), Refusal>;

/// A request whose reply is awaited.
#[derive(Debug)]
pub(crate) struct Waiting {
    echoes: Arc<Echoes>,
    request: Request,
    reply: oneshot::Receiver<Reply>,
}

impl Sockets {
    /// Sends a request from `source`.
    pub(crate) fn send(&self, to: IpAddr, source: &Source) -> Result<Waiting, Failure> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (to.is_ipv6(), source.clone());
        // A reader that has ended, or whose runtime has, is replaced.
        if let Some(known) = open.get(&key).filter(|it| !it.reader.is_finished()) {
            let sent = Arc::clone(&known.echoes).send(to);
            if sent.is_ok() || !source.may_go() {
                return sent;
            }
            // What it comes from may have gone, and even be back: a new socket sees that.
        }
        let new = Open::new(to.is_ipv6(), source)?;
        let waiting = Arc::clone(&new.echoes).send(to)?;
        open.insert(key, new);
        Ok(waiting)
    }
}

impl Open {
    fn new(ipv6: bool, source: &Source) -> Result<Self, Failure> {
        let (socket, raw) = open_socket(ipv6, source)?;
        refusals::keep(&socket, ipv6).map_err(|error| Failure::io(&error, Stage::Connecting))?;
        // Replies to many requests come together; what the host does not grant is not needed.
        if let Err(error) = socket.set_recv_buffer_size(RECEIVE) {
            tracing::debug!(error = %words::of(&error), "a small buffer for echo replies");
        }
        // It is sent and received on as UDP's are, but for what the datagrams mean.
        let socket = UdpSocket::from_std(socket.into())
            .map_err(|error| Failure::io(&error, Stage::Connecting))?;
        let echoes = Echoes {
            socket,
            ipv6,
            raw: raw.then(|| fastrand::u16(..)),
            waiting: Mutex::default(),
        };
        Ok(Self::reading(Arc::new(echoes)))
    }

    fn reading(echoes: Arc<Echoes>) -> Self {
        Self {
            reader: tokio::spawn(read(Arc::clone(&echoes))),
            echoes,
        }
    }
}

/// A socket for echo requests that the kernel numbers and sorts (icmp(7)); where the host does not
/// allow them, a raw one, which needs `CAP_NET_RAW`.
fn open_socket(ipv6: bool, source: &Source) -> Result<(Socket, bool), Failure> {
    let (domain, protocol) = if ipv6 {
        (Domain::IPV6, Protocol::ICMPV6)
    } else {
        (Domain::IPV4, Protocol::ICMPV4)
    };
    match socket::open(domain, source, Type::DGRAM, protocol) {
        Ok(socket) => Ok((socket, false)),
        Err(first) => {
            let raw = socket::open(domain, source, Type::RAW, protocol);
            raw.map(|socket| (socket, true)).map_err(|_| match first {
                Failure::Io { what, .. } => Failure::NotRun(format!(
                    "no socket for echo requests: {what} (see net.ipv4.ping_group_range in icmp(7))"
                )),
                failure => failure,
            })
        }
    }
}

impl Echoes {
    fn send(self: Arc<Self>, to: IpAddr) -> Result<Waiting, Failure> {
        let request = (to, fastrand::u128(..));
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(request, sender);
        let waiting = Waiting {
            echoes: self,
            request,
            reply,
        };
        match waiting.echoes.send_request(request) {
            Ok(()) => Ok(waiting),
            // A full queue loses the request, as a network may: the reply will be missed.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(waiting),
            Err(error) => Err(Failure::io(&error, Stage::Connecting)),
        }
    }

    /// The error of an earlier request, whomever it went to, is also told to whoever sends next
    /// (ip(7), `IP_RECVERR`): only what stays is the error of this one.
    fn send_request(&self, (to, mark): Request) -> io::Result<()> {
        let request = request(self.ipv6, self.raw, mark);
        let socket = SockRef::from(&self.socket);
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = socket
                .send_to(&request, &SocketAddr::new(to, 0).into())
                .map(drop);
            let Err(error) = &result else { break };
            if error.kind() == io::ErrorKind::WouldBlock {
                break;
            }
            self.take_returned(|| refusals::next(&self.socket));
        }
        result
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Request, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number in an echo reply; `None` for anything else.
    fn mark_of(&self, datagram: &[u8]) -> Option<u128> {
        let message = if self.raw.is_some() && !self.ipv6 {
            let words = datagram.first()? & 0x0f;
            datagram.get(usize::from(words) * 4..)?
        } else {
            datagram
        };
        let kind = if self.ipv6 { 129 } else { 0 };
        if message.first() != Some(&kind) {
            return None;
        }
        let mark = message.get(HEADER..HEADER + MARK)?;
        Some(u128::from_be_bytes(mark.try_into().ok()?))
    }

    fn take(&self, datagram: &[u8], from: IpAddr) {
        if let Some(mark) = self.mark_of(datagram) {
            self.tell((from, mark), Ok(()));
        }
    }

    /// Tells those of whose requests there are errors.
    fn take_returned(&self, mut next: impl FnMut() -> io::Result<Returned>) {
        for _ in 0..BURST {
            match next() {
                Ok(returned) => self.take_back(&returned),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn take_back(&self, returned: &Returned) {
        if let Some(refusal) = returned.refusal
            && let Some(request) = self.request_of(returned)
        {
            self.tell(request, Err(refusal));
        }
    }

    /// Whose request came back. Of one that was quoted no further than its header (RFC 792 asks for
    /// no more) the target, the identifier and the sequence number tell.
    fn request_of(&self, returned: &Returned) -> Option<Request> {
        let kind = if self.ipv6 { 128 } else { 8 };
        let quote = returned.quote.as_slice();
        let header = quote.get(..HEADER).filter(|it| it[..2] == [kind, 0])?;
        if let Some(mark) = quote.get(HEADER..HEADER + MARK) {
            return Some((returned.to, u128::from_be_bytes(mark.try_into().ok()?)));
        }
        // What has another identifier than the kernel's has not come to this socket.
        let identifier = u16::from_be_bytes([header[4], header[5]]);
        if self.raw.is_some_and(|own| own != identifier) {
            return None;
        }
        let number = u16::from_be_bytes([header[6], header[7]]);
        let waiting = self.waiting();
        let mut to_there = waiting.range((returned.to, 0)..=(returned.to, u128::MAX));
        let found = to_there.find(|((_, mark), _)| number_of(*mark) == number);
        found.map(|(request, _)| *request)
    }

    fn tell(&self, request: Request, reply: Reply) {
        if let Some(sender) = self.waiting().remove(&request) {
            // Who has given up meanwhile needs no answer.
            let _ = sender.send(reply);
        }
    }
}

impl Waiting {
    /// Waits for the reply, or for somebody who says why there will be none.
    pub(crate) async fn answered(mut self) -> Result<(), Failure> {
        match (&mut self.reply).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => Err(refusal.failure(self.request.0)),
            Err(_) => Err(Failure::NotRun(
                "nobody reads echo replies any more".to_owned(),
            )),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.echoes.waiting().remove(&self.request);
    }
}

/// Reads replies until it is aborted.
async fn read(echoes: Arc<Echoes>) {
    let mut buffer = [0; 1500];
    let interest = Interest::READABLE | Interest::ERROR;
    while let Ok(ready) = echoes.socket.ready(interest).await {
        if ready.is_error() {
            let socket = &echoes.socket;
            let next = || socket.try_io(Interest::ERROR, || refusals::next(socket));
            echoes.take_returned(next);
        }
        for _ in 0..BURST {
            match echoes.socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => echoes.take(&buffer[..length], from.ip()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The error of an earlier request, which is kept as well.
                Err(_) => {}
            }
        }
        tokio::task::yield_now().await;
    }
}

/// An echo request that carries `mark`. The kernel puts in identifier and checksum, except for those
/// of a raw socket, of which it sums up IPv6 alone.
fn request(ipv6: bool, identifier: Option<u16>, mark: u128) -> Vec<u8> {
    let kind = if ipv6 { 128 } else { 8 };
    let mut request = vec![kind, 0, 0, 0];
    request.extend_from_slice(&identifier.unwrap_or_default().to_be_bytes());
    request.extend_from_slice(&number_of(mark).to_be_bytes());
    request.extend_from_slice(&mark.to_be_bytes());
    if !ipv6 {
        let sum = checksum(&request);
        request[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    request
}

/// The sequence number of a request. Of the mark it is the part that a quote of eight bytes tells.
fn number_of(mark: u128) -> u16 {
    u16::try_from(mark & 0xffff).unwrap_or_default()
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2);
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
