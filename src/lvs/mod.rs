//! The IPVS table: what it should be, and the loop that makes it so.

mod desired;
mod forwarding;
mod keeper;
mod owned;
pub mod sync;

pub use desired::{desired, destination_key, service_keys, sorry_key};
pub use forwarding::{missing_for_nat, spread_twice};
pub use keeper::{Keeper, Report, Wanted};
pub use owned::{Owned, OwnedError};
