//! Each kind against the server that it is for, as Debian packages it: up, with the wrong
//! password, with a wrong or expired certificate, hanging, behind a slow way, and down.
//!
//! A test starts its server itself, in a folder of its own and on an address of loopback that no
//! other test has, and ends it. The packages are on the lab's list.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod certificate;
mod haproxy;
mod ldap;
mod lines;
mod mysql;
mod names;
mod news;
#[cfg(feature = "pgsql")]
#[expect(clippy::expect_used, reason = "a test that cannot go on has failed")]
mod pgsql;
mod process;
mod radius;
mod redis;
mod sip;
mod trouble;
mod web;

use std::net::SocketAddr;
use std::time::Duration;

use probes::spec::ProbeKind;
use probes::{Answer, ProbeSpec, Shared, Target};

/// Probes once, with time enough for a busy host; the reason if the answer is not good.
async fn ask(address: SocketAddr, kind: ProbeKind) -> Result<(), String> {
    ask_for(Duration::from_secs(30), address, kind).await
}

/// Probes once.
async fn ask_for(timeout: Duration, address: SocketAddr, kind: ProbeKind) -> Result<(), String> {
    let spec = ProbeSpec {
        timeout,
        ..ProbeSpec::new(kind)
    };
    let report = probes::probe(&Target::new(address, spec), &Shared::default()).await;
    let answer = report.result.map_err(|failure| failure.to_string())?;
    assert_eq!(answer, Answer::good());
    Ok(())
}

async fn is_up(address: SocketAddr, kind: ProbeKind) {
    assert_eq!(ask(address, kind.clone()).await, Ok(()), "{kind:?}");
}

/// That the probe fails for a reason with these words.
async fn is_down(address: SocketAddr, kind: ProbeKind, words: &str) {
    let reason = ask(address, kind).await.unwrap_err();
    assert!(reason.contains(words), "{reason}");
}
