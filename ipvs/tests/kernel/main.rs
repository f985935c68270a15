//! The crate against a kernel: each test boots its own.

#![expect(clippy::expect_used, reason = "how a test fails")]

mod errors;
mod plans;
mod random;
mod reading;
mod truth;
