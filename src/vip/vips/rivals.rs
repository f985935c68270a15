//! Other hosts that answer for VIPs: what is asked and heard of them, and what follows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tracing::debug;

use super::super::answers::Answer;
use super::super::duties::{Goal, Place};
use super::super::frame::{self, Mac};
use super::super::host::Host;
use super::super::packet::Envelope;
use super::super::prober::{Claimant, Order};
use super::super::problem::Problem;
use super::{Output, Vips};
use crate::clock::Time;
use crate::config::model::Vip;

/// Between two looks for directors among the neighbours of an interface.
const LOOK: Duration = Duration::from_secs(1);

/// Where the other directors are.
#[derive(Debug, Default)]
pub(super) struct Directors {
    /// Their addresses on any network.
    addresses: BTreeMap<String, Vec<IpAddr>>,
    /// The Ethernet addresses that they have told.
    told: BTreeMap<String, Vec<Mac>>,
    /// Those that the kernel has found.
    found: BTreeMap<Mac, String>,
    /// When each interface was looked at, by its number.
    looked: BTreeMap<u32, Time>,
}

impl Directors {
    fn at(&self, mac: Mac) -> Option<&String> {
        let told = self.told.iter().find(|(_, macs)| macs.contains(&mac));
        told.map(|(name, _)| name).or_else(|| self.found.get(&mac))
    }
}

impl<H: Host> Vips<H> {
    /// Takes over which other directors there are, with the addresses that they are known by.
    pub fn know(&mut self, directors: BTreeMap<String, Vec<IpAddr>>) {
        self.directors
            .told
            .retain(|name, _| directors.contains_key(name));
        self.directors.found.clear();
        self.directors.looked.clear();
        self.directors.addresses = directors;
    }

    /// Takes over what Ethernet addresses a director says that its VIPs have, or would have.
    pub fn locate(&mut self, director: String, macs: Vec<Mac>) {
        self.prober.handle_director(&macs);
        self.directors.told.insert(director, macs);
    }

    /// Finds out, beside, which VIPs that another director holds a stranger answers for: those are
    /// [told of](Output::Foreseen), and refused if they are to be put after that director's death.
    /// Said again of the same VIPs, it asks at once.
    pub fn watch(&mut self, vips: &[Vip], now: Time) {
        for vip in vips {
            if !self.is_here(vip) && !self.duties.wants(&Place::of(vip)) {
                self.prober.foresee(vip, now);
            }
        }
    }

    /// Wants VIPs to be here that no director has held lately: each is put once it has been asked
    /// for during `patience`, and no stranger has answered. One that somebody else has is
    /// [reported](Output::Refused), asked for again and again, and put as soon as nobody answers.
    ///
    /// One that is here already, or whose network nobody can be asked on now, is put at once.
    /// A `patience` of zero is that of whom it doesn't matter to: the same as [`put`](Self::put).
    pub fn claim(&mut self, vips: &[Vip], patience: Duration, now: Time) {
        for vip in vips {
            let is_ours = self.is_here(vip) || self.duties.wants(&Place::of(vip));
            if is_ours || patience.is_zero() {
                self.put_one(vip, now);
            } else {
                self.prober.claim(vip, patience, now);
            }
        }
    }

    /// Wants VIPs to be here at once, of which a stranger may have some: those that one is known to
    /// have, having been [watched](Self::watch), are [refused](Output::Refused) as if they had been
    /// [claimed](Self::claim). Others that are answered for within `patience` are taken away again.
    pub fn try_put(&mut self, vips: &[Vip], patience: Duration, now: Time) {
        for vip in vips {
            if self.is_here(vip) || patience.is_zero() {
                self.put_one(vip, now);
            } else if self.prober.doubt(vip, patience, now) {
                self.duties
                    .set(Place::of(vip), Goal::Present(vip.clone()), now);
            }
        }
    }

    /// Whether a VIP that is wanted is not put, as a stranger has it.
    #[must_use]
    pub fn is_refused(&self, vip: &Vip) -> bool {
        matches!(self.claimed.get(vip), Some(Problem::Held { .. }))
    }

    /// Asks and hears what is due, and does what follows.
    pub(super) fn ask(&mut self, now: Time) {
        if self.prober.is_empty() {
            self.listening = false;
        } else if self.prober.is_due(now) {
            self.hear(now);
            self.prober.handle_timeout(now);
        }
        let mut questions = Vec::new();
        while let Some(order) = self.prober.poll_output() {
            match order {
                Order::Ask(vip) => match self.question(&vip) {
                    Some(question) => questions.push(question),
                    None => self.prober.handle_unasked(&vip, now),
                },
                Order::Put(vip) => {
                    self.duties.set(Place::of(&vip), Goal::Present(vip), now);
                }
                Order::Foresee(vip, by) => self.foresee(vip, by.mac),
                Order::Refuse(vip, by) => self.refuse(vip, by, now),
                Order::Contest(vip, by) => self.contest(vip, by),
                Order::Defend(vip) => {
                    self.announcer.hasten(&vip, now);
                    self.counts.defended += 1;
                }
                Order::Yielded(vip) => {
                    self.claimed.remove(&vip);
                    self.outputs.push_back(Output::Yielded(vip));
                }
            }
        }
        if !questions.is_empty()
            && let Err(error) = self.host.send(&questions)
        {
            // Each is asked three times: one that finds no room is no loss.
            debug!(%error, "question not sent");
        }
    }

    /// Has nothing more sent for a VIP that leaves, and forgets who else has it.
    pub(super) fn fall_silent(&mut self, vip: &Vip) {
        self.announcer.withdraw(vip);
        self.prober.stop(vip);
        self.claimed.remove(vip);
    }

    fn foresee(&mut self, vip: Vip, mac: Mac) {
        let place = Place::of(&vip);
        self.claimed
            .insert(vip.clone(), Problem::Foreseen { place, mac });
        self.counts.claimed += 1;
        self.outputs.push_back(Output::Foreseen { vip, mac });
    }

    fn refuse(&mut self, vip: Vip, by: Claimant, now: Time) {
        self.announcer.withdraw(&vip);
        let place = Place::of(&vip);
        if self.duties.wants(&place) {
            self.duties.set(place.clone(), Goal::Absent, now);
        }
        let problem = Problem::Held { place, mac: by.mac };
        let known = self.claimed.insert(vip.clone(), problem);
        let was_foreseen = matches!(known, Some(Problem::Foreseen { .. }));
        self.counts.claimed += u64::from(!was_foreseen);
        self.outputs.push_back(Output::Refused { vip, mac: by.mac });
    }

    fn contest(&mut self, vip: Vip, by: Claimant) {
        let Claimant { mac, director } = by;
        let problem = Problem::Contested {
            place: Place::of(&vip),
            mac,
            director: director.clone(),
        };
        self.claimed.insert(vip.clone(), problem);
        self.counts.claimed += 1;
        self.outputs
            .push_back(Output::Contested { vip, mac, director });
    }

    fn question(&self, vip: &Vip) -> Option<Envelope> {
        let link = self.table.link(&vip.interface)?;
        let mac = link.announces_as()?;
        let frame = match vip.address.addr() {
            IpAddr::V4(ip) => frame::arp_probe(ip, mac),
            IpAddr::V6(ip) => frame::solicitation(ip, mac, self.table.link_local(link.index)),
        };
        Some(Envelope {
            index: link.index,
            frame,
        })
    }

    fn hear(&mut self, now: Time) {
        if !self.listening {
            // What was said before anybody cared may not be so any more.
            self.listening = true;
            self.host.discard_answers();
            return;
        }
        for answer in self.host.answers() {
            if let Some(index) = self.rivalry(&answer) {
                let director = self.director_at(answer.mac, index, now);
                let mac = answer.mac;
                let who = Claimant { mac, director };
                self.prober.handle_answer(answer.address, who, now);
            }
        }
    }

    /// The interface of a VIP that somebody says to have, if it is another host, on its network.
    fn rivalry(&self, answer: &Answer) -> Option<u32> {
        let vip = self.prober.vip(answer.address)?;
        let link = self.table.link(&vip.interface)?;
        let is_elsewhere = answer.index.is_some_and(|index| index != link.index);
        // A loop of the network, a bond or a bridge may bring our own word back to us.
        let is_ours = self.table.links().any(|link| link.mac == Some(answer.mac));
        (!is_elsewhere && !is_ours).then_some(link.index)
    }

    fn director_at(&mut self, mac: Mac, index: u32, now: Time) -> Option<String> {
        if self.directors.at(mac).is_none() {
            self.look_for_directors(index, now);
        }
        self.directors.at(mac).cloned()
    }

    /// Finds directors among the neighbours of an interface, for those that have not told where they
    /// are: they may have died before we have heard them.
    fn look_for_directors(&mut self, index: u32, now: Time) {
        let directors = &mut self.directors;
        let last = directors.looked.get(&index);
        if last.is_some_and(|last| now < *last + LOOK) {
            return;
        }
        directors.looked.insert(index, now);
        for (name, addresses) in &directors.addresses {
            for address in addresses {
                let mac = self.host.neighbour(index, *address);
                directors.found.extend(mac.map(|mac| (mac, name.clone())));
            }
        }
    }
}
