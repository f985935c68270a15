//! What can befall a netlink connection.

use std::fmt;
use std::io;

use super::Family;

/// A failure of a netlink connection, or a refusal by the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be opened or set up.
    #[error("cannot open a {family:?} netlink socket: {}", words::of(source))]
    Open {
        /// What it was to talk to.
        family: Family,
        /// What the kernel said.
        source: io::Error,
    },
    /// A request could not be handed to the kernel.
    #[error("cannot send to netlink: {}", words::of(.0))]
    Send(#[source] io::Error),
    /// An answer could not be read.
    #[error("cannot receive from netlink: {}", words::of(.0))]
    Receive(#[source] io::Error),
    /// No answer within the connection's timeout.
    #[error("the kernel gave no answer over netlink in time")]
    Timeout,
    /// The kernel had more to say than the socket could hold, and dropped some of it.
    #[error("netlink messages were lost because the socket's memory was full")]
    Overrun,
    /// A message did not fit the buffer.
    #[error("a netlink message of {length} bytes was cut off")]
    Truncated {
        /// Its whole length in bytes.
        length: usize,
    },
    /// A message contradicts its own header.
    #[error("the kernel sent a malformed netlink message")]
    Malformed,
    /// A listing changed each time while it was read.
    #[error("a netlink listing kept changing while it was read")]
    Unsteady,
    /// The kernel refused the request.
    #[error("{0}")]
    Kernel(#[from] KernelError),
}

/// The kernel's refusal of one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KernelError {
    /// A positive error number.
    pub errno: i32,
    /// The kernel's own words, where it gave some (extended acknowledgement).
    pub text: Option<String>,
}

impl std::error::Error for KernelError {}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.errno);
        f.write_str(&words::of(&error))?;
        match &self.text {
            Some(text) => write!(f, " ({text})"),
            None => Ok(()),
        }
    }
}
