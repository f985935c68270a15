//! What a listing is read from: the kernel, or a fake in tests.

use ipvs::connections::{self, ListedConnection};
use ipvs::{Client, Error, Kernel, ListedService, ServiceKey};

/// A kernel of which parts can be listed.
pub(super) trait Source: Kernel {
    /// One service with its servers.
    fn service(&mut self, key: &ServiceKey) -> Result<ListedService, Error>;

    /// The connections, one by one.
    fn connections(
        &mut self,
    ) -> Result<Box<dyn Iterator<Item = Result<ListedConnection, Error>>>, Error>;
}

impl Source for Client {
    fn service(&mut self, key: &ServiceKey) -> Result<ListedService, Error> {
        Self::service(self, key)
    }

    fn connections(
        &mut self,
    ) -> Result<Box<dyn Iterator<Item = Result<ListedConnection, Error>>>, Error> {
        Ok(Box::new(connections::connections()?))
    }
}
