//! A serial line between two hosts: two pseudo-terminals, and a thread that is the cable.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::Lab;
use crate::host::unworkable;

/// How often the cable looks whether it is still wanted.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// A null modem cable whose ends are devices on every host.
#[derive(Debug)]
pub struct SerialLine {
    devices: [PathBuf; 2],
    /// An end that nobody has open would hang up.
    _ends: [File; 2],
    whole: Arc<AtomicBool>,
    wanted: Arc<AtomicBool>,
    cable: Option<JoinHandle<()>>,
}

impl Lab {
    /// A new line.
    ///
    /// # Panics
    ///
    /// When the kernel gives no pseudo-terminals.
    #[track_caller]
    #[must_use]
    pub fn serial_line(&self) -> SerialLine {
        let (a, device_a, end_a) = end();
        let (b, device_b, end_b) = end();
        let whole = Arc::new(AtomicBool::new(true));
        let wanted = Arc::new(AtomicBool::new(true));
        let (its_whole, its_wanted) = (Arc::clone(&whole), Arc::clone(&wanted));
        let cable = std::thread::spawn(move || {
            while its_wanted.load(Ordering::Relaxed) {
                carry(&a, &b, &its_whole);
            }
        });
        SerialLine {
            devices: [device_a, device_b],
            _ends: [end_a, end_b],
            whole,
            wanted,
            cable: Some(cable),
        }
    }
}

impl SerialLine {
    /// The devices at its ends, as every host sees them.
    #[must_use]
    pub fn devices(&self) -> [String; 2] {
        self.devices
            .each_ref()
            .map(|path| path.display().to_string())
    }

    /// Nothing passes any more.
    pub fn cut(&self) {
        self.whole.store(false, Ordering::Relaxed);
    }

    /// Undoes [`SerialLine::cut`].
    pub fn restore(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }
}

impl Drop for SerialLine {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
        if let Some(cable) = self.cable.take() {
            let _ = cable.join();
        }
    }
}

/// A pseudo-terminal: where the cable is plugged in, the device, and the device opened.
#[track_caller]
fn end() -> (OwnedFd, PathBuf, File) {
    let opened = || {
        let plug = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        unlockpt(&plug)?;
        fcntl_setfl(&plug, OFlags::NONBLOCK | OFlags::RDWR)?;
        let name: CString = ptsname(&plug, Vec::new())?;
        Ok::<_, rustix::io::Errno>((plug, PathBuf::from(name.to_string_lossy().into_owned())))
    };
    let (plug, device) =
        opened().unwrap_or_else(|e| unworkable(&format!("there is no pseudo-terminal: {e}")));
    let file = File::options()
        .read(true)
        .write(true)
        .open(&device)
        .unwrap_or_else(|e| unworkable(&format!("cannot open {}: {e}", device.display())));
    // Without this, a line that no director has opened yet would echo.
    let raw = tcgetattr(&file).and_then(|mut settings| {
        settings.make_raw();
        tcsetattr(&file, OptionalActions::Now, &settings)
    });
    if let Err(error) = raw {
        unworkable(&format!("{} cannot be raw: {error}", device.display()));
    }
    (plug, device, file)
}

/// Carries what waits from each end to the other.
fn carry(a: &OwnedFd, b: &OwnedFd, whole: &AtomicBool) {
    let mut fds = [PollFd::new(a, PollFlags::IN), PollFd::new(b, PollFlags::IN)];
    // Interrupted or not: reading shows what there is.
    let _ = poll(&mut fds, Some(&LOOK));
    for (from, to) in [(a, b), (b, a)] {
        let mut buffer = [0; 4096];
        if let Ok(length) = rustix::io::read(from, &mut buffer)
            && whole.load(Ordering::Relaxed)
        {
            // What nobody takes off at the other end is lost, as on a real line.
            let _ = rustix::io::write(to, &buffer[..length]);
        }
    }
}
