//! `--watch`: a listing drawn again and again.

use std::io::{BufRead, Write};
use std::thread;
use std::time::{Duration, Instant};

use ipvs::{Error, ListedService};

use super::kernel::Source;
use super::rates::{self, Counters};
use super::request::{Format, Listing, What};
use super::{Failure, Session, unlisted};

/// To the upper left corner, and away with what is there (ECMA-48 CUP and ED).
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Lists until the output is closed or something fails.
///
/// A terminal is cleared before each listing. Elsewhere an empty line is put between two, and
/// between two JSON documents nothing.
pub(super) fn watch<K, O, I, W, E>(
    session: &mut Session<'_, O, I, W, E>,
    kernel: &mut K,
    listing: &Listing,
    interval: Duration,
) -> Result<(), Failure>
where
    K: Source,
    O: Fn() -> Result<K, Error>,
    I: BufRead,
    W: Write,
    E: Write,
{
    let mut before: Option<(Counters, Instant)> = None;
    let mut due = Instant::now();
    loop {
        if session.terminal && !listing.json {
            session.stdout.write_all(CLEAR)?;
        } else if before.is_some() && !listing.json {
            session.stdout.write_all(b"\n")?;
        }
        let drawn = Instant::now();
        let counters = draw(session, kernel, listing, before.as_ref(), drawn)?;
        session.stdout.flush()?;
        before = Some((counters, drawn));
        due += interval;
        match due.checked_duration_since(Instant::now()) {
            Some(left) => thread::sleep(left),
            // Slower than asked for: from here on.
            None => due = Instant::now(),
        }
    }
}

/// Lists once, with rates since the listing before, and returns the counters.
fn draw<K, O, I, W, E>(
    session: &mut Session<'_, O, I, W, E>,
    kernel: &mut K,
    listing: &Listing,
    before: Option<&(Counters, Instant)>,
    now: Instant,
) -> Result<Counters, Failure>
where
    K: Source,
    O: Fn() -> Result<K, Error>,
    I: BufRead,
    W: Write,
    E: Write,
{
    let measured = |services: &mut [ListedService]| {
        let counters = rates::counters(services);
        if let Some((before, at)) = before
            && (listing.format == Format::Rates || listing.json)
        {
            rates::measure(services, before, now.duration_since(*at));
        }
        counters
    };
    match listing.what {
        What::Table => {
            let info = kernel.info().map_err(unlisted)?;
            let mut services = kernel.listing().map_err(unlisted)?;
            let counters = measured(&mut services);
            session.write_table(info, &services, listing)?;
            Ok(counters)
        }
        What::Service(key) => {
            let mut service = [kernel.service(&key).map_err(unlisted)?];
            let counters = measured(&mut service);
            let [service] = service;
            session.write_service(&service, listing)?;
            Ok(counters)
        }
        What::Connections | What::Timeouts | What::Daemons => {
            session.list(kernel, listing)?;
            Ok(Counters::new())
        }
    }
}
