//! What a prober wants to be done.

use super::super::frame::Mac;
use crate::config::model::Vip;

/// Another host that says to have a VIP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimant {
    /// Where it is.
    pub mac: Mac,
    /// The director that is there; `None` for a stranger.
    pub director: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// Ask the network for it.
    Ask(Vip),
    /// Nobody else has it: put it.
    Put(Vip),
    /// A stranger has it, while another director is to: it would be refused if that died.
    Foresee(Vip, Claimant),
    /// A stranger has it: don't put it, or take it away.
    Refuse(Vip, Claimant),
    /// Somebody else says to have it too. It stays.
    Contest(Vip, Claimant),
    /// Announce it once, against whoever claims it.
    Defend(Vip),
    /// Nobody else claims it any more.
    Yielded(Vip),
}

impl Order {
    pub(super) fn vip(&self) -> &Vip {
        match self {
            Self::Ask(vip)
            | Self::Put(vip)
            | Self::Foresee(vip, _)
            | Self::Refuse(vip, _)
            | Self::Contest(vip, _)
            | Self::Defend(vip)
            | Self::Yielded(vip) => vip,
        }
    }
}
