//! The one writer of the kernel's table: a thread that keeps it as it is wanted.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipvs::{Kernel, ListedService, ServiceKey, Table, plan};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Owned;
use super::sync::{self, Host};

/// Between two readings of a table that nothing is to change in.
const AUDIT: Duration = Duration::from_secs(2);
/// The same of one in which nothing is ours, or shall be.
const IDLE_AUDIT: Duration = Duration::from_secs(10);
/// Reading a large table may take this part of the thread's time at most.
const SHARE: u32 = 20;
/// And this part while there is always something to be changed.
const BUSY_SHARE: u32 = 4;
/// So many changes of others are told one by one each time.
const TOLD: usize = 10;
/// But no change waits longer for others.
const PAUSE: Duration = Duration::from_millis(300);

/// A table that is wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// Grows with each table that is wanted.
    pub generation: u64,
    /// The services that shall be ours, as they shall be.
    pub table: Table,
    /// The daemons and settings that shall be beside it.
    pub sync: sync::Desired,
}

/// What became of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// The newest table that was wanted and is there, but for what was refused.
    pub generation: u64,
    /// The kernel's table, those of others included, as it was read last.
    pub listing: Arc<Vec<ListedService>>,
    /// What prevents services from being as they are wanted.
    pub refusals: Vec<(ServiceKey, String)>,
    /// What prevents any work on the table.
    pub error: Option<String>,
    /// Something did the time before as well.
    pub broken: bool,
    /// What became of connection sync and settings.
    pub sync: sync::Report,
    /// Changes of others to the table that have been undone since the start.
    pub drift: u64,
    /// Changes of the kernel's table since the start, whatever their cause.
    pub changes: u64,
}

/// The running thread.
#[derive(Debug)]
pub struct Keeper {
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread. It ends when the sender of `wanted` is gone.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn spawn<K: Kernel + Send + 'static>(
        runtime: Handle,
        kernel: K,
        owned: Owned,
        sync: sync::Work<sync::System>,
        mut wanted: watch::Receiver<Arc<Wanted>>,
        reports: watch::Sender<Arc<Report>>,
    ) -> io::Result<Self> {
        let mut work = Work::new(kernel, owned, sync);
        let thread = std::thread::Builder::new()
            .name("ipvs".to_owned())
            .spawn(move || {
                loop {
                    let now_wanted = Arc::clone(&wanted.borrow_and_update());
                    let start = Instant::now();
                    let superseded = || wanted.has_changed().is_ok_and(|changed| changed);
                    let report = work.round(&now_wanted, superseded);
                    let took = start.elapsed();
                    let rest = work.audit(&now_wanted).max(took * SHARE);
                    tell(&reports, report);
                    let pause = PAUSE.min(took * (BUSY_SHARE - 1));
                    std::thread::sleep(pause);
                    let news = runtime.block_on(async { timeout(rest, wanted.changed()).await });
                    if matches!(news, Ok(Err(_))) {
                        return;
                    }
                }
            })?;
        Ok(Self { thread })
    }

    /// Waits for the thread's end.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that keeps the IPVS table panicked");
        }
    }
}

/// An audit that finds everything as it was wakes nobody.
fn tell(reports: &watch::Sender<Arc<Report>>, report: Report) {
    reports.send_if_modified(|known| {
        let news = **known != report;
        if news {
            *known = Arc::new(report);
        }
        news
    });
}

/// What the thread knows from one round to the next.
struct Work<K, H> {
    kernel: K,
    owned: Owned,
    sync: sync::Work<H>,
    /// The newest generation that is wholly in the kernel.
    settled: Option<u64>,
    report: Report,
}

impl<K: Kernel, H: Host> Work<K, H> {
    fn new(kernel: K, owned: Owned, sync: sync::Work<H>) -> Self {
        Self {
            kernel,
            owned,
            sync,
            settled: None,
            report: Report::default(),
        }
    }

    /// How long the table may be as somebody else has changed it.
    fn audit(&self, wanted: &Wanted) -> Duration {
        let nothing = wanted.table.is_empty() && self.owned.keys().is_empty();
        if nothing && self.report.error.is_none() && wanted.sync == sync::Desired::default() {
            IDLE_AUDIT
        } else {
            AUDIT
        }
    }

    /// Compares, changes what differs, and tells how it went.
    ///
    /// `superseded` tells whether another table is wanted by now.
    fn round(&mut self, wanted: &Wanted, superseded: impl Fn() -> bool) -> Report {
        // A table that is torn down tells nobody of its connections; one that is built up takes
        // in those of others when their servers are there. What keeps a director that is a real
        // server from balancing goes when there is nothing left to balance.
        if wanted.sync.daemons.is_empty() {
            self.sync.hush(&mut self.kernel);
        }
        let outcome = self.try_round(wanted, superseded);
        let report = self.sync.round(&mut self.kernel, &wanted.sync);
        self.report.sync = report.clone();
        let error = outcome.err().map(|error| error.to_string());
        if error != self.report.error {
            match &error {
                Some(error) => tracing::error!(%error, "cannot work on the IPVS table"),
                None => tracing::info!("the IPVS table can be worked on again"),
            }
        }
        self.report.broken = error.is_some() && self.report.error.is_some();
        self.report.error = error;
        self.report.clone()
    }

    fn try_round(
        &mut self,
        wanted: &Wanted,
        superseded: impl Fn() -> bool,
    ) -> Result<(), ipvs::Error> {
        let listing = self.kernel.listing()?;
        let changes = plan(&wanted.table, &listing, self.owned.keys());
        if changes.is_empty() {
            self.settle(wanted, listing, Vec::new());
            return Ok(());
        }
        if self.settled == Some(wanted.generation) {
            self.report.drift += changes.len() as u64;
            for change in changes.iter().take(TOLD) {
                tracing::warn!(%change, "somebody else changed the IPVS table; mending it");
            }
            let more = changes.len().saturating_sub(TOLD);
            if more > 0 {
                tracing::warn!(more, "and changed more of it; mending that too");
            }
        }
        // Whatever happens from here on, the next run must know what may be ours.
        let keys: BTreeSet<ServiceKey> = wanted.table.keys().copied().collect();
        self.note(self.owned.keys() | &keys);
        let outcomes = self.kernel.apply(&changes)?;
        self.report.changes += outcomes.iter().filter(|it| it.is_ok()).count() as u64;
        let mut refusals = Vec::new();
        for (change, outcome) in changes.iter().zip(outcomes) {
            match outcome {
                Ok(()) => tracing::debug!(%change, "IPVS table changed"),
                Err(refusal) => refusals.push((change.service(), refusal.to_string())),
            }
        }
        // The next round, which is due at once, reads the table before anything else.
        if superseded() && refusals.is_empty() {
            self.report.listing = Arc::new(listing);
            return Ok(());
        }
        let listing = self.kernel.listing()?;
        self.settle(wanted, listing, refusals);
        Ok(())
    }

    fn settle(
        &mut self,
        wanted: &Wanted,
        listing: Vec<ListedService>,
        refusals: Vec<(ServiceKey, String)>,
    ) {
        for (_, refusal) in &refusals {
            if !self
                .report
                .refusals
                .iter()
                .any(|(_, known)| known == refusal)
            {
                tracing::error!(%refusal, "the kernel refused a change of the IPVS table");
            }
        }
        self.settled = refusals.is_empty().then_some(wanted.generation);
        let there: BTreeSet<ServiceKey> = listing.iter().map(|listed| listed.key).collect();
        let keys: BTreeSet<ServiceKey> = wanted.table.keys().copied().collect();
        self.note(&keys | &(self.owned.keys() & &there));
        self.report.generation = wanted.generation;
        self.report.listing = Arc::new(listing);
        self.report.refusals = refusals;
    }

    fn note(&mut self, keys: BTreeSet<ServiceKey>) {
        if let Err(error) = self.owned.set(keys) {
            tracing::error!(%error, "a restart will not know which services are ours");
        }
    }
}

#[cfg(test)]
mod tests;
