//! Send and expect over TCP: something is said, and certain bytes must come back.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::failure::{EXCERPT, End, Failure, Stage, excerpt};
use crate::probe::Deadline;
use crate::tcp;

/// Bytes of a reply that are searched.
pub(crate) const LIMIT: usize = 64 * 1024;

/// Sends `send`, then reads until `expect` has come, however the reply is cut into segments.
pub(crate) async fn probe(
    address: SocketAddr,
    send: &[u8],
    expect: &[u8],
    deadline: &Deadline,
) -> Result<(), Failure> {
    let mut stream = tcp::connect(address, deadline).await?;
    // A server that turns a client away says why and closes, so that sending fails: what it said
    // is still worth reading.
    let sent = deadline
        .during(Stage::Sending, stream.write_all(send))
        .await?;
    let mut search = Search::new(expect);
    let mut buffer = vec![0; 4096];
    let end = loop {
        let room = buffer.len().min(LIMIT - search.seen);
        if room == 0 {
            break End::Limit(LIMIT);
        }
        match deadline
            .during(Stage::Waiting, stream.read(&mut buffer[..room]))
            .await
        {
            Ok(Ok(0)) => break End::Closed,
            Ok(Ok(length)) => {
                if search.feed(&buffer[..length]) {
                    return Ok(());
                }
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => break End::Reset,
            Ok(Err(error)) => return Err(Failure::io(&error, Stage::Waiting)),
            Err(_) => break End::TimedOut(deadline.timeout()),
        }
    };
    match sent {
        Err(error) if search.seen == 0 => Err(Failure::io(&error, Stage::Sending)),
        Ok(()) | Err(_) => Err(Failure::Reply {
            expected: excerpt(expect),
            got: excerpt(&search.head),
            end,
        }),
    }
}

/// A search through bytes that come in pieces.
struct Search<'a> {
    expect: &'a [u8],
    /// The first bytes of all, to be quoted; one more than is shown, to know that there is more.
    head: Vec<u8>,
    /// The last bytes, in which `expect` may have begun.
    tail: Vec<u8>,
    /// Bytes so far.
    seen: usize,
}

impl<'a> Search<'a> {
    fn new(expect: &'a [u8]) -> Self {
        Self {
            expect,
            head: Vec::new(),
            tail: Vec::new(),
            seen: 0,
        }
    }

    /// Takes the next piece, which is not empty; whether `expect` has come by now.
    fn feed(&mut self, piece: &[u8]) -> bool {
        self.seen += piece.len();
        let quoted = piece
            .len()
            .min((EXCERPT + 1).saturating_sub(self.head.len()));
        self.head.extend_from_slice(&piece[..quoted]);
        if self.expect.is_empty() {
            return true;
        }
        self.tail.extend_from_slice(piece);
        if self
            .tail
            .windows(self.expect.len())
            .any(|window| window == self.expect)
        {
            return true;
        }
        let useless = self.tail.len().saturating_sub(self.expect.len() - 1);
        self.tail.drain(..useless);
        false
    }
}

#[cfg(test)]
mod tests;
