//! The socket: neli's, with the settings and errors that the engine relies on.
#![expect(
    unsafe_code,
    reason = "neli's socket lends its descriptor as a bare number only, and receives one datagram \
              at a time"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};

use super::Family;
use super::error::Error;

/// Room for the errors of a whole chunk and for bursts of events; the default holds some 160.
const RECEIVE_MEMORY: usize = 1024 * 1024;

/// Enough for every message the kernel sends: dumps fill at most 32 KiB (`netlink_recvmsg`).
const RECEIVE_BYTES: usize = 64 * 1024;

/// How many datagrams are taken at a time at most.
const DATAGRAMS: usize = 32;
/// Of a listing, whose parts are large.
const PARTS: usize = 4;

/// Room for what one receive brings.
pub(super) struct Received {
    /// One piece of memory, which costs nothing until it is written to.
    buffer: Vec<u8>,
    lengths: [usize; DATAGRAMS],
}

impl Received {
    /// Room for some parts of a listing.
    pub(super) fn for_answers() -> Self {
        Self::new(PARTS)
    }

    /// Room for a burst of events, each in a datagram of its own.
    pub(super) fn for_events() -> Self {
        Self::new(DATAGRAMS)
    }

    fn new(datagrams: usize) -> Self {
        Self {
            buffer: vec![0; datagrams * RECEIVE_BYTES],
            lengths: [0; DATAGRAMS],
        }
    }

    /// Whether there was no room for more.
    pub(super) fn is_full(&self) -> bool {
        self.datagrams().count() * RECEIVE_BYTES == self.buffer.len()
    }

    /// The datagrams of the last receive, in their order.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let buffers = self.buffer.chunks_exact(RECEIVE_BYTES);
        let filled = buffers.zip(self.lengths).filter(|(_, length)| *length > 0);
        filled.map(|(buffer, length)| &buffer[..length])
    }
}

pub(super) struct Socket {
    inner: NlSocket,
    family: Family,
}

impl Socket {
    pub(super) fn open(family: Family, timeout: Duration) -> Result<Self, Error> {
        let protocol = match family {
            Family::Route => NlFamily::Route,
            Family::Generic => NlFamily::Generic,
        };
        let open = |source| Error::Open { family, source };
        let inner = NlSocket::connect(protocol, None, Groups::empty()).map_err(open)?;
        let socket = Self { inner, family };
        socket.set_timeout(timeout)?;
        // Kernels before 4.12 have no extended acknowledgements: their errors come without text.
        let _ = socket.inner.enable_ext_ack(true);
        // Without CAP_NET_ADMIN the memory is what net.core.rmem_max allows.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_MEMORY).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_MEMORY);
        }
        Ok(socket)
    }

    /// Kernels before 4.20 know no strict checking; what they list must be filtered.
    pub(super) fn check_strictly(&self) {
        let _ = self.inner.enable_strict_checking(true);
    }

    pub(super) fn set_timeout(&self, timeout: Duration) -> Result<(), Error> {
        sockopt::set_socket_timeout(self, Timeout::Recv, Some(timeout)).map_err(|errno| {
            Error::Open {
                family: self.family,
                source: errno.into(),
            }
        })
    }

    pub(super) fn join(&self, group: u32) -> Result<(), Error> {
        self.inner
            .add_mcast_membership(Groups::new_groups(&[group]))
            .map_err(|source| Error::Open {
                family: self.family,
                source,
            })
    }

    /// Hands all of `bytes` to the kernel, which carries them out before this returns.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match self.inner.send(bytes, Msg::empty()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Send(error)),
            }
        }
    }

    /// Waits for one datagram, and takes what else is there; fills `received`.
    ///
    /// The kernel makes each part of a listing, and its end, while the part before is taken. So
    /// where listings are short, one system call in three is saved.
    pub(super) fn receive(&self, received: &mut Received) -> Result<(), Error> {
        self.receive_with(libc::MSG_WAITFORONE, received)
    }

    /// Takes what is there, as much as there is room for in `received`, and waits for nothing.
    pub(super) fn receive_waiting(&self, received: &mut Received) -> Result<(), Error> {
        match self.receive_with(libc::MSG_DONTWAIT, received) {
            Err(Error::Timeout) => Ok(()),
            outcome => outcome,
        }
    }

    fn receive_with(&self, flag: libc::c_int, received: &mut Received) -> Result<(), Error> {
        received.lengths = [0; DATAGRAMS];
        let datagrams = received.buffer.len() / RECEIVE_BYTES;
        let mut buffers = received.buffer.chunks_exact_mut(RECEIVE_BYTES);
        let mut vectors = [(); DATAGRAMS].map(|()| {
            let buffer = buffers.next().unwrap_or_default();
            libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            }
        });
        let mut headers = vectors.each_mut().map(|vector| {
            // SAFETY: all of its fields may be zero, pointers being null then.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        let count = loop {
            // SAFETY: each of the first `datagrams` headers has one vector, which covers a buffer
            // that nothing else uses meanwhile; there are more headers than is said.
            let count = unsafe {
                libc::recvmmsg(
                    self.inner.as_raw_fd(),
                    headers.as_mut_ptr(),
                    datagrams as libc::c_uint,
                    flag | libc::MSG_TRUNC,
                    std::ptr::null_mut(),
                )
            };
            if let Ok(count) = usize::try_from(count) {
                break count;
            }
            let error = io::Error::last_os_error();
            match Errno::from_io_error(&error) {
                Some(Errno::INTR) => {}
                Some(Errno::AGAIN) => return Err(Error::Timeout),
                Some(Errno::NOBUFS) => return Err(Error::Overrun),
                _ => return Err(Error::Receive(error)),
            }
        };
        for (header, place) in headers.iter().zip(&mut received.lengths).take(count) {
            let length = header.msg_len as usize;
            if length > RECEIVE_BYTES {
                return Err(Error::Truncated { length });
            }
            *place = length;
        }
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `inner` owns the descriptor and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}
