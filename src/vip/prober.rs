//! Whether another host answers for a VIP: what is asked when, and what follows from an answer.
//!
//! A VIP that no director has held lately is [claimed](Prober::claim): it is asked for, and put once
//! a whole round of questions was in vain. While a stranger answers it is refused, and asked for
//! again and again. One that a director has held until now is [held](Prober::hold) from the start: it
//! is the cluster's, and nothing waits for the questions that are asked beside. Whoever else claims
//! it is told of and announced against, at most once in [`DEFENCE`] (RFC 5227 section 2.4).
//!
//! One that another director holds is [watched](Prober::foresee): it is asked for now and then, so that
//! when that director dies it is known which VIPs strangers have. The others are put without waiting,
//! and [doubted](Prober::doubt): those that a stranger answers for all the same are given up again.
//!
//! Another director is no stranger. One that answers has lost its group without being able to let go
//! of it: what it answers for is put without waiting, and announced until it yields; but for what a
//! stranger answers for too.

mod asked;
mod order;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use asked::{Asked, Stage};
pub use order::{Claimant, Order};

use super::frame::Mac;
use crate::clock::Time;
use crate::config::model::Vip;

/// Questions of a round.
pub const ROUND: u32 = 3;
/// Between a question and the next, of VIPs that are here.
pub const BESIDE: Duration = Duration::from_millis(100);
/// Announcements come first.
const SETTLE: Duration = Duration::from_millis(20);
/// Between two rounds for a VIP that is refused.
pub const RETRY: Duration = Duration::from_secs(5);
/// Between two questions for a VIP that is here.
pub const REFRESH: Duration = Duration::from_secs(60);
/// Between two questions for a VIP that is watched, however often somebody wants to know.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two answers to a claim: the `DEFEND_INTERVAL` of RFC 5227.
pub const DEFENCE: Duration = Duration::from_secs(10);
/// Somebody that has not been heard for so long has been asked three times in vain.
const FORGET: Duration = Duration::from_secs(35);
/// Most questions that leave in one [`WINDOW`]; announcements have the rest of it.
pub const BURST: usize = 8;
/// The time for which [`BURST`] is counted.
pub const WINDOW: Duration = Duration::from_millis(1);
/// Between two looks at what has been heard: soon after a question, and else.
const LOOKS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];
/// How long after a question answers are looked for often.
const PROMPT: Duration = Duration::from_millis(250);
/// So many that claim a VIP are told apart. More are only ever seen under attack.
const RIVALS: usize = 4;

/// Decides what is asked when, and what an answer means.
#[derive(Debug, Default)]
pub struct Prober {
    asked: BTreeMap<IpAddr, Asked>,
    due: BTreeSet<(Time, IpAddr)>,
    orders: VecDeque<Order>,
    window_end: Option<Time>,
    left: usize,
    look: Time,
    /// Until when answers are looked for often.
    prompt: Time,
}

impl Prober {
    /// Asks now and then for a VIP that another director holds, whose answers don't count. One that
    /// is watched already is asked for at once, unless it has been just before.
    pub fn foresee(&mut self, vip: &Vip, now: Time) {
        let address = vip.address.addr();
        match self.asked.get(&address) {
            None => {
                self.insert(vip, Stage::Watched, BESIDE, now);
                self.book(address, Some(now));
            }
            Some(asked) if asked.stage == Stage::Watched => {
                if asked.asked.is_none_or(|last| now >= last + AGAIN) {
                    self.book(address, Some(now));
                }
            }
            Some(_) => {}
        }
    }

    /// Asks for a VIP for so long, and has it put if nobody answers; it is refused at once if it has
    /// been [watched](Self::foresee) and a stranger has it. One that is known already stays as it is.
    pub fn claim(&mut self, vip: &Vip, patience: Duration, now: Time) {
        if self.open(vip, patience, now) {
            self.book(vip.address.addr(), Some(now));
        }
    }

    /// As [`Self::claim`] of a VIP that is put without waiting, and whether it is to be: it is refused
    /// if a stranger answers to the questions that are asked once it [can be](Self::ask).
    #[must_use]
    pub fn doubt(&mut self, vip: &Vip, patience: Duration, now: Time) -> bool {
        self.open(vip, patience, now);
        let asked = self.asked.get(&vip.address.addr());
        asked.is_none_or(|asked| asked.stage != Stage::Refused)
    }

    /// Takes a VIP for the cluster's, whoever answers.
    pub fn hold(&mut self, vip: &Vip, now: Time) {
        let address = vip.address.addr();
        let Some(asked) = self.asked.get_mut(&address) else {
            self.insert(vip, Stage::Held, BESIDE, now);
            return;
        };
        if asked.stage == Stage::Refused || asked.stage == Stage::Watched {
            // Whoever has it is told of anew, as a rival.
            if !asked.rivals.is_empty() {
                self.orders.push_back(Order::Yielded(vip.clone()));
            }
            asked.rivals.clear();
        }
        asked.stage = Stage::Held;
    }

    /// A director has told by which Ethernet addresses it answers: nobody there is a stranger.
    pub fn handle_director(&mut self, macs: &[Mac]) {
        let watched = self.asked.values_mut();
        for asked in watched.filter(|asked| asked.stage == Stage::Watched) {
            if macs.iter().any(|mac| asked.clear(*mac)) {
                self.orders.push_back(Order::Yielded(asked.vip.clone()));
            }
        }
    }

    /// Asks for a VIP anew that is here, as its network may be another: it has been put, or its
    /// link has come up.
    pub fn ask(&mut self, vip: &Vip, now: Time) {
        let address = vip.address.addr();
        if let Some(asked) = self.asked.get_mut(&address) {
            asked.sent = 0;
            self.book(address, Some(now + SETTLE));
        }
    }

    /// Ends it.
    pub fn stop(&mut self, vip: &Vip) {
        let address = vip.address.addr();
        self.book(address, None);
        self.asked.remove(&address);
        self.orders.retain(|order| order.vip() != vip);
    }

    /// A question could not be asked: its link is down, or gone, or has nobody to ask. Who has the
    /// VIP is found out once it [can be](Self::ask).
    pub fn handle_unasked(&mut self, vip: &Vip, now: Time) {
        let address = vip.address.addr();
        let Some(asked) = self.asked.get_mut(&address) else {
            return;
        };
        asked.sent = 0;
        match asked.stage {
            Stage::Open => {
                self.orders.push_back(Order::Put(vip.clone()));
                self.book(address, None);
            }
            Stage::Refused => self.book(address, Some(now + RETRY)),
            Stage::Held | Stage::Watched => self.book(address, Some(now + REFRESH)),
        }
    }

    /// Takes in that somebody else says to have an address.
    pub fn handle_answer(&mut self, address: IpAddr, who: Claimant, now: Time) {
        let Some(asked) = self.asked.get_mut(&address) else {
            return;
        };
        let vip = asked.vip.clone();
        if who.director.is_some() && matches!(asked.stage, Stage::Watched | Stage::Refused) {
            if !asked.clear(who.mac) {
                return;
            }
            self.orders.push_back(Order::Yielded(vip.clone()));
            if asked.stage == Stage::Watched {
                return;
            }
            asked.stage = Stage::Open;
        }
        let is_new = !asked.rivals.contains_key(&who.mac);
        if is_new && asked.rivals.len() >= RIVALS {
            return;
        }
        match (asked.stage, &who.director) {
            (Stage::Watched, _) => {
                if is_new {
                    self.orders.push_back(Order::Foresee(vip, who.clone()));
                    self.book(address, Some(now + DEFENCE));
                }
            }
            (Stage::Open, Some(_)) => {
                // It is announced as it is put. Whether a stranger answers too, the rest of the
                // questions will tell.
                asked.defended = Some(now);
                if is_new {
                    self.orders.push_back(Order::Put(vip.clone()));
                    self.orders.push_back(Order::Contest(vip, who.clone()));
                }
            }
            (Stage::Open, None) => {
                asked.stage = Stage::Refused;
                asked.sent = 0;
                asked.rivals.clear();
                self.orders.push_back(Order::Refuse(vip, who.clone()));
                self.book(address, Some(now + RETRY));
            }
            (Stage::Refused, _) => {
                asked.sent = 0;
                if is_new {
                    self.orders.push_back(Order::Refuse(vip, who.clone()));
                }
                self.book(address, Some(now + RETRY));
            }
            (Stage::Held, _) => {
                if is_new {
                    self.orders
                        .push_back(Order::Contest(vip.clone(), who.clone()));
                }
                if asked.defended.is_none_or(|last| now >= last + DEFENCE) {
                    asked.defended = Some(now);
                    self.orders.push_back(Order::Defend(vip));
                }
            }
        }
        if let Some(asked) = self.asked.get_mut(&address) {
            asked.rivals.insert(who.mac, now);
        }
    }

    /// Lets questions out that are due and within the burst, and concludes from those that nobody
    /// has answered. Whatever has been heard must have been [taken in](Self::handle_answer) before.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.window_end.is_none_or(|end| now >= end) {
            self.left = BURST;
            self.window_end = None;
        }
        while let Some((due, address)) = self.due.first().copied() {
            if due > now || self.left == 0 {
                break;
            }
            self.go_on(address, now);
        }
        if now >= self.look {
            self.look = now + LOOKS[usize::from(now >= self.prompt)];
        }
    }

    /// Whether [`Self::handle_timeout`] has something to do, now that somebody is awake: earlier
    /// than it is worth to [wake](Self::poll_timeout) for.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        let looks = !self.asked.is_empty() && self.look <= now;
        looks || self.poll_timeout().is_some_and(|due| due <= now)
    }

    /// When [`Self::handle_timeout`] has something to do at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.asked.is_empty() {
            return None;
        }
        if !self.orders.is_empty() {
            return Some(Time::ZERO);
        }
        let is_prompt = self.look <= self.prompt;
        let look = self.look + if is_prompt { Duration::ZERO } else { LOOKS[1] };
        let due = self.due.first().map(|(due, _)| *due);
        let due = match self.window_end {
            Some(end) if self.left == 0 => due.map(|due| due.max(end)),
            _ => due,
        };
        Some(due.map_or(look, |due| due.min(look)))
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// Whether nobody's answer counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// The VIP of an address, if it is asked for.
    #[must_use]
    pub fn vip(&self, address: IpAddr) -> Option<&Vip> {
        self.asked.get(&address).map(|asked| &asked.vip)
    }

    /// The VIPs that are asked for.
    pub fn vips(&self) -> impl Iterator<Item = &Vip> {
        self.asked.values().map(|asked| &asked.vip)
    }

    /// Whether it is not known yet whose a VIP is, and the network is being asked.
    #[must_use]
    pub fn is_open(&self, vip: &Vip) -> bool {
        self.asked
            .get(&vip.address.addr())
            .is_some_and(|asked| asked.stage == Stage::Open && asked.due.is_some())
    }

    /// Opens the question whose a VIP is, unless it is answered or is being asked. Whether it did.
    fn open(&mut self, vip: &Vip, patience: Duration, now: Time) -> bool {
        let address = vip.address.addr();
        // What has been heard meanwhile is taken in before anything follows.
        self.look = self.look.min(now);
        let Some(asked) = self.asked.get_mut(&address) else {
            self.insert(vip, Stage::Open, patience / ROUND, now);
            self.look = now;
            return true;
        };
        if asked.stage != Stage::Watched {
            return false;
        }
        asked.sent = 0;
        asked.pause = patience / ROUND;
        asked.stage = Stage::Open;
        let strangers = asked.rivals.keys().copied();
        let Some(mac) = strangers.min() else {
            self.book(address, None);
            return true;
        };
        asked.stage = Stage::Refused;
        let director = None;
        self.orders
            .push_back(Order::Refuse(vip.clone(), Claimant { mac, director }));
        self.book(address, Some(now + RETRY));
        false
    }

    fn insert(&mut self, vip: &Vip, stage: Stage, pause: Duration, now: Time) {
        if self.asked.is_empty() {
            self.look = now + SETTLE;
        }
        let asked = Asked {
            vip: vip.clone(),
            stage,
            sent: 0,
            pause,
            due: None,
            asked: None,
            rivals: BTreeMap::new(),
            defended: None,
        };
        self.asked.insert(vip.address.addr(), asked);
    }

    /// Asks the next question of a round, or ends it.
    fn go_on(&mut self, address: IpAddr, now: Time) {
        let Some(asked) = self.asked.get_mut(&address) else {
            self.due.retain(|(_, other)| *other != address);
            return;
        };
        let vip = asked.vip.clone();
        let is_contested = !asked.rivals.is_empty();
        let is_kept = matches!(asked.stage, Stage::Held | Stage::Watched);
        if is_kept {
            asked.rivals.retain(|_, heard| now < *heard + FORGET);
            if is_contested && asked.rivals.is_empty() {
                self.orders.push_back(Order::Yielded(vip.clone()));
            }
        } else if asked.sent >= ROUND {
            let mut pause = REFRESH;
            if asked.stage == Stage::Refused {
                asked.rivals.clear();
                self.orders.push_back(Order::Yielded(vip.clone()));
            } else if is_contested {
                pause = DEFENCE;
            }
            asked.stage = Stage::Held;
            self.orders.push_back(Order::Put(vip));
            self.book(address, Some(now + pause));
            return;
        }
        asked.sent = asked.sent.saturating_add(1);
        asked.asked = Some(now);
        let pause = if is_kept && !asked.rivals.is_empty() {
            DEFENCE
        } else if is_kept && asked.sent >= ROUND {
            REFRESH
        } else {
            asked.pause
        };
        self.left = self.left.saturating_sub(1);
        self.window_end.get_or_insert(now + WINDOW);
        self.prompt = now + PROMPT;
        self.look = self.look.min(now + LOOKS[0]);
        self.orders.push_back(Order::Ask(vip));
        self.book(address, Some(now + pause));
    }

    fn book(&mut self, address: IpAddr, due: Option<Time>) {
        let Some(asked) = self.asked.get_mut(&address) else {
            return;
        };
        if let Some(old) = asked.due {
            self.due.remove(&(old, address));
        }
        asked.due = due;
        self.due.extend(due.map(|due| (due, address)));
    }
}

#[cfg(test)]
mod tests;
