//! Where a probe goes and comes from, and when.

use std::net::IpAddr;
use std::time::Duration;

use probes::spec::Source;

use crate::config::diagnostic::{Fault, Faults};
use crate::config::duration;
use crate::config::raw::reader::{At, Table};
use crate::config::schema::probe as s;

pub(super) struct Place {
    pub(super) address: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) source: Source,
}

pub(super) fn place(table: &Table<'_>, faults: &mut Faults) -> Option<Place> {
    let address = table.address(&s::PROBE_ADDRESS, faults).optional();
    let port = table.integer(&s::PROBE_PORT, faults).optional();
    let bind = table.bind(&s::BIND, faults).optional();
    let mark = table.integer(&s::MARK, faults).optional();
    let mut source = match bind? {
        None => Source::default(),
        Some(Ok(address)) => Source {
            address: Some(address),
            ..Source::default()
        },
        Some(Err(interface)) => Source {
            interface: Some(interface),
            ..Source::default()
        },
    };
    source.mark = mark?;
    Some(Place {
        address: address?,
        port: port?,
        source,
    })
}

pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) fast: Option<Duration>,
    pub(super) down: Option<Duration>,
    pub(super) timeout: Duration,
}

pub(super) fn timing(table: &Table<'_>, faults: &mut Faults) -> Option<Timing> {
    let interval = table.duration(&s::INTERVAL, faults);
    let fast = table.duration(&s::FAST_INTERVAL, faults);
    let down = table.duration(&s::DOWN_INTERVAL, faults);
    let timeout = table.duration(&s::TIMEOUT, faults);
    let length = interval.or(s::INTERVAL.default_duration())?;
    let limit = timeout.or(s::TIMEOUT.default_duration().min(length))?;
    let above = |given: Option<&At<Duration>>, what: &str| {
        let given = given.filter(|at| at.value > length)?;
        let fault = Fault::new(
            &given.span,
            format!(
                "a probe's {what} of {} is above its interval of {}",
                duration::show(given.value),
                duration::show(length)
            ),
        )
        .label(format!("expected at most {}", duration::show(length)));
        Some(match interval.given() {
            Some(interval) => fault.also(&interval.span, "the interval"),
            None => fault.help("set `interval` too: a probe ends before its next one starts"),
        })
    };
    let wrong = [
        above(timeout.given(), "timeout"),
        above(fast.given(), "fast interval"),
    ];
    let mut fits = true;
    for fault in wrong.into_iter().flatten() {
        faults.add(fault);
        fits = false;
    }
    fits.then_some(Timing {
        interval: length,
        fast: fast.optional()?,
        down: down.optional()?,
        timeout: limit,
    })
}
