//! The composition: threads, channels and the one snapshot that everybody reads.
//!
//! ```text
//!                 verdicts                 wanted table
//!   probes task ------------>             --------------> IPVS thread (lvs::Keeper) -- the kernel's
//!                             core (task)                                              table
//!                readiness    |    ^       <--------------
//!   heartbeat <---------------+    |       listing, refusals
//!   thread    ---------------------+
//!   (pulse)   roles, peers, VIPs   |
//!      |                           v
//!   sockets, VIPs              Snapshot (Sight) <-----> control
//! ```
//!
//! Every arrow is a bounded channel or holds only the latest value, and nobody waits to send on one.
//! The heartbeat thread decides about life and ownership; the core knows the configuration and all
//! verdicts and derives the wanted table; the IPVS thread alone writes to the kernel's table.

mod core;
mod dropped;
pub mod events;
mod fitness;
pub mod guard;
mod journal;
mod late;
mod orders;
mod pace;
mod paths;
mod pending;
mod pulse;
mod reach;
mod realtime;
mod recorder;
mod sight;
pub mod snapshot;
mod takeovers;
mod view;
mod watchdog;
mod wishes;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipvs::Kernel;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::Handle;
use tokio::sync::watch;

pub use events::History;
pub use orders::{Done, Operator, Order, Refused, Request};
pub use paths::{OpenError as SocketError, frame_time};
pub use realtime::keep_memory;
pub use sight::Sight;
pub use snapshot::Snapshot;
pub use wishes::SaveError;

use crate::clock;
use crate::cluster::{Codec, Heartbeat, Input, Keys, Limit, Settings};
use crate::config::model::Config;
use crate::config::{KeyRing, Loaded};
use crate::lvs::{self, Owned};
use crate::vip::{self, Vips};

use self::core::{Core, Found, Orders};
use paths::Paths;
use pulse::{Parts, Pulse};
use recorder::{Recorded, Recorder};
use watchdog::{Beats, Watchdog};
use wishes::Wishes;

/// Changes of the table that the kernel carries out in one go, while no heartbeat leaves or is read
/// on that processor. What they take is known only afterwards: a destination is added in
/// microseconds, or in most of a millisecond where many were deleted just before.
const CHANGES_PER_SEND: NonZero<usize> = NonZero::new(8).unwrap();

/// What prevents a director from running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel's IPVS.
    #[error(transparent)]
    Ipvs(#[from] ipvs::Error),
    /// The heartbeat sockets.
    #[error(transparent)]
    Sockets(#[from] paths::OpenError),
    /// The kernel's addresses and interfaces.
    #[error(transparent)]
    Vips(#[from] vip::OpenError),
    /// The configuration does not fit into heartbeats.
    #[error("the configuration cannot be told in heartbeats: {0}")]
    Limit(#[from] Limit),
    /// There is no key, or no director of this name.
    #[error("the configuration was not loaded for this host")]
    NotForHost,
    /// No random number for the session.
    #[error("the system gives no random numbers")]
    Random,
    /// The file to record to.
    #[error("cannot record to {}: {}", path.display(), words::of(source))]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No thread.
    #[error("cannot start a thread: {}", words::of(.0))]
    Thread(#[from] io::Error),
    /// The watchdog device.
    #[error("cannot feed the watchdog {}: {}", device.display(), words::of(source))]
    Watchdog {
        /// The device.
        device: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Whether a right is missing.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Ipvs(error) => matches!(error, ipvs::Error::NotPermitted),
            Self::Sockets(error) => error.is_denied(),
            Self::Record { source: error, .. }
            | Self::Thread(error)
            | Self::Watchdog { source: error, .. } => {
                error.kind() == io::ErrorKind::PermissionDenied
            }
            Self::Vips(_) | Self::Limit(_) | Self::NotForHost | Self::Random => false,
        }
    }

    /// Whether the kernel has no IPVS.
    #[must_use]
    pub fn is_no_ipvs(&self) -> bool {
        matches!(self, Self::Ipvs(ipvs::Error::NoIpvs))
    }
}

/// A director that runs until it is told to stop.
#[derive(Debug)]
pub struct Director {
    core: Core,
    operator: Operator,
    sight: Sight,
    history: watch::Receiver<Arc<History>>,
}

impl Director {
    /// Opens everything that a director needs and starts its threads. What its cluster machine is
    /// told and decides is added to the file `record`, if there is to be one.
    ///
    /// # Errors
    ///
    /// What is missing; then nothing of the host has been changed, unless it is the watchdog.
    pub fn start(runtime: &Handle, loaded: &Loaded, record: Option<&Path>) -> Result<Self, Error> {
        let config = &loaded.config;
        let settings = Settings::new(config, &loaded.node).ok_or(Error::NotForHost)?;
        let codec = Codec::new(&settings, keys(&loaded.keys).ok_or(Error::NotForHost)?)?;
        let mut kernel = ipvs::Client::open()?;
        kernel.set_changes_per_send(CHANGES_PER_SEND);
        let adopted = kernel.table()?;
        let owned = config.control.socket.with_file_name("services.json");
        let owned = Owned::load(owned.clone()).unwrap_or_else(|error| {
            tracing::error!(%error, "starting as if none were");
            Owned::nothing(owned)
        });
        let duty = lvs::sync::Duty::default();
        let note = lvs::sync::NoteFile::beside(&config.control.socket);
        let note = lvs::sync::NoteFile::load(note);
        let sync = lvs::sync::Work::new(lvs::sync::System, note, duty.clone());
        let setting = |path: &str| fs::read_to_string(Path::new("/proc/sys").join(path)).ok();
        for missing in lvs::missing_for_nat(config, setting) {
            tracing::warn!(missing, "this host does not forward as a service needs it");
        }
        let now = clock::now();
        let paths = Paths::open(config, &loaded.node, now)?;
        let vips = config
            .groups
            .values()
            .flat_map(|group| group.vips.clone())
            .collect();
        let links = config
            .groups
            .values()
            .flat_map(|group| group.monitor_links.clone())
            .collect();
        let mut vips = Vips::open(&vips, &links, now)?;
        vips.know(addresses_of_others(config, &loaded.node));
        let session = random()?;
        let last_word = Heartbeat::last_word(&settings, session);
        let last_words =
            paths::letters(config, &loaded.node, |path| codec.encode(path, &last_word));
        let recorder = match record {
            Some(path) => Some(Recorder::spawn(path).map_err(|source| Error::Record {
                path: path.to_owned(),
                source,
            })?),
            None => None,
        };
        let mut machine = Recorded::new(settings, session, now, recorder);
        let wishes = Wishes::new(&loaded.node);
        for input in stand_by_as_before(&wishes) {
            machine.handle(input, now);
        }
        let beats = Beats::default();
        let (pulse, reports) = Pulse::spawn(
            Parts {
                beats: beats.clone(),
                paths,
                vips,
                codec,
                machine,
                duty,
            },
            config,
        )?;
        let targets = config.reachability.clone();
        let reach = reach::spawn(runtime, targets, config.heartbeat, random()?);
        let (operator, orders) = Operator::channel();
        let (mut core, sight) = Core::start(
            runtime,
            loaded,
            Orders { orders, wishes },
            Found {
                kernel,
                adopted,
                owned,
                sync,
            },
            (pulse, reports),
            reach,
            now,
        )?;
        core.leave_last_words(last_words);
        match realtime::lock_memory() {
            Ok(true) => {}
            Ok(false) => tracing::warn!("memory is not locked: CAP_IPC_LOCK is missing"),
            Err(error) => tracing::warn!(error = %words::of(&error), "memory is not locked"),
        }
        // Last, so that a director that can't start leaves no watchdog behind.
        core.watched_by(Watchdog::start(beats, config.watchdog.device.as_deref())?);
        let history = core.history();
        Ok(Self {
            core,
            operator,
            sight,
            history,
        })
    }

    /// The way for orders to the director.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }

    /// Tells a guard what to do should this process die, and bids it farewell at a clean stop.
    #[must_use]
    pub fn guarded_by(mut self, guard: guard::Guard) -> Self {
        self.core.guarded_by(guard);
        self
    }

    /// What the director knows, for whoever asks.
    #[must_use]
    pub fn sight(&self) -> Sight {
        self.sight.clone()
    }

    /// What has happened, at any moment.
    #[must_use]
    pub fn history(&self) -> watch::Receiver<Arc<History>> {
        self.history.clone()
    }

    /// Runs until `stop` resolves; then gives the groups to a peer, removes the services that are
    /// ours, and returns. Whether that went well.
    pub async fn run(self, stop: impl Future<Output = ()>) -> bool {
        self.core.run(stop).await
    }
}

/// The addresses of the other directors, as far as the configuration tells them.
fn addresses_of_others(config: &Config, node: &str) -> BTreeMap<String, Vec<IpAddr>> {
    let others = config.directors.values().filter(|it| it.name != node);
    others
        .map(|director| (director.name.clone(), director.addresses().collect()))
        .collect()
}

/// What an operator wished in an earlier run, if it was to last.
fn stand_by_as_before(wishes: &Wishes) -> Vec<Input> {
    let kept = wishes.load().unwrap_or_else(|error| {
        tracing::error!(%error, "starting as if nothing had been ordered");
        wishes::Standby::default()
    });
    let all = kept.all.then_some(None);
    let groups = kept.groups.into_iter().map(Some);
    all.into_iter()
        .chain(groups)
        .map(|group| {
            tracing::warn!(
                group,
                "this director stands by, as ordered before its start"
            );
            Input::Standby {
                id: 0,
                group,
                on: true,
            }
        })
        .collect()
}

fn keys(ring: &KeyRing) -> Option<Keys> {
    let prepared = |key: &crate::config::Key| (key.id().0, key.hmac().clone());
    let signing = ring.signing()?;
    Some(Keys::from_hmac(
        prepared(signing),
        ring.iter().skip(1).map(prepared),
    ))
}

fn random() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::Random)?;
    Ok(u64::from_ne_bytes(bytes))
}
