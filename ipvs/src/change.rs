//! Changes of the table, and what can prevent them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Destination, DestinationKey, Service, ServiceKey};
use crate::netlink::{self, KernelError};

/// One command to the kernel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Create a service, without destinations.
    AddService {
        /// Which one.
        key: ServiceKey,
        /// How it shall schedule.
        service: Service,
    },
    /// Change how a service schedules; its destinations and connections stay.
    EditService {
        /// Which one.
        key: ServiceKey,
        /// How it shall schedule.
        service: Service,
    },
    /// Remove a service with its destinations.
    RemoveService {
        /// Which one.
        key: ServiceKey,
    },
    /// Create a destination.
    AddDestination {
        /// Its service.
        service: ServiceKey,
        /// Which one.
        key: DestinationKey,
        /// How it shall get its share.
        destination: Destination,
    },
    /// Change a destination; its connections stay.
    EditDestination {
        /// Its service.
        service: ServiceKey,
        /// Which one.
        key: DestinationKey,
        /// How it shall get its share.
        destination: Destination,
    },
    /// Remove a destination.
    RemoveDestination {
        /// Its service.
        service: ServiceKey,
        /// Which one.
        key: DestinationKey,
    },
}

impl Change {
    /// The service that it changes or whose destination it changes.
    pub fn service(&self) -> ServiceKey {
        match self {
            Self::AddService { key, .. }
            | Self::EditService { key, .. }
            | Self::RemoveService { key } => *key,
            Self::AddDestination { service, .. }
            | Self::EditDestination { service, .. }
            | Self::RemoveDestination { service, .. } => *service,
        }
    }
}

impl fmt::Display for Change {
    /// The command and its object, such as "add destination 10.0.1.21:80 to TCP 192.0.2.80:80".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService { key, .. } => write!(f, "add service {key}"),
            Self::EditService { key, .. } => write!(f, "edit service {key}"),
            Self::RemoveService { key } => write!(f, "remove service {key}"),
            Self::AddDestination { service, key, .. } => {
                write!(f, "add destination {key} to {service}")
            }
            Self::EditDestination { service, key, .. } => {
                write!(f, "edit destination {key} of {service}")
            }
            Self::RemoveDestination { service, key } => {
                write!(f, "remove destination {key} from {service}")
            }
        }
    }
}

/// A change that the kernel refused; the others of the same call were tried all the same.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot {change}: {reason}")]
pub struct Refusal {
    /// What was to be done.
    pub change: Box<Change>,
    /// Why it was not.
    pub reason: Reason,
}

impl Refusal {
    /// Explains the kernel's refusal of a change.
    pub fn new(change: &Change, error: KernelError) -> Self {
        Self {
            change: Box::new(change.clone()),
            reason: Reason::new(change, error),
        }
    }
}

/// Why the kernel refused a change (net/netfilter/ipvs/ip_vs_ctl.c).
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
    pub(crate) const EINVAL: i32 = 22;
    pub(crate) const ERANGE: i32 = 34;
    pub(crate) const EAFNOSUPPORT: i32 = 97;
}

impl Reason {
    fn new(change: &Change, error: KernelError) -> Self {
        use Change::{
            AddDestination, AddService, EditDestination, EditService, RemoveDestination,
            RemoveService,
        };
        if error.text.is_some() {
            return Self::Other(error);
        }
        match (change, error.errno) {
            (_, errno::EEXIST) => Self::Exists,
            (AddService { service, .. } | EditService { service, .. }, errno::ENOENT) => {
                Self::NoScheduler {
                    scheduler: service.scheduler.clone(),
                    engine: service.persistence.as_ref().and_then(|p| p.engine.clone()),
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
                 family unless it is tunnelled and no sync daemon runs",
            ),
            (_, errno::ERANGE) => Self::OutOfRange,
            (_, errno::EAFNOSUPPORT) => Self::Family,
            (_, errno::ENOMEM) => Self::NoMemory,
            (_, _) => Self::Other(error),
        }
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
