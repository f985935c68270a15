//! Waiting for a condition, with a deadline, instead of for time to pass.

use std::time::{Duration, Instant};

/// For states that come about within a few seconds, and later on a machine that is busy with
/// something else.
pub const SOON: Duration = Duration::from_secs(60);
/// Between the first two looks at a condition.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// Between two looks, when it takes longer: looking must not be what a guest is busy with.
const LOOK: Duration = Duration::from_millis(30);

/// Waits until `condition` holds.
///
/// # Panics
///
/// When it does not hold within `limit`; the message says `what` was waited for.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    assert!(
        holds_within(limit, &mut condition),
        "waited {limit:?} in vain until {what}"
    );
}

/// Waits until `probe` yields a value, and returns it.
///
/// # Panics
///
/// When it yields none within `limit`; the message says `what` was waited for.
#[track_caller]
pub fn until_some<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(what, limit, || {
        found = probe();
        found.is_some()
    });
    match found {
        Some(value) => value,
        None => unreachable!("until() returned without the value of {what}"),
    }
}

/// Whether `condition` comes to hold within `limit`.
pub fn holds_within(limit: Duration, condition: &mut dyn FnMut() -> bool) -> bool {
    let start = Instant::now();
    let mut pause = FIRST_LOOK;
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(pause);
        pause = LOOK.min(pause * 2);
    }
}
