//! The composition: threads, channels and the one snapshot that everybody reads.

pub mod snapshot;

pub use snapshot::Snapshot;
