//! Whatever the kernel, or somebody in its place, may send: nothing makes the readers panic.
//!
//! `cargo +nightly fuzz run decode`, in the folder of the crate. What is worth keeping of the corpus
//! is in the tree, and replayed by the crate's ordinary tests.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs::fuzz::decode(bytes));
