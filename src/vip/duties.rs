//! What is to be true of each address on each interface, and when to work on it next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::clock::Time;
use crate::config::model::Vip;

/// Between attempts at something that fails, and between times that an address is put back which
/// somebody keeps removing.
pub const RETRY: Duration = Duration::from_secs(1);

/// One address on one interface, whatever its prefix length.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

impl Place {
    /// Where a VIP goes.
    #[must_use]
    pub fn of(vip: &Vip) -> Self {
        Self {
            interface: vip.interface.clone(),
            address: vip.address.addr(),
        }
    }
}

/// What is to be true of a place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Goal {
    /// It has this VIP.
    Present(Vip),
    /// It has none, but a route that has this VIP's packets delivered.
    Quiet(Vip),
    /// It has none.
    Absent,
}

#[derive(Debug)]
pub(super) struct Duty {
    pub(super) goal: Goal,
    /// When to work on it; `None` while it is fulfilled.
    due: Option<Time>,
    /// When it was last worked on.
    tried: Option<Time>,
    pub(super) problem: Option<Problem>,
}

impl Duty {
    pub(super) fn is_fulfilled(&self) -> bool {
        self.due.is_none()
    }
}

/// Every duty by its place, and in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Duties {
    places: BTreeMap<Place, Duty>,
    queue: BTreeSet<(Time, Place)>,
}

impl Duties {
    /// Sets a goal, to be worked on now; nothing happens if the place has it already.
    pub(super) fn set(&mut self, place: Place, goal: Goal, now: Time) {
        if self
            .places
            .get(&place)
            .is_some_and(|duty| duty.goal == goal)
        {
            return;
        }
        self.end(&place);
        self.queue.insert((now, place.clone()));
        let duty = Duty {
            goal,
            due: Some(now),
            tried: None,
            problem: None,
        };
        self.places.insert(place, duty);
    }

    /// Forgets a place.
    pub(super) fn end(&mut self, place: &Place) {
        if let Some(Duty { due: Some(due), .. }) = self.places.remove(place) {
            self.queue.remove(&(due, place.clone()));
        }
    }

    pub(super) fn get(&self, place: &Place) -> Option<&Duty> {
        self.places.get(place)
    }

    /// Whether a place is to have a VIP, quiet or not.
    pub(super) fn wants(&self, place: &Place) -> bool {
        self.get(place).is_some_and(|duty| match duty.goal {
            Goal::Present(_) | Goal::Quiet(_) => true,
            Goal::Absent => false,
        })
    }

    /// Works on a place again as soon as may be: now, or [`RETRY`] after the last time if that was
    /// a success that somebody has undone.
    pub(super) fn revive(&mut self, place: &Place, now: Time) {
        let Some(duty) = self.places.get_mut(place) else {
            return;
        };
        let due = match (duty.due, duty.tried) {
            (None, Some(tried)) => now.max(tried + RETRY),
            (Some(_) | None, _) => now,
        };
        Self::book(&mut self.queue, place, duty, Some(due));
    }

    /// Takes up to `most` places that are due, in their order, but those that are `late` only when
    /// too few others are; each must then be told its outcome, or it is tried again.
    pub(super) fn take_due(
        &mut self,
        now: Time,
        most: usize,
        late: impl Fn(&Place, &Goal) -> bool,
    ) -> Vec<(Place, Goal)> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for (_, place) in self.queue.iter().take_while(|(due, _)| *due <= now) {
            if first.len() == most {
                break;
            }
            let Some(duty) = self.places.get(place) else {
                continue;
            };
            if !late(place, &duty.goal) {
                first.push((place.clone(), duty.goal.clone()));
            } else if last.len() < most {
                last.push((place.clone(), duty.goal.clone()));
            }
        }
        first.extend(last);
        first.truncate(most);
        for (place, _) in &first {
            if let Some(duty) = self.places.get_mut(place) {
                duty.tried = Some(now);
                Self::book(&mut self.queue, place, duty, Some(now + RETRY));
            }
        }
        first
    }

    /// Notes that a place is as it is to be.
    pub(super) fn fulfil(&mut self, place: &Place) {
        if let Some(duty) = self.places.get_mut(place) {
            duty.problem = None;
            Self::book(&mut self.queue, place, duty, None);
        }
    }

    /// Notes why a place isn't as it is to be; returns whether that is news.
    pub(super) fn fail(&mut self, place: &Place, problem: Problem) -> bool {
        let Some(duty) = self.places.get_mut(place) else {
            return false;
        };
        let news = duty.problem.as_ref() != Some(&problem);
        duty.problem = Some(problem);
        news
    }

    /// The places of one interface.
    pub(super) fn on<'a>(
        &'a self,
        interface: &'a str,
    ) -> impl Iterator<Item = (&'a Place, &'a Duty)> {
        self.places
            .iter()
            .filter(move |(place, _)| place.interface == interface)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Place, &Duty)> {
        self.places.iter()
    }

    /// When the next place is due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.queue.first().map(|(due, _)| *due)
    }

    fn book(
        queue: &mut BTreeSet<(Time, Place)>,
        place: &Place,
        duty: &mut Duty,
        due: Option<Time>,
    ) {
        if let Some(old) = duty.due {
            queue.remove(&(old, place.clone()));
        }
        if let Some(due) = due {
            queue.insert((due, place.clone()));
        }
        duty.due = due;
    }
}
