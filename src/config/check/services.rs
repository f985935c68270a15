//! The virtual services and their servers.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipvs::{Forwarding, Protocol};
use probes::ProbeSpec;

use super::groups::Vips;
use super::{by_name, family, names, quote, require_known, some_of};
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::model::{Match, OnFailure, Server, Virtual};
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

/// The traffic of a service as far as its servers must agree with it.
struct Service {
    matches: Match,
    ipv6: bool,
    forward: Forwarding,
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
        let servers = self.servers(raw, service.as_ref(), faults);
        let sorry = sorry(raw, service.as_ref(), faults);
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
            probe: raw.probe.optional()?,
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

    fn servers(
        &self,
        raw: &raw::Virtual,
        service: Option<&Service>,
        faults: &mut Faults,
    ) -> Option<Vec<Server>> {
        let given: &[raw::Server] = match &raw.servers {
            Field::Absent => &[],
            Field::Broken => return None,
            Field::Given(given) => &given.value,
        };
        let mut taken = BTreeMap::new();
        let built: Vec<_> = given
            .iter()
            .map(|server| {
                if let (Some(service), Some(address)) = (service, server.address.given()) {
                    self.server_fits(server, address, service, raw, faults);
                    claim_destinations(server, address, service, &mut taken, faults);
                }
                build_server(server)
            })
            .collect();
        built.into_iter().collect()
    }

    /// Whether the kernel can send the service's packets to this server.
    fn server_fits(
        &self,
        server: &raw::Server,
        address: &At<IpAddr>,
        service: &Service,
        raw: &raw::Virtual,
        faults: &mut Faults,
    ) {
        let Some(forward) = server.forward.or(service.forward) else {
            return;
        };
        family_fits(address, service, forward, faults);
        if let Some(vip) = self.vips.place(address.value) {
            faults.add(
                Fault::new(&address.span, "a server's address is a virtual one")
                    .label("its packets would come back to the director")
                    .also(vip, "the virtual address"),
            );
        }
        if let Some(port) = server.port.given() {
            let span = raw.port.given().map(|at| &at.span);
            let span = span.or_else(|| raw.ports.given().map(|at| &at.span));
            port_fits(port.value, &port.span, span, service, forward, faults);
        }
        // A mark stands for any port, so that a probe must be told one.
        if let Match::FwMark { .. } = service.matches
            && server.port.is_absent()
        {
            let own = matches!(server.probe, Field::Given(_));
            let probe = if own { &server.probe } else { &raw.probe };
            let portless =
                |at: &&At<ProbeSpec>| at.value.port.is_none() && (own || server.probe.is_absent());
            if let Some(at) = probe.given().filter(portless) {
                faults.add_once(
                    Fault::new(&at.span, "the probe does not know which port to probe")
                        .label("expected `port` here: a firewall mark has none"),
                );
            }
        }
    }
}

fn several_ports(ports: &At<Vec<At<u16>>>, faults: &mut Faults) -> Option<Vec<u16>> {
    if ports.value.is_empty() {
        faults.add(Fault::new(&ports.span, "`ports` is empty").label("expected at least one"));
        return None;
    }
    let mut seen: BTreeMap<u16, &Span> = BTreeMap::new();
    for port in &ports.value {
        if let Some(first) = seen.insert(port.value, &port.span) {
            let text = format!("port {} is given twice", port.value);
            faults.add(
                Fault::new(&port.span, text)
                    .label("the second time")
                    .also(first, "the first time"),
            );
        }
    }
    Some(ports.value.iter().map(|port| port.value).collect())
}

fn build_server(server: &raw::Server) -> Option<Server> {
    Some(Server {
        address: *server.address.value()?,
        port: server.port.optional()?,
        weight: server
            .weight
            .or(u32::try_from(s::WEIGHT.default_integer()).unwrap_or(1))?,
        forward: server.forward.optional()?,
        probe: server.probe.optional()?,
    })
}

/// Only a tunnel carries packets of one family to a server of the other
/// (`ip_vs_genl_set_cmd`, net/netfilter/ipvs/ip_vs_ctl.c).
fn family_fits<T>(at: &At<T>, service: &Service, forward: Forwarding, faults: &mut Faults)
where
    T: Copy + Into<HostAddress>,
{
    let HostAddress(address) = at.value.into();
    if address.is_ipv6() != service.ipv6 && forward != Forwarding::Tunnel {
        let wanted = if service.ipv6 { "IPv6" } else { "IPv4" };
        faults.add(
            Fault::new(
                &at.span,
                format!("a server of {} cannot serve {wanted}", family(address)),
            )
            .label(format!("expected an {wanted} address"))
            .help("only `forward = \"tunnel\"` carries packets from one family to the other"),
        );
    }
}

/// The address of a server, however it is written.
struct HostAddress(IpAddr);

impl From<IpAddr> for HostAddress {
    fn from(address: IpAddr) -> Self {
        Self(address)
    }
}

impl From<(IpAddr, Option<u16>)> for HostAddress {
    fn from((address, _): (IpAddr, Option<u16>)) -> Self {
        Self(address)
    }
}

/// Without address translation a packet keeps its port, whatever the table says.
fn port_fits(
    port: u16,
    span: &Span,
    service_port: Option<&Span>,
    service: &Service,
    forward: Forwarding,
    faults: &mut Faults,
) {
    if forward == Forwarding::Masquerade {
        return;
    }
    let fault = Fault::new(span, "only `forward = \"nat\"` can change the port");
    let fault = match &service.matches {
        Match::Address { ports, .. } if ports.as_slice() == [port] => return,
        Match::Address { ports, .. } => match ports.as_slice() {
            [only] => fault.label(format!("expected {only}, or no port")),
            _ => fault.label("expected no port: the virtual has several"),
        },
        Match::FwMark { .. } => fault
            .label("expected no port")
            .help("to choose what is probed, set the probe's `port`"),
    };
    faults.add(match service_port {
        Some(service_port) => fault.also(service_port, "the service's"),
        None => fault,
    });
}

/// A server may stand in a service's table once.
fn claim_destinations(
    server: &raw::Server,
    address: &At<IpAddr>,
    service: &Service,
    taken: &mut BTreeMap<(IpAddr, u16, u16), Span>,
    faults: &mut Faults,
) {
    let Some(port) = server.port.optional() else {
        return;
    };
    let ports: &[u16] = match &service.matches {
        Match::Address { ports, .. } => ports,
        Match::FwMark { .. } => &[0],
    };
    let mut clash = None;
    for service_port in ports {
        let destination = (address.value, *service_port, port.unwrap_or(*service_port));
        if let Some(first) = taken.get(&destination) {
            clash.get_or_insert_with(|| first.clone());
        } else {
            taken.insert(destination, address.span.clone());
        }
    }
    if let Some(first) = clash {
        faults.add(
            Fault::new(
                &address.span,
                format!("server {} is given twice", address.value),
            )
            .label("the second time")
            .also(&first, "the first time"),
        );
    }
}

fn sorry(
    raw: &raw::Virtual,
    service: Option<&Service>,
    faults: &mut Faults,
) -> Option<Option<SocketAddr>> {
    let Some((address, port)) = raw.sorry.optional()? else {
        return Some(None);
    };
    let (service, given) = (service?, raw.sorry.given()?);
    family_fits(given, service, service.forward, faults);
    if let Some(port) = port {
        let span = raw.port.given().map(|at| &at.span);
        let span = span.or_else(|| raw.ports.given().map(|at| &at.span));
        port_fits(port, &given.span, span, service, service.forward, faults);
    }
    let own_port = match &service.matches {
        Match::Address { ports, .. } => match ports.as_slice() {
            [only] => *only,
            _ => 0,
        },
        Match::FwMark { .. } => 0,
    };
    let sorry = SocketAddr::new(address, port.unwrap_or(own_port));
    let twin = raw.servers.value().into_iter().flatten().find(|server| {
        server.address.value() == Some(&address) && server.port.or(own_port) == Some(sorry.port())
    });
    if let Some(twin) = twin.and_then(|server| server.address.given()) {
        faults.add(
            Fault::new(&given.span, "the sorry server is one of the servers")
                .label("expected another")
                .also(&twin.span, "the server"),
        );
    }
    Some(Some(sorry))
}
