//! What two directors compare to know that they run the same settings.

use ring::digest::{SHA256, digest};
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
    let hash = digest(&SHA256, &serde_json::to_vec(part)?);
    Ok(hash.as_ref().first_chunk().copied().unwrap_or([0; N]))
}
