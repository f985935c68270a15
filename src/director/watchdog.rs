//! Watchdogs, fed as long as the heartbeat thread turns, and by nothing else.
//!
//! A service manager or a device that waits for food would hold the heartbeat thread up while it
//! takes it. So a thread of its own feeds, but only if the heartbeat thread has turned since the last
//! time: one that hangs lets the watchdogs starve, and so does a process that is stopped whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sd_notify::NotifyState;

use super::Error;

/// Between two feedings of a device. The usual timeouts are 10 to 60 s.
const DEVICE: Duration = Duration::from_secs(1);
/// What tells a device that it is closed on purpose (watchdog-api.rst of the kernel).
const MAGIC: &[u8] = b"V";

/// The turns of the heartbeat thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Beats(Arc<AtomicU64>);

impl Beats {
    /// Another turn.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The thread that feeds.
#[derive(Debug)]
pub(super) struct Watchdog {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Starts to feed what is there to feed: the service manager if it asks for it
    /// (sd_watchdog_enabled(3)), and `device` if the configuration names one.
    ///
    /// # Errors
    ///
    /// The device can't be opened, or no thread be started.
    pub(super) fn start(beats: Beats, device: Option<&Path>) -> Result<Option<Self>, Error> {
        let manager = sd_notify::watchdog_enabled();
        let device = device
            .map(|path| {
                open(path).map_err(|source| Error::Watchdog {
                    device: path.to_owned(),
                    source,
                })
            })
            .transpose()?;
        let interval = [
            manager.map(|limit| limit / 3),
            device.as_ref().map(|_| DEVICE),
        ];
        let Some(interval) = interval.into_iter().flatten().min() else {
            return Ok(None);
        };
        tracing::info!(
            manager = manager.is_some(),
            device = device.is_some(),
            ?interval,
            "watchdogs are fed"
        );
        let feeder = Feeder {
            beats,
            fed: 0,
            manager: manager.is_some(),
            device,
        };
        let (stop, stopped) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || feeder.run(interval, &stopped))?;
        Ok(Some(Self { stop, thread }))
    }

    /// Ends in good order: a device is told that nobody will feed it any more.
    pub(super) fn stop(self) {
        // It takes one word, and ends.
        let _ = self.stop.try_send(());
        if self.thread.join().is_err() {
            tracing::error!("the watchdog thread panicked");
        }
    }
}

/// Opens a device. Food would spoil a file, or a disk.
fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.file_type().is_char_device() {
        return Err(io::Error::other("it is no character device"));
    }
    File::options().write(true).open(path)
}

struct Feeder {
    beats: Beats,
    /// How many turns had been at the last feeding.
    fed: u64,
    manager: bool,
    device: Option<File>,
}

impl Feeder {
    fn run(mut self, interval: Duration, stopped: &Receiver<()>) {
        // Whoever has just begun to wait is not hungry, and the heartbeat thread may not have begun.
        loop {
            match stopped.recv_timeout(interval) {
                Err(RecvTimeoutError::Timeout) => self.feed(),
                Ok(()) => break self.close(),
                // The daemon ends, but not well: what it leaves is the watchdog's to clear up.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn feed(&mut self) {
        let beats = self.beats.count();
        if beats == self.fed {
            tracing::error!("the heartbeat thread does not turn; watchdogs are not fed");
            return;
        }
        self.fed = beats;
        if self.manager
            && let Err(error) = sd_notify::notify(&[NotifyState::Watchdog])
        {
            tracing::warn!(error = %words::of(&error), "the service manager's watchdog was not fed");
        }
        if let Some(device) = &mut self.device
            && let Err(error) = device.write_all(b"\0")
        {
            tracing::warn!(error = %words::of(&error), "the watchdog device was not fed");
        }
    }

    fn close(self) {
        if let Some(mut device) = self.device
            && let Err(error) = device.write_all(MAGIC)
        {
            tracing::error!(error = %words::of(&error), "the watchdog device goes on waiting");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a file in place of a device.
    fn feeder(path: &Path) -> (Feeder, Beats) {
        let beats = Beats::default();
        let feeder = Feeder {
            beats: beats.clone(),
            fed: 0,
            manager: false,
            device: Some(File::create(path).unwrap()),
        };
        (feeder, beats)
    }

    #[test]
    fn a_device_is_fed_only_when_the_heartbeat_thread_has_turned_since() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device");
        let (mut feeder, beats) = feeder(&path);
        let meals = || fs::read(&path).unwrap().len();
        feeder.feed();
        assert_eq!(meals(), 0);
        for turns in [1, 100] {
            let before = meals();
            (0..turns).for_each(|_| beats.beat());
            feeder.feed();
            feeder.feed();
            assert_eq!(meals(), before + 1);
        }
    }

    #[test]
    fn only_a_good_end_switches_a_device_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device");
        for (well, expected) in [(true, MAGIC), (false, &[][..])] {
            let (feeder, beats) = feeder(&path);
            beats.beat();
            let (stop, stopped) = sync_channel(1);
            if well {
                stop.send(()).unwrap();
            }
            drop(stop);
            feeder.run(DEVICE, &stopped);
            assert_eq!(fs::read(&path).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_character_device_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "precious").unwrap();
        let error = open(&path).unwrap_err();
        assert_eq!(error.to_string(), "it is no character device");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert!(open(Path::new("/dev/null")).is_ok());
    }
}
