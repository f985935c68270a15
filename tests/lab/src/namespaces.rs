//! The namespaces that make a host: a thread that keeps them, and threads that enter them.
//!
//! In the lab's kernel a program takes tens of milliseconds to start, so none is needed for this.

#![expect(unsafe_code, reason = "unshare(2)")]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{
    LinkNameSpaceType, UnshareFlags, gettid, move_into_link_name_space, unshare_unsafe,
};

/// A network, a table of mounts and a host name of their own.
#[derive(Debug)]
pub(crate) struct Namespaces {
    keeper: u32,
    /// The keeper ends when it is gone.
    release: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespaces {
    /// Makes them, and calls `prepare` in them.
    pub(crate) fn new(
        prepare: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<Self, String> {
        let (tell, told) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let keep = move || {
            let made = part_from_all().map_err(|e| format!("cannot leave the guest's: {e}"));
            let made = made.and_then(|()| prepare());
            let _ = tell.send(made.map(|()| gettid().as_raw_nonzero().get().unsigned_abs()));
            // Nothing is ever sent.
            let _ = released.recv();
        };
        let thread = Builder::new()
            .name("host".to_owned())
            .spawn(keep)
            .map_err(|e| format!("no thread: {e}"))?;
        let keeper = told.recv().map_err(|e| e.to_string())??;
        Ok(Self {
            keeper,
            release: Some(release),
            thread: Some(thread),
        })
    }

    /// The thread that keeps them, by the number that `/proc` knows it by.
    pub(crate) fn keeper(&self) -> u32 {
        self.keeper
    }

    /// Moves this thread, and the programs that it starts from here on, into them.
    pub(crate) fn enter(&self) -> io::Result<()> {
        let open = |name: &str| File::open(format!("/proc/{}/ns/{name}", self.keeper));
        let (network, name, mounts) = (open("net")?, open("uts")?, open("mnt")?);
        // Threads share their root and working folder, and mounts cannot be entered so.
        unshare(UnshareFlags::FS)?;
        for (file, kind) in [
            (network, LinkNameSpaceType::Network),
            (name, LinkNameSpaceType::HostNameAndNISDomainName),
            (mounts, LinkNameSpaceType::Mount),
        ] {
            move_into_link_name_space(file.as_fd(), Some(kind))?;
        }
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Gives this thread namespaces of its own.
fn part_from_all() -> io::Result<()> {
    unshare(UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWUTS)?;
    // What is mounted here is seen nowhere else.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(mount_change("/", private)?)
}

fn unshare(what: UnshareFlags) -> io::Result<()> {
    // SAFETY: descriptors stay shared: `FILES`, which takes them from other threads, is never given.
    Ok(unsafe { unshare_unsafe(what) }?)
}
