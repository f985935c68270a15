//! Which probes to run for the configured servers, shared between services, and what they said.
//!
//! [`Subscriptions`] is the pure map from servers to probe targets. [`Verdicts`] holds it together
//! with the latest verdict of each target, and answers for each server.

mod subscriptions;
mod verdicts;

pub use self::subscriptions::Subscriptions;
pub use self::verdicts::{Health, ServerHealth, Share, Verdicts};

#[cfg(test)]
mod tests;
