//! Who is alive, and who owns which group: a pure machine, and the datagrams it speaks with.

mod auth;
mod event;
mod heartbeat;
mod liveness;
mod machine;
mod ownership;
mod packet;
mod rules;
mod settings;
#[cfg(test)]
mod sim;
mod status;
#[cfg(test)]
mod tests;

pub use auth::{KeyId, Keys, TAG_LEN};
pub use event::{DeathCause, Event, Input, Left, Output, Taken};
pub use heartbeat::{Claim, Echo, Fitness, Heartbeat, Rank, Role, Standing};
pub use machine::Machine;
pub use packet::{Codec, Dropped, Limit, MAX_DATAGRAM, MAX_DIRECTORS, MAX_GROUPS, MAX_NAME};
pub use settings::{GroupSettings, PeerSettings, Settings};
pub use status::{Counters, GroupStatus, Liveness, PathStatus, PeerStatus, Status};
