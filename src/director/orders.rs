//! What an operator may order a running director to do, and what is answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::pulse::{Command, Teller};
use super::wishes::{SaveError, Wishes};
use crate::cluster::{Answer, Refusal};

/// Orders that may wait to be obeyed.
const WAITING: usize = 16;

/// An order with the way back.
#[derive(Debug)]
pub struct Order {
    /// What shall be done.
    pub request: Request,
    /// Where the answer goes; dropped without one if the director stops.
    pub answer: oneshot::Sender<Result<Done, Refused>>,
}

/// What shall be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// A group that is active here shall go to another director.
    Handover {
        /// The group.
        group: String,
        /// The other director; the best candidate if it is not said.
        to: Option<String>,
    },
    /// This director shall leave groups to the others and take none, or no longer.
    Standby {
        /// The group; all of them if it is not said.
        group: Option<String>,
        /// Whether it shall be so.
        on: bool,
        /// Whether that outlives a restart. What is undone is so for good in any case.
        persist: bool,
    },
}

/// What has been done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Done {
    /// Groups that are at another director, or on the way there, and which.
    pub given: BTreeMap<String, String>,
    /// Groups that stay here until a peer could take them, and why none can.
    pub kept: BTreeMap<String, String>,
}

/// Why it has not been done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The machine says so.
    #[error("{0}")]
    Machine(Refusal),
    /// The wish could not be kept for a restart.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The heartbeat thread takes no orders at the moment.
    #[error("the director has too much to do")]
    Busy,
}

/// The way for orders to the director.
#[derive(Clone, Debug)]
pub struct Operator(mpsc::Sender<Order>);

impl Operator {
    /// The two ends of the way.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Order>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Orders something and waits for the answer; `None` if the director stops, or has too many
    /// orders.
    pub async fn order(&self, request: Request) -> Option<Result<Done, Refused>> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Order { request, answer }).ok()?;
        answered.await.ok()
    }
}

/// Carries an order out.
pub(super) async fn carry_out(order: Order, pulse: Teller, wishes: Wishes) {
    let Order { request, answer } = order;
    let outcome = match request {
        Request::Handover { group, to } => {
            tracing::info!(group, to, "handover ordered");
            ask(&pulse, |answer| Command::Handover { group, to, answer }).await
        }
        Request::Standby { group, on, persist } => {
            tracing::info!(group, on, persist, "standby ordered");
            stand_by(&pulse, &wishes, group, on, persist).await
        }
    };
    // The heartbeat thread has ended without an answer: so does the operator's wait.
    if let Some(outcome) = outcome {
        if let Err(refused) = &outcome {
            tracing::info!(reason = %refused, "order refused");
        }
        let _ = answer.send(outcome);
    }
}

async fn stand_by(
    pulse: &Teller,
    wishes: &Wishes,
    group: Option<String>,
    on: bool,
    persist: bool,
) -> Option<Result<Done, Refused>> {
    let told = group.clone();
    let done = ask(pulse, |answer| Command::Standby {
        group: told,
        on,
        answer,
    })
    .await?;
    // What the machine refuses is not kept; what could not be kept holds all the same, and is told.
    if done.is_ok()
        && (persist || !on)
        && let Err(error) = wishes.change(group, on).await
    {
        return Some(Err(error.into()));
    }
    Some(done)
}

/// Tells the heartbeat thread something and waits for its answer.
pub(super) async fn ask(
    pulse: &Teller,
    command: impl FnOnce(oneshot::Sender<Answer>) -> Command,
) -> Option<Result<Done, Refused>> {
    let (answer, answered) = oneshot::channel();
    if !pulse.tell(command(answer)) {
        return Some(Err(Refused::Busy));
    }
    Some(match answered.await.ok()? {
        Answer::HandedOver { group, to } => Ok(Done {
            given: [(group, to)].into(),
            kept: BTreeMap::new(),
        }),
        Answer::Standby { given, kept } => Ok(Done {
            given,
            kept: kept
                .into_iter()
                .map(|(group, why)| (group, why.to_string()))
                .collect(),
        }),
        Answer::Refused(refusal) => Err(Refused::Machine(refusal)),
    })
}
