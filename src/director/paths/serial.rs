//! A serial line to the only peer: raw, 8N1, without flow control, never waited for.
//!
//! A device that is not there, or goes away (an adapter that is pulled out), is opened again once
//! a second, by a thread of its own: a broken adapter may let that take seconds. What a slow line
//! has no room for is left out, not queued: see [`Pace`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr,
};

use super::frame::{Decoder, Pace};
use crate::clock::Time;

/// Between two attempts to open a device.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks whether an attempt has ended.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes that one turn reads at most: what the kernel keeps of a line's input (`N_TTY_BUF_SIZE`,
/// drivers/tty/n_tty.c), so that noise starves no other path.
const CHUNK: usize = 4096;

/// One path to the only peer.
#[derive(Debug)]
pub(super) struct Serial {
    device: PathBuf,
    baud: u32,
    line: Option<OwnedFd>,
    retry: Option<Time>,
    opening: Option<Receiver<io::Result<OwnedFd>>>,
    told: bool,
    pace: Pace,
    decoder: Decoder,
}

impl Serial {
    /// Opens the line, now or when its device is there.
    pub(super) fn open(device: &Path, baud: u32, now: Time) -> Self {
        let mut serial = Self {
            device: device.to_owned(),
            baud,
            line: None,
            retry: None,
            opening: None,
            told: false,
            pace: Pace::new(baud),
            decoder: Decoder::default(),
        };
        serial.opened(open_line(device, baud), now);
        serial
    }

    /// What to poll.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.line.as_ref().map(AsFd::as_fd)
    }

    /// Sends now, or as soon as what is on the line has gone. Whether a frame left.
    pub(super) fn send(&mut self, datagram: Vec<u8>, now: Time) -> bool {
        if self.line.is_none() {
            return false;
        }
        self.pace.offer(datagram);
        self.flush(now)
    }

    /// Hands over the datagrams that have come in, and nothing for each that is damaged.
    pub(super) fn receive(&mut self, now: Time, each: impl FnMut(Option<&[u8]>)) {
        let Some(line) = &self.line else {
            return;
        };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(line, &mut buffer) {
            Ok(0) => self.lose("the line has hung up", now),
            Ok(length) => self.decoder.take(&buffer[..length], each),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => self.lose(&words::of(&error.into()), now),
        }
    }

    /// Opens the device if that is due, or sends what has waited. Whether a frame left.
    pub(super) fn handle_timeout(&mut self, now: Time) -> bool {
        if self.retry.is_some_and(|due| due <= now) {
            self.reopen(now);
        }
        self.flush(now)
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        if self.line.is_some() {
            self.pace.poll_timeout()
        } else {
            self.retry
        }
    }

    fn flush(&mut self, now: Time) -> bool {
        let Some(line) = &self.line else {
            return false;
        };
        let Some(frame) = self.pace.take(now) else {
            return false;
        };
        match rustix::io::write(line, &frame) {
            Ok(length) => length == frame.len(),
            // Nobody takes off what was written before: this one is lost, as on any other path.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            Err(error) => {
                self.lose(&words::of(&error.into()), now);
                false
            }
        }
    }

    /// Has the device opened, or looks what became of that.
    fn reopen(&mut self, now: Time) {
        if let Some(opening) = &self.opening {
            match opening.try_recv() {
                Ok(result) => {
                    self.opening = None;
                    self.opened(result, now);
                }
                Err(TryRecvError::Empty) => self.retry = Some(now + LOOK),
                Err(TryRecvError::Disconnected) => {
                    self.opening = None;
                    self.retry = Some(now + RETRY);
                }
            }
            return;
        }
        let (sender, receiver) = sync_channel(1);
        let (device, baud) = (self.device.clone(), self.baud);
        let work = move || drop(sender.send(open_line(&device, baud)));
        match thread::Builder::new().name("serial".to_owned()).spawn(work) {
            Ok(_) => {
                self.opening = Some(receiver);
                self.retry = Some(now + LOOK);
            }
            Err(error) => self.opened(Err(error), now),
        }
    }

    fn opened(&mut self, result: io::Result<OwnedFd>, now: Time) {
        match result {
            Ok(line) => {
                tracing::info!(device = %self.device.display(), baud = self.baud, "serial line open");
                self.line = Some(line);
                self.retry = None;
                self.told = false;
            }
            Err(error) => {
                if !self.told {
                    let error = words::of(&error);
                    tracing::warn!(device = %self.device.display(), error, "cannot open serial line");
                    self.told = true;
                }
                self.retry = Some(now + RETRY);
            }
        }
    }

    fn lose(&mut self, why: &str, now: Time) {
        tracing::warn!(device = %self.device.display(), reason = why, "serial line lost");
        if let Some(line) = self.line.take() {
            // Closing waits for output that cannot leave (`closing_wait`, up to 30 s).
            let _ = tcflush(&line, QueueSelector::IOFlush);
            let close = move || drop(line);
            let _ = thread::Builder::new()
                .name("serial".to_owned())
                .spawn(close);
        }
        self.pace.clear();
        self.decoder.reset();
        // Tried again at leisure: a line that hangs up at once shall not keep the thread busy.
        self.retry = Some(now + RETRY);
        self.told = true;
    }
}

/// Opens a device without waiting for a carrier and sets its line: raw, 8N1, this speed.
///
/// # Errors
///
/// When there is none, it may not be used, or it is no terminal that can do this speed.
fn open_line(device: &Path, baud: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let line = open(device, flags, Mode::empty())?;
    let mut settings = tcgetattr(&line)?;
    settings.make_raw();
    settings.input_modes -= InputModes::IXON | InputModes::IXOFF | InputModes::IXANY;
    settings.control_modes -=
        ControlModes::CRTSCTS | ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CSIZE;
    settings.control_modes |= ControlModes::CS8 | ControlModes::CLOCAL | ControlModes::CREAD;
    settings.set_speed(baud)?;
    // At once: what an earlier program has left to send is not waited for.
    tcsetattr(&line, OptionalActions::Now, &settings)?;
    tcflush(&line, QueueSelector::IOFlush)?;
    Ok(line)
}
