//! What ends the heartbeat thread's wait, and what it then finds in its sockets.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Work;
use crate::clock::{self, Time};
use crate::cluster::{Dropped, Input};
use crate::director::paths::{Found, Received};

/// So many turns in a row may find something due at once. More would be a fault of ours, which at
/// real-time priority must not take the host with it.
const BUSY_TURNS: u32 = 1000;
/// How long the thread then rests in each turn.
const BUSY_REST: Duration = Duration::from_millis(1);
/// A turn that comes later than planned by more than this looks into all sockets.
const DELAY: Duration = Duration::from_millis(5);

/// What ended a wait.
#[derive(Debug)]
pub(super) struct Woken {
    /// Which of the paths' descriptors may have something, in their order.
    found: Vec<Found>,
    /// Whether there are commands.
    pub(super) called: bool,
    /// Whether the kernel has told something of links or addresses.
    pub(super) told: bool,
    /// When it would have ended by itself.
    planned: Time,
}

impl Default for Woken {
    /// Nothing is known: everything is looked at.
    fn default() -> Self {
        Self {
            found: Vec::new(),
            called: true,
            told: true,
            planned: Time::ZERO,
        }
    }
}

impl Work {
    /// Reads the sockets that the wait has found readable, and those that it has not asked. All of
    /// them when that may have changed since, or when somebody is about to be missed, and each to its
    /// end when the machine is about to judge: nobody shall be judged by what is unread.
    pub(super) fn receive(&mut self, now: Time, woken: &Woken) {
        let is_late = now > woken.planned + DELAY.min(self.keepalive / 2);
        let is_silent = now > self.heard + self.keepalive * 3 / 2;
        let reads_all = is_late || is_silent;
        let found = woken.found.iter().map(|found| match found {
            Found::Nothing if reads_all => Found::Something,
            found => *found,
        });
        let (codec, machine) = (&self.codec, &mut self.machine);
        let is_due = machine.get().poll_timeout().is_some_and(|due| due <= now);
        let next = if is_due || reads_all {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        };
        let mut heard = Vec::new();
        self.paths.receive(now, found, |received| {
            match received {
                Received::Datagram {
                    path,
                    bytes,
                    waited,
                } => match codec.decode(path, bytes) {
                    Ok(heartbeat) => {
                        tracing::trace!(path, sender = heartbeat.sender, "heartbeat received");
                        heard.push((path, heartbeat, waited));
                    }
                    Err(reason) => {
                        tracing::trace!(path, %reason, "datagram dropped");
                        machine.count_dropped(reason);
                    }
                },
                Received::Damaged { path } => {
                    tracing::trace!(path, "frame damaged");
                    machine.count_dropped(Dropped::Damaged);
                }
                Received::Refused { path, peer } => {
                    machine.handle(Input::Refused { path, peer }, now);
                }
            }
            next
        });
        // A peer's words come by two sockets, and one read after a newer one is taken for a replay.
        heard.sort_by_key(|(_, heartbeat, _)| heartbeat.counter);
        for (path, heartbeat, waited) in heard {
            self.heard = now;
            let input = Input::Heartbeat {
                path,
                heartbeat,
                waited,
            };
            self.machine.handle(input, now);
        }
    }

    /// Waits for a datagram, news of the kernel, a command, or the next time that something is due.
    pub(super) fn wait(&mut self, now: Time) -> Woken {
        let due = [
            self.machine.get().poll_timeout(),
            self.vips.poll_timeout(),
            self.paths.poll_timeout(),
            self.groups.poll_timeout(),
            self.witnesses.poll_timeout(),
            Some(self.reporter.due()),
        ];
        let due = due
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| self.reporter.due());
        let mut limit = due.saturating_sub(now);
        if limit.is_zero() {
            self.busy_turns = self.busy_turns.saturating_add(1);
        } else {
            self.busy_turns = 0;
        }
        if self.busy_turns >= BUSY_TURNS {
            if self.busy_turns == BUSY_TURNS {
                tracing::error!("the heartbeat thread finds no rest");
            }
            limit = BUSY_REST;
        }
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        let machine = self.machine.get();
        let paths = self.paths.fds(|peer| machine.lets_wait(peer));
        let others = self.witnesses.fds();
        let others = others.chain([self.vips.as_fd(), self.ear.as_fd()]);
        let asked = paths.iter().copied().chain(others.map(|fd| (fd, true)));
        let mut fds: Vec<PollFd<'_>> = asked
            .map(|(fd, asked)| {
                // Errors are told unasked: that a peer's host refuses shall not wait.
                let flags = if asked {
                    PollFlags::IN
                } else {
                    PollFlags::empty()
                };
                PollFd::from_borrowed_fd(fd, flags)
            })
            .collect();
        // Interrupted or not: the turn that follows finds out by itself what there is to do.
        let _ = poll(&mut fds, Some(&limit));
        let mut is_ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let found = paths.iter().zip(is_ready.by_ref());
        let found = found
            .map(|((_, asked), is_ready)| match (asked, is_ready) {
                (false, _) => Found::Unasked,
                (true, true) => Found::Something,
                (true, false) => Found::Nothing,
            })
            .collect();
        let called = is_ready.next_back().unwrap_or(true);
        let told = is_ready.next_back().unwrap_or(true);
        if told {
            self.vips.handle_readable(clock::now());
        }
        Woken {
            found,
            called,
            told,
            planned: due.max(now),
        }
    }
}
