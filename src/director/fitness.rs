//! How well this director can serve a group, and what is amiss if not fully: pure.
//!
//! Zero is unfit. What makes a group unservable from here makes the director unfit; what only
//! makes it served worse takes a share of the full value away, so that of two directors the one
//! with less amiss is preferred. Two directors compare these numbers, so they mean the same on
//! both: they depend on the configuration and on what is found, and on nothing else.

#[cfg(test)]
mod tests;

use crate::cluster::Fitness;

/// What is known here that bears on one group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Circumstances<'a> {
    /// Monitored interfaces without a carrier.
    pub(super) links_down: Vec<&'a str>,
    /// How many reachability targets answer; `None` when there are none, or it is not known yet.
    pub(super) reach: Option<Reach>,
    /// What has become of its virtual services here.
    pub(super) services: Services,
}

/// What this host's kernel makes of a group's virtual services.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Services {
    /// All of them.
    pub(super) of: usize,
    /// Those that the kernel refuses, as it lacks a scheduler or IPv6, for example.
    pub(super) refused: usize,
    /// None of them can be worked on.
    pub(super) broken: bool,
}

/// How many of the reachability targets answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reach {
    /// Those that do; at most `of`.
    pub(super) reached: usize,
    /// All of them; above zero.
    pub(super) of: usize,
}

/// How well a group can be served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Assessment {
    /// What the peers are told.
    pub(super) fitness: Fitness,
    /// What is amiss, each in a few words; empty when the fitness is full.
    pub(super) amiss: Vec<String>,
}

impl Reach {
    /// Whether nothing is reached: this director may be cut off.
    pub(super) fn is_none(self) -> bool {
        self.reached == 0
    }
}

impl Circumstances<'_> {
    /// The fitness that these circumstances make, and why.
    pub(super) fn assess(&self) -> Assessment {
        let mut fitness = Fitness::FULL;
        let mut amiss = Vec::new();
        for link in &self.links_down {
            fitness = Fitness::UNFIT;
            amiss.push(format!("{link} has no carrier"));
        }
        if let Some(Reach { reached, of }) = self.reach.filter(|reach| reach.reached < reach.of) {
            fitness = fitness.min(share(reached, of));
            amiss.push(match reached {
                0 if of == 1 => "does not reach its target".to_owned(),
                0 => format!("reaches none of {of} targets"),
                _ => format!("reaches {reached} of {of} targets"),
            });
        }
        let Services {
            of,
            refused,
            broken,
        } = self.services;
        if of > 0 && broken {
            fitness = Fitness::UNFIT;
            amiss.push("cannot work on the IPVS table".to_owned());
        } else if refused > 0 {
            // What is refused here is so most likely by every kernel: somebody must have the VIPs.
            let least = Fitness(1);
            fitness = fitness.min(share(of.saturating_sub(refused), of).max(least));
            amiss.push(match of {
                1 => "the kernel refuses its service".to_owned(),
                _ => format!("the kernel refuses {refused} of {of} services"),
            });
        }
        Assessment { fitness, amiss }
    }
}

/// The share of full fitness that some of several targets are worth: unfit only for none.
fn share(reached: usize, of: usize) -> Fitness {
    if reached == 0 {
        return Fitness::UNFIT;
    }
    let full = usize::from(Fitness::FULL.0);
    let share = full.saturating_mul(reached) / of.max(1);
    Fitness(u16::try_from(share.clamp(1, full)).unwrap_or(Fitness::FULL.0))
}
