//! What an operator wants, and what is answered.

use std::collections::BTreeMap;

use super::judging::views;
use super::{Machine, Stop};
use crate::cluster::event::{Answer, Left, Output, Refusal};
use crate::cluster::heartbeat::Role;
use crate::cluster::ownership::{Leaving, View, best_candidate, unsuited};

impl Machine {
    /// Offers a group to a peer, or says why not.
    pub(super) fn hand_over(&mut self, id: u64, group: &str, to: Option<String>) {
        match self.recipient(group, to) {
            Ok(to) => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.declined = true;
                }
                self.asked.insert(group.to_owned(), id);
                self.leave(group, Left::Command { to: to.clone() }, Some(to));
            }
            Err(refusal) => self.reply(id, Answer::Refused(refusal)),
        }
    }

    fn recipient(&self, name: &str, to: Option<String>) -> Result<String, Refusal> {
        if self.stop != Stop::No {
            return Err(Refusal::Stopping);
        }
        let group = self.groups.get(name).filter(|group| !group.removed);
        let group = group.ok_or(Refusal::NoGroup)?;
        match group.role {
            Role::Active => {}
            Role::Releasing => return Err(Refusal::Leaving),
            Role::Standby => {
                let owner = group.owner.clone();
                return Err(Refusal::NotActive { owner });
            }
        }
        let mut peers = views(&self.peers, name, self.deadlines(), self.now);
        if let Some(to) = to {
            if to == self.settings.node {
                return Err(Refusal::Itself);
            }
            peers.retain(|peer| peer.name == to);
            if peers.is_empty() {
                return Err(Refusal::NoDirector);
            }
        }
        match best_candidate(&peers, self.rules) {
            Some((name, _)) => Ok(name.to_owned()),
            None => Err(self.unsuited(&peers)),
        }
    }

    fn unsuited(&self, peers: &[View<'_>]) -> Refusal {
        let why = |peer: &View<'_>| Some((peer.name.to_owned(), unsuited(peer, self.rules)?));
        Refusal::Unsuited(peers.iter().filter_map(why).collect())
    }

    /// Stands by, or no longer does.
    pub(super) fn stand_by(&mut self, id: u64, group: Option<&str>, on: bool) {
        if let Some(refusal) = self.refuse_standby(group, on) {
            self.reply(id, Answer::Refused(refusal));
            return;
        }
        if group.is_none() {
            self.standby = on;
        }
        for (name, known) in &mut self.groups {
            if group.is_none_or(|group| group == name) {
                self.changed |= known.standby != on;
                known.standby = on;
            }
        }
        let mut given = BTreeMap::new();
        let mut kept = BTreeMap::new();
        for (name, known) in &self.groups {
            let held = known.role == Role::Active && !known.removed;
            if !on || !held || group.is_some_and(|group| group != name) {
                continue;
            }
            let peers = views(&self.peers, name, self.deadlines(), self.now);
            match best_candidate(&peers, self.rules) {
                Some((to, _)) => {
                    given.insert(name.clone(), to.to_owned());
                }
                None => {
                    kept.insert(name.clone(), self.unsuited(&peers));
                }
            }
        }
        self.reply(id, Answer::Standby { given, kept });
    }

    fn refuse_standby(&self, group: Option<&str>, on: bool) -> Option<Refusal> {
        let group = group?;
        let known = self.groups.get(group).is_some_and(|known| !known.removed);
        if !known {
            return Some(Refusal::NoGroup);
        }
        (self.standby && !on).then_some(Refusal::AllStandBy)
    }

    /// Tells what has become of handovers.
    pub(super) fn answer_handovers(&mut self) {
        let mut answers = Vec::new();
        self.asked.retain(|name, id| {
            let group = self.groups.get(name);
            let answer = match group.map(|group| (group.role, &group.leaving, &group.left)) {
                Some((Role::Releasing, Some(Leaving::Offered { .. }), _)) => return true,
                Some((Role::Releasing, Some(Leaving::Lingering { to, .. }), _)) => {
                    let (group, to) = (name.clone(), to.clone());
                    Answer::HandedOver { group, to }
                }
                Some((_, _, Left::Command { to })) => {
                    Answer::Refused(Refusal::Unclaimed { by: to.clone() })
                }
                Some(_) => Answer::Refused(Refusal::Leaving),
                None => Answer::Refused(Refusal::NoGroup),
            };
            answers.push((*id, answer));
            false
        });
        for (id, answer) in answers {
            self.reply(id, answer);
        }
    }

    fn reply(&mut self, id: u64, answer: Answer) {
        self.outputs.push_back(Output::Answer { id, answer });
    }
}
