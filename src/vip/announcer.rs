//! When each address is announced: at once, after 0.1, 0.5, 1 and 5 seconds, then every minute.
//!
//! Frames leave in bursts of at most [`BURST`] per [`WINDOW`], so that a takeover of thousands of
//! addresses doesn't flood a switch. While many wait, the first announcement of every address goes
//! before the second form of any, and both before all repeats: an address that no neighbour has
//! heard of is down, one announced twice is merely safer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frame::Form;
use crate::clock::Time;
use crate::config::model::Vip;

/// Most frames that leave in one [`WINDOW`].
pub const BURST: usize = 64;
/// The time for which [`BURST`] is counted.
pub const WINDOW: Duration = Duration::from_millis(1);
/// How long after the first announcement each of the early repeats follows.
pub const REPEATS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];
/// Between later repeats: below the 300 s after which switches usually forget a station.
pub const REFRESH: Duration = Duration::from_secs(60);

/// One frame that is to be sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Notice {
    /// The address to announce.
    pub vip: Vip,
    /// Which kind of frame.
    pub form: Form,
}

/// Decides which announcement leaves when.
#[derive(Debug, Default)]
pub struct Announcer {
    rounds: BTreeMap<Vip, Round>,
    /// Frames of addresses not announced yet; always due.
    first: BTreeSet<(Form, Vip)>,
    repeats: BTreeSet<(Time, Form, Vip)>,
    /// Addresses that have not arrived, and when they are announced all the same.
    expected: BTreeMap<Vip, Time>,
    outputs: VecDeque<Notice>,
    window_end: Option<Time>,
    left: usize,
    is_hurried: bool,
}

/// How far an address is in its schedule.
#[derive(Debug)]
struct Round {
    started: Time,
    number: usize,
    due: Time,
}

impl Announcer {
    /// Starts the schedule of an address, anew if it runs.
    pub fn announce(&mut self, vip: &Vip, now: Time) {
        self.withdraw(vip);
        self.rounds.insert(
            vip.clone(),
            Round {
                started: now,
                number: 0,
                due: now,
            },
        );
        for form in Form::of(vip.address.addr()) {
            self.first.insert((*form, vip.clone()));
        }
    }

    /// Starts the schedule of an address when it [has arrived](Self::handle_arrival), at `latest`
    /// anyway.
    pub fn expect(&mut self, vip: &Vip, latest: Time) {
        self.withdraw(vip);
        self.expected.insert(vip.clone(), latest);
    }

    /// The kernel delivers an address, of which it may have been known that it [will](Self::expect).
    pub fn handle_arrival(&mut self, vip: &Vip, now: Time) {
        if self.expected.contains_key(vip) {
            self.announce(vip, now);
        }
    }

    /// Announces an address once more, at once; its schedule goes on from there.
    pub fn hasten(&mut self, vip: &Vip, now: Time) {
        let forms = Form::of(vip.address.addr());
        let Some(round) = self.rounds.get_mut(vip) else {
            return;
        };
        for form in forms {
            // A form of the present round that has left already does so with the next.
            if self.repeats.remove(&(round.due, *form, vip.clone())) {
                self.repeats
                    .insert((now.min(round.due), *form, vip.clone()));
            }
        }
        round.due = now.min(round.due);
    }

    /// Ends the schedule of an address: nothing more is sent for it.
    pub fn withdraw(&mut self, vip: &Vip) {
        self.expected.remove(vip);
        let Some(round) = self.rounds.remove(vip) else {
            return;
        };
        for form in Form::of(vip.address.addr()) {
            self.first.remove(&(*form, vip.clone()));
            self.repeats.remove(&(round.due, *form, vip.clone()));
        }
        self.outputs.retain(|notice| notice.vip != *vip);
    }

    /// While more addresses are on their way, only the first frame of each leaves: that one is what
    /// an address is waited for, and every other would hold up those to come.
    pub fn hurry(&mut self, is_hurried: bool) {
        self.is_hurried = is_hurried;
    }

    /// The addresses whose schedule runs.
    pub fn active(&self) -> impl Iterator<Item = &Vip> {
        self.rounds.keys()
    }

    /// Lets the frames out that are due and within the burst.
    pub fn handle_timeout(&mut self, now: Time) {
        let late = self.expected.iter().filter(|(_, latest)| **latest <= now);
        for vip in late.map(|(vip, _)| vip.clone()).collect::<Vec<_>>() {
            self.announce(&vip, now);
        }
        if self.window_end.is_none_or(|end| now >= end) {
            self.left = BURST.saturating_sub(self.outputs.len());
            self.window_end = None;
        }
        while self.left > 0 {
            let Some((form, vip)) = self.next_due(now) else {
                break;
            };
            self.left -= 1;
            self.window_end.get_or_insert(now + WINDOW);
            self.advance(&vip, form, now);
            self.outputs.push_back(Notice { vip, form });
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let due = if !self.outputs.is_empty() || !self.first.is_empty() {
            Some(Time::ZERO)
        } else {
            let repeat = self.repeats.first().map(|(due, ..)| *due);
            self.expected.values().copied().chain(repeat).min()
        }?;
        // While nothing is left of the burst, or what left it couldn't be sent, wait for the next.
        match self.window_end {
            Some(end) if self.left == 0 || !self.outputs.is_empty() => Some(due.max(end)),
            _ => Some(due),
        }
    }

    /// Whether an address waits for its first announcement.
    #[must_use]
    pub fn is_announcing(&self) -> bool {
        !self.first.is_empty() || !self.outputs.is_empty() || !self.expected.is_empty()
    }

    /// The next frame to send.
    pub fn poll_output(&mut self) -> Option<Notice> {
        self.outputs.pop_front()
    }

    /// Takes a frame back that the network card had no room for; it leaves in the next burst,
    /// before all others.
    pub fn handle_refused(&mut self, notice: Notice, now: Time) {
        if self.rounds.contains_key(&notice.vip) {
            self.outputs.push_front(notice);
            self.left = 0;
            self.window_end = Some(now + WINDOW);
        }
    }

    fn next_due(&mut self, now: Time) -> Option<(Form, Vip)> {
        let is_first =
            |(form, vip): &(Form, Vip)| Form::of(vip.address.addr()).first() == Some(form);
        if self.is_hurried && !self.first.first().is_some_and(is_first) {
            return None;
        }
        if let Some(job) = self.first.pop_first() {
            return Some(job);
        }
        if self.repeats.first().is_none_or(|(due, ..)| *due > now) {
            return None;
        }
        let (_, form, vip) = self.repeats.pop_first()?;
        Some((form, vip))
    }

    /// Books the next round of an address once the last form of this one has left.
    fn advance(&mut self, vip: &Vip, form: Form, now: Time) {
        let forms = Form::of(vip.address.addr());
        if forms.last() != Some(&form) {
            return;
        }
        let Some(round) = self.rounds.get_mut(vip) else {
            return;
        };
        let due = match REPEATS.get(round.number) {
            Some(offset) => round.started + *offset,
            None => round.due + REFRESH,
        };
        round.number += 1;
        // A thread that wasn't run for minutes owes one round, not all that it missed.
        round.due = if due > now { due } else { now + REPEATS[0] };
        for form in forms {
            self.repeats.insert((round.due, *form, vip.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
