//! What can go wrong with the control socket, on either end.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the API could not be offered, or not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody answers on the socket, or holds its lock.
    #[error("another caribe{} is running on {}", process_text(*process), socket.display())]
    AlreadyRunning {
        /// The control socket.
        socket: PathBuf,
        /// The other's process id, if its lock file says so.
        process: Option<u32>,
    },
    /// A file that is not a socket is in the way, and may be somebody's.
    #[error("{} is not a socket; caribe will not replace it: remove it, or set another [control] socket", path.display())]
    NotASocket {
        /// The path that should become the control socket.
        path: PathBuf,
    },
    /// A step of setting up or using the socket that the system refused.
    #[error("cannot {action} {}: {}", path.display(), words::of(source))]
    System {
        /// What was tried, as a verb and its object up to the path.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no socket.
    #[error(
        "caribe is not running here (no socket at {}); start it with `caribe run`, \
         or name another with --socket",
        socket.display()
    )]
    NotRunning {
        /// The control socket.
        socket: PathBuf,
    },
    /// There is a socket that nobody listens on.
    #[error(
        "caribe is not running here (it left {} behind, it did not stop by itself); \
         start it with `caribe run`, or name another socket with --socket",
        socket.display()
    )]
    Gone {
        /// The control socket.
        socket: PathBuf,
    },
    /// The socket's mode does not let this user connect.
    #[error("no permission to use {}: be root or a member of the group that owns it", socket.display())]
    Denied {
        /// The control socket.
        socket: PathBuf,
    },
    /// So many clients wait that the kernel takes no more.
    #[error("too many clients wait for caribe on {}; end some, or try again", socket.display())]
    Busy {
        /// The control socket.
        socket: PathBuf,
    },
    /// No answer came in time.
    #[error("caribe did not answer on {} within {} s", socket.display(), after.as_secs_f64())]
    Timeout {
        /// The control socket.
        socket: PathBuf,
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended before the answer did.
    #[error("the connection to caribe on {} broke off: it may be stopping; try again", socket.display())]
    BrokenOff {
        /// The control socket.
        socket: PathBuf,
    },
    /// The answer is not what caribe would say.
    #[error("what answers on {} is not this version of caribe: {why}", socket.display())]
    BadAnswer {
        /// The control socket.
        socket: PathBuf,
        /// What is wrong with the answer.
        why: String,
    },
    /// Caribe answered that it cannot do what was asked.
    #[error("caribe answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `error` of the answer.
        message: String,
        /// The `may_pass` of the answer: the same may be done a moment later.
        may_pass: bool,
    },
}

impl Error {
    pub(super) fn system(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::System {
            action,
            path,
            source,
        }
    }

    /// Whether more rights would have helped.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } => true,
            Self::System { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::AlreadyRunning { .. }
            | Self::NotASocket { .. }
            | Self::NotRunning { .. }
            | Self::Gone { .. }
            | Self::Busy { .. }
            | Self::Timeout { .. }
            | Self::BrokenOff { .. }
            | Self::BadAnswer { .. }
            | Self::Refused { .. } => false,
        }
    }
}

fn process_text(process: Option<u32>) -> String {
    process
        .map(|id| format!(" (process {id})"))
        .unwrap_or_default()
}
