//! The IPVS table: what it should be, and the loop that makes it so.

mod desired;
mod keeper;
mod owned;

pub use desired::{desired, destination_key, service_keys, sorry_key};
pub use keeper::{Keeper, Report, Wanted};
pub use owned::{Owned, OwnedError};
