//! Echo requests (ping) to many targets over one socket, and whose each reply is.
//!
//! Who waits is known by a number that nobody can guess, which a reply repeats. One task reads for
//! all who share a socket.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Stage};
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
pub(crate) struct Echoes {
    socket: UdpSocket,
    ipv6: bool,
    /// Datagrams come with their IP header.
    raw: bool,
    waiting: Mutex<BTreeMap<u128, (IpAddr, oneshot::Sender<()>)>>,
}

/// A request whose reply is awaited.
#[derive(Debug)]
pub(crate) struct Waiting {
    echoes: Arc<Echoes>,
    mark: u128,
    reply: oneshot::Receiver<()>,
}

impl Sockets {
    /// The socket of a family that comes from `source`.
    pub(crate) fn get(&self, ipv6: bool, source: &Source) -> Result<Arc<Echoes>, Failure> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (ipv6, source.clone());
        // A reader that has ended, or whose runtime has, is replaced.
        if let Some(known) = open.get(&key).filter(|it| !it.reader.is_finished()) {
            return Ok(Arc::clone(&known.echoes));
        }
        let (socket, raw) = open_socket(ipv6, source)?;
        // Replies to many requests come together; what the host does not grant is not needed.
        if let Err(error) = socket.set_recv_buffer_size(RECEIVE) {
            tracing::debug!(%error, "a small buffer for echo replies");
        }
        // It is sent and received on as UDP's are, but for what the datagrams mean.
        let socket = UdpSocket::from_std(socket.into())
            .map_err(|error| Failure::io(&error, Stage::Connecting))?;
        let echoes = Arc::new(Echoes {
            socket,
            ipv6,
            raw,
            waiting: Mutex::default(),
        });
        let reader = tokio::spawn(read(Arc::clone(&echoes)));
        let known = Open {
            echoes: Arc::clone(&echoes),
            reader,
        };
        open.insert(key, known);
        Ok(echoes)
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
    /// Sends a request.
    pub(crate) fn send(self: Arc<Self>, to: IpAddr) -> Result<Waiting, Failure> {
        let mark = fastrand::u128(..);
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(mark, (to, sender));
        let waiting = Waiting {
            echoes: self,
            mark,
            reply,
        };
        let request = request(waiting.echoes.ipv6, mark);
        let socket = SockRef::from(&waiting.echoes.socket);
        match socket.send_to(&request, &SocketAddr::new(to, 0).into()) {
            Ok(_) => Ok(waiting),
            // A full queue loses the request, as a network may: the reply will be missed.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(waiting),
            Err(error) => Err(Failure::io(&error, Stage::Connecting)),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u128, (IpAddr, oneshot::Sender<()>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number in an echo reply; `None` for anything else.
    fn mark_of(&self, datagram: &[u8]) -> Option<u128> {
        let message = if self.raw && !self.ipv6 {
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
        let Some(mark) = self.mark_of(datagram) else {
            return;
        };
        let mut waiting = self.waiting();
        if waiting
            .get(&mark)
            .is_some_and(|(target, _)| *target == from)
            && let Some((_, sender)) = waiting.remove(&mark)
        {
            // Who has given up meanwhile needs no answer.
            let _ = sender.send(());
        }
    }
}

impl Waiting {
    /// Waits for the reply.
    pub(crate) async fn answered(mut self) -> Result<(), Failure> {
        let answered = (&mut self.reply).await;
        answered.map_err(|_| Failure::NotRun("nobody reads echo replies any more".to_owned()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.echoes.waiting().remove(&self.mark);
    }
}

/// Reads replies until it is aborted.
async fn read(echoes: Arc<Echoes>) {
    let mut buffer = [0; 1500];
    while echoes.socket.readable().await.is_ok() {
        for _ in 0..BURST {
            match echoes.socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => echoes.take(&buffer[..length], from.ip()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The error of an earlier request.
                Err(_) => {}
            }
        }
        tokio::task::yield_now().await;
    }
}

/// An echo request that carries `mark`. The kernel puts in identifier and checksum, except for the
/// checksum of a raw IPv4 socket.
fn request(ipv6: bool, mark: u128) -> Vec<u8> {
    let kind = if ipv6 { 128 } else { 8 };
    let mut request = vec![kind, 0, 0, 0, 0, 0, 0, 1];
    request.extend_from_slice(&mark.to_be_bytes());
    if !ipv6 {
        let sum = checksum(&request);
        request[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    request
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
mod tests {
    use super::*;

    #[test]
    fn a_request_sums_up_to_nothing() {
        for mark in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            let request = request(false, mark);
            assert_eq!(request.len(), HEADER + MARK);
            assert_eq!(checksum(&request), 0);
        }
    }
}
