//! Health probes of network services, and the schedule that runs them.
//!
//! A [`Target`] is an address with a [`ProbeSpec`]: what is asked there, how often, and how many
//! answers in a row make a verdict. The crate has three layers, each usable without the next:
//!
//! - [`probe()`] asks one target once and says in a [`Report`] how it went and how long it took;
//! - [`Schedule`] is the pure machine that says which target is due and turns reports into
//!   [`Verdict`]s; it has no clock, socket or task of its own;
//! - [`Runner`] is the tokio task that owns a schedule and runs what it says.
//!
//! ```no_run
//! # async fn example(targets: std::collections::BTreeSet<probes::Target>) {
//! let start = std::time::Instant::now();
//! let (runner, mut verdicts) = probes::Runner::spawn(
//!     &tokio::runtime::Handle::current(),
//!     probes::Limits::default(),
//!     move || start.elapsed(),
//! );
//! runner.set_targets(targets);
//! while let Some(verdict) = verdicts.recv().await {
//!     println!("{} is {}", verdict.target.address(), verdict.health);
//! }
//! # }
//! ```
//!
//! # A new kind of probe
//!
//! 1. A variant of [`ProbeKind`](spec::ProbeKind) with what an operator may choose.
//! 2. One file beside `tcp.rs`, with one function: it takes the address, its settings and the
//!    deadline, puts the deadline around each step that may wait, and returns `Ok(())` or the
//!    [`Failure`] that a person will read.
//! 3. One line in the table of `probe.rs`.
//!
//! Timeouts, counting, sharing and scheduling come by themselves.

mod expect;
mod failure;
mod http;
mod probe;
mod runner;
pub mod schedule;
pub mod spec;
mod target;
mod tcp;
#[cfg(test)]
mod testing;

pub use failure::{End, Failure, Stage};
pub use probe::{Report, probe};
pub use runner::Runner;
pub use schedule::{Health, Limits, Output, ProbeId, Schedule, Stats, Verdict};
pub use spec::ProbeSpec;
pub use target::Target;

/// Time since boot, or since any other moment that does not move: what the schedule counts in.
pub type Time = std::time::Duration;
