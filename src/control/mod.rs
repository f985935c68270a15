//! The daemon's API, HTTP/1.1 with JSON on a Unix socket, and the client of it.
//!
//! The server answers from the one [`Snapshot`](crate::director::Snapshot) that the director
//! publishes, and from the one [`History`](crate::director::History): a request clones an `Arc` and
//! never waits for the director, so that status is answered during a failover as quickly as at any
//! other time.

pub mod client;
mod error;
mod events;
mod orders;
mod router;
mod server;

pub use client::Client;
pub use error::Error;
pub use orders::handover_of;
pub use server::{Hold, Server, guard_lock_path, lock_path};

/// Where the API listens unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/caribe/caribe.sock";

/// The path of a whole [`Snapshot`](crate::director::Snapshot) as JSON.
pub const STATUS: &str = "/v1/status";
/// The path of what has happened and happens, as server-sent events; see
/// [`History`](crate::director::History).
pub const EVENTS: &str = "/v1/events";
/// The path of the order to stand by.
pub const STANDBY: &str = "/v1/standby";
/// The path that answers 200 while the director runs.
pub const HEALTH: &str = "/healthz";
/// The path that answers 200 when every group has an owner and this director could take it.
pub const READINESS: &str = "/readyz";

#[cfg(test)]
mod tests;
