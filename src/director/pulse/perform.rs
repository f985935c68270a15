//! What the heartbeat thread does when the machine decides, and when addresses have come or gone.

use std::collections::BTreeSet;

use super::Work;
use super::groups::{Arrived, Assessed, Whereabouts};
use super::report::VipStatuses;
use crate::clock::{self, Time};
use crate::cluster::{Ask, Input, MAX_STATIONS, Output, Station};
use crate::config::model::Vip;
use crate::director::events::What;
use crate::director::journal;
use crate::director::snapshot::VipStatus;
use crate::vip;

/// A VIP, its interface and where somebody else has it, in words.
fn told(vip: &Vip, mac: vip::frame::Mac) -> [String; 3] {
    let mac = vip::Shown(mac).to_string();
    [vip.address.to_string(), vip.interface.clone(), mac]
}

impl Work {
    /// Does what the machine asks for, and one turn of the VIPs' work: more waits until heartbeats
    /// have been looked after again.
    pub(super) fn carry_out(&mut self, now: Time) {
        self.drain(now);
        if self.vips.is_due(now) {
            self.vips.handle_timeout(now);
        }
        while let Some(output) = self.vips.poll_output() {
            self.observe(output, now);
        }
        self.advance(now);
        self.drain(now);
        if self.chronicle.is_waiting() && !self.vips.is_announcing() {
            self.note_announced();
        }
    }

    /// Keeps VIPs that an earlier run has left until it is known whose they are; removes all others.
    pub(super) fn adopt(&mut self, now: Time) {
        let adopted = self.groups.adopt(|vip| self.vips.is_here(vip));
        let mut keep = BTreeSet::new();
        for (group, vips) in adopted {
            tracing::info!(group, vips = vips.len(), "VIPs of an earlier run found");
            keep.extend(vips);
        }
        self.vips.remove_stale(&keep, now);
        self.tell_duty();
    }

    /// Tells the machine how well each group can be served here.
    pub(super) fn tell_fitness(&mut self, now: Time) {
        let assessed = self.groups.assess(self.reach, |link| self.vips.is_up(link));
        for Assessed {
            group,
            assessment,
            ready,
            news,
        } in assessed
        {
            let fitness = assessment.fitness;
            if news {
                tracing::info!(
                    group,
                    fitness = fitness.0,
                    amiss = assessment.amiss.join(", "),
                    "fitness has changed"
                );
                let what = What::Fitness {
                    group: group.clone(),
                    fitness: fitness.0,
                    amiss: assessment.amiss,
                };
                self.reporter.happened(what, now);
            }
            let local = Input::Local {
                group,
                fitness,
                ready,
            };
            self.machine.handle(local, now);
        }
        self.reporter.note();
    }

    /// Tells the machine, and so the others, by which Ethernet addresses we may answer for VIPs, if
    /// they are others than before: those of the VIPs' interfaces, and of others as many as there is
    /// room for.
    pub(super) fn tell_stations(&mut self, now: Time) {
        let vips = self.groups.iter().flat_map(|(_, group)| &group.vips);
        let interfaces: BTreeSet<&str> = vips.map(|vip| &*vip.interface).collect();
        let macs = interfaces.into_iter().filter_map(|it| self.vips.mac(it));
        let mut stations: BTreeSet<Station> = BTreeSet::new();
        for mac in macs.chain(self.vips.macs()) {
            if stations.len() < MAX_STATIONS {
                stations.insert(mac);
            }
        }
        if stations != self.stations {
            self.stations.clone_from(&stations);
            self.machine.handle(Input::Stations(stations), now);
        }
    }

    /// Tells the machine, and so whoever may follow, which groups lack VIPs that strangers have.
    fn tell_partial(&mut self, now: Time) {
        let partial = |vips: &[Vip]| vips.iter().any(|vip| self.vips.is_refused(vip));
        let held = self.groups.held();
        let told: Vec<(String, bool)> = held
            .map(|(name, group)| (name.clone(), partial(&group.vips)))
            .collect();
        for (group, partial) in told {
            self.machine.handle(Input::Partial { group, partial }, now);
        }
    }

    /// What the kernel has of every VIP.
    pub(super) fn vip_statuses(&self) -> VipStatuses {
        let status = |vip: &Vip| VipStatus {
            address: vip.address.to_string(),
            interface: vip.interface.clone(),
            present: self.vips.is_here(vip),
            asking: self.vips.is_asking(vip),
            problem: self.vips.problem(vip).map(ToString::to_string),
        };
        self.groups
            .iter()
            .map(|(name, group)| (name.clone(), group.vips.iter().map(status).collect()))
            .collect()
    }

    fn drain(&mut self, now: Time) {
        while let Some(output) = self.machine.poll_output() {
            self.perform(output, now);
        }
    }

    fn perform(&mut self, output: Output, now: Time) {
        match output {
            Output::Send(heartbeat) => {
                let mut refused = Vec::new();
                self.sent += self.paths.send(
                    now,
                    heartbeat.answer,
                    |path| self.codec.encode(path, &heartbeat),
                    |path, peer| refused.push((path, peer.to_owned())),
                );
                for (path, peer) in refused {
                    self.machine.handle(Input::Refused { path, peer }, now);
                }
            }
            Output::Activate {
                group: name,
                epoch,
                why,
                ask,
            } => {
                tracing::info!(group = name, epoch, reason = %why, "active");
                let heard = |peer: &str| self.machine.get().last_heard(peer);
                self.chronicle
                    .claim(&name, epoch, &why, heard, clock::now());
                let what = What::GroupActive {
                    group: name.clone(),
                    epoch,
                    reason: why.to_string(),
                };
                self.reporter.happened(what, now);
                let patience = self.groups.patience(&name);
                self.groups.raise(&name);
                self.tell_duty();
                let vips = self.groups.vips(&name);
                match ask {
                    Ask::Nobody => self.vips.put(vips, now),
                    Ask::Beside => self.vips.try_put(vips, patience, now),
                    Ask::First => self.vips.claim(vips, patience, now),
                }
                self.witnesses.call(&name, now);
            }
            Output::Quiet {
                group: name,
                to,
                why,
            } => {
                tracing::info!(group = name, to, reason = %why, "handing over");
                let what = What::GroupOffered {
                    group: name.clone(),
                    to,
                    reason: why.to_string(),
                };
                self.reporter.happened(what, now);
                self.groups.quiet(&name);
                self.vips.quiet(self.groups.vips(&name), now);
            }
            Output::Deactivate { group: name, why } => {
                tracing::info!(group = name, reason = %why, "standby");
                let what = What::GroupStandby {
                    group: name.clone(),
                    reason: why.to_string(),
                };
                self.reporter.happened(what, now);
                self.witnesses.dismiss(&name, now);
                self.groups.release(&name);
                self.tell_duty();
                self.vips.take(self.groups.vips(&name), now);
            }
            Output::Announce { group: name } => {
                tracing::info!(group = name, "announcing again");
                self.vips.announce(self.groups.vips(&name), now);
            }
            Output::Watch { group: name } => {
                // Who doesn't ask first doesn't mind.
                if !self.groups.patience(&name).is_zero() {
                    self.vips.watch(self.groups.vips(&name), now);
                }
            }
            Output::Stations { peer, stations } => {
                self.vips.locate(peer, stations.into_iter().collect());
            }
            Output::Event(event) => {
                journal::event(&event);
                self.reporter.happened(journal::what(&event), now);
                let machine = self.machine.get();
                let heard = |peer: &str| machine.last_heard(peer);
                let late = |peer: &str| machine.late_at(peer);
                self.chronicle.note(&event, heard, late, now);
            }
            Output::Answer { id, answer } => {
                if let Some(waiting) = self.asked.remove(&id) {
                    // Whoever has asked may have gone.
                    let _ = waiting.send(answer);
                }
            }
            Output::Stopped => self.stopped = true,
        }
    }

    fn note_announced(&mut self) {
        let now = clock::now();
        for takeover in self.chronicle.announced(now) {
            tracing::info!(
                group = takeover.group,
                epoch = takeover.epoch,
                heard_before_us = takeover.heard_before_us,
                suspected_before_us = takeover.suspected_before_us,
                addresses_after_us = takeover.addresses_after_us,
                announced_after_us = takeover.announced_after_us,
                "takeover complete"
            );
            self.reporter.happened(takeover.into(), now);
        }
        self.reporter.note();
    }

    /// Notes for which groups the first packet has come.
    pub(super) fn note_first_packets(&mut self, now: Time) {
        for group in self.witnesses.take(now) {
            let Some(after_us) = self.chronicle.first_packet(&group, now) else {
                continue;
            };
            tracing::info!(group, after_us, "first packet");
            let what = What::FirstPacket { group, after_us };
            self.reporter.happened(what, now);
            self.reporter.note();
        }
    }

    fn observe(&mut self, output: vip::Output, now: Time) {
        self.reporter.note();
        match output {
            vip::Output::Put { vip, found } => {
                tracing::debug!(vip = %vip.address, interface = vip.interface, found, "VIP put");
            }
            vip::Output::Taken(place) => {
                let vip::Place { interface, address } = place;
                tracing::debug!(vip = %address, interface, "VIP removed");
            }
            vip::Output::Quieted(vip) => {
                tracing::debug!(vip = %vip.address, interface = vip.interface, "VIP quiet");
            }
            // Told by the VIPs themselves.
            vip::Output::Lost(vip) => {
                let what = What::VipLost {
                    address: vip.address.to_string(),
                    interface: vip.interface,
                };
                self.reporter.happened(what, now);
            }
            vip::Output::Refused { vip, mac } => {
                let [address, interface, mac] = told(&vip, mac);
                tracing::error!(
                    vip = address,
                    interface,
                    mac,
                    "another host has a VIP, which is not put until it leaves"
                );
                let what = What::VipRefused {
                    address,
                    interface,
                    mac,
                };
                self.reporter.happened(what, now);
                self.tell_partial(now);
            }
            vip::Output::Foreseen { vip, mac } => {
                let [address, interface, mac] = told(&vip, mac);
                tracing::warn!(
                    vip = address,
                    interface,
                    mac,
                    "another host has a VIP, which would not be put here"
                );
                let what = What::VipForeseen {
                    address,
                    interface,
                    mac,
                };
                self.reporter.happened(what, now);
            }
            vip::Output::Contested { vip, mac, director } => {
                let [address, interface, mac] = told(&vip, mac);
                tracing::warn!(
                    vip = address,
                    interface,
                    mac,
                    director,
                    "another host answers for a VIP too"
                );
                let what = What::VipContested {
                    address,
                    interface,
                    mac,
                    director,
                };
                self.reporter.happened(what, now);
            }
            vip::Output::Yielded(vip) => {
                let address = vip.address.to_string();
                let interface = vip.interface;
                tracing::info!(
                    vip = address,
                    interface,
                    "no other host answers for a VIP any more"
                );
                let what = What::VipYielded { address, interface };
                self.reporter.happened(what, now);
                self.tell_partial(now);
            }
            vip::Output::Failed(problem) => {
                let problem = problem.to_string();
                self.reporter.happened(What::VipFailed { problem }, now);
            }
            vip::Output::Link { interface, up } => {
                if up {
                    tracing::info!(interface, "link up");
                } else {
                    tracing::warn!(interface, "link down");
                }
                self.reporter.happened(What::Link { interface, up }, now);
                self.tell_fitness(now);
            }
        }
    }

    /// Moves groups on whose VIPs have arrived.
    fn advance(&mut self, now: Time) {
        let owned: BTreeSet<String> = if self.groups.is_adopting() {
            let groups = self.machine.get().status(now).groups.into_iter();
            groups
                .filter(|group| group.owner.is_some())
                .map(|group| group.name)
                .collect()
        } else {
            BTreeSet::new()
        };
        let whereabouts = |vip: &Vip| Whereabouts {
            here: self.vips.is_here(vip),
            present: self.vips.is_present(vip),
            failed: self.vips.problem(vip).is_some(),
        };
        let arrived = self
            .groups
            .advance(whereabouts, |name| owned.contains(name), now);
        for arrived in arrived {
            self.settle(arrived, now);
        }
    }

    /// How many of a group's VIPs are so, and how many there are.
    fn count(&self, group: &str, so: impl Fn(&Vip) -> bool) -> (usize, usize) {
        let vips = self.groups.vips(group);
        (vips.iter().filter(|vip| so(vip)).count(), vips.len())
    }

    fn settle(&mut self, arrived: Arrived, now: Time) {
        match arrived {
            Arrived::Here(group) => {
                let (vips, of) = self.count(&group, |vip| self.vips.is_present(vip));
                tracing::info!(group, vips, of, "VIPs are here");
                let here = clock::now();
                self.chronicle.raised(&group, here);
                let what = What::VipsHere {
                    group: group.clone(),
                    vips,
                    of,
                };
                self.reporter.happened(what, here);
                self.machine.handle(Input::Raised { group }, now);
            }
            Arrived::Gone(group) => {
                let (vips, of) = self.count(&group, |vip| !self.vips.is_here(vip));
                tracing::info!(group, vips, of, "VIPs are gone");
                let what = What::VipsGone {
                    group: group.clone(),
                    vips,
                    of,
                };
                self.reporter.happened(what, now);
                self.machine.handle(Input::Released { group }, now);
            }
            Arrived::Foreign(group) => {
                tracing::info!(group, "the VIPs that were found belong elsewhere");
                self.tell_duty();
                self.vips.take(self.groups.vips(&group), now);
            }
        }
    }
}
