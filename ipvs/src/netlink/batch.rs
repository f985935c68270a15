//! Many requests in few sends.

use std::ops::Range;

use super::attr::Writer;
use super::frame::{self, flags};

/// Messages per send. Should each be refused, their error messages (some 1,300 bytes of socket
/// memory each) still fit the receive buffer.
const CHUNK_MESSAGES: usize = 128;

/// Bytes per send; the kernel copies them into one piece of memory.
const CHUNK_BYTES: usize = 32 * 1024;

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

    pub(super) fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = next;
            let start = *self.starts.get(first)?;
            next += 1;
            while next < self.len()
                && next - first < CHUNK_MESSAGES
                && self.end(next) - start <= CHUNK_BYTES
            {
                next += 1;
            }
            Some(Chunk {
                batch: self,
                messages: first..next,
            })
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

    /// Replaces `out` by the messages, numbered from `sequence`, the last asking for an answer.
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
        let last = self.batch.starts[self.messages.end - 1] - base;
        frame::add_flags(&mut out[last..], flags::ACK);
    }
}
