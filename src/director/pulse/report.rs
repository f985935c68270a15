//! What the heartbeat thread knows and others want to, told without waiting for a reader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::Time;
use crate::cluster;
use crate::director::events::What;
use crate::director::pending::Pending;
use crate::director::snapshot::VipStatus;
use crate::director::takeovers::Takeovers;
use crate::vip;

/// Reports that may wait to be read.
const REPORTS: usize = 16;
/// Between two reports when nothing happens and nobody asks.
const REPORT: Duration = Duration::from_secs(10);
/// Between two reports when much happens, or everybody asks.
const REPORT_PAUSE: Duration = Duration::from_millis(10);

/// The VIPs of each group, in configured order.
pub(super) type VipStatuses = BTreeMap<String, Vec<VipStatus>>;

/// What the thread knows.
#[derive(Clone, Debug)]
pub(in crate::director) struct Report {
    /// When it was made.
    pub(in crate::director) at: Time,
    /// The last question that had been put by then; 0 if none had.
    pub(in crate::director) answered: u64,
    /// Peers, groups and counters.
    pub(in crate::director) cluster: cluster::Status,
    /// The VIPs of each group, in configured order.
    pub(in crate::director) vips: Arc<VipStatuses>,
    /// What makes this director less than fully fit, by group.
    pub(in crate::director) amiss: BTreeMap<String, Vec<String>>,
    /// Datagrams that left, on all paths.
    pub(in crate::director) sent: u64,
    /// What has befallen VIPs.
    pub(in crate::director) vip_counts: vip::Counts,
    /// The latest takeovers.
    pub(in crate::director) takeovers: Takeovers,
    /// What has happened since the report before.
    pub(in crate::director) happened: Pending,
}

/// What a report has of the thread's other parts.
pub(super) struct Known {
    pub(super) cluster: cluster::Status,
    pub(super) amiss: BTreeMap<String, Vec<String>>,
    pub(super) sent: u64,
    pub(super) vip_counts: vip::Counts,
    pub(super) takeovers: Takeovers,
}

/// Decides when a report is due, and keeps what has happened until one is read.
#[derive(Debug)]
pub(super) struct Reporter {
    reports: mpsc::Sender<Report>,
    vips: Arc<VipStatuses>,
    /// Something has happened that the last report did not have.
    news: bool,
    /// The last question, and the last one that has been answered.
    asked: u64,
    answered: u64,
    reported: Option<Time>,
    happened: Pending,
}

impl Reporter {
    /// A reporter whose first report is due at once, and where its reports can be read.
    pub(super) fn new() -> (Self, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel(REPORTS);
        let new = Self {
            reports,
            vips: Arc::default(),
            news: true,
            asked: 0,
            answered: 0,
            reported: None,
            happened: Pending::default(),
        };
        (new, receiver)
    }

    /// Something is otherwise than the last report said.
    pub(super) fn note(&mut self) {
        self.news = true;
    }

    /// Somebody wants to know what is known after this `question`.
    pub(super) fn ask(&mut self, question: u64) {
        self.asked = question;
    }

    /// Something has happened at `at` that operators want to know of.
    pub(super) fn happened(&mut self, what: What, at: Time) {
        self.happened.push(what, at);
        self.news = true;
    }

    /// When the next report is due.
    pub(super) fn due(&self) -> Time {
        let pause = if self.news || self.asked > self.answered {
            REPORT_PAUSE
        } else {
            REPORT
        };
        self.reported.map_or(Time::ZERO, |at| at + pause)
    }

    /// Whether something is otherwise than the last report said.
    pub(super) fn has_news(&self) -> bool {
        self.news
    }

    /// Tells what is known, and of the VIPs what was known before if they are not given.
    pub(super) fn tell(&mut self, known: Known, vips: Option<VipStatuses>, now: Time) {
        if let Some(vips) = vips {
            self.vips = Arc::new(vips);
        }
        let report = Report {
            at: now,
            answered: self.asked,
            cluster: known.cluster,
            vips: Arc::clone(&self.vips),
            amiss: known.amiss,
            sent: known.sent,
            vip_counts: known.vip_counts,
            takeovers: known.takeovers,
            happened: std::mem::take(&mut self.happened),
        };
        self.reported = Some(now);
        // Nobody reads at the moment: said again in the next one.
        let unread = self.reports.try_send(report).err();
        self.news = unread.is_some();
        match unread {
            Some(unread) => self.happened = unread.into_inner().happened,
            None => self.answered = self.asked,
        }
    }
}
