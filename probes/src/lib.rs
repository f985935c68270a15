//! Health probes of network services, and the schedule that runs them.

pub mod spec;

pub use spec::ProbeSpec;
