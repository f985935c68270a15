//! The kernel's IP Virtual Server, programmed over generic netlink.
//!
//! A [`Table`] says what should be, [`Client::table`] what is, [`plan()`] how to come from one to
//! the other without losing a connection, and [`Client::apply`] does it. Whoever keeps services in
//! the kernel needs no more:
//!
//! ```no_run
//! use std::collections::{BTreeMap, BTreeSet};
//!
//! use ipvs::{Client, Destination, DestinationKey, Entry, Forwarding, Kernel, Protocol};
//! use ipvs::{Service, ServiceKey, Table, plan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let web = ServiceKey::Address {
//!     protocol: Protocol::Tcp,
//!     address: "192.0.2.80".parse()?,
//!     port: 80,
//! };
//! let server = DestinationKey { address: "10.0.1.21".parse()?, port: 80 };
//! let entry = Entry {
//!     service: Service::new("wlc"),
//!     destinations: BTreeMap::from([(server, Destination::new(Forwarding::Masquerade, 1))]),
//! };
//! let desired = Table::from([(web, entry)]);
//!
//! let mut client = Client::open()?;
//! let changes = plan(&desired, &client.listing()?, &BTreeSet::new());
//! for outcome in client.apply(&changes)? {
//!     if let Err(refusal) = outcome {
//!         eprintln!("{refusal}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The calls block, each for as long as the kernel takes to answer and never longer than
//! [`netlink::DEFAULT_TIMEOUT`]. Code that is to be tested without a kernel takes any [`Kernel`];
//! [`fake::Fake`] is one in memory.

mod change;
mod client;
mod command;
pub mod connections;
mod error;
pub mod fake;
mod kernel;
pub mod model;
pub mod netlink;
mod outline;
mod plan;
mod wire;

pub use change::Change;
pub use client::Client;
pub use command::Command;
pub use error::{Error, Reason, Refusal};
pub use kernel::Kernel;
pub use model::*;
pub use outline::{OutlinedDestination, OutlinedService};
pub use plan::plan;
