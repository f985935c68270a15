//! Datagrams to one target and back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::failure::{End, Failure, Stage};
use crate::probing::Probing;

/// The largest that UDP can carry.
const LARGEST: usize = 65_535;
/// A request that gets no answer is sent again after this, then after twice as long and so on: T1 of
/// SIP (RFC 3261, section 17.1.2.2), which is sooner than others ask again, within a shorter time.
const PAUSE: Duration = Duration::from_millis(500);

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
        let sent = self.socket.send(datagram);
        self.probing
            .during(Stage::Sending, sent)
            .await?
            .map_err(|error| failure(&error, Stage::Sending))?;
        Ok(())
    }

    /// The next datagram. `expected` is what to call it when none comes: "an answer".
    pub(crate) async fn receive(&mut self, expected: &str) -> Result<Vec<u8>, Failure> {
        let (socket, unanswered) = (&self.socket, &mut self.unanswered);
        let received = async {
            while let Some(Unanswered {
                request,
                pause,
                again,
            }) = unanswered
            {
                if let Ok(received) = timeout_at(*again, next(socket)).await {
                    return received;
                }
                socket.send(request).await?;
                *pause *= 2;
                *again += *pause;
            }
            next(socket).await
        };
        match self.probing.during(Stage::Waiting, received).await {
            Ok(Ok(datagram)) => {
                self.probing.byte_came();
                Ok(datagram)
            }
            Ok(Err(error)) => Err(failure(&error, Stage::Waiting)),
            Err(_) => Err(Failure::Reply {
                expected: expected.to_owned(),
                got: String::new(),
                end: End::TimedOut(self.probing.timeout()),
            }),
        }
    }
}

/// The next datagram that comes.
async fn next(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    loop {
        // Thousands of probes wait at a time: there is a buffer only when there is something to put
        // into it. An error that waits makes a socket neither readable nor closed.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
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
            Err(error) => return Err(error),
        }
    }
}

/// A connected socket is refused when the host says that nobody listens on the port (udp(7)).
fn failure(error: &io::Error, stage: Stage) -> Failure {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return Failure::Io {
            what: "port unreachable".to_owned(),
            stage: Stage::Connecting,
        };
    }
    Failure::io(error, stage)
}
