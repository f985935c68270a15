//! The kernel's IP Virtual Server, programmed over generic netlink.

pub mod model;
pub mod netlink;

pub use model::*;
