//! Many requests in few sends.

use std::num::NonZero;
use std::ops::Range;

use super::attr::Writer;
use super::frame::{self, NLMSG_NOOP, flags};

/// Most messages per send. Should each be refused, their error messages (some 1,300 bytes of socket
/// memory each) still fit the receive buffer, even the one of a caller without rights: twice the
/// usual `net.core.rmem_max` of 212,992 bytes.
pub(super) const CHUNK_MESSAGES: NonZero<usize> = NonZero::new(256).unwrap();

/// Bytes per message on average, above which a send takes fewer messages; the kernel copies a
/// send into one piece of memory.
const MESSAGE_BYTES: usize = 256;

/// Requests collected to be sent together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    data: Vec<u8>,
    starts: Vec<usize>,
}

impl Batch {
    /// Adds a request; `fill` writes what follows the netlink header.
    pub fn push(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        self.starts.push(self.data.len());
        frame::write(&mut self.data, kind, flags | flags::REQUEST, 0, fill);
    }

    /// How many requests it holds.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether it holds no request.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Forgets the requests and keeps the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.starts.clear();
    }

    /// What goes in a send of so many messages at most that begins with the one numbered `first`;
    /// `None` behind the last.
    pub(super) fn chunk(&self, first: usize, messages: usize) -> Option<Chunk<'_>> {
        let bytes = messages.max(CHUNK_MESSAGES.get()) * MESSAGE_BYTES;
        let start = *self.starts.get(first)?;
        let mut next = first + 1;
        while next < self.len() && next - first < messages && self.end(next) - start <= bytes {
            next += 1;
        }
        Some(Chunk {
            batch: self,
            messages: first..next,
        })
    }

    fn end(&self, message: usize) -> usize {
        self.starts
            .get(message + 1)
            .copied()
            .unwrap_or(self.data.len())
    }
}

/// Consecutive messages that go in one send.
pub(super) struct Chunk<'a> {
    batch: &'a Batch,
    messages: Range<usize>,
}

impl Chunk<'_> {
    pub(super) fn len(&self) -> u32 {
        self.messages.len() as u32
    }

    /// Replaces `out` by the messages, numbered from `sequence`, and one that does nothing and asks
    /// for an answer.
    ///
    /// Asking the last of the messages for it would not do: to a request that fails with EINTR, as
    /// the stop of a sync daemon that has not run yet, the kernel gives no answer at all.
    pub(super) fn write(&self, sequence: u32, out: &mut Vec<u8>) {
        out.clear();
        let Some(base) = self.batch.starts.get(self.messages.start) else {
            return;
        };
        let end = self.batch.end(self.messages.end - 1);
        out.extend_from_slice(&self.batch.data[*base..end]);
        let mut number = sequence;
        for start in &self.batch.starts[self.messages.clone()] {
            frame::set_sequence(&mut out[start - base..], number);
            number = number.wrapping_add(1);
        }
        frame::write(out, NLMSG_NOOP, flags::REQUEST | flags::ACK, number, |_| {});
    }
}
