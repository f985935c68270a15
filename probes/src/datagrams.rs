//! Datagrams to one target and back.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::failure::{End, Failure, Stage};
use crate::probing::Probing;
use crate::refusals;

/// The largest that UDP can carry.
const LARGEST: usize = 65_535;
/// A request that gets no answer is sent again after this, then after twice as long and so on: T1 of
/// SIP (RFC 3261, section 17.1.2.2), which is sooner than others ask again, within a shorter time.
const PAUSE: Duration = Duration::from_millis(500);
/// What is said of earlier datagrams is looked at so often before it is taken for the end.
const REMARKS: usize = 8;

/// A UDP socket that is connected to the target.
#[derive(Debug)]
pub(crate) struct Datagrams<'p> {
    probing: &'p mut Probing,
    socket: UdpSocket,
    /// What is sent again until something comes.
    unanswered: Option<Unanswered>,
}

#[derive(Debug)]
struct Unanswered {
    request: Vec<u8>,
    pause: Duration,
    again: Instant,
}

impl<'p> Datagrams<'p> {
    pub(crate) fn new(probing: &'p mut Probing, socket: UdpSocket) -> Self {
        Self {
            probing,
            socket,
            unanswered: None,
        }
    }

    /// From where the datagrams come.
    pub(crate) fn local_address(&self) -> Result<SocketAddr, Failure> {
        let address = self.socket.local_addr();
        address.map_err(|error| Failure::io(&error, Stage::Connecting))
    }

    /// Sends a request that may be sent again, because whoever gets it twice sees that it is the
    /// same: while an answer is waited for, a lost one is made good in the time of the probe.
    pub(crate) async fn request(&mut self, datagram: &[u8]) -> Result<(), Failure> {
        self.send(datagram).await?;
        let pause = PAUSE.min(self.probing.timeout() / 4);
        self.unanswered = Some(Unanswered {
            request: datagram.to_vec(),
            pause,
            again: Instant::now() + pause,
        });
        Ok(())
    }

    /// Sends one datagram.
    pub(crate) async fn send(&mut self, datagram: &[u8]) -> Result<(), Failure> {
        let sent = send(&self.socket, self.probing.address().ip(), datagram);
        self.probing.during(Stage::Sending, sent).await?
    }

    /// The next datagram. `expected` is what to call it when none comes: "an answer".
    pub(crate) async fn receive(&mut self, expected: &str) -> Result<Vec<u8>, Failure> {
        let target = self.probing.address().ip();
        let (socket, unanswered) = (&self.socket, &mut self.unanswered);
        let received = async {
            while let Some(Unanswered {
                request,
                pause,
                again,
            }) = unanswered
            {
                if let Ok(received) = timeout_at(*again, next(socket, target)).await {
                    return received;
                }
                send(socket, target, request).await?;
                *pause *= 2;
                *again += *pause;
            }
            next(socket, target).await
        };
        match self.probing.during(Stage::Waiting, received).await {
            Ok(Ok(datagram)) => {
                self.probing.byte_came();
                Ok(datagram)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::Reply {
                expected: expected.to_owned(),
                got: String::new(),
                end: End::TimedOut(self.probing.timeout()),
            }),
        }
    }
}

async fn send(socket: &UdpSocket, target: IpAddr, datagram: &[u8]) -> Result<(), Failure> {
    for _ in 0..REMARKS {
        let Err(error) = socket.send(datagram).await else {
            return Ok(());
        };
        if let Some(failure) = failure(socket, target, &error, Stage::Sending) {
            return Err(failure);
        }
    }
    // As if it were lost on the way.
    Ok(())
}

/// The next datagram that comes.
async fn next(socket: &UdpSocket, target: IpAddr) -> Result<Vec<u8>, Failure> {
    loop {
        // Thousands of probes wait at a time: there is a buffer only when there is something to put
        // into it. An error that waits makes a socket neither readable nor closed.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await;
        let ready = ready.map_err(|error| Failure::io(&error, Stage::Waiting))?;
        let interest = if ready.is_error() {
            Interest::ERROR
        } else {
            Interest::READABLE
        };
        let mut buffer = vec![0; LARGEST];
        let received = socket.try_io(interest, || {
            Ok(rustix::net::recv(socket, &mut buffer, RecvFlags::empty())?)
        });
        match received {
            Ok((length, _)) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                if let Some(failure) = failure(socket, target, &error, Stage::Waiting) {
                    return Err(failure);
                }
            }
        }
    }
}

/// The failure that an error of a socket means; `None` if it only tells how datagrams arrive.
fn failure(socket: &UdpSocket, target: IpAddr, error: &io::Error, stage: Stage) -> Option<Failure> {
    let mut remarks = false;
    for _ in 0..REMARKS {
        // What is kept tells more than the error's number.
        let Ok(returned) = refusals::next(socket) else {
            break;
        };
        if let Some(refusal) = returned.refusal {
            return Some(refusal.failure(target));
        }
        remarks = true;
    }
    (!remarks).then(|| Failure::io(error, stage))
}
