//! The socket: neli's, with the settings and errors that the engine relies on.
#![expect(
    unsafe_code,
    reason = "neli's socket lends its descriptor as a bare number only"
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

    /// Waits for one datagram; returns its length.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.receive_with(buffer, Msg::TRUNC)?.ok_or(Error::Timeout)
    }

    /// Takes one datagram if there is one.
    pub(super) fn receive_waiting(&self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        self.receive_with(buffer, Msg::TRUNC | Msg::DONTWAIT)
    }

    fn receive_with(&self, buffer: &mut [u8], flags: Msg) -> Result<Option<usize>, Error> {
        loop {
            match self.inner.recv(&mut *buffer, flags) {
                Ok((length, _)) if length > buffer.len() => {
                    return Err(Error::Truncated { length });
                }
                Ok((length, _)) => return Ok(Some(length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {
                    return Err(Error::Overrun);
                }
                Err(error) => return Err(Error::Receive(error)),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `inner` owns the descriptor and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}
