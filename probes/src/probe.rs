//! One probe of one target, whatever its kind.

use tokio::time::timeout_at;

use crate::failure::Failure;
use crate::probing::{Probing, Shared};
use crate::report::Report;
use crate::target::Target;

/// Probes `target` once. Takes no longer than the timeout of its specification; dropping the
/// future closes the connection.
///
/// Must run in a tokio runtime with its network and time drivers.
pub async fn probe(target: &Target, shared: &Shared) -> Report {
    let mut probing = Probing::new(target.clone(), shared.clone());
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
