//! The kernel's IP Virtual Server, programmed over generic netlink.
//!
//! A [`Table`] says what should be, [`Kernel::listing`] what is, [`plan()`] how to come from one to
//! the other without losing a connection, and [`Kernel::apply`] does it. Whoever keeps services in
//! the kernel needs no more:
//!
//! ```
//! use std::collections::{BTreeMap, BTreeSet};
//!
//! use ipvs::fake::Fake;
//! use ipvs::{Destination, Entry, Forwarding, Kernel, Service, Table, plan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let web = "TCP 192.0.2.80:80".parse()?;
//! let server = "10.0.1.21:80".parse()?;
//! let entry = Entry {
//!     service: Service::new("wlc"),
//!     destinations: BTreeMap::from([(server, Destination::new(Forwarding::Masquerade, 1))]),
//! };
//! let desired = Table::from([(web, entry)]);
//!
//! // `Client::open()?` in the place of the fake is the kernel's table, and needs CAP_NET_ADMIN.
//! let mut kernel = Fake::default();
//! let changes = plan(&desired, &kernel.listing()?, &BTreeSet::new());
//! for outcome in kernel.apply(&changes)? {
//!     outcome?;
//! }
//! assert_eq!(kernel.table()?, desired);
//!
//! // Nothing is left to be done, and what is there already is refused with a reason.
//! assert!(plan(&desired, &kernel.listing()?, &BTreeSet::new()).is_empty());
//! let refusal = kernel.command(changes[0].clone().into()).unwrap_err();
//! assert_eq!(refusal.to_string(), "cannot add service TCP 192.0.2.80:80: it exists already");
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
#[cfg(any(test, fuzzing))]
pub mod fuzz;
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
