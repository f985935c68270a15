//! The real servers of a virtual service: what the kernel can forward, and where.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipvs::Forwarding;
use probes::ProbeSpec;

use super::family;
use super::groups::Vips;
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::model::{Match, Server};
use crate::config::raw::{self, At, Field};
use crate::config::schema::service as s;

/// The traffic of a service as far as its servers must agree with it.
pub(super) struct Service {
    pub(super) matches: Match,
    pub(super) ipv6: bool,
    pub(super) forward: Forwarding,
}

/// The real servers; `service` is `None` when the service is not known well enough to compare.
pub(super) fn servers(
    raw: &raw::Virtual,
    service: Option<&Service>,
    vips: &Vips<'_>,
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
                server_fits(server, address, service, raw, vips, faults);
                claim_destinations(server, address, service, &mut taken, faults);
            }
            build_server(server)
        })
        .collect();
    built.into_iter().collect()
}

/// Whether the kernel can send the service's packets to this server.
fn server_fits(
    server: &raw::Server,
    address: &At<IpAddr>,
    service: &Service,
    raw: &raw::Virtual,
    vips: &Vips<'_>,
    faults: &mut Faults,
) {
    let Some(forward) = server.forward.or(service.forward) else {
        return;
    };
    family_fits(address, service, forward, faults);
    if let Some(vip) = vips.place(address.value) {
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
        let portless = |at: &&At<ProbeSpec>| {
            let needed = at.value.port.is_none() && at.value.kind.needs_port();
            needed && (own || server.probe.is_absent())
        };
        if let Some(at) = probe.given().filter(portless) {
            faults.add_once(
                Fault::new(&at.span, "the probe does not know which port to probe")
                    .label("expected `port` here: a firewall mark has none"),
            );
        }
    }
}

fn build_server(server: &raw::Server) -> Option<Server> {
    Some(Server {
        address: *server.address.value()?,
        port: server.port.optional()?,
        weight: server
            .weight
            .or(u32::try_from(s::WEIGHT.default_integer()).unwrap_or(1))?,
        forward: server.forward.optional()?,
        probe: server.probe.optional()?.map(Arc::new),
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
        Match::FwMark { .. } => fault.label("expected no port: a mark stands for any"),
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

/// The sorry server, which is reached as the virtual says.
pub(super) fn sorry(
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
