//! What a reader and writer of an IPVS table can do, be it the kernel's or a fake.

use crate::change::Change;
use crate::command::Command;
use crate::error::{Error, Refusal, errno};
use crate::model::{Info, ListedService, SyncDaemon, Table, Timeouts, table};
use crate::netlink::KernelError;
use crate::outline::OutlinedService;

/// A reader and writer of an IPVS table: the kernel's [`Client`](crate::Client), or a
/// [`Fake`](crate::fake::Fake).
///
/// Each method fails with [`Error::NotPermitted`] without `CAP_NET_ADMIN`, with [`Error::NoIpvs`]
/// when the module is gone and cannot be loaded, and otherwise with what befell the socket.
pub trait Kernel {
    /// All services with their destinations and counters, in the kernel's order.
    ///
    /// It is no picture of one moment. The kernel hands out the services in parts of some 80, and
    /// then the destinations of each service in such parts; each part is true to one moment, and
    /// others may write between two. Then what they add or remove may be in the listing or not;
    /// nothing is in it twice; and when something is removed, something else that the kernel keeps
    /// near it may be left out. A [`plan`](crate::plan()) from such a listing does no harm: to add
    /// what is there already is refused, and the next plan is right.
    ///
    /// # Errors
    /// When the table cannot be read whole.
    fn listing(&mut self) -> Result<Vec<ListedService>, Error>;

    /// Carries out commands in their order; one outcome each, with the kernel's own error number.
    ///
    /// A refused one does not stop the rest. Whoever wants it explained makes a [`Refusal`] of it.
    ///
    /// # Errors
    /// When it is unknown which were carried out; what they were to change must be read afresh.
    fn execute(&mut self, commands: &[Command]) -> Result<Vec<Result<(), KernelError>>, Error>;

    /// Version and size of the kernel's IPVS.
    ///
    /// # Errors
    /// As the trait says.
    fn info(&mut self) -> Result<Info, Error>;

    /// How long idle connections are remembered.
    ///
    /// # Errors
    /// As the trait says.
    fn timeouts(&mut self) -> Result<Timeouts, Error>;

    /// The sync daemons that run, at most one of each role.
    ///
    /// # Errors
    /// As the trait says.
    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error>;

    /// All services with what people look at first, in the kernel's order; from the kernel itself
    /// several times as fast as a [`listing`](Self::listing) where services are many.
    ///
    /// # Errors
    /// As for [`listing`](Self::listing).
    fn outline(&mut self) -> Result<Vec<OutlinedService>, Error> {
        Ok(self.listing()?.into_iter().map(Into::into).collect())
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// [`Error::Refused`] with what the kernel's refusal means.
    fn command(&mut self, command: Command) -> Result<(), Error> {
        let outcome = self.execute(std::slice::from_ref(&command))?.pop();
        match outcome {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) if error.errno == errno::EPERM => Err(Error::NotPermitted),
            Some(Err(error)) => Err(Refusal::new(command, error).into()),
        }
    }

    /// Carries out changes in their order; one outcome each. A refused one does not stop the rest.
    ///
    /// # Errors
    /// When it is unknown which were carried out; the table must then be read afresh.
    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Refusal>>, Error> {
        let commands: Vec<_> = changes.iter().cloned().map(Command::from).collect();
        let outcomes = self.execute(&commands)?;
        explain(changes, outcomes)
    }

    /// All services with their destinations.
    ///
    /// # Errors
    /// As for [`listing`](Self::listing).
    fn table(&mut self) -> Result<Table, Error> {
        Ok(table(&self.listing()?))
    }
}

/// Says what refusals mean. A missing right stops everything, so it is told once.
pub(crate) fn explain(
    changes: &[Change],
    outcomes: Vec<Result<(), KernelError>>,
) -> Result<Vec<Result<(), Refusal>>, Error> {
    let denied = outcomes.iter().any(|outcome| {
        outcome
            .as_ref()
            .is_err_and(|error| error.errno == errno::EPERM)
    });
    if denied {
        return Err(Error::NotPermitted);
    }
    Ok(outcomes
        .into_iter()
        .zip(changes)
        .map(|(outcome, change)| outcome.map_err(|error| Refusal::new(change.clone(), error)))
        .collect())
}
