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
//! while let Some(verdicts) = verdicts.recv().await {
//!     for verdict in verdicts {
//!         println!("{} is {}", verdict.target.address(), verdict.health);
//!     }
//! }
//! # }
//! ```
//!
//! # A new kind of probe
//!
//! A kind is one file in `kinds/` and its line in the table of `kinds/mod.rs`. Besides these, Rust
//! wants a `mod` above that table, and a test of this repository a line in the map of
//! `ARCHITECTURE.md`. The file has:
//!
//! 1. A plain type with what may be chosen: it is compared to share probes, hashed to spread them,
//!    and serialised, so it derives all that [`kinds::tcp::Tcp`] does. Passwords are a
//!    [`Secret`](spec::Secret), TLS is a [`Tls`].
//! 2. Its `Ask`: one async function, `ask`, that asks the target once; and for the tests, which do
//!    not compile without, `talks`: every way in which it speaks with a server.
//!
//! This is all of one, `kinds/finger.rs`, which is a kind wherever the crate's tests are compiled.
//! Its line in the table is `Finger(finger::Finger) = "finger": "Somebody is asked for.",`.
//!
//! ```ignore
#![doc = include_str!("kinds/finger.rs")]
//! ```
//!
//! `probing` has what kinds need, bounded by the probe's timeout and coming from the address,
//! interface and mark that the specification names: `connect` and `connect_tls` give a `Session`
//! (`send`, `line`, `exactly`, `rest`, `fill` with `input` and `take`, `start_tls`; at most 64 KiB
//! come in unless `set_limit` says otherwise), `datagrams` gives UDP (whose `request` is sent again
//! while nothing comes), and `during` puts the limit around anything else that waits. Nothing may
//! outlive the future: dropping it is how a probe is cancelled.
//!
//! A failure says what was expected and what came: `session.unexpected("220", &line)` reads
//! "expected 220, got 421 closing", and `session.missing("220", end)` is for what did not come. What
//! this host lacks is [`Failure::NotRun`], and changes no verdict.
//!
//! Timeouts, times of phases, counting, sharing and scheduling come by themselves.
//!
//! In each of its `talks`, `kinds/misbehaviour.rs` tries every kind against servers that are silent,
//! close at once, speak byte by byte, send garbage or never stop, and where it comes to TLS against
//! certificates that are wrong or expired. What is left to write are tests of the kind's own, in its
//! file and, against a real server, in `tests/real/`.

mod connects;
mod datagrams;
mod echoes;
mod failure;
mod frames;
pub mod kinds;
mod looks;
pub mod pattern;
mod probe;
mod probing;
mod refusals;
mod report;
mod runner;
pub mod schedule;
#[allow(dead_code, reason = "each kind takes of it what it needs")]
mod session;
mod socket;
pub mod spec;
mod target;
#[cfg(test)]
#[allow(dead_code, reason = "each kind's tests take of it what they need")]
mod testing;
mod tls;
mod users;

pub use failure::{End, Failure, Stage};
pub use probe::probe;
pub use probing::Shared;
pub use report::{Answer, Report, Times, Weight};
pub use runner::Runner;
pub use schedule::{Health, Limits, Output, ProbeId, Schedule, Stats, Verdict};
pub use spec::ProbeSpec;
pub use target::Target;
pub use tls::Tls;

/// Time since boot, or since any other moment that does not move: what the schedule counts in.
pub type Time = std::time::Duration;
