//! Who goes before whom in a guest.

use std::fs;
use std::process::Command;

use rustix::thread::Pid;

use super::super::say;

/// Below heartbeats, above everything else.
const PACKETS: u32 = 19;

/// While it lives, the kernel's threads that hand over packets go before all programs but those that
/// beat, as caribe.toml(5) asks for where others want the processor all the time.
pub(super) struct UrgentPackets(Vec<Pid>);

impl UrgentPackets {
    pub(super) fn new() -> Self {
        let threads: Vec<Pid> = ksoftirqds().collect();
        for thread in &threads {
            set(Some(PACKETS), *thread);
        }
        Self(threads)
    }
}

impl Drop for UrgentPackets {
    fn drop(&mut self) {
        for thread in &self.0 {
            set(None, *thread);
        }
    }
}

/// Puts a thread under the policy and priority of caribe's heartbeats, or among all others.
pub(super) fn set(priority: Option<u32>, thread: Pid) {
    let policy = if priority.is_some() {
        "--rr"
    } else {
        "--other"
    };
    let priority = priority.unwrap_or(0).to_string();
    let thread = Pid::as_raw(Some(thread)).to_string();
    let set = Command::new("chrt")
        .args([policy, "--pid", &priority, &thread])
        .status();
    if !set.is_ok_and(|status| status.success()) {
        say("chrt is missing: bare heartbeats and packets have no priority");
    }
}

fn ksoftirqds() -> impl Iterator<Item = Pid> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|process| {
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        let number = process.file_name().to_str()?.parse().ok()?;
        name.starts_with("ksoftirqd/")
            .then(|| Pid::from_raw(number))?
    })
}
