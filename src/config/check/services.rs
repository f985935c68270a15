//! The virtual services and their servers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::{Forwarding, Protocol};

use super::groups::Vips;
use super::servers::{self, Service};
use super::{by_name, names, quote, require_known, some_of};
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::model::{Match, OnFailure, Virtual};
use crate::config::raw::{self, At, Field};
use crate::config::schema::service as s;

pub(super) fn virtuals(
    raw: &Field<Vec<raw::Virtual>>,
    groups: &Field<Vec<raw::Group>>,
    vips: &Vips<'_>,
    faults: &mut Faults,
) -> Option<BTreeMap<String, Virtual>> {
    let given: &[raw::Virtual] = match raw {
        Field::Absent => &[],
        Field::Broken => return None,
        Field::Given(given) => &given.value,
    };
    let known_groups = names(groups, |group| &group.name, faults);
    let context = Context {
        groups: groups.value(),
        known_groups,
        vips,
    };
    let mut taken = BTreeMap::new();
    let built: Vec<_> = given
        .iter()
        .map(|raw| {
            let built = context.build(raw, faults);
            if let Some(built) = &built {
                claim(&built.matches, raw, &mut taken, faults);
            }
            (raw.name.given().cloned(), built)
        })
        .collect();
    by_name("virtual", built, faults)
}

/// What one IPVS service takes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Traffic {
    Port(IpAddr, u16, Protocol),
    Mark(u32, bool),
}

/// Two services cannot take the same traffic.
fn claim(
    matches: &Match,
    raw: &raw::Virtual,
    taken: &mut BTreeMap<Traffic, Span>,
    faults: &mut Faults,
) {
    let (traffics, shown, span): (Vec<_>, _, _) = match matches {
        Match::Address {
            address,
            ports,
            protocol,
        } => {
            let list = ports
                .iter()
                .map(|port| Traffic::Port(*address, *port, *protocol));
            let span = raw.port.given().map(|at| &at.span);
            let span = span.or_else(|| raw.ports.given().map(|at| &at.span));
            (list.collect(), "this address, port and protocol", span)
        }
        Match::FwMark { mark, ipv6 } => {
            let span = raw.fwmark.given().map(|at| &at.span);
            (vec![Traffic::Mark(*mark, *ipv6)], "this mark", span)
        }
    };
    let span = span.unwrap_or(&raw.span);
    let mut clash = None;
    for traffic in traffics {
        if let Some(first) = taken.get(&traffic) {
            clash.get_or_insert_with(|| first.clone());
        } else {
            taken.insert(traffic, span.clone());
        }
    }
    if let Some(first) = clash {
        faults.add(
            Fault::new(span, format!("two virtual services take {shown}"))
                .label("the second")
                .also(&first, "the first"),
        );
    }
}

struct Context<'f> {
    groups: Option<&'f Vec<raw::Group>>,
    /// `None` when a name is not readable.
    known_groups: Option<Vec<&'f str>>,
    vips: &'f Vips<'f>,
}

impl Context<'_> {
    fn build(&self, raw: &raw::Virtual, faults: &mut Faults) -> Option<Virtual> {
        if let (Some(group), Some(known)) = (raw.group.given(), &self.known_groups) {
            require_known("group", group, known, faults);
        }
        let persistent = raw
            .persistent
            .given()
            .filter(|at| at.value.subsec_nanos() != 0);
        if let Some(at) = persistent {
            faults.add(
                Fault::new(&at.span, "`persistent` has a fraction of a second")
                    .label("the kernel counts whole seconds"),
            );
        }
        let matches = self.matches(raw, faults);
        let forward = raw.forward.or(Forwarding::Direct);
        let service = matches.zip(forward).map(|(matches, forward)| {
            let ipv6 = match &matches {
                Match::Address { address, .. } => address.is_ipv6(),
                Match::FwMark { ipv6, .. } => *ipv6,
            };
            Service {
                matches,
                ipv6,
                forward,
            }
        });
        let servers = servers::servers(raw, service.as_ref(), self.vips, faults);
        let sorry = servers::sorry(raw, service.as_ref(), faults);
        let Service {
            matches, forward, ..
        } = service?;
        Some(Virtual {
            name: raw.name.value()?.clone(),
            group: raw.group.value()?.clone(),
            matches,
            scheduler: raw.scheduler.or(s::SCHEDULER.default_text().to_owned())?,
            forward,
            persistent: raw.persistent.optional()?,
            sorry: sorry?,
            on_failure: raw.on_failure.or(OnFailure::Remove)?,
            probe: raw.probe.optional()?.map(Arc::new),
            servers: servers?,
        })
    }

    fn matches(&self, raw: &raw::Virtual, faults: &mut Faults) -> Option<Match> {
        match (&raw.address, &raw.fwmark) {
            (Field::Given(address), Field::Absent) => self.address(raw, address, faults),
            (Field::Absent, Field::Given(mark)) => self.mark(raw, mark, faults),
            (Field::Given(address), Field::Given(mark)) => {
                faults.add(
                    Fault::new(&mark.span, "a virtual has an address or a mark, not both")
                        .also(&address.span, "the address"),
                );
                None
            }
            (Field::Absent, Field::Absent) => {
                faults.add(
                    Fault::new(&raw.span, "the virtual does not say what traffic it takes")
                        .label("expected `address` and `port`, or `fwmark`"),
                );
                None
            }
            (Field::Broken, _) | (_, Field::Broken) => None,
        }
    }

    fn address(
        &self,
        raw: &raw::Virtual,
        address: &At<IpAddr>,
        faults: &mut Faults,
    ) -> Option<Match> {
        self.require_vip(raw, address, faults);
        if let Some(family) = raw.family.given() {
            let text = "`family` has a meaning only with `fwmark`";
            faults.add(Fault::new(&family.span, text).also(&address.span, "says it already"));
        }
        let ports = match (&raw.port, &raw.ports) {
            (Field::Given(port), Field::Absent) => vec![port.value],
            (Field::Absent, Field::Given(ports)) => several_ports(ports, faults)?,
            (Field::Given(port), Field::Given(ports)) => {
                faults.add(
                    Fault::new(&ports.span, "a virtual has `port` or `ports`, not both")
                        .also(&port.span, "the port"),
                );
                return None;
            }
            (Field::Absent, Field::Absent) => {
                faults.add(
                    Fault::new(&raw.span, "the virtual has an address and no port")
                        .label("expected `port` or `ports`"),
                );
                return None;
            }
            (Field::Broken, _) | (_, Field::Broken) => return None,
        };
        let protocol = raw.protocol.or(Protocol::Tcp)?;
        Some(Match::Address {
            address: address.value,
            ports,
            protocol,
        })
    }

    fn mark(&self, raw: &raw::Virtual, mark: &At<u32>, faults: &mut Faults) -> Option<Match> {
        for (name, span) in [
            ("port", raw.port.given().map(|at| &at.span)),
            ("ports", raw.ports.given().map(|at| &at.span)),
            ("protocol", raw.protocol.given().map(|at| &at.span)),
        ] {
            if let Some(span) = span {
                faults.add(
                    Fault::new(span, format!("`{name}` has no meaning with `fwmark`"))
                        .label("the firewall rule chooses")
                        .also(&mark.span, "the mark"),
                );
            }
        }
        let families = self.families(raw)?;
        let first_server = raw
            .servers
            .value()
            .and_then(|servers| servers.first())
            .and_then(|server| server.address.value())
            .is_some_and(IpAddr::is_ipv6);
        let ipv6 = match families {
            (true, false) => raw.family.or(false)?,
            (false, true) => raw.family.or(true)?,
            _ => raw.family.or(first_server)?,
        };
        if let Some(at) = raw.family.given()
            && ((ipv6 && families == (true, false)) || (!ipv6 && families == (false, true)))
        {
            faults.add(
                Fault::new(&at.span, "the group has no address of this family")
                    .help("add such an address to the group's `vips`"),
            );
        }
        Some(Match::FwMark {
            mark: mark.value,
            ipv6,
        })
    }

    /// Whether the virtual's group has IPv4 addresses, and IPv6 ones; `None` when not known.
    fn families(&self, raw: &raw::Virtual) -> Option<(bool, bool)> {
        let name = raw.group.value()?;
        let group = self
            .groups?
            .iter()
            .find(|group| group.name.value() == Some(name))?;
        let addresses: Option<Vec<_>> = group
            .vips
            .value()?
            .iter()
            .map(|vip| vip.address.value())
            .collect();
        let addresses = addresses?;
        Some((
            addresses.iter().any(|vip| vip.addr().is_ipv4()),
            addresses.iter().any(|vip| vip.addr().is_ipv6()),
        ))
    }

    /// A service's address must move with its group.
    fn require_vip(&self, raw: &raw::Virtual, address: &At<IpAddr>, faults: &mut Faults) {
        let Some(name) = raw.group.value() else {
            return;
        };
        let Some(groups) = self.groups.filter(|_| !faults.text_is_lost()) else {
            return;
        };
        let Some(group) = groups.iter().find(|group| group.name.value() == Some(name)) else {
            return;
        };
        let vips: Option<Vec<_>> = group
            .vips
            .value()
            .and_then(|vips| vips.iter().map(|vip| vip.address.value()).collect());
        let Some(vips) = vips else { return };
        if vips.iter().any(|vip| vip.addr() == address.value) {
            return;
        }
        let text = format!(
            "{} is no virtual address of group {}",
            address.value,
            quote(name)
        );
        let fault = Fault::new(&address.span, text);
        let shown: Vec<_> = vips.iter().map(|vip| vip.addr().to_string()).collect();
        let shown: Vec<_> = shown.iter().map(String::as_str).collect();
        faults.add(match self.vips.group_of(address.value) {
            Some(other) => {
                let fault = fault.label(format!("it belongs to group {}", quote(other)));
                match self.vips.place(address.value) {
                    Some(place) => fault.also(place, "here"),
                    None => fault,
                }
            }
            None => fault
                .label("expected an address of the group's `vips`")
                .help(format!("the group has {}", some_of(&shown))),
        });
    }
}

fn several_ports(ports: &At<Vec<At<u16>>>, faults: &mut Faults) -> Option<Vec<u16>> {
    if ports.value.is_empty() {
        faults.add(Fault::new(&ports.span, "`ports` is empty").label("expected at least one"));
        return None;
    }
    let mut seen: BTreeMap<u16, &Span> = BTreeMap::new();
    let mut twice = false;
    for port in &ports.value {
        if let Some(first) = seen.insert(port.value, &port.span) {
            twice = true;
            let text = format!("port {} is given twice", port.value);
            faults.add(
                Fault::new(&port.span, text)
                    .label("the second time")
                    .also(first, "the first time"),
            );
        }
    }
    (!twice).then(|| ports.value.iter().map(|port| port.value).collect())
}
