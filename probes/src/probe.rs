//! One probe of one target, whatever its kind.

use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::probing::{Probing, Shared};
use crate::report::Report;
use crate::target::Target;

/// Probes `target` once. Takes no longer than the timeout of its specification; dropping the
/// future closes the connection.
///
/// Must run in a tokio runtime with its network and time drivers.
pub async fn probe(target: &Target, shared: &Shared) -> Report {
    probe_from(target, shared, Instant::now()).await
}

/// The same for one of many that begin together at `start`: where a look at the clock is a system
/// call, it costs as much as what is asked.
pub(crate) async fn probe_from(target: &Target, shared: &Shared, start: Instant) -> Report {
    let mut probing = Probing::new(target.clone(), shared.clone(), start);
    let end = probing.end();
    // Each step has this limit, and a reason of its own when it is over; this is for the kind that
    // computes or forgets.
    let result = timeout_at(end, target.spec().kind.ask(&mut probing)).await;
    let result = result.unwrap_or_else(|_| {
        Err(Failure::TimedOut {
            after: target.spec().timeout,
            stage: probing.stage(),
        })
    });
    let (warning, times) = probing.finish();
    let result = result.map(|mut answer| {
        answer.warning = answer.warning.or(warning);
        answer
    });
    Report { result, times }
}
