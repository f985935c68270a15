//! The connections that the kernel remembers, from `/proc/net/ip_vs_conn`.
//!
//! The kernel has no netlink command for them. The list is read line by line, since it can be a
//! million lines long, and it is no picture of one moment: connections come and go while it is
//! read, so one may be missing, or listed twice after it moved.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Split};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The list of the network namespace of the thread that asks; `/proc/net` would be that of the
/// process's first thread.
const PATH: &str = "/proc/thread-self/net/ip_vs_conn";

/// How the first line begins.
const TITLE: &str = "Pro FromIP";

/// A connection, or the memory that a persistent service keeps of a client (a template).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListedConnection {
    /// The kernel's name of the protocol, such as `TCP`; `IP` for templates of firewall marks.
    pub protocol: String,
    /// The client. In templates its port is 0, and its address that of its network.
    pub client: SocketAddr,
    /// Where the client sends to. In templates of firewall marks the address is the mark.
    pub service: SocketAddr,
    /// The real server, which may be of another family.
    pub destination: SocketAddr,
    /// The kernel's name of its state, such as `ESTABLISHED` or `NONE`.
    pub state: String,
    /// Seconds until it is forgotten.
    pub expires: u32,
    /// What a persistence engine has recognised the client by.
    pub persistence: Option<EngineData>,
}

/// What a persistence engine keeps with a connection.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EngineData {
    /// Its name, such as `sip`.
    pub engine: String,
    /// What it recognises the client by, such as a call id.
    pub data: String,
}

/// A line of the list that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the kernel listed a connection in a form that this version cannot read: {0:?}")]
pub struct Unreadable(pub String);

/// Opens the list of the calling thread's network namespace.
///
/// # Errors
/// [`Error::NoIpvs`] where there is no such list, [`Error::File`] where it cannot be opened.
pub fn connections() -> Result<Connections, Error> {
    let file = File::open(PATH).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NoIpvs,
        _ => Error::File { path: PATH, source },
    })?;
    Ok(Connections {
        // The kernel hands out a page at a time.
        lines: BufReader::with_capacity(4096, file).split(b'\n'),
    })
}

/// Reads the list as it is iterated over.
#[derive(Debug)]
pub struct Connections {
    lines: Split<BufReader<File>>,
}

impl Iterator for Connections {
    type Item = Result<ListedConnection, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.lines.next()? {
                Ok(line) => line,
                Err(source) => return Some(Err(Error::File { path: PATH, source })),
            };
            // What an engine keeps comes from clients, so it can be any bytes.
            let line = String::from_utf8_lossy(&line);
            if !line.starts_with(TITLE) {
                return Some(parse(&line).map_err(Error::from));
            }
        }
    }
}

/// Reads one line of the list, without its title.
///
/// # Errors
/// [`Unreadable`] when the line is not of the kernel's form.
pub fn parse(line: &str) -> Result<ListedConnection, Unreadable> {
    read(line).ok_or_else(|| Unreadable(line.to_owned()))
}

fn read(line: &str) -> Option<ListedConnection> {
    let mut words = line.split_ascii_whitespace();
    let protocol = words.next()?.to_owned();
    let client = endpoint(words.next()?, words.next()?)?;
    let service = endpoint(words.next()?, words.next()?)?;
    let destination = endpoint(words.next()?, words.next()?)?;
    let state = words.next()?.to_owned();
    let expires = words.next()?.parse().ok()?;
    let persistence = words
        .next()
        .zip(words.next())
        .map(|(engine, data)| EngineData {
            engine: engine.to_owned(),
            data: data.to_owned(),
        });
    Some(ListedConnection {
        protocol,
        client,
        service,
        destination,
        state,
        expires,
        persistence,
    })
}

/// An address and a port, each as the kernel's hexadecimal digits.
pub(crate) fn endpoint(address: &str, port: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(
        hex_address(address)?,
        u16::from_str_radix(port, 16).ok()?,
    ))
}

/// IPv4 as eight digits, IPv6 as its usual text with or without brackets.
pub(crate) fn hex_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        let text = text.trim_start_matches('[').trim_end_matches(']');
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::from);
    }
    let bits = (text.len() == 8)
        .then(|| u32::from_str_radix(text, 16).ok())
        .flatten()?;
    Some(Ipv4Addr::from_bits(bits).into())
}

impl fmt::Display for ListedConnection {
    /// Protocol, client, service, destination and state, such as
    /// "TCP 198.51.100.7:40000 to 192.0.2.80:80 at 10.0.1.21:80, ESTABLISHED".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} to {} at {}, {}",
            self.protocol, self.client, self.service, self.destination, self.state
        )
    }
}
