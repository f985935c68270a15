//! `/proc/net/ip_vs` (`ip_vs_info_seq_show` in net/netfilter/ipvs/ip_vs_ctl.c).

use std::io::BufRead;
use std::net::IpAddr;

use super::OutlinedDestination;
use crate::connections::endpoint;
use crate::error::Error;
use crate::model::{DestinationKey, Forwarding, Protocol, ServiceKey};

/// A service in the file, with the lines of its destinations.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Block {
    title: Title,
    pub(super) destinations: Vec<OutlinedDestination>,
}

#[derive(Debug, Eq, PartialEq)]
enum Title {
    Address(Protocol, IpAddr, u16),
    Mark(u32),
    /// Of a protocol that this version does not know.
    Unknown,
}

impl Block {
    pub(super) fn is_of(&self, key: &ServiceKey) -> bool {
        match (&self.title, key) {
            (
                Title::Address(protocol, address, port),
                ServiceKey::Address {
                    protocol: p,
                    address: a,
                    port: n,
                },
            ) => (protocol, address, port) == (p, a, n),
            (Title::Mark(mark), ServiceKey::FwMark { mark: m, .. }) => mark == m,
            (Title::Address(..) | Title::Mark(_) | Title::Unknown, _) => false,
        }
    }
}

/// Reads the file; services of protocols that this version does not know are left out.
///
/// # Errors
/// What befell the reader, or a line in another form, as [`std::io::ErrorKind::InvalidData`].
pub(crate) fn read(mut file: impl BufRead, path: &'static str) -> Result<Vec<Block>, Error> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut line = String::new();
    let failed = |source| Error::File { path, source };
    for number in 0_u64.. {
        line.clear();
        if file.read_line(&mut line).map_err(failed)? == 0 {
            break;
        }
        // Version, and the titles of the two kinds of lines.
        if number < 3 {
            continue;
        }
        let read = match line.strip_prefix("  -> ") {
            Some(rest) => destination(rest).and_then(|destination| {
                blocks.last_mut()?.destinations.push(destination);
                Some(())
            }),
            None => title(&line).map(|title| {
                blocks.push(Block {
                    title,
                    destinations: Vec::new(),
                });
            }),
        };
        if read.is_none() {
            return Err(Error::Unreadable("a line of /proc/net/ip_vs"));
        }
    }
    blocks.retain(|block| block.title != Title::Unknown);
    Ok(blocks)
}

fn title(line: &str) -> Option<Title> {
    let mut words = line.split_ascii_whitespace();
    let protocol = match words.next()? {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "FWM" => return u32::from_str_radix(words.next()?, 16).ok().map(Title::Mark),
        _ => return Some(Title::Unknown),
    };
    let (address, port) = place(words.next()?)?;
    Some(Title::Address(protocol, address, port))
}

fn destination(line: &str) -> Option<OutlinedDestination> {
    let mut words = line.split_ascii_whitespace();
    let (address, port) = place(words.next()?)?;
    let forwarding = match words.next()? {
        "Masq" => Forwarding::Masquerade,
        "Tunnel" => Forwarding::Tunnel,
        "Route" => Forwarding::Direct,
        // As from netlink: cache bypass, which no tool sets, ends in the own stack too.
        _ => Forwarding::Local,
    };
    let mut number = || words.next().and_then(|word| word.parse().ok());
    Some(OutlinedDestination {
        key: DestinationKey { address, port },
        forwarding,
        weight: number()?,
        active: number()?,
        inactive: number()?,
    })
}

fn place(word: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = word.rsplit_once(':')?;
    let socket = endpoint(address, port)?;
    Some((socket.ip(), socket.port()))
}
