//! The datagram that carries a heartbeat: big-endian numbers, then a signature over all of it.
//!
//! | bytes | field |
//! |---|---|
//! | 3 | `CRB` |
//! | 1 | version: 1 |
//! | 4 | key id |
//! | 8, 8, 8 | session, counter, clock in microseconds |
//! | 8, 18 | configuration digest: whole, and 2 for each of its 9 sections |
//! | 1 | path |
//! | 1 | flags: 1 stopping, 2 answer |
//! | 1, 1 | number of peers, number of groups |
//! | 1 + n | cluster name |
//! | 1 + n | sender name |
//! | 28 each | peer: id 8, session 8, counter 8, held in microseconds 4 (all ones: never heard) |
//! | 23 each | group: id 8, epoch 8, fitness 2, priority 2, flags 1, owner 1, offer 1 |
//! | 1 | number of stations |
//! | 6 each | station: an Ethernet address of the sender |
//! | 32 | HMAC-SHA256 over all bytes before it |
//!
//! The id of a peer or a group is the first eight bytes of the SHA-256 of its name; what the
//! receiver does not know by its id it ignores, so that directors with unequal files still
//! understand each other. Group flags: 3 role (0 standby, 1 active, 2 releasing), 4 ready,
//! 8 preferred, 16 declines, 32 partial. Owner and offer count in the list of peers: 255 nobody, 254 somebody who
//! is not in it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ring::digest;
use serde::{Deserialize, Serialize};

use super::auth::{KeyId, Keys, TAG_LEN};
use super::heartbeat::{Claim, Echo, Fitness, Heartbeat, Role, Standing};
use super::settings::Settings;
use crate::clock::micros;
use crate::config::model::{Digest, SECTIONS};

pub use crate::config::model::{MAX_DIRECTORS, MAX_GROUPS};

/// The longest name of a cluster or a director, in bytes; Linux's longest host name.
pub const MAX_NAME: usize = 64;

/// So many Ethernet addresses a heartbeat carries at most; the rest is left out.
pub const MAX_STATIONS: usize = 8;

/// No datagram is longer: it fits unfragmented into an Ethernet frame with room for a tunnel.
pub const MAX_DATAGRAM: usize = 1400;

const MAGIC: [u8; 3] = *b"CRB";
const VERSION: u8 = 1;
const HEADER: usize = 44 + 2 * SECTIONS.len();
const PEER: usize = 28;
const GROUP: usize = 23;
const STATION: usize = 6;
const NOBODY: u8 = 255;
const SOMEBODY: u8 = 254;
const NEVER: u32 = u32::MAX;

const _: () = assert!(
    datagram_len(MAX_DIRECTORS - 1, MAX_GROUPS, 2 * MAX_NAME, MAX_STATIONS) <= MAX_DATAGRAM
);

/// The length of the datagram of a director with so many peers, groups and Ethernet addresses;
/// `names` is the length of the cluster's and its own together.
#[must_use]
pub const fn datagram_len(peers: usize, groups: usize, names: usize, stations: usize) -> usize {
    let lists = peers * PEER + groups * GROUP + 1 + stations * STATION;
    HEADER + 2 + names + lists + TAG_LEN
}

type Id = [u8; 8];

/// Why a heartbeat is not listened to.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, thiserror::Error,
)]
#[serde(rename_all = "lowercase")]
pub enum Dropped {
    /// Too short or too long for a heartbeat.
    #[error("length")]
    Length,
    /// Not a heartbeat, or one of another version.
    #[error("version")]
    Version,
    /// Of another cluster.
    #[error("cluster")]
    Cluster,
    /// Signed with a key that is not ours.
    #[error("key")]
    Key,
    /// Its signature is wrong.
    #[error("signature")]
    Signature,
    /// Well signed, but not well formed.
    #[error("malformed")]
    Malformed,
    /// Sent by this director itself, or by another that bears its name.
    #[error("reflected")]
    Reflected,
    /// The sender is no director of the configuration.
    #[error("sender")]
    Sender,
    /// Sent on another path.
    #[error("path")]
    Path,
    /// Its counter has been heard before.
    #[error("replayed")]
    Replayed,
    /// Of a session that another has followed.
    #[error("session")]
    Session,
    /// Of a new session that has not shown yet that it hears this director.
    #[error("unproven")]
    Unproven,
    /// Sent longer than deadtime ago.
    #[error("stale")]
    Stale,
    /// It came by a serial line, and not whole.
    #[error("damaged")]
    Damaged,
}

/// A configuration that heartbeats cannot carry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Limit {
    /// A name is too long, or empty.
    #[error("name {0:?} must have 1 to {MAX_NAME} bytes")]
    Name(String),
    /// There are too many directors.
    #[error("{0} directors are more than {MAX_DIRECTORS}")]
    Directors(usize),
    /// There are too many groups.
    #[error("{0} groups are more than {MAX_GROUPS}")]
    Groups(usize),
    /// Two names have the same id.
    #[error("{0:?} cannot be told from another name; choose a different one")]
    Collision(String),
}

/// Turns heartbeats into datagrams and back.
#[derive(Clone, Debug)]
pub struct Codec {
    keys: Keys,
    cluster: String,
    node: String,
    directors: Names,
    groups: Names,
}

impl Codec {
    /// A codec for the director of these settings.
    ///
    /// # Errors
    ///
    /// When a heartbeat could not carry names or groups of these settings.
    pub fn new(settings: &Settings, keys: Keys) -> Result<Self, Limit> {
        let directors = settings.peers.len() + 1;
        if directors > MAX_DIRECTORS {
            return Err(Limit::Directors(directors));
        }
        if settings.groups.len() > MAX_GROUPS {
            return Err(Limit::Groups(settings.groups.len()));
        }
        let all = std::iter::once(&settings.node).chain(settings.peers.keys());
        for name in all.clone().chain([&settings.cluster]) {
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(Limit::Name(name.clone()));
            }
        }
        Ok(Self {
            keys,
            cluster: settings.cluster.clone(),
            node: settings.node.clone(),
            directors: Names::new(all)?,
            groups: Names::new(settings.groups.keys())?,
        })
    }

    /// The datagram that carries `heartbeat` on `path`. Echoes and claims of names that are not
    /// in the settings are left out.
    #[must_use]
    pub fn encode(&self, path: usize, heartbeat: &Heartbeat) -> Vec<u8> {
        let peers: Vec<_> = self
            .directors
            .iter()
            .filter(|(name, _)| **name != self.node)
            .collect();
        let index = |director: Option<&String>| match director {
            None => NOBODY,
            Some(name) => peers
                .iter()
                .position(|(peer, _)| *peer == name)
                .and_then(|i| u8::try_from(i).ok())
                .unwrap_or(SOMEBODY),
        };
        let claims: Vec<_> = self
            .groups
            .iter()
            .filter_map(|(name, id)| Some((id, heartbeat.claims.get(name)?)))
            .collect();

        let mut out = Vec::with_capacity(MAX_DATAGRAM);
        out.extend(MAGIC);
        out.push(VERSION);
        out.extend(self.keys.signing_id());
        out.extend(heartbeat.session.to_be_bytes());
        out.extend(heartbeat.counter.to_be_bytes());
        out.extend(micros::of(heartbeat.clock).to_be_bytes());
        out.extend(heartbeat.digest.whole);
        out.extend(heartbeat.digest.sections.as_flattened());
        out.push(u8::try_from(path).unwrap_or(u8::MAX));
        out.push(u8::from(heartbeat.stopping) | u8::from(heartbeat.answer) << 1);
        out.push(u8::try_from(peers.len()).unwrap_or(u8::MAX));
        out.push(u8::try_from(claims.len()).unwrap_or(u8::MAX));
        for name in [&self.cluster, &self.node] {
            out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            out.extend(name.as_bytes());
        }
        for (name, id) in &peers {
            let echo = heartbeat.echoes.get(*name);
            out.extend(*id);
            out.extend(echo.map_or(0, |e| e.session).to_be_bytes());
            out.extend(echo.map_or(0, |e| e.counter).to_be_bytes());
            let held = echo.map_or(NEVER, |e| {
                u32::try_from(micros::of(e.held))
                    .unwrap_or(NEVER)
                    .min(NEVER - 1)
            });
            out.extend(held.to_be_bytes());
        }
        for (id, claim) in claims {
            out.extend(id);
            out.extend(claim.epoch.to_be_bytes());
            out.extend(claim.standing.fitness.0.to_be_bytes());
            out.extend(claim.standing.priority.to_be_bytes());
            out.push(
                match claim.role {
                    Role::Standby => 0,
                    Role::Active => 1,
                    Role::Releasing => 2,
                } | u8::from(claim.standing.ready) << 2
                    | u8::from(claim.standing.preferred) << 3
                    | u8::from(claim.standing.declines) << 4
                    | u8::from(claim.partial) << 5,
            );
            out.push(index(claim.owner.as_ref()));
            out.push(index(claim.offer.as_ref()));
        }
        let stations = heartbeat.stations.len().min(MAX_STATIONS);
        out.push(u8::try_from(stations).unwrap_or(0));
        for station in heartbeat.stations.iter().take(stations) {
            out.extend(station);
        }
        let tag = self.keys.sign(&out);
        out.extend(tag.as_ref());
        out
    }

    /// The heartbeat in a datagram that came in on `path`.
    ///
    /// # Errors
    ///
    /// When it is not one, not for us, or not signed by one of our keys.
    pub fn decode(&self, path: usize, datagram: &[u8]) -> Result<Heartbeat, Dropped> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Dropped::Length);
        }
        let (message, tag) = datagram
            .split_last_chunk::<TAG_LEN>()
            .ok_or(Dropped::Length)?;
        let mut reader = Reader(message);
        let header = Header::read(&mut reader)?;
        // Before the signature, so that a neighbour's heartbeats are counted as what they are.
        if header.cluster != self.cluster.as_bytes() {
            return Err(Dropped::Cluster);
        }
        if !self.keys.knows(header.key) {
            return Err(Dropped::Key);
        }
        if !self.keys.verify(header.key, message, tag) {
            return Err(Dropped::Signature);
        }
        if header.sender == self.node.as_bytes() {
            return Err(Dropped::Reflected);
        }
        let sender = std::str::from_utf8(header.sender).map_err(|_| Dropped::Malformed)?;
        if !self.directors.contains(sender) {
            return Err(Dropped::Sender);
        }
        if usize::from(header.path) != path {
            return Err(Dropped::Path);
        }
        self.body(&header, sender, reader).ok_or(Dropped::Malformed)
    }

    fn body(&self, header: &Header<'_>, sender: &str, mut reader: Reader<'_>) -> Option<Heartbeat> {
        if header.flags > 3 {
            return None;
        }
        let mut peers = Vec::with_capacity(usize::from(header.peers));
        let mut echoes = BTreeMap::new();
        for _ in 0..header.peers {
            let name = self.directors.name(reader.array()?);
            let session = u64::from_be_bytes(reader.array()?);
            let counter = u64::from_be_bytes(reader.array()?);
            let held = u32::from_be_bytes(reader.array()?);
            if let Some(name) = name
                && held != NEVER
            {
                let held = Duration::from_micros(held.into());
                echoes.insert(
                    name.clone(),
                    Echo {
                        session,
                        counter,
                        held,
                    },
                );
            }
            peers.push(name);
        }
        let director = |index: u8| match peers.get(usize::from(index)) {
            Some(name) => Some(name.cloned()),
            None => (index == NOBODY || index == SOMEBODY).then_some(None),
        };
        let mut claims = BTreeMap::new();
        for _ in 0..header.groups {
            let name = self.groups.name(reader.array()?);
            let epoch = u64::from_be_bytes(reader.array()?);
            let fitness = Fitness(u16::from_be_bytes(reader.array()?));
            let priority = u16::from_be_bytes(reader.array()?);
            let [flags, owner, offer] = reader.array()?;
            let role = match flags & 3 {
                0 => Role::Standby,
                1 => Role::Active,
                2 => Role::Releasing,
                _ => return None,
            };
            let (ready, preferred) = (flags & 4 != 0, flags & 8 != 0);
            let standing = Standing {
                fitness,
                ready,
                preferred,
                priority,
                declines: flags & 16 != 0,
            };
            let (owner, offer) = (director(owner)?, director(offer)?);
            if flags > 63 {
                return None;
            }
            if let Some(name) = name {
                claims.insert(
                    name.clone(),
                    Claim {
                        role,
                        epoch,
                        standing,
                        owner,
                        offer,
                        partial: flags & 32 != 0,
                    },
                );
            }
        }
        // Whoever has none may leave out how many.
        let [count] = reader.array().unwrap_or([0]);
        let mut stations = BTreeSet::new();
        for _ in 0..count {
            stations.insert(reader.array()?);
        }
        if !reader.0.is_empty() || usize::from(count) > MAX_STATIONS {
            return None;
        }
        Some(Heartbeat {
            sender: sender.to_owned(),
            session: header.session,
            counter: header.counter,
            clock: header.clock,
            digest: header.digest,
            stopping: header.flags & 1 != 0,
            answer: header.flags & 2 != 0,
            echoes,
            claims,
            stations,
        })
    }
}

/// Names and their ids.
#[derive(Clone, Debug)]
struct Names {
    ids: BTreeMap<String, Id>,
    names: BTreeMap<Id, String>,
}

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a String>) -> Result<Self, Limit> {
        let ids: BTreeMap<String, Id> = names.map(|name| (name.clone(), id_of(name))).collect();
        let mut names = BTreeMap::new();
        for (name, id) in &ids {
            if names.insert(*id, name.clone()).is_some() {
                return Err(Limit::Collision(name.clone()));
            }
        }
        Ok(Self { ids, names })
    }

    fn contains(&self, name: &str) -> bool {
        self.ids.contains_key(name)
    }

    fn name(&self, id: Id) -> Option<&String> {
        self.names.get(&id)
    }

    fn iter(&self) -> impl Iterator<Item = (&String, Id)> {
        self.ids.iter().map(|(name, id)| (name, *id))
    }
}

/// What stands before the lists.
struct Header<'a> {
    key: KeyId,
    session: u64,
    counter: u64,
    clock: Duration,
    digest: Digest,
    path: u8,
    flags: u8,
    peers: u8,
    groups: u8,
    cluster: &'a [u8],
    sender: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Dropped> {
        let magic: [u8; 3] = reader.array().ok_or(Dropped::Length)?;
        let [version] = reader.array().ok_or(Dropped::Length)?;
        if magic != MAGIC || version != VERSION {
            return Err(Dropped::Version);
        }
        Self::rest(reader).ok_or(Dropped::Length)
    }

    fn rest(reader: &mut Reader<'a>) -> Option<Self> {
        let key = reader.array()?;
        let session = u64::from_be_bytes(reader.array()?);
        let counter = u64::from_be_bytes(reader.array()?);
        let clock = Duration::from_micros(u64::from_be_bytes(reader.array()?));
        let whole = reader.array()?;
        let mut sections = [[0; 2]; SECTIONS.len()];
        for section in &mut sections {
            *section = reader.array()?;
        }
        let digest = Digest { whole, sections };
        let [path, flags, peers, groups] = reader.array()?;
        let cluster = reader.name()?;
        let sender = reader.name()?;
        Some(Self {
            key,
            session,
            counter,
            clock,
            digest,
            path,
            flags,
            peers,
            groups,
            cluster,
            sender,
        })
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let [len] = self.array()?;
        let (name, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(name)
    }
}

fn id_of(name: &str) -> Id {
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}
