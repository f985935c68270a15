//! The daemon's side of its guard: starts it, tells it what to do, and starts it again if it dies.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::watch::{Charge, Order};

/// Orders that may wait for a guard that is slow to read.
const ORDERS: usize = 16;
/// Before another guard is started in place of one that has died.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The way to the guard. Dropped without a farewell, it makes the guard act.
#[derive(Debug)]
pub struct Guard {
    orders: SyncSender<Order>,
    wake: OwnedFd,
    ended: Receiver<()>,
    told: Charge,
}

impl Guard {
    /// Starts the guard, as `command` says, with its first charge.
    ///
    /// # Errors
    ///
    /// No thread or no process can be started.
    pub fn spawn(
        command: impl Fn() -> Command + Send + 'static,
        charge: Charge,
    ) -> io::Result<Self> {
        let (orders, receiver) = sync_channel(ORDERS);
        let (end, ended) = sync_channel(1);
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let theirs = wake.try_clone()?;
        let first = Line::spawn(&command, &charge)?;
        let told = charge.clone();
        thread::Builder::new()
            .name("guard".to_owned())
            .spawn(move || {
                keep(&command, first, charge, &receiver, &theirs);
                // Nobody waits for it unless a farewell was said.
                let _ = end.try_send(());
            })?;
        Ok(Self {
            orders,
            wake,
            ended,
            told,
        })
    }

    /// Tells the guard what to do, if that differs from what it was told last. Never waits.
    pub fn charge(&mut self, charge: &Charge) {
        if self.told == *charge {
            return;
        }
        if self.tell(Order::Charge(charge.clone())) {
            self.told = charge.clone();
        }
    }

    /// What it was told last.
    #[must_use]
    pub fn told(&self) -> &Charge {
        &self.told
    }

    /// Lets the guard go: nothing is left that it would have to remove.
    pub fn farewell(self) {
        self.tell(Order::Farewell);
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(FAREWELL) {
            tracing::warn!("the guard takes no farewell");
        }
    }

    fn tell(&self, order: Order) -> bool {
        let told = self.orders.try_send(order).is_ok();
        // A counter that is full has woken the thread already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        told
    }
}

/// A running guard and the pipes to and from it. It never says anything: that its own end of the
/// second pipe closes tells of its death.
struct Line {
    child: Child,
    orders: ChildStdin,
    life: ChildStdout,
}

impl Line {
    fn spawn(command: &impl Fn() -> Command, charge: &Charge) -> io::Result<Self> {
        let mut child = command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(orders), Some(life)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut line = Self {
            child,
            orders,
            life,
        };
        line.tell(&Order::Charge(charge.clone()))?;
        Ok(line)
    }

    fn tell(&mut self, order: &Order) -> io::Result<()> {
        let mut text = serde_json::to_vec(order)?;
        text.push(b'\n');
        self.orders.write_all(&text)
    }
}

/// Passes orders on until the farewell, or until nobody is left to give any.
fn keep(
    command: &impl Fn() -> Command,
    first: Line,
    mut charge: Charge,
    orders: &Receiver<Order>,
    wake: &OwnedFd,
) {
    let mut line = first;
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(line.life.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN),
        ];
        // Interrupted or not: what follows finds out by itself.
        let _ = poll(&mut fds, None);
        let mut dead = !fds[0].revents().is_empty();
        let _ = rustix::io::read(wake, &mut [0; 8]);
        loop {
            let order = match orders.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            };
            dead |= line.tell(&order).is_err();
            match order {
                Order::Charge(new) => charge = new,
                Order::Farewell => {
                    let _ = line.child.wait();
                    return;
                }
            }
        }
        if dead {
            let _ = line.child.wait();
            tracing::warn!("the guard has died");
            line = again(command, &charge);
        }
    }
}

/// Another guard, however often it takes.
fn again(command: &impl Fn() -> Command, charge: &Charge) -> Line {
    loop {
        thread::sleep(PAUSE);
        match Line::spawn(command, charge) {
            Ok(line) => return line,
            Err(error) => tracing::error!(error = %words::of(&error), "no guard can be started"),
        }
    }
}
