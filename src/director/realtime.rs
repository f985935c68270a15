//! Real-time priority and locked memory for the thread that must never be late.

#![expect(unsafe_code, reason = "rustix has no call for scheduling policies")]

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::thread::{CapabilitySet, capabilities};

/// Above every ordinary thread, below the kernel's own (1 to 99, sched(7)).
const PRIORITY: libc::c_int = 20;

/// Puts the calling thread under `SCHED_RR`. Needs `CAP_SYS_NICE`.
pub(super) fn raise_priority() -> io::Result<()> {
    let parameter = libc::sched_param {
        sched_priority: PRIORITY,
    };
    // Children that the daemon may start shall not inherit it.
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `parameter` is valid for the call, which keeps no pointer to it; 0 is this thread.
    let status = unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Keeps the process's pages in memory once they are used, so that no heartbeat waits for a disk.
///
/// Without `CAP_IPC_LOCK` it does nothing: a limit on locked memory would make later allocations
/// fail. Returns whether the pages are locked.
pub(super) fn lock_memory() -> io::Result<bool> {
    let may = capabilities(None)?
        .effective
        .contains(CapabilitySet::IPC_LOCK);
    if may {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?;
    }
    Ok(may)
}
