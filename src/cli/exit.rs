//! How `caribe` ends: one status for each thing that a script may want to tell apart.

use std::process::{ExitCode, Termination};

use crate::control;

/// The exit status of `caribe`, as documented in caribe(8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked has been done.
    Done = 0,
    /// It failed: the configuration is invalid, no daemon can be reached, a file cannot be written.
    Failed = 1,
    /// The command line is wrong; nothing was done.
    Usage = 2,
    /// The kernel has no IPVS.
    NoIpvs = 3,
    /// It needs rights or capabilities that this process does not have.
    NoRights = 4,
}

impl Exit {
    /// How two things end that were both tried: well, or as the first that did not.
    pub(super) fn and(self, other: Self) -> Self {
        match self {
            Self::Done => other,
            failure => failure,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

impl From<&control::Error> for Exit {
    fn from(err: &control::Error) -> Self {
        if err.is_denied() {
            Self::NoRights
        } else {
            Self::Failed
        }
    }
}

impl From<&std::io::Error> for Exit {
    fn from(err: &std::io::Error) -> Self {
        match err.kind() {
            std::io::ErrorKind::PermissionDenied => Self::NoRights,
            _ => Self::Failed,
        }
    }
}
