//! Changes of the table.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Destination, DestinationKey, Service, ServiceKey};

/// One change of a service or a destination.
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
