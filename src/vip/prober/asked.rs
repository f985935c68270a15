//! What is known of one VIP that is asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::frame::Mac;
use crate::clock::Time;
use crate::config::model::Vip;

/// Whose a VIP is, as far as is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Another director's, as long as that lives.
    Watched,
    /// Not known yet.
    Open,
    /// A stranger's.
    Refused,
    /// The cluster's.
    Held,
}

/// One VIP, its question and those who have answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) vip: Vip,
    pub(super) stage: Stage,
    /// How many questions of this round have left.
    pub(super) sent: u32,
    /// Between two questions of a round.
    pub(super) pause: Duration,
    pub(super) due: Option<Time>,
    /// When a question left last.
    pub(super) asked: Option<Time>,
    pub(super) rivals: BTreeMap<Mac, Time>,
    pub(super) defended: Option<Time>,
}

impl Asked {
    /// Of a VIP whose rivals are strangers, clears one that is none. Whether no other is left.
    pub(super) fn clear(&mut self, mac: Mac) -> bool {
        self.rivals.remove(&mac).is_some() && self.rivals.is_empty()
    }
}
