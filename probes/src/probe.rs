//! One probe of one target, whatever its kind.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::failure::{Failure, Stage};
use crate::spec::ProbeKind;
use crate::target::Target;
use crate::{expect, http, tcp};

/// How one probe went.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The answer was good, or why it was not.
    pub result: Result<(), Failure>,
    /// From the start to the result.
    pub duration: Duration,
}

/// Probes `target` once. Takes no longer than the timeout of its specification; dropping the
/// future closes the connection.
///
/// Must run in a tokio runtime with its network and time drivers.
pub async fn probe(target: &Target) -> Report {
    let address = target.address();
    let deadline = Deadline::new(target.spec().timeout);
    let result = match &target.spec().kind {
        ProbeKind::TcpConnect => tcp::probe(address, &deadline).await,
        ProbeKind::SendExpect { send, expect } => {
            expect::probe(address, send, expect, &deadline).await
        }
        ProbeKind::HttpGet { path, host, status } => {
            http::probe(address, path, host.as_deref(), status, &deadline).await
        }
    };
    Report {
        result,
        duration: deadline.elapsed(),
    }
}

/// The end of a probe's time.
pub(crate) struct Deadline {
    start: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            start: Instant::now(),
            timeout,
        }
    }

    /// The whole probe's timeout.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits for `step` until the probe's time is over.
    pub(crate) async fn during<F: Future>(
        &self,
        stage: Stage,
        step: F,
    ) -> Result<F::Output, Failure> {
        let left = self.timeout.saturating_sub(self.elapsed());
        tokio::time::timeout(left, step)
            .await
            .map_err(|_| Failure::TimedOut {
                after: self.timeout,
                stage,
            })
    }
}
