//! What is wrong in a snapshot, the gravest first: a pure function.

use std::collections::BTreeMap;

use crate::cli::format::duration;
use crate::director::Snapshot;
use crate::director::snapshot::{
    DirectorStatus, GroupStatus, Health, Liveness, PathStatus, Role, ServerStatus, ServiceStatus,
};

/// How much a problem matters. Ordered: the gravest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Gravity {
    /// Clients are not served, or may not be.
    Outage,
    /// They are served, but one more failure may change that.
    Degraded,
}

/// What a problem is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Subject<'a> {
    Group(&'a str),
    Director(&'a str),
    Service(&'a str),
    Sync,
}

/// One thing that is wrong, as a sentence.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Problem<'a> {
    pub(super) gravity: Gravity,
    pub(super) subject: Subject<'a>,
    pub(super) text: String,
}

/// Everything that is wrong, by gravity and, within that, in the order of the snapshot.
pub(super) fn find(snapshot: &Snapshot) -> Vec<Problem<'_>> {
    let liveness: BTreeMap<&str, Liveness> = snapshot
        .directors
        .iter()
        .map(|it| (it.name.as_str(), it.liveness))
        .collect();
    let mut problems = Vec::new();
    for group in &snapshot.groups {
        of_group(group, &snapshot.node, &liveness, &mut problems);
    }
    for director in snapshot.directors.iter().filter(|it| !it.local) {
        of_director(director, &mut problems);
    }
    for service in &snapshot.services {
        of_service(service, &mut problems);
    }
    let of_sync = snapshot.sync.iter().flat_map(|sync| &sync.problems);
    problems.extend(of_sync.map(|problem| Problem {
        gravity: Gravity::Degraded,
        subject: Subject::Sync,
        text: format!("sync: {problem}"),
    }));
    problems.sort_by_key(|problem| problem.gravity);
    problems
}

fn of_group<'a>(
    group: &'a GroupStatus,
    node: &str,
    liveness: &BTreeMap<&str, Liveness>,
    problems: &mut Vec<Problem<'a>>,
) {
    let name = &group.name;
    let mut add = |gravity, text| {
        problems.push(Problem {
            gravity,
            subject: Subject::Group(name),
            text,
        });
    };
    let because = why(&group.reason);
    match (group.owner.as_deref(), group.role, &group.handing_to) {
        // What comes is forwarded until that director has announced itself.
        (None, Role::Active, Some(to)) => add(
            Gravity::Degraded,
            format!("group {name} is being handed over to {to}, which has not taken it yet"),
        ),
        (None, Role::Active, None) => add(
            Gravity::Outage,
            format!("group {name} is being given up, and nobody has taken it yet{because}"),
        ),
        (None, Role::Standby, _) => add(
            Gravity::Outage,
            format!("group {name} has no owner, nobody holds its addresses{because}"),
        ),
        (Some(owner), _, _) if owner != node && liveness.get(owner) == Some(&Liveness::Dead) => {
            add(
                Gravity::Outage,
                format!("group {name} belongs to {owner}, which is dead"),
            );
        }
        (Some(_), _, _) => {}
    }
    // Who gives a group away forwards for its addresses, and does not have them any more.
    let is_owner = group.owner.as_deref() == Some(node);
    for vip in &group.vips {
        let place = format!("group {name}: {} on {}", vip.address, vip.interface);
        let wrong = match (group.role, vip.present) {
            (Role::Active, false) if vip.asking => Some((
                Gravity::Outage,
                "is not put yet: the network is being asked whether another host has it",
            )),
            (Role::Active, false) if is_owner => {
                Some((Gravity::Outage, "is missing here, on the owner"))
            }
            (Role::Standby, true) => Some((Gravity::Outage, "is present here, on a standby")),
            (Role::Active, _) | (Role::Standby, false) => None,
        };
        match (wrong, &vip.problem) {
            (Some((gravity, text)), problem) => {
                let because = why(problem.as_deref().unwrap_or_default());
                add(gravity, format!("{place} {text}{because}"));
            }
            (None, Some(problem)) => add(Gravity::Degraded, format!("{place}: {problem}")),
            (None, None) => {}
        }
    }
    let amiss = group.amiss.join(", ");
    let (lacks, because) = match (group.fit, group.ready) {
        _ if group.standby => {
            let ends = " (`caribe standby --undo` ends that)";
            ("told to stand by", ends.to_owned())
        }
        (true, true) if amiss.is_empty() => return,
        (true, true) => {
            add(Gravity::Degraded, format!("group {name}: {node} {amiss}"));
            return;
        }
        (false, _) => ("unfit", why(&amiss)),
        (true, false) => ("not ready", why(&group.reason)),
    };
    add(
        Gravity::Degraded,
        match group.role {
            Role::Active => {
                format!("group {name} is active here, although {node} is {lacks}{because}")
            }
            Role::Standby => format!("{node} could not take over group {name}: {lacks}{because}"),
        },
    );
}

fn of_director<'a>(director: &'a DirectorStatus, problems: &mut Vec<Problem<'a>>) {
    let name = &director.name;
    let mut add = |text| {
        let subject = Subject::Director(name);
        problems.push(Problem {
            gravity: Gravity::Degraded,
            subject,
            text,
        });
    };
    match director.liveness {
        Liveness::Dead => {
            let silence = director.paths.iter().filter_map(|path| path.silence).min();
            let heard = silence.map(|it| format!(", last heard {} ago", duration(it)));
            add(format!(
                "director {name} is dead{}",
                heard.unwrap_or_default()
            ));
            return;
        }
        Liveness::Unknown => {
            add(format!(
                "director {name} has not been heard since this one started"
            ));
            return;
        }
        Liveness::Alive => {}
    }
    if director.hears_us == Some(false) {
        add(format!(
            "director {name} does not hear this one: look for a filter between them"
        ));
    }
    if let Some(difference) = difference(director) {
        add(difference);
    }
    for path in director
        .paths
        .iter()
        .filter(|path| path.liveness != Liveness::Alive)
    {
        add(format!(
            "path {} to {name} {}",
            path_name(path),
            path_text(path)
        ));
    }
}

/// In what a director's configuration differs from that of the one that is asked.
pub(in crate::cli) fn difference(director: &DirectorStatus) -> Option<String> {
    let sections = match &director.differing[..] {
        [] => String::new(),
        sections => format!(": {} differ", sections.join(", ")),
    };
    let name = &director.name;
    (director.same_config == Some(false))
        .then(|| format!("director {name} runs another configuration{sections}"))
}

/// An address alone says that it is one of UDP.
pub(super) fn path_name(path: &PathStatus) -> String {
    match path.kind.as_str() {
        "udp" => path.address.clone(),
        kind => format!("{kind} {}", path.address),
    }
}

fn path_text(path: &PathStatus) -> String {
    match path.silence {
        Some(silence) => format!("is dead, last heard {} ago", duration(silence)),
        None => "has never brought a heartbeat".to_owned(),
    }
}

fn of_service<'a>(service: &'a ServiceStatus, problems: &mut Vec<Problem<'a>>) {
    let name = &service.name;
    let mut add = |gravity, text| {
        problems.push(Problem {
            gravity,
            subject: Subject::Service(name),
            text,
        });
    };
    if let Some(problem) = &service.problem {
        add(Gravity::Degraded, format!("service {name}: {problem}"));
    }
    let (sorry, real): (Vec<_>, Vec<_>) = service.servers.iter().partition(|server| server.sorry);
    if !real.is_empty() && !real.iter().any(|server| may_serve(server)) {
        let instead = match sorry.iter().find(|server| server.kernel_weight > Some(0)) {
            Some(server) => format!("the sorry server {} answers", server_name(server)),
            None => "nobody answers".to_owned(),
        };
        add(
            Gravity::Outage,
            format!("service {name} has no server that is up, {instead}"),
        );
    }
    for server in service
        .servers
        .iter()
        .filter(|server| server.health == Health::Down)
    {
        let since = server
            .since
            .map(|it| format!(" for {}", duration(it)))
            .unwrap_or_default();
        let because = why(server.reason.as_deref().unwrap_or_default());
        add(
            Gravity::Degraded,
            format!(
                "service {name}: {} is down{since}{because}",
                server_name(server)
            ),
        );
    }
}

fn may_serve(server: &ServerStatus) -> bool {
    match server.health {
        Health::Up | Health::Unchecked => true,
        Health::Down => false,
        // Adopted from the kernel's table with its weight, until a verdict.
        Health::Unknown => server.kernel_weight > Some(0),
    }
}

/// `10.0.1.21:80`, `[2001:db8::21]:80`, or without a port behind a firewall mark.
pub(super) fn server_name(server: &ServerStatus) -> String {
    match server.port {
        0 => server.address.to_string(),
        port => std::net::SocketAddr::new(server.address, port).to_string(),
    }
}

fn why(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}
