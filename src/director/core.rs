//! The task that knows the configuration, all verdicts and what became of them.

mod tidings;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use ipvs::Table;
use probes::{Limits, Runner, Verdict};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::Error;
use super::dropped::DroppedLog;
use super::events::{History, What};
use super::fitness::{Reach, Services};
use super::guard::Guard;
use super::late::LateLog;
use super::orders::{self, Order};
use super::pace::Pace;
use super::paths::Letter;
use super::pulse::{self, Command, Pulse};
use super::realtime;
use super::sight::{Scene, Sight};
use super::view::View;
use super::watchdog::Watchdog;
use super::wishes::Wishes;
use crate::clock::{self, Time};
use crate::config::{Config, Loaded};
use crate::health::{Subscriptions, Verdicts};
use crate::lvs::sync::Duty;
use crate::lvs::{self, Keeper, Owned, Wanted};

/// A snapshot is made when something has happened, but not without a pause.
const VIEW_PAUSE: Duration = Duration::from_millis(10);
/// Nor after a longer one than this, however long it takes to make.
const VIEW_PAUSE_MOST: Duration = Duration::from_secs(1);
/// And at least this often, so that what waits to be told in few words is told.
const VIEW: Duration = Duration::from_secs(10);
/// While something always happens, one part in this many of the time is for snapshots.
const VIEW_SHARE: u32 = 50;
/// And one in this many while somebody always asks.
const ANSWER_SHARE: u32 = 4;
/// And one in this many for what verdicts make of the table.
const TABLE_SHARE: u32 = 10;
/// But a verdict never waits longer than this for others.
const TABLE_PAUSE: Duration = Duration::from_millis(100);
/// After so long the first probes are over, and with them what takes much memory for a short time.
const SETTLED: Duration = Duration::from_secs(10);
/// What giving up may take beyond deadtime before the daemon ends all the same.
const STOP: Duration = Duration::from_secs(5);

/// The owner of everything that is neither heartbeat nor table.
#[derive(Debug)]
pub(super) struct Core {
    config: Arc<Config>,
    node: String,
    started: Time,
    verdicts: Verdicts,
    /// The kernel's table as it was found.
    adopted: Table,
    /// The addresses of directors that spread packets themselves, as far as it matters.
    busy: BTreeSet<IpAddr>,
    /// Services of which every server has been probed.
    complete: BTreeSet<String>,
    wanted: watch::Sender<Arc<Wanted>>,
    /// For each group what the heartbeat thread was told last.
    ready: BTreeMap<String, (bool, Services)>,
    pulse: Pulse,
    pulse_reports: mpsc::Receiver<pulse::Report>,
    last_pulse: Option<pulse::Report>,
    dropped: DroppedLog,
    reach: watch::Receiver<Option<Reach>>,
    /// What of it the heartbeat thread was told last.
    reach_told: Option<Reach>,
    keeper: Keeper,
    table_reports: watch::Receiver<Arc<lvs::Report>>,
    duty: Duty,
    runner: Runner,
    verdict_reports: mpsc::Receiver<Vec<Verdict>>,
    scene: Scene,
    guard: Option<Guard>,
    last_words: Vec<Letter>,
    watchdog: Option<Watchdog>,
    history: watch::Sender<Arc<History>>,
    late: LateLog,
    /// What the last report of the table's keeper said.
    table: Known,
    orders: Orders,
}

/// What operators order.
#[derive(Debug)]
pub(super) struct Orders {
    /// The orders.
    pub(super) orders: mpsc::Receiver<Order>,
    /// What of them outlives a restart.
    pub(super) wishes: Wishes,
}

/// What has been told of the kernel's table.
#[derive(Debug, Default)]
struct Known {
    drift: u64,
    broken: bool,
}

/// The kernel's table as the director found it.
#[derive(Debug)]
pub(super) struct Found<K> {
    /// The way to it.
    pub(super) kernel: K,
    /// What it held.
    pub(super) adopted: Table,
    /// What of it is ours.
    pub(super) owned: Owned,
    /// What is to be undone of what is beside the table.
    pub(super) sync: lvs::sync::Work<lvs::sync::System>,
}

/// What has to be done before the core waits again.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    table: bool,
    ready: bool,
    view: bool,
}

impl Core {
    /// Starts probes and the IPVS thread.
    pub(super) fn start<K: ipvs::Kernel + Send + 'static>(
        runtime: &Handle,
        loaded: &Loaded,
        orders: Orders,
        found: Found<K>,
        (pulse, pulse_reports): (Pulse, mpsc::Receiver<pulse::Report>),
        reach: watch::Receiver<Option<Reach>>,
        started: Time,
    ) -> Result<(Self, Sight), Error> {
        let config = Arc::clone(&loaded.config);
        let Found {
            kernel,
            adopted,
            owned,
            sync,
        } = found;
        let mut verdicts = Verdicts::default();
        verdicts.handle_subscriptions(Subscriptions::new(config.virtuals.values()), started);
        let first = Wanted {
            generation: 1,
            table: table(&config, &verdicts, &adopted, &BTreeSet::new()),
            sync: lvs::sync::desired(&config),
        };
        let (wanted, wanted_receiver) = watch::channel(Arc::new(first));
        let duty = sync.duty();
        let (table_sender, table_reports) = watch::channel(Arc::default());
        let keeper = Keeper::spawn(
            runtime.clone(),
            kernel,
            owned,
            sync,
            wanted_receiver,
            table_sender,
        )?;
        let targets = verdicts.subscriptions().targets().iter().cloned();
        let (runner, verdict_reports) =
            Runner::start(targets.collect(), probe_limits(), clock::now)?;
        let view = View {
            config: &config,
            node: &loaded.node,
            started,
            pulse: None,
            verdicts: &verdicts,
            probes: runner.stats(),
            table: &lvs::Report::default(),
            duty: &duty,
        };
        let (scene, sight) = Scene::new(view.snapshot(started));
        let mut history = History::new(clock::wall());
        let what = What::Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: config.digest.to_string(),
        };
        history.push(what, clock::wall());
        let core = Self {
            config,
            node: loaded.node.clone(),
            started,
            verdicts,
            adopted,
            busy: BTreeSet::new(),
            complete: BTreeSet::new(),
            wanted,
            ready: BTreeMap::new(),
            pulse,
            pulse_reports,
            last_pulse: None,
            dropped: DroppedLog::default(),
            reach,
            reach_told: None,
            keeper,
            table_reports,
            duty,
            runner,
            verdict_reports,
            scene,
            guard: None,
            last_words: Vec::new(),
            watchdog: None,
            history: watch::Sender::new(Arc::new(history)),
            late: LateLog::default(),
            table: Known::default(),
            orders,
        };
        Ok((core, sight))
    }

    pub(super) fn watched_by(&mut self, watchdog: Option<Watchdog>) {
        self.watchdog = watchdog;
    }

    /// What a guard shall tell the peers if this process dies.
    pub(super) fn leave_last_words(&mut self, letters: Vec<Letter>) {
        self.last_words = letters;
    }

    pub(super) fn guarded_by(&mut self, guard: Guard) {
        self.guard = Some(guard);
    }

    /// What has happened, at any moment.
    pub(super) fn history(&self) -> watch::Receiver<Arc<History>> {
        self.history.subscribe()
    }

    /// Runs until `stop` resolves or the heartbeat thread ends. Whether it ended well.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) -> bool {
        let mut stop = std::pin::pin!(stop);
        let mut due = Due {
            table: false,
            ready: true,
            view: true,
        };
        let mut table_pace = Pace::new(TABLE_SHARE, Duration::ZERO, TABLE_PAUSE);
        let mut view_pace = Pace::new(VIEW_SHARE, VIEW_PAUSE, VIEW_PAUSE_MOST);
        let mut answer_pace = Pace::new(ANSWER_SHARE, VIEW_PAUSE, VIEW_PAUSE_MOST);
        let mut viewed = Instant::now();
        let settled = viewed + SETTLED;
        let mut spare_memory = true;
        loop {
            let news = due.table || due.ready;
            let view_at = if self.scene.owes(self.answered()) {
                answer_pace.next()
            } else if due.view {
                view_pace.next()
            } else {
                viewed + VIEW
            };
            tokio::select! {
                () = &mut stop => break,
                verdicts = self.verdict_reports.recv() => {
                    let Some(verdicts) = verdicts else {
                        tracing::error!("the probes have ended");
                        break;
                    };
                    due.view = true;
                    due.ready = true;
                    for verdict in verdicts {
                        due.table |= self.judge(verdict);
                    }
                }
                report = self.pulse_reports.recv() => {
                    let Some(report) = report else {
                        tracing::error!("the heartbeat thread has ended");
                        return false;
                    };
                    due.table |= self.take(report);
                    self.tell_guard();
                    due.view = true;
                }
                changed = self.table_reports.changed() => {
                    if changed.is_err() {
                        tracing::error!("the IPVS thread has ended");
                        break;
                    }
                    self.look_at_table();
                    due.ready = true;
                }
                changed = self.reach.changed() => {
                    if changed.is_err() {
                        tracing::error!("the reachability task has ended");
                        break;
                    }
                }
                question = self.scene.asked() => {
                    // A thread that takes no command has reports of its own to make.
                    self.pulse.tell(Command::Report { question });
                }
                Some(order) = self.orders.orders.recv() => {
                    let (pulse, wishes) = (self.pulse.teller(), self.orders.wishes.clone());
                    tokio::spawn(orders::carry_out(order, pulse, wishes));
                }
                () = sleep_until(view_at) => {
                    viewed = Instant::now();
                    due.view = false;
                    self.tell_late();
                    answer_pace.work(|| view_pace.work(|| self.publish()));
                }
                () = sleep_until(table_pace.next()), if news => {}
                () = sleep_until(settled), if spare_memory => {
                    spare_memory = false;
                    if let Err(error) = realtime::give_memory_back() {
                        tracing::warn!(error = %words::of(&error), "memory is not locked");
                    }
                }
            }
            if (due.table || due.ready) && table_pace.next() <= Instant::now() {
                table_pace.work(|| {
                    if std::mem::take(&mut due.table) {
                        let table = table(&self.config, &self.verdicts, &self.adopted, &self.busy);
                        self.want(table, lvs::sync::desired(&self.config));
                    }
                    self.tell_complete();
                    due.ready = !self.tell_ready();
                });
            }
            self.tell_reach();
        }
        self.stop().await
    }

    fn want(&self, table: Table, sync: lvs::sync::Desired) {
        self.wanted.send_modify(|wanted| {
            *wanted = Arc::new(Wanted {
                generation: wanted.generation + 1,
                table,
                sync,
            });
        });
    }

    fn publish(&mut self) {
        let table = self.table_reports.borrow().clone();
        let view = View {
            config: &self.config,
            node: &self.node,
            started: self.started,
            pulse: self.last_pulse.as_ref(),
            verdicts: &self.verdicts,
            probes: self.runner.stats(),
            table: &table,
            duty: &self.duty,
        };
        let snapshot = view.snapshot(clock::now());
        self.scene.show(snapshot, self.answered());
    }

    /// The last question that the heartbeat thread's report has answered; 0 if none.
    fn answered(&self) -> u64 {
        let report = self.last_pulse.as_ref();
        report.map(|report| report.answered).unwrap_or_default()
    }

    /// Gives the groups to a peer, and only then removes the services that are ours: what still
    /// comes here in between is served.
    async fn stop(mut self) -> bool {
        tracing::info!("stopping");
        self.happened(What::Stopping, clock::now());
        let mut well = true;
        if self.pulse.tell(Command::Stop) {
            let limit = self.config.heartbeat.deadtime + STOP;
            let ended = timeout(limit, async {
                while let Some(report) = self.pulse_reports.recv().await {
                    self.take(report);
                    self.publish();
                }
            });
            if ended.await.is_err() {
                tracing::error!(?limit, "the groups could not be given up in time");
                well = false;
            }
        } else {
            tracing::error!("the heartbeat thread takes no command");
            well = false;
        }
        self.want(Table::new(), lvs::sync::Desired::default());
        let generation = self.wanted.borrow().generation;
        let removed = timeout(
            STOP,
            self.table_reports
                .wait_for(|report| report.generation == generation),
        );
        let removed = matches!(removed.await, Ok(Ok(_)));
        if !removed {
            tracing::error!("the services could not be removed from the IPVS table");
            well = false;
        }
        drop(self.wanted);
        // Without a farewell the guard removes what could not be given up.
        if let Some(guard) = self.guard.take()
            && well
        {
            guard.farewell();
        }
        // Nor a farewell from a watchdog: it clears up by a reset.
        if let Some(watchdog) = self.watchdog.take()
            && well
        {
            watchdog.stop();
        }
        if well {
            self.pulse.join();
            self.keeper.join();
        }
        well
    }
}

/// As many probes at a time as there may be descriptors, but for those that the daemon itself and
/// its clients need, and sockets that are kept for later probes.
fn probe_limits() -> Limits {
    const OTHERS: u64 = 384;
    const MOST: u64 = 8192;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        let error = words::of(&error.into());
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(MOST + OTHERS);
    let probes = descriptors.saturating_sub(OTHERS).min(MOST);
    let concurrency = usize::try_from(probes).ok().and_then(NonZeroUsize::new);
    concurrency.map_or_else(Limits::default, |concurrency| Limits { concurrency })
}

fn table(config: &Config, verdicts: &Verdicts, adopted: &Table, busy: &BTreeSet<IpAddr>) -> Table {
    lvs::desired(
        config,
        |service, at| verdicts.health_of(service, at),
        adopted,
        busy,
    )
}
