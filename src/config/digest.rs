//! What two directors compare to know that they run the same settings.

use std::io::{self, BufWriter, Write};

use ring::digest::{Context, SHA256};
use serde::Serialize;

use super::model::{Config, Digest, Match};

/// The digest of a configuration's meaning.
///
/// The order of directors, groups, virtuals, keys of tables, servers, addresses, ports, links and
/// targets makes no difference. The order of key files and of heartbeat paths does, because they mean
/// something by it.
pub(super) fn of(config: &Config) -> Result<Digest, serde_json::Error> {
    let mut meaning = config.clone();
    // The digest of the meaning alone: a digest that is there already is no part of it.
    meaning.digest = Digest::default();
    meaning.reachability.sort();
    for group in meaning.groups.values_mut() {
        group.vips.sort();
        group.monitor_links.sort();
    }
    for service in meaning.virtuals.values_mut() {
        service.servers.sort();
        if let Match::Address { ports, .. } = &mut service.matches {
            ports.sort_unstable();
        }
    }
    // In the order of `SECTIONS`.
    let sections = [
        start_of(&meaning.cluster)?,
        start_of(&meaning.heartbeat)?,
        start_of(&meaning.directors)?,
        start_of(&meaning.reachability)?,
        start_of(&meaning.groups)?,
        start_of(&meaning.virtuals)?,
        start_of(&meaning.ipvs)?,
        start_of(&meaning.control)?,
        start_of(&meaning.watchdog)?,
    ];
    let whole = start_of(&meaning)?;
    Ok(Digest { whole, sections })
}

/// The beginning of the SHA-256 of what `part` means.
fn start_of<const N: usize>(part: &impl Serialize) -> Result<[u8; N], serde_json::Error> {
    let mut hash = Hash(Context::new(&SHA256));
    // What it holds back it writes when it is dropped; to take it never fails.
    serde_json::to_writer(BufWriter::new(&mut hash), part)?;
    let hash = hash.0.finish();
    Ok(hash.as_ref().first_chunk().copied().unwrap_or([0; N]))
}

/// Takes what is written: the text of thousands of servers needs no room.
struct Hash(Context);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
