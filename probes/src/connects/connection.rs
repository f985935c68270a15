//! A connection over one of the shared sockets: made, spoken over, and given up.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, Shutdown, connect_unspec, getsockname, recv, send, shutdown, sockopt,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::Instant;

use super::{Connects, IDLE, Purpose, Socket, failure};
use crate::failure::Failure;

/// Whatever ends a connection ends all waiting for it.
const ENDED: EventFlags = EventFlags::ERR.union(EventFlags::HUP);
const READABLE: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(ENDED);
const WRITABLE: EventFlags = EventFlags::OUT.union(ENDED);

/// A connection, or one that is being made. Dropping it gives the connection up with a reset, or
/// what there is of it. One task at a time may wait for it.
#[derive(Debug)]
pub(crate) struct Connection {
    connects: Arc<Connects>,
    purpose: Purpose,
    /// There until it is dropped.
    socket: Option<Socket>,
}

impl Connection {
    pub(super) fn new(connects: Arc<Connects>, purpose: Purpose, socket: Socket) -> Self {
        Self {
            connects,
            purpose,
            socket: Some(socket),
        }
    }

    /// Waits until it is made; when that was seen.
    pub(crate) async fn made(&mut self) -> Result<Instant, Failure> {
        let (made, at) = poll_fn(|cx| self.poll_made(cx)).await.map_err(failure)?;
        if made {
            return Ok(at);
        }
        // A connection that has been reset since has no error to tell.
        let socket = self.socket().map_err(failure)?;
        sockopt::socket_error(&socket.descriptor)
            .and_then(|error| error)
            .map_err(failure)?;
        Err(failure(Errno::CONNRESET))
    }

    /// Adds what comes to `input`, `room` bytes at most; 0 for the end. Cancelled, it leaves the
    /// input as it is.
    pub(crate) async fn read_to(&mut self, input: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        poll_fn(|cx| {
            // Thousands of probes wait at a time: there is a buffer only when there is something to
            // put into it.
            self.poll_io(cx, READABLE, |descriptor| {
                let begin = input.len();
                input.resize(begin + room, 0);
                let read = recv(descriptor, &mut input[begin..], RecvFlags::empty());
                let read = read.map(|(length, _)| length);
                input.truncate(begin + read.unwrap_or(0));
                read
            })
        })
        .await
    }

    /// When something was seen of it last.
    pub(crate) fn seen(&self) -> Option<Instant> {
        let number = self.socket.as_ref()?.number;
        self.connects.state().seen.get(&number)?.at
    }

    /// From where it comes.
    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        let address = getsockname(&self.socket()?.descriptor)?;
        Ok(SocketAddr::try_from(address)?)
    }

    /// Says that no more will be said.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        Ok(shutdown(&self.socket()?.descriptor, Shutdown::Write)?)
    }

    pub(super) fn socket(&self) -> Result<&Socket, Errno> {
        self.socket.as_ref().ok_or(Errno::NOTCONN)
    }

    fn poll_made(&self, cx: &mut Context<'_>) -> Poll<Result<(bool, Instant), Errno>> {
        let number = self.socket()?.number;
        let mut state = self.connects.state();
        let seen = state.seen.get_mut(&number).ok_or(Errno::NOTCONN)?;
        match seen.made {
            Some(made) => Poll::Ready(Ok(made)),
            None => {
                seen.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Tries `io` when it is ready for what is `wanted`, until it does not have to wait.
    fn poll_io(
        &self,
        cx: &mut Context<'_>,
        wanted: EventFlags,
        mut io: impl FnMut(&OwnedFd) -> Result<usize, Errno>,
    ) -> Poll<io::Result<usize>> {
        let socket = self.socket()?;
        // A server that is always ready leaves time for others.
        let turn = ready!(coop::poll_proceed(cx));
        // Changes are told once: no event is read between trying in vain and taking note of that.
        let mut state = self.connects.state();
        let seen = state.seen.get_mut(&socket.number).ok_or(Errno::NOTCONN)?;
        while seen.ready.intersects(wanted) {
            match io(&socket.descriptor) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => seen.ready.remove(wanted),
                done => {
                    turn.made_progress();
                    return Poll::Ready(done.map_err(io::Error::from));
                }
            }
        }
        seen.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = ready!(self.poll_io(cx, READABLE, |descriptor| {
            let read = recv(descriptor, into.initialize_unfilled(), RecvFlags::empty());
            read.map(|(length, _)| length)
        }))?;
        into.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(cx, WRITABLE, |descriptor| {
            send(descriptor, bytes, SendFlags::NOSIGNAL)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shut_down())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        let mut state = self.connects.state();
        let seen = state.seen.remove(&socket.number);
        // That what it came from is gone must be seen, and not taken for the server's fault.
        let lasts = !self.purpose.source.may_go();
        if lasts && state.idle_count < IDLE && connect_unspec(&socket.descriptor).is_ok() {
            state.keep(self.purpose.clone(), socket);
        }
        drop(state);
        // With it goes a waker, and with that perhaps a task.
        drop(seen);
    }
}
