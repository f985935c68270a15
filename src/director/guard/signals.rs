//! Deafness to signals, for a process that must outlive what they end.
#![expect(unsafe_code, reason = "neither std nor rustix can ignore a signal")]

/// Ignores what a terminal or a service manager sends to everybody around the daemon.
pub(super) fn ignore() {
    for signal in [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGTSTP,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ] {
        // SAFETY: SIG_IGN runs no code of ours, and no other thread relies on these signals.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}
