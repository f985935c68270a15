//! Real-time priority and locked memory for the thread that must never be late, and memory that is
//! not needed any more.

#![expect(
    unsafe_code,
    reason = "rustix has no call for scheduling policies, nor has the standard library one for the \
              allocator"
)]

use std::io;

use rustix::mm::{MlockAllFlags, mlockall, munlockall};
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
    let may = may_lock()?;
    if may {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?;
    }
    Ok(may)
}

fn may_lock() -> io::Result<bool> {
    let rights = capabilities(None)?.effective;
    Ok(rights.contains(CapabilitySet::IPC_LOCK))
}

/// Has the allocator keep what is freed for what comes next. Where servers are many, a start takes
/// much memory for a short time, again and again, and each page that is new costs more than to fill
/// it. To be called first of all; a director whose first probes are over gives it back.
pub fn keep_memory() {
    #[cfg(target_env = "gnu")]
    {
        // More than that is refused (mallopt(3)).
        const MOST: libc::c_int = 32 * 1024 * 1024;
        const STEP: libc::c_int = 1024 * 1024;
        // SAFETY: mallopt(3) may be called at any time, by any thread.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MOST);
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            libc::mallopt(libc::M_TOP_PAD, STEP);
        }
    }
}

/// Gives back to the system what the start took, and has the allocator give back large pieces
/// whenever they are free: tables come and go. Memory that is locked cannot be given back
/// (madvise(2)), so it is not for this moment.
pub(super) fn give_memory_back() -> io::Result<()> {
    if may_lock()? {
        munlockall()?;
    }
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 256 * 1024;
        // About a listing of ten thousand servers.
        const SPARE: libc::c_int = 1024 * 1024;
        // SAFETY: mallopt(3) and malloc_trim(3) may be called at any time, by any thread.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TRIM_THRESHOLD, SPARE);
            libc::malloc_trim(0);
        }
    }
    lock_memory().map(drop)
}
