//! Virtual services and their real servers, in the text of `caribe status`.

use std::time::Duration;

use super::problems::server_name;
use super::report::milliseconds;
use crate::cli::format::{Style, duration};
use crate::cli::table::{Align, Cell, Table};
use crate::director::snapshot::{Health, ServerStatus, ServiceStatus, Took};
use ipvs::Forwarding;

/// One row for each server; with what its probe took, if it is `wide`.
pub(super) fn table(services: &[&ServiceStatus], wide: bool) -> Table {
    // Connections under the names that ipvsadm has given them.
    let mut table = Table::new(&[
        ("SERVICE", Align::Left),
        ("FORWARD", Align::Left),
        ("WEIGHT", Align::Right),
        ("IN TABLE", Align::Right),
        ("STATE", Align::Left),
        ("SINCE", Align::Left),
        ("CONNECT", Align::Right),
        ("TLS", Align::Right),
        ("FIRST BYTE", Align::Right),
        ("WHOLE", Align::Right),
        ("ActiveConn", Align::Right),
        ("InActConn", Align::Right),
        ("WHY", Align::Left),
    ]);
    for service in services {
        table.line(service_line(service));
        for server in &service.servers {
            let sorry = if server.sorry { " (sorry)" } else { "" };
            let [connect, tls, first_byte, whole] = phases(server.took.filter(|_| wide));
            table.row([
                format!("  {}{sorry}", server_name(server)).into(),
                match server.forward {
                    Forwarding::Masquerade => "nat".into(),
                    Forwarding::Direct => "direct".into(),
                    Forwarding::Tunnel => "tunnel".into(),
                    Forwarding::Local => "local".into(),
                },
                server.weight.to_string().into(),
                weight_cell(server),
                health_cell(server),
                server.since.map(duration).unwrap_or_default().into(),
                connect,
                tls,
                first_byte,
                whole,
                server.active_connections.to_string().into(),
                server.inactive_connections.to_string().into(),
                server.reason.as_deref().unwrap_or_default().into(),
            ]);
        }
    }
    table
}

/// `www TCP 192.0.2.80:80, wlc, group web: 2 of 3 up`
fn service_line(service: &ServiceStatus) -> Vec<Cell> {
    let traffic = match service.protocol {
        Some(protocol) => format!("{protocol} {}", service.address),
        None => service.address.clone(),
    };
    let real = || service.servers.iter().filter(|server| !server.sorry);
    let up = real()
        .filter(|it| matches!(it.health, Health::Up | Health::Unchecked))
        .count();
    let all = real().count();
    let style = match up {
        _ if up == all => Style::Plain,
        0 => Style::Bad,
        _ => Style::Warning,
    };
    let mut line = vec![
        Cell::new(&service.name, Style::Title),
        format!("{traffic}, {}, group {}:", service.scheduler, service.group).into(),
        Cell::new(format!("{up} of {all} up"), style),
    ];
    if let Some(problem) = &service.problem {
        line.push(Cell::new(format!("- {problem}"), Style::Bad));
    }
    line
}

/// Remarkable where the kernel does otherwise than the configuration says.
fn weight_cell(server: &ServerStatus) -> Cell {
    match server.kernel_weight {
        None => "-".into(),
        Some(weight) if weight == server.weight || server.sorry => weight.to_string().into(),
        Some(weight) => Cell::new(weight.to_string(), Style::Warning),
    }
}

fn health_cell(server: &ServerStatus) -> Cell {
    match server.health {
        Health::Up => Cell::new("up", Style::Good),
        Health::Down => Cell::new("DOWN", Style::Bad),
        Health::Unknown => Cell::new("unknown", Style::Warning),
        Health::Unchecked => "unchecked".into(),
    }
}

/// Each from the start of the probe; nothing for what it did not come to.
fn phases(took: Option<Took>) -> [Cell; 4] {
    let Some(took) = took else {
        return Default::default();
    };
    let phases = [
        took.connect_us,
        took.tls_us,
        took.first_byte_us,
        Some(took.whole_us),
    ];
    phases.map(|us| {
        let time = us.map(|us| Duration::from_micros(us.into()));
        time.map(to_the_point).unwrap_or_default().into()
    })
}

/// `0.3ms`, `1.20s`: whole seconds would say too little of a timeout.
fn to_the_point(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        return milliseconds(time);
    }
    format!("{:.2}s", time.as_secs_f64())
}
