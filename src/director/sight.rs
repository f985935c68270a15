//! The way to a snapshot that is as new as the question.
//!
//! Nothing is told to anybody while nothing happens. Who wants to know asks, and the heartbeat thread
//! is asked in turn; but nobody waits for long: a thread that is busy owes no answer, and then
//! what was known last must do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::Snapshot;

/// Questions that may wait.
const WAITING: usize = 64;
/// Longer than this nobody waits for news: a status has 50 ms in all.
const PATIENCE: Duration = Duration::from_millis(20);

/// For whoever wants to know.
#[derive(Clone, Debug)]
pub struct Sight {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    questions: mpsc::Sender<Question>,
}

/// For whoever makes snapshots: how to be asked, and where they go.
#[derive(Debug)]
pub(super) struct Scene {
    snapshots: watch::Sender<Arc<Snapshot>>,
    questions: mpsc::Receiver<Question>,
    /// Those who wait, and the number of each question.
    waiting: Vec<(u64, Question)>,
    /// The number of the last question.
    asked: u64,
}

/// Somebody who waits for a new snapshot.
type Question = oneshot::Sender<()>;

impl Sight {
    /// One that shows what it is given, and asks nobody.
    #[must_use]
    pub fn of(snapshots: watch::Receiver<Arc<Snapshot>>) -> Self {
        let (questions, _) = mpsc::channel(1);
        Self {
            snapshots,
            questions,
        }
    }

    /// What is known now; `None` once the director has ended.
    pub async fn look(&self) -> Option<Arc<Snapshot>> {
        let (question, answer) = oneshot::channel();
        if self.questions.try_send(question).is_ok() {
            // Late or never: then what is known already is told.
            let _ = timeout(PATIENCE, answer).await;
        }
        self.last()
    }

    /// What was known when somebody looked last, or something happened; `None` once the director
    /// has ended.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Snapshot>> {
        self.snapshots.has_changed().ok()?;
        Some(Arc::clone(&self.snapshots.borrow()))
    }
}

impl Scene {
    /// The two ends, with a first snapshot.
    pub(super) fn new(first: Snapshot) -> (Self, Sight) {
        let (snapshots, receiver) = watch::channel(Arc::new(first));
        let (sender, questions) = mpsc::channel(WAITING);
        let sight = Sight {
            snapshots: receiver,
            questions: sender,
        };
        let scene = Self {
            snapshots,
            questions,
            waiting: Vec::new(),
            asked: 0,
        };
        (scene, sight)
    }

    /// Waits until somebody looks, and numbers the question; pending for ever once nobody can.
    pub(super) async fn asked(&mut self) -> u64 {
        if self.waiting.len() >= WAITING {
            return std::future::pending().await;
        }
        match self.questions.recv().await {
            Some(question) => {
                self.asked += 1;
                self.waiting.push((self.asked, question));
                self.asked
            }
            None => std::future::pending().await,
        }
    }

    /// Whether somebody waits for no more than what is known once question `answered` and all before
    /// it have been answered.
    pub(super) fn owes(&self, answered: u64) -> bool {
        self.waiting.iter().any(|(number, _)| *number <= answered)
    }

    /// Shows a snapshot made of what was found out after question `answered` and all before it had
    /// been put.
    pub(super) fn show(&mut self, snapshot: Snapshot, answered: u64) {
        self.snapshots.send_replace(Arc::new(snapshot));
        let waiting = std::mem::take(&mut self.waiting);
        for (number, question) in waiting {
            if number <= answered {
                // Who has asked may have lost patience.
                let _ = question.send(());
            } else if !question.is_closed() {
                self.waiting.push((number, question));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::director::snapshot::{Counters, ProbesStatus, Timing};

    fn snapshot(uptime: u64) -> Snapshot {
        let empty = r#"{"node":"ha1","cluster":"c","version":"0","config":"","directors":[],
            "groups":[],"services":[],"sync":null,"takeovers":[]}"#;
        let mut value: serde_json::Value = serde_json::from_str(empty).unwrap();
        value["uptime_us"] = (uptime * 1_000_000).into();
        value["timing"] = serde_json::to_value(Timing::default()).unwrap();
        value["probes"] = serde_json::to_value(ProbesStatus::default()).unwrap();
        value["counters"] = serde_json::to_value(Counters::default()).unwrap();
        serde_json::from_value(value).unwrap()
    }

    #[tokio::test]
    async fn who_looks_waits_for_what_was_known_later() {
        let (mut scene, sight) = Scene::new(snapshot(0));
        let look = tokio::spawn(async move { sight.look().await });
        let asked = scene.asked().await;
        assert!(!scene.owes(asked - 1));
        assert!(scene.owes(asked));
        scene.show(snapshot(1), asked - 1);
        assert_eq!(scene.waiting.len(), 1, "known before it was asked");
        scene.show(snapshot(2), asked);
        assert!(scene.waiting.is_empty());
        let seen = look.await.unwrap().unwrap();
        assert_eq!(seen.uptime, Duration::from_secs(2));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_thread_that_does_not_answer() {
        let (mut scene, sight) = Scene::new(snapshot(0));
        let seen = sight.look().await.unwrap();
        assert_eq!(seen.uptime, Duration::ZERO);
        scene.asked().await;
        scene.show(snapshot(1), 0);
        assert!(
            scene.waiting.is_empty(),
            "who has lost patience is forgotten"
        );
        drop(scene);
        assert!(sight.look().await.is_none());
    }
}
