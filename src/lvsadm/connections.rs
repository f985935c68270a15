//! Connections, timeouts and sync daemons as text.

use std::io::{self, Write};

use ipvs::connections::ListedConnection;
use ipvs::{Protocol, SyncDaemon, SyncRole, Timeouts};

use super::names::{Names, ipv6_text};

/// Writes the titles of [`write_connection`].
pub(super) fn write_title(out: &mut impl Write, engines: bool) -> io::Result<()> {
    let columns = if engines {
        "destination        pe name          pe_data"
    } else {
        "destination"
    };
    writeln!(
        out,
        "IPVS connection entries\n\
         pro expire state       source             virtual            {columns}"
    )
}

/// Writes one connection; with `engines`, also what a persistence engine knows it by.
pub(super) fn write_connection(
    out: &mut impl Write,
    connection: &ListedConnection,
    engines: bool,
    names: &mut Names<'_>,
) -> io::Result<()> {
    let protocol = match connection.protocol.as_str() {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    };
    let [client, service, destination] = [
        connection.client,
        connection.service,
        connection.destination,
    ]
    .map(|socket| names.endpoint(socket.ip(), socket.port(), protocol));
    let expires = format!(
        "{:02}:{:02}",
        connection.expires / 60,
        connection.expires % 60
    );
    write!(
        out,
        "{:<3} {expires:<6} {:<11} {client:<18} {service:<18} ",
        connection.protocol, connection.state
    )?;
    match &connection.persistence {
        Some(data) if engines => {
            writeln!(out, "{destination:<16} {:<18} {}", data.engine, data.data)
        }
        Some(_) | None => writeln!(out, "{destination}"),
    }
}

/// Writes the timeouts.
pub(super) fn write_timeouts(out: &mut impl Write, timeouts: Timeouts) -> io::Result<()> {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    writeln!(out, "Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}")
}

/// Writes a line for each sync daemon.
pub(super) fn write_daemons(out: &mut impl Write, daemons: &[SyncDaemon]) -> io::Result<()> {
    for daemon in daemons {
        let role = role_name(daemon.role);
        let (interface, id) = (&daemon.interface, daemon.id);
        write!(out, "{role} sync daemon (mcast={interface}, syncid={id}")?;
        if let Some(length) = daemon.max_length {
            write!(out, ", maxlen={length}")?;
        }
        match daemon.group {
            Some(std::net::IpAddr::V6(group)) => write!(out, ", group={}", ipv6_text(group))?,
            Some(group) => write!(out, ", group={group}")?,
            None => {}
        }
        if let Some(port) = daemon.port {
            write!(out, ", port={port}")?;
        }
        if let Some(ttl) = daemon.ttl {
            write!(out, ", ttl={ttl}")?;
        }
        writeln!(out, ")")?;
    }
    Ok(())
}

/// The kernel's word for a role.
pub(super) fn role_name(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Sender => "master",
        SyncRole::Receiver => "backup",
    }
}
