//! What others may tell the heartbeat thread, and how they do without waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use crate::cluster::Answer;
use crate::director::fitness::{Reach, Services};
use crate::vip::Witness;

/// Commands that may wait to be obeyed.
const COMMANDS: usize = 256;

/// What others may tell the thread.
#[derive(Debug)]
pub(in crate::director) enum Command {
    /// Whether the probes of a group have run and its table is programmed.
    Ready {
        /// The group.
        group: String,
        /// Whether they have.
        ready: bool,
        /// What has become of its services.
        services: Services,
    },
    /// The first packet for a group can be seen, once it is taken.
    Witness {
        /// The group.
        group: String,
        /// Who sees it.
        witness: Witness,
    },
    /// How many of the reachability targets answer.
    Reach(Reach),
    /// Hand a group over.
    Handover {
        /// The group.
        group: String,
        /// To whom; to the best candidate if it is not said.
        to: Option<String>,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// Leave groups to the others, or no longer.
    Standby {
        /// The group; all of them if it is not said.
        group: Option<String>,
        /// Whether it shall be so.
        on: bool,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// Tell what is known, though nothing may have happened.
    Report {
        /// The number of the question, for the [report](super::Report) that answers it.
        question: u64,
    },
    /// Give every group up and end.
    Stop,
}

/// Tells the thread something, from wherever.
#[derive(Clone, Debug)]
pub(in crate::director) struct Teller {
    commands: SyncSender<Command>,
    wake: Arc<OwnedFd>,
}

/// Where the thread hears of it.
#[derive(Debug)]
pub(super) struct Ear {
    commands: Receiver<Command>,
    wake: OwnedFd,
    /// Nobody is left who could tell anything.
    is_deaf: bool,
}

/// A teller and the ear that it tells.
pub(super) fn channel() -> io::Result<(Teller, Ear)> {
    let (sender, commands) = sync_channel(COMMANDS);
    let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
    let ear = Ear {
        commands,
        wake: wake.try_clone()?,
        is_deaf: false,
    };
    let teller = Teller {
        commands: sender,
        wake: Arc::new(wake),
    };
    Ok((teller, ear))
}

impl Teller {
    /// Tells the thread something. False when it has too much to do to take it, or has ended.
    pub(in crate::director) fn tell(&self, command: Command) -> bool {
        let told = self.commands.try_send(command).is_ok();
        // A counter that is full has woken it already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        told
    }
}

impl Ear {
    /// Makes it silent until somebody calls again.
    pub(super) fn hush(&self) {
        let mut buffer = [0; 8];
        // Empty unless somebody has called.
        let _ = rustix::io::read(&self.wake, &mut buffer);
    }

    /// The next command. Without anybody left to tell one there is nobody to serve for: that is a
    /// [`Command::Stop`].
    pub(super) fn next(&mut self) -> Option<Command> {
        match self.commands.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Disconnected) => {
                let first = !std::mem::replace(&mut self.is_deaf, true);
                first.then_some(Command::Stop)
            }
            Err(TryRecvError::Empty) => None,
        }
    }
}

impl AsFd for Ear {
    /// Readable when somebody has called.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
