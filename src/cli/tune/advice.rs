//! Which keepalive and deadtime follow from what has been heard: pure.
//!
//! A director takes a peer for dead by mistake when no heartbeat comes for deadtime although it
//! lives. Two things do that, and each is allowed half of the false alarms:
//!
//! - *Delays*: a heartbeat comes late, because a host had something else to do, or a switch. Rare
//!   delays are guessed from the longest of those seen: beyond where these begin, each further
//!   stretch of their mean excess is as much rarer again (an exponential tail). The mean is taken
//!   two standard errors too large. Of the guesses that the longest twenty, and ever more up to a
//!   hundredth of all, lead to, the longest counts; and never less than one and a half times the
//!   longest delay seen, since tails can be heavier.
//! - *Losses*: heartbeats that came on no path. A run of them is taken to be as likely as its parts
//!   together, with three more lost than have been (the 95 % bound when none was); no run as long as
//!   one that was seen may be an alarm, however short keepalive is; and never one of two.

use std::time::Duration;

use serde::Serialize;

use crate::cli::format;
use crate::clock::micros;
use crate::cluster::{Histogram, Rhythm};
use crate::director::Snapshot;
use crate::director::snapshot::DirectorStatus;

/// With fewer, the longest hundredth of delays is no tail.
const ENOUGH_HEARD: u64 = 10_000;
/// Cron jobs, backups and log rotation want to have been seen; this is the very least.
const ENOUGH_WATCHED: Duration = Duration::from_secs(3600);
/// So many of the longest delays make a tail, at least.
const TAIL: u64 = 20;
/// Keepalives that people choose, in milliseconds.
const KEEPALIVES: [u64; 11] = [5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000];
/// Runs longer than this are no longer losses, but a network that is cut.
const MOST_LOST: u32 = 100;

/// What is recommended, and the figures it follows from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Advice {
    /// What has been heard of each peer.
    pub(super) peers: Vec<Figures>,
    /// Peers that say too little, and why.
    pub(super) left_out: Vec<String>,
    /// By how much a heartbeat may be late with the recommended timing.
    #[serde(rename = "late_by_us", with = "micros")]
    pub(super) late_by: Duration,
    /// How many in a row may be lost with it.
    pub(super) lost: u32,
    /// As configured.
    pub(super) now: Choice,
    /// The shortest deadtime with the configured keepalive.
    pub(super) enough: Choice,
    /// The longest keepalive with which deadtime is at most twice as long as with the shortest.
    pub(super) recommended: Choice,
}

/// A pair of keys of `[heartbeat]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Choice {
    #[serde(rename = "keepalive_us", with = "micros")]
    pub(super) keepalive: Duration,
    #[serde(rename = "deadtime_us", with = "micros")]
    pub(super) deadtime: Duration,
}

/// What has been heard of a peer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) name: String,
    #[serde(rename = "watched_us", with = "micros")]
    pub(super) watched: Duration,
    pub(super) heard: u64,
    pub(super) lost: u64,
    pub(super) lost_in_a_row: u64,
    /// The longest delay.
    #[serde(rename = "latest_by_us", with = "micros")]
    pub(super) latest_by: Duration,
    /// The longest delay that must be no alarm.
    #[serde(rename = "late_by_us", with = "micros")]
    pub(super) late_by: Duration,
    /// Heartbeats in a row whose loss must be no alarm, with the configured keepalive.
    pub(super) allowed_lost: u32,
}

/// Why nothing can be recommended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no other director to be heard")]
    Alone,
    #[error("too little has been heard: {}", .0.join("; "))]
    TooLittle(Vec<String>),
    #[error(
        "{peer} was silent for deadtime ({}) {times} times and then went on, still the same run of its \
         daemon. Silence beyond deadtime cannot be measured. If it was the network that was cut, \
         restart the daemon here to forget it, and ask again later; if it was not, set deadtime to \
         {} on all directors first",
        milliseconds(*.deadtime), milliseconds(2 * *.deadtime)
    )]
    Returned {
        peer: String,
        times: u64,
        deadtime: Duration,
    },
}

/// Recommends what is expected to give at most `rate` false alarms a second at this director.
pub(super) fn advise(snapshot: &Snapshot, rate: f64) -> Result<Advice, Refusal> {
    let now = Choice {
        keepalive: snapshot.timing.keepalive,
        deadtime: snapshot.timing.deadtime,
    };
    let others: Vec<&DirectorStatus> = snapshot.directors.iter().filter(|d| !d.local).collect();
    let (mut told, mut left_out) = (Vec::new(), Vec::new());
    for peer in &others {
        match usable(peer, now)? {
            Ok(rhythm) => told.push((peer.name.as_str(), rhythm)),
            Err(why) => left_out.push(why),
        }
    }
    if others.is_empty() {
        return Err(Refusal::Alone);
    }
    if told.is_empty() {
        return Err(Refusal::TooLittle(left_out));
    }
    // Delays and losses have half of it each, and every peer its part.
    let share = rate / 2.0 / to_f64(told.len() as u64);
    let needs: Vec<Needs> = told
        .iter()
        .map(|(_, rhythm)| Needs::new(rhythm, share, now.keepalive))
        .collect();
    let late_by = needs.iter().map(|it| it.late_by).max().unwrap_or_default();
    let lost = |keepalive| {
        let each = needs.iter().map(|it| it.allowed_lost(share, keepalive));
        each.max().unwrap_or(MOST_LOST)
    };
    let with = |keepalive: Duration| Choice {
        keepalive,
        deadtime: rounded_up((lost(keepalive) + 1) * keepalive + late_by),
    };
    let candidates = KEEPALIVES.map(|millis| with(Duration::from_millis(millis)));
    let shortest = candidates.iter().map(|it| it.deadtime).min();
    let bound = 2 * shortest.unwrap_or_default();
    let mut good = candidates.iter().filter(|it| it.deadtime <= bound);
    let recommended = good.next_back().copied().unwrap_or(now);
    let peers = told
        .iter()
        .zip(&needs)
        .map(|((name, rhythm), needs)| Figures {
            name: (*name).to_owned(),
            watched: rhythm.watched,
            heard: rhythm.heard(),
            lost: rhythm.lost,
            lost_in_a_row: rhythm.lost_in_a_row,
            latest_by: rhythm.delays.longest(),
            late_by: needs.late_by,
            allowed_lost: needs.allowed_lost(share, now.keepalive),
        });
    Ok(Advice {
        peers: peers.collect(),
        left_out,
        late_by,
        lost: lost(recommended.keepalive),
        now,
        enough: with(now.keepalive),
        recommended,
    })
}

/// What has been heard of a peer, or why that says too little.
fn usable(peer: &DirectorStatus, now: Choice) -> Result<Result<&Rhythm, String>, Refusal> {
    let name = &peer.name;
    let Some(rhythm) = peer.rhythm.as_ref().filter(|rhythm| rhythm.heard() > 0) else {
        return Ok(Err(format!("{name} has not been heard yet")));
    };
    if rhythm.returns > 0 {
        return Err(Refusal::Returned {
            peer: name.clone(),
            times: rhythm.returns,
            deadtime: now.deadtime,
        });
    }
    if peer.same_config == Some(false) {
        return Ok(Err(format!(
            "{name} runs another configuration, and perhaps another keepalive"
        )));
    }
    let (heard, watched) = (rhythm.heard(), rhythm.watched);
    if heard < ENOUGH_HEARD || watched < ENOUGH_WATCHED {
        return Ok(Err(format!(
            "{heard} heartbeats of {name} in {}, where {ENOUGH_HEARD} in {} are the least",
            format::duration(watched),
            format::duration(ENOUGH_WATCHED)
        )));
    }
    Ok(Ok(rhythm))
}

/// What a peer's heartbeats need.
#[derive(Clone, Copy, Debug)]
struct Needs {
    late_by: Duration,
    /// How likely it is that one is lost.
    loss: f64,
    /// The longest run of losses that was seen.
    outage: Duration,
}

impl Needs {
    fn new(rhythm: &Rhythm, share: f64, keepalive: Duration) -> Self {
        let lost = rhythm.lost + 3;
        let run = u32::try_from(rhythm.lost_in_a_row).unwrap_or(u32::MAX);
        Self {
            late_by: late_by(&rhythm.delays, rhythm.watched, share),
            loss: to_f64(lost) / to_f64(rhythm.heard() + lost),
            outage: keepalive.saturating_mul(run),
        }
    }

    /// The fewest heartbeats in a row whose loss must be no alarm.
    fn allowed_lost(&self, share: f64, keepalive: Duration) -> u32 {
        // One more in a row than are allowed is an alarm; a run may begin with each heartbeat.
        let begins = 1.0 / keepalive.as_secs_f64();
        let alarms = |allowed: u32| begins * self.loss.powf(f64::from(allowed) + 1.0);
        let likely = (2..MOST_LOST).find(|allowed| alarms(*allowed) <= share);
        let seen = self.outage.as_nanos().div_ceil(keepalive.as_nanos().max(1));
        let seen = u32::try_from(seen).unwrap_or(MOST_LOST);
        likely.unwrap_or(MOST_LOST).max(seen)
    }
}

/// The delay that is exceeded `share` times a second, as far as those seen in `watched` can tell.
fn late_by(delays: &Histogram, watched: Duration, share: f64) -> Duration {
    let most = (delays.count() / 100).max(TAIL);
    let mut tail: Vec<(Duration, u64)> = Vec::new();
    let mut count = 0;
    let mut longest = delays.longest() * 3 / 2;
    for (begin, end, times) in delays.from_longest() {
        // Longer ones are rarer, so that the middle of a bucket is on the safe side.
        tail.push((begin + (end.saturating_sub(begin)) / 2, times));
        count += times;
        if count < TAIL {
            continue;
        }
        let excess = |time: Duration| time.saturating_sub(begin).as_secs_f64();
        let sum: f64 = tail
            .iter()
            .map(|(time, n)| excess(*time) * to_f64(*n))
            .sum();
        let count_f64 = to_f64(count);
        let mean = sum / count_f64 * (1.0 + 2.0 / count_f64.sqrt());
        let a_second = count_f64 / watched.as_secs_f64();
        let rarer = (a_second / share).ln().max(0.0);
        let guess = Duration::try_from_secs_f64(mean * rarer).unwrap_or_default();
        longest = longest.max(begin + guess);
        if count >= most {
            break;
        }
    }
    longest
}

/// A length that people would choose, not below `time`.
fn rounded_up(time: Duration) -> Duration {
    let micros = micros::of(time);
    let step = match micros {
        0..100_000 => 5_000,
        100_000..1_000_000 => 10_000,
        _ => 100_000,
    };
    Duration::from_micros(micros.div_ceil(step).saturating_mul(step))
}

/// `7.5ms`, `200ms`, `1.5s`: exact enough to be copied.
pub(super) fn milliseconds(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis >= 1000.0 {
        format!("{}s", (millis / 100.0).round() / 10.0)
    } else {
        format!("{}ms", (millis * 10.0).round() / 10.0)
    }
}

/// Exact up to 2^53: more heartbeats than a director hears in a million years.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
pub(super) mod tests;
