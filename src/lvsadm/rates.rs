//! Rates of counters between two listings.

use std::collections::BTreeMap;
use std::time::Duration;

use ipvs::{DestinationKey, ListedService, ServiceKey, Stats};

/// Counters by service, and by server of a service.
pub(super) type Counters = BTreeMap<(ServiceKey, Option<DestinationKey>), Stats>;

/// The counters of a listing.
pub(super) fn counters(services: &[ListedService]) -> Counters {
    let mut counters = Counters::new();
    for service in services {
        counters.insert((service.key, None), service.stats);
        for server in &service.destinations {
            counters.insert((service.key, Some(server.key)), server.stats);
        }
    }
    counters
}

/// Puts what was measured since `before` in place of the kernel's rates, which it estimates over
/// some seconds and tells of what was not there before.
pub(super) fn measure(services: &mut [ListedService], before: &Counters, elapsed: Duration) {
    for service in services {
        if let Some(stats) = before.get(&(service.key, None)) {
            measure_one(&mut service.stats, stats, elapsed);
        }
        for server in &mut service.destinations {
            if let Some(stats) = before.get(&(service.key, Some(server.key))) {
                measure_one(&mut server.stats, stats, elapsed);
            }
        }
    }
}

fn measure_one(now: &mut Stats, before: &Stats, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    // Counters that have been set to zero meanwhile count from there.
    let rate = |now: u64, before: u64| {
        let change = now.checked_sub(before).unwrap_or(now);
        (change as f64 / seconds).round() as u64
    };
    now.connection_rate = rate(now.connections, before.connections);
    now.packet_rate_in = rate(now.packets_in, before.packets_in);
    now.packet_rate_out = rate(now.packets_out, before.packets_out);
    now.byte_rate_in = rate(now.bytes_in, before.bytes_in);
    now.byte_rate_out = rate(now.bytes_out, before.bytes_out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_change_in_a_second_and_survives_a_reset() {
        let before = Stats {
            connections: 100,
            bytes_in: 5000,
            ..Stats::default()
        };
        let mut now = Stats {
            connections: 150,
            bytes_in: 1000,
            connection_rate: 9,
            ..Stats::default()
        };
        measure_one(&mut now, &before, Duration::from_millis(2000));
        assert_eq!((now.connection_rate, now.byte_rate_in), (25, 500));
        assert_eq!(now.packet_rate_in, 0);
    }
}
