//! The one clock of the daemon: time since boot, which suspension does not stop.

pub(crate) mod micros;

use std::time::Duration;

/// Time since the host booted, as `CLOCK_BOOTTIME` counts it.
///
/// Never compared between hosts and never set back. A plain [`Duration`], so that every pure core
/// can take it, be replayed with it and be simulated with it.
pub type Time = Duration;

/// Reads `CLOCK_BOOTTIME`.
///
/// Unlike [`std::time::Instant`] (`CLOCK_MONOTONIC`) it goes on while the host is suspended, so a
/// director that slept knows that it slept (clock_gettime(2)).
#[must_use]
pub fn now() -> Time {
    let ts = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let secs = u64::try_from(ts.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(ts.tv_nsec).unwrap_or(0);
    Duration::new(secs, nanos)
}

/// The time of day, since 1970 in UTC. It may be set back or forth at any moment: for people and
/// logs, never to decide anything by.
#[must_use]
pub fn wall() -> Duration {
    let ts = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let secs = u64::try_from(ts.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(ts.tv_nsec).unwrap_or(0);
    Duration::new(secs, nanos)
}
