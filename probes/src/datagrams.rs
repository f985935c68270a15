//! Datagrams to one target and back.

use std::io;
use std::net::SocketAddr;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::failure::{End, Failure, Stage};
use crate::probing::Probing;

/// The largest that UDP can carry.
const LARGEST: usize = 65_535;

/// A UDP socket that is connected to the target.
#[derive(Debug)]
pub(crate) struct Datagrams<'p> {
    probing: &'p mut Probing,
    socket: UdpSocket,
}

impl<'p> Datagrams<'p> {
    pub(crate) fn new(probing: &'p mut Probing, socket: UdpSocket) -> Self {
        Self { probing, socket }
    }

    /// From where the datagrams come.
    pub(crate) fn local_address(&self) -> Result<SocketAddr, Failure> {
        let address = self.socket.local_addr();
        address.map_err(|error| Failure::io(&error, Stage::Connecting))
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
        let socket = &self.socket;
        let received = async {
            loop {
                // Thousands of probes wait at a time: there is a buffer only when there is something
                // to put into it.
                // An error that waits makes a socket neither readable nor closed.
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
