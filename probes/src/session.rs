//! A conversation with one server over TCP or TLS: what every kind that talks is made of.
//!
//! Everything that is read is bounded in time, by the probe's timeout, and in size, by
//! [`Session::set_limit`]; and it is gathered until there is enough of it, however it is cut into
//! segments.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::client::TlsStream;

use crate::connects::Connection;
use crate::failure::{End, Failure, Stage, excerpt, line_excerpt};
use crate::looks::Looks;
use crate::probing::Probing;
use crate::tls::{self, Tls};

/// Bytes that a server may send in one probe, unless the kind says otherwise.
pub(crate) const LIMIT: usize = 64 * 1024;
/// The longest line.
const LINE: usize = 8 * 1024;
/// Bytes read at once.
const PIECE: usize = 4096;

/// A connection to the target, and what came over it.
#[derive(Debug)]
pub(crate) struct Session<'p> {
    probing: &'p mut Probing,
    stream: Stream,
    /// What came and has not been taken.
    input: Vec<u8>,
    /// Bytes that came so far.
    came: usize,
    /// Bytes that may come.
    limit: usize,
    /// Why what was said last could not be sent.
    unsent: Option<io::Error>,
    /// The server has closed, so that closing here leaves nothing behind.
    closed: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(Connection),
    Tls(Box<TlsStream<Connection>>),
    /// While one becomes the other, and after that has failed.
    Neither,
}

impl<'p> Session<'p> {
    pub(crate) fn new(probing: &'p mut Probing, connection: Connection) -> Self {
        Self {
            probing,
            stream: Stream::Plain(connection),
            input: Vec::new(),
            came: 0,
            limit: LIMIT,
            unsent: None,
            closed: false,
        }
    }

    /// The probe under way.
    pub(crate) fn probing(&mut self) -> &mut Probing {
        self.probing
    }

    /// From where the connection comes.
    pub(crate) fn local_address(&self) -> Result<SocketAddr, Failure> {
        let address = match &self.stream {
            Stream::Plain(stream) => stream.local_address(),
            Stream::Tls(stream) => stream.get_ref().0.local_address(),
            Stream::Neither => Err(io::ErrorKind::NotConnected.into()),
        };
        address.map_err(|error| Failure::io(&error, Stage::Connecting))
    }

    /// The server may send so many bytes in all.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Agrees on TLS from here on, with a server that is called `name` unless the settings call it
    /// otherwise; without any name its certificate must be for its address.
    ///
    /// What the server has said too early, in clear, could be anybody's: it is a failure.
    pub(crate) async fn start_tls(&mut self, tls: &Tls, name: Option<&str>) -> Result<(), Failure> {
        if !self.input.is_empty() {
            return Err(self.unexpected("the beginning of TLS", &self.input));
        }
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Neither) else {
            return Err(Failure::NotRun("it has TLS already".to_owned()));
        };
        let stream = tls::agree(self.probing, stream, tls, name).await?;
        self.stream = Stream::Tls(Box::new(stream));
        self.probing.tls_agreed();
        Ok(())
    }

    /// Says something. A server that turns a client away says why and closes, so that sending fails:
    /// what it said is still worth reading, and the reason is kept for when it said nothing.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let stream = &mut self.stream;
        let sent = async {
            match stream {
                Stream::Plain(stream) => stream.write_all(bytes).await,
                Stream::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
                Stream::Neither => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        self.unsent = self.probing.during(Stage::Sending, sent).await?.err();
        Ok(())
    }

    /// What came and has not been taken.
    pub(crate) fn input(&self) -> &[u8] {
        &self.input
    }

    /// Takes the first `length` bytes of the input.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.input.split_off(length.min(self.input.len()));
        std::mem::replace(&mut self.input, rest)
    }

    /// Waits for more input; why there is none, if there is none.
    pub(crate) async fn fill(&mut self) -> Result<Option<End>, Failure> {
        let room = self.limit.saturating_sub(self.came).min(PIECE);
        if room == 0 {
            return Ok(Some(End::Limit(self.limit)));
        }
        let read = read(&mut self.stream, &mut self.input, room);
        match self.probing.during(Stage::Waiting, read).await {
            Ok(Ok(0)) => {
                self.closed = true;
                self.ended(End::Closed)
            }
            Ok(Ok(length)) => {
                self.came += length;
                // Within TLS it may have come with what was agreed on, and counts from then.
                let seen = match &self.stream {
                    Stream::Plain(stream) => stream.seen(),
                    Stream::Tls(_) | Stream::Neither => None,
                };
                match seen {
                    Some(at) => self.probing.byte_seen(at),
                    None => self.probing.byte_came(),
                }
                Ok(None)
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                self.closed = true;
                self.ended(End::Reset)
            }
            // A server that closes without TLS's farewell has closed.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.closed = true;
                self.ended(End::Closed)
            }
            Ok(Err(error)) => Err(tls::failure(&error, Stage::Waiting)),
            Err(_) => Ok(Some(End::TimedOut(self.probing.timeout()))),
        }
    }

    /// As [`fill`](Self::fill), and then until the input is worth another look: for whoever looks at
    /// all of it anew each time.
    pub(crate) async fn fill_well(&mut self, looks: &mut Looks) -> Result<Option<End>, Failure> {
        let enough = looks.enough(self.input.len());
        let mut end = self.fill().await?;
        while end.is_none() && self.input.len() < enough {
            let Ok(filled) = tokio::time::timeout(looks.pause(), self.fill()).await else {
                looks.paused();
                return Ok(None);
            };
            end = filled?;
        }
        Ok(end)
    }

    /// The next line, without its end: LF, with or without CR before it. `expected` is what to call
    /// it when it does not come: "220", "a greeting".
    pub(crate) async fn line(&mut self, expected: &str) -> Result<Vec<u8>, Failure> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.input[searched..].iter().position(|it| *it == b'\n') {
                let mut line = self.take(searched + at + 1);
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            searched = self.input.len();
            if searched > LINE {
                return Err(self.missing(expected, End::Limit(LINE)));
            }
            if let Some(end) = self.fill().await? {
                return Err(self.missing(expected, end));
            }
        }
    }

    /// The next `length` bytes. `expected` is what to call them when they do not come: "a packet".
    pub(crate) async fn exactly(
        &mut self,
        length: usize,
        expected: &str,
    ) -> Result<Vec<u8>, Failure> {
        while self.input.len() < length {
            if let Some(end) = self.fill().await? {
                return Err(self.missing(expected, end));
            }
        }
        Ok(self.take(length))
    }

    /// Everything until the server closes. `expected` is what to call it when that cannot be had.
    pub(crate) async fn rest(&mut self, expected: &str) -> Result<Vec<u8>, Failure> {
        loop {
            match self.fill().await? {
                None => {}
                Some(End::Closed) => return Ok(std::mem::take(&mut self.input)),
                Some(end) => return Err(self.missing(expected, end)),
            }
        }
    }

    /// Says the last word, and waits for the server to close, so that it does not complain in its
    /// log of a client that has gone. Whether and how it does is of no matter.
    pub(crate) async fn part(&mut self, words: &[u8]) -> Result<(), Failure> {
        self.send(words).await?;
        while let Ok(None) = self.fill().await {
            self.input.clear();
        }
        Ok(())
    }

    /// Says no more, and waits for the server to close. For a server that would complain in its log
    /// of a reset; it leaves a connection in TIME_WAIT.
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        let stream = &mut self.stream;
        let finished = async {
            match stream {
                Stream::Plain(stream) => stream.shutdown().await,
                Stream::Tls(stream) => stream.shutdown().await,
                Stream::Neither => Ok(()),
            }
        };
        // One that has closed by itself has no more to be told.
        let _ = self.probing.during(Stage::Sending, finished).await?;
        self.part(&[]).await
    }

    /// The failure of a server that said `got` where `expected` was due.
    pub(crate) fn unexpected(&self, expected: &str, got: &[u8]) -> Failure {
        Failure::Reply {
            expected: expected.to_owned(),
            got: line_excerpt(got),
            end: End::Complete,
        }
    }

    /// The failure of a server that said no more than what is in the input.
    pub(crate) fn missing(&self, expected: &str, end: End) -> Failure {
        Failure::Reply {
            expected: expected.to_owned(),
            got: excerpt(&self.input),
            end,
        }
    }

    /// What could not be sent is the reason if nothing came back.
    fn ended(&mut self, end: End) -> Result<Option<End>, Failure> {
        match self.unsent.take() {
            Some(error) if self.input.is_empty() => Err(tls::failure(&error, Stage::Sending)),
            Some(_) | None => Ok(Some(end)),
        }
    }
}

impl Drop for Session<'_> {
    /// Who closes first keeps the connection in TIME_WAIT for a minute: with thousands of probes a
    /// second that is all of the kernel's local ports (tcp(7)). A connection whose dialogue is over
    /// is given up with a reset instead, unless the server has closed it: that one is closed.
    fn drop(&mut self) {
        if !self.closed {
            return;
        }
        let stream = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
            Stream::Neither => return,
        };
        // Of one that has been reset there is nothing to be closed.
        let _ = stream.shut_down();
    }
}

/// Adds what comes to `input`, `room` bytes at most; 0 for the end.
async fn read(stream: &mut Stream, input: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    match stream {
        Stream::Plain(stream) => stream.read_to(input, room).await,
        // Cancelled at the timeout, it leaves the input as it is.
        Stream::Tls(stream) => stream.take(room as u64).read_buf(input).await,
        Stream::Neither => Err(io::ErrorKind::NotConnected.into()),
    }
}

#[cfg(test)]
mod tests;
