//! Virtual IP addresses: putting them on interfaces, announcing them, and watching both.
//!
//! [`Vips`] holds what is wanted and makes it so, a bounded piece per turn, so that the thread that
//! owns it can send heartbeats in between. Nothing in it waits: the kernel carries out netlink
//! requests while they are sent, and frames that a card has no room for leave in a later turn.
//!
//! A VIP that is made [quiet](Vips::quiet) keeps receiving while the director that follows announces
//! it: its address is replaced by a local route, which neither ARP nor neighbour discovery answers
//! for.
//!
//! A VIP that no director has held lately is asked for before it is put, as somebody else may have
//! it ([`Vips::claim`]). One that another director holds is asked for while that lives
//! ([`Vips::watch`]), so that it need not be when that dies ([`Vips::try_put`]). One that is handed
//! over is put at once ([`Vips::put`]). See the [`prober`] for what an answer means.
//!
//! An address of the configuration belongs to us wherever it came from. One that is there when it
//! is to be put is adopted, and when its group leaves, or at a start that doesn't own the group, it
//! is removed, be it left by an earlier run, by another daemon or by hand: two hosts that hold one
//! address are worse than none. Beyond the configuration we touch only addresses and routes that
//! carry our mark ([`table::MARK`]), which a run with another configuration left. One daemon per network
//! namespace is assumed.

pub mod announcer;
mod answers;
mod bpf;
pub mod carrier;
mod duties;
pub mod frame;
pub mod host;
pub mod message;
mod neighbour;
mod packet;
pub mod prober;
mod problem;
mod release;
pub mod route;
pub mod table;
mod vips;
mod witness;

pub use answers::Answer;
pub use duties::{Place, RETRY};
pub use host::{Host, Kernel, OpenError};
pub use packet::{Envelope, PacketSocket};
pub use problem::{Action, Problem, Shown};
pub use release::{Released, release};
pub use vips::{CHUNK, Counts, Output, Vips};
pub use witness::Witness;
