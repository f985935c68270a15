//! What can prevent work on the kernel's IPVS.

use std::io;

use crate::change::Change;
use crate::command::Command;
use crate::model::ServiceKey;
use crate::netlink::{self, KernelError};

/// A command that the kernel refused; the others of the same call were tried all the same.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot {command}: {reason}")]
pub struct Refusal {
    /// What was to be done.
    pub command: Box<Command>,
    /// Why it was not.
    pub reason: Reason,
}

impl Refusal {
    /// Explains the kernel's refusal of a command.
    pub fn new(command: impl Into<Command>, error: KernelError) -> Self {
        let command = Box::new(command.into());
        Self {
            reason: Reason::new(&command, error),
            command,
        }
    }
}

/// Why the kernel refused a command (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_sync.c).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The object to be added is there.
    #[error("it exists already")]
    Exists,
    /// The object to be changed or removed is not there.
    #[error("it does not exist")]
    Missing,
    /// The service of the destination is not there.
    #[error("the service does not exist")]
    NoService,
    /// A sync daemon of this role runs already.
    #[error("one runs already")]
    Running,
    /// No sync daemon of this role runs.
    #[error("none runs")]
    NotRunning,
    /// There is no such interface.
    #[error("there is no interface {0:?}")]
    NoInterface(String),
    /// No scheduler of this name, or no persistence engine of the service's.
    #[error("the kernel has no scheduler {scheduler:?}{}", or_engine(.engine))]
    NoScheduler {
        /// The scheduler asked for.
        scheduler: String,
        /// The persistence engine asked for.
        engine: Option<String>,
    },
    /// A weight above 2,147,483,647, or a lower threshold above the upper.
    #[error("weight or thresholds are out of range")]
    OutOfRange,
    /// The kernel's IPVS was built without IPv6.
    #[error("the kernel's IPVS has no support for this address family")]
    Family,
    /// The kernel gives this errno for many causes and no words.
    #[error("{0}")]
    Invalid(&'static str),
    /// The kernel has no memory for it.
    #[error("the kernel has no memory for it")]
    NoMemory,
    /// Anything else.
    #[error("{0}")]
    Other(KernelError),
}

fn or_engine(engine: &Option<String>) -> String {
    engine.as_ref().map_or_else(String::new, |name| {
        format!(" or no persistence engine {name:?}")
    })
}

/// Error numbers of the kernel's answers (asm-generic/errno-base.h, asm-generic/errno.h).
pub(crate) mod errno {
    pub(crate) const EPERM: i32 = 1;
    pub(crate) const ENOENT: i32 = 2;
    pub(crate) const ESRCH: i32 = 3;
    pub(crate) const ENOMEM: i32 = 12;
    pub(crate) const EEXIST: i32 = 17;
    pub(crate) const ENODEV: i32 = 19;
    pub(crate) const EINVAL: i32 = 22;
    pub(crate) const ERANGE: i32 = 34;
    pub(crate) const EAFNOSUPPORT: i32 = 97;
}

impl Reason {
    fn new(command: &Command, error: KernelError) -> Self {
        if error.text.is_some() {
            return Self::Other(error);
        }
        let known = match command {
            Command::Change(change) => Self::of_change(change, error.errno),
            Command::StartDaemon(daemon) => match error.errno {
                errno::EEXIST => Some(Self::Running),
                errno::ENODEV => Some(Self::NoInterface(daemon.interface.clone())),
                errno::EINVAL => Some(Self::Invalid(
                    "the kernel finds it invalid: the group must be a multicast address, the \
                     length must fit the interface, and no destination may be of another address \
                     family than its service",
                )),
                _ => None,
            },
            Command::StopDaemon(_) if error.errno == errno::ESRCH => Some(Self::NotRunning),
            Command::Zero(_) if error.errno == errno::ESRCH => Some(Self::NoService),
            Command::SetTimeouts(_) if error.errno == errno::EINVAL => {
                Some(Self::Invalid("one is out of the kernel's range"))
            }
            Command::StopDaemon(_)
            | Command::Zero(_)
            | Command::SetTimeouts(_)
            | Command::Flush => None,
        };
        known.unwrap_or(match error.errno {
            errno::ENOMEM => Self::NoMemory,
            _ => Self::Other(error),
        })
    }

    fn of_change(change: &Change, errno: i32) -> Option<Self> {
        use Change::{
            AddDestination, AddService, EditDestination, EditService, RemoveDestination,
            RemoveService,
        };
        Some(match (change, errno) {
            (_, errno::EEXIST) => Self::Exists,
            (AddService { service, .. } | EditService { service, .. }, errno::ENOENT) => {
                Self::NoScheduler {
                    scheduler: service.scheduler.clone(),
                    engine: service.engine.clone(),
                }
            }
            (EditService { .. } | RemoveService { .. }, errno::ESRCH)
            | (EditDestination { .. } | RemoveDestination { .. }, errno::ENOENT) => Self::Missing,
            (
                AddDestination { .. } | EditDestination { .. } | RemoveDestination { .. },
                errno::ESRCH,
            ) => Self::NoService,
            (AddService { .. } | EditService { .. }, errno::EINVAL) => Self::Invalid(
                "the kernel finds it invalid: its netmask, a mark of 0, or flags that do not go together",
            ),
            (AddDestination { .. } | EditDestination { .. }, errno::EINVAL) => Self::Invalid(
                "the kernel finds it invalid: the address must be a host's, and of the service's \
                 family unless it is tunnelled and no sync daemon runs; GUE needs a port",
            ),
            (_, errno::ERANGE) => Self::OutOfRange,
            (_, errno::EAFNOSUPPORT) => Self::Family,
            (_, _) => return None,
        })
    }
}

/// What prevents any work with the kernel's IPVS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no IPVS and it could not be loaded.
    #[error("the kernel has no IPVS; `modprobe ip_vs` loads it where its module is installed")]
    NoIpvs,
    /// Every command needs `CAP_NET_ADMIN` in the initial user namespace, reading included.
    #[error("IPVS needs the capability CAP_NET_ADMIN: be root, or grant it to this program")]
    NotPermitted,
    /// A service that was asked for does not exist.
    #[error("service {0} does not exist")]
    NoService(ServiceKey),
    /// The kernel's listing lacks what it must have.
    #[error("the kernel listed {0} in a form that this version cannot read")]
    Unreadable(&'static str),
    /// The kernel refused a command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A connection that the kernel listed in an unknown form.
    #[error(transparent)]
    Connection(#[from] crate::connections::Unreadable),
    /// A file of the kernel's cannot be read.
    #[error("cannot read {path}: {}", words::of(source))]
    File {
        /// Which one.
        path: &'static str,
        /// What befell it.
        source: io::Error,
    },
    /// A failure of the socket, or a refusal of the kernel that has no name of its own.
    #[error("cannot {action}: {source}")]
    Netlink {
        /// What was being done.
        action: &'static str,
        /// What befell it.
        source: netlink::Error,
    },
}

impl Error {
    /// Names what was being done when netlink failed.
    pub(crate) fn while_doing(action: &'static str) -> impl Fn(netlink::Error) -> Self {
        move |source| match source {
            netlink::Error::Kernel(KernelError {
                errno: errno::EPERM,
                ..
            }) => Self::NotPermitted,
            // To requests that name no scheduler, this is the answer for a family that is gone.
            netlink::Error::Kernel(KernelError {
                errno: errno::ENOENT,
                ..
            }) => Self::NoIpvs,
            source => Self::Netlink { action, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_is_told_by_its_number() {
        let denied = || io::Error::from_raw_os_error(13);
        let netlink = |source| Error::Netlink {
            action: "read the table",
            source,
        };
        let errors = [
            Error::File {
                path: "/proc/net/ip_vs",
                source: denied(),
            },
            netlink(netlink::Error::Send(denied())),
            netlink(netlink::Error::Receive(denied())),
            netlink(netlink::Error::Kernel(KernelError {
                errno: 13,
                text: None,
            })),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.ends_with(": permission denied"), "{text}");
        }
    }
}
