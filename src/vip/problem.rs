//! Why an address is not as it is to be, in an operator's words.

use std::fmt;

use ipvs::netlink::KernelError;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::duties::Place;
use super::frame::Mac;

/// What an address should have been made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Put on its interface.
    Add,
    /// Removed from it.
    Remove,
    /// Replaced by a route, so that nobody answers for it.
    Quiet,
    /// Freed of that route.
    Wake,
}

/// Why an address could not be put on an interface, or be removed from it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub enum Problem {
    /// No interface has the name; tried again when one appears.
    #[error("cannot add {} to {}: there is no such interface", .0.address, .0.interface)]
    NoInterface(Place),
    /// The daemon lacks the right.
    #[error("cannot {} {}: needs CAP_NET_ADMIN", verb(*.1), on(.0, *.1))]
    NotPermitted(Place, Action),
    /// IPv6 is switched off on the interface.
    #[error(
        "cannot add {address} to {interface}: IPv6 is disabled there (sysctl \
         net.ipv6.conf.{interface}.disable_ipv6)",
        address = .0.address,
        interface = .0.interface
    )]
    Ipv6Disabled(Place),
    /// The kernel has no IPv6.
    #[error("cannot add {} to {}: the kernel has no IPv6 (modprobe ipv6)", .0.address, .0.interface)]
    NoIpv6(Place),
    /// It is not put, as a host that is no director has it.
    #[error(
        "{} is not put on {}: {} answers for it there, which is no director's",
        .place.address, .place.interface, Shown(*.mac)
    )]
    Held {
        /// The address and interface.
        place: Place,
        /// Where the host is.
        mac: Mac,
    },
    /// Another director holds it, and so does a host that is no director.
    #[error(
        "{} would not be put on {}: {} answers for it there, which is no director's",
        .place.address, .place.interface, Shown(*.mac)
    )]
    Foreseen {
        /// The address and interface.
        place: Place,
        /// Where the host is.
        mac: Mac,
    },
    /// It is here, and another host says to have it.
    #[error("{} answers for {} on {} too", claimant(*.mac, .director.as_deref()), .place.address, .place.interface)]
    Contested {
        /// The address and interface.
        place: Place,
        /// Where the host is.
        mac: Mac,
        /// The director that it is, if it is one.
        director: Option<String>,
    },
    /// Anything else, in the kernel's words.
    #[error("cannot {} {}: {reason}", verb(*.action), on(.place, *.action))]
    Refused {
        /// The address and interface.
        place: Place,
        /// What was tried.
        action: Action,
        /// The kernel's words.
        reason: String,
    },
}

impl Problem {
    pub(super) fn new(place: &Place, action: Action, refusal: &KernelError) -> Self {
        let place = place.clone();
        match Errno::from_raw_os_error(refusal.errno) {
            Errno::PERM => Self::NotPermitted(place, action),
            Errno::NODEV if action == Action::Add => Self::NoInterface(place),
            Errno::ACCESS if action == Action::Add && place.address.is_ipv6() => {
                Self::Ipv6Disabled(place)
            }
            Errno::OPNOTSUPP | Errno::AFNOSUPPORT if place.address.is_ipv6() => Self::NoIpv6(place),
            _ => Self::Refused {
                place,
                action,
                reason: refusal.to_string(),
            },
        }
    }
}

/// An Ethernet address as people write it.
#[derive(Clone, Copy, Debug)]
pub struct Shown(pub Mac);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

fn claimant(mac: Mac, director: Option<&str>) -> String {
    match director {
        Some(director) => format!("{director} ({})", Shown(mac)),
        None => Shown(mac).to_string(),
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Add => "add",
        Action::Remove => "remove",
        Action::Quiet => "quiet",
        Action::Wake => "end the quiet of",
    }
}

fn on(place: &Place, action: Action) -> String {
    let preposition = match action {
        Action::Add => "to",
        Action::Remove => "from",
        Action::Quiet | Action::Wake => "on",
    };
    format!("{} {preposition} {}", place.address, place.interface)
}
