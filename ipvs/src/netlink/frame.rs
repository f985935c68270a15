//! Framing: netlink headers, and what a message tells about the request it answers.

use super::attr::{Attributes, Writer};
use super::error::{Error, KernelError};

/// Flags of a message (linux/netlink.h).
pub mod flags {
    /// `NLM_F_REQUEST`; the engine sets it.
    pub const REQUEST: u16 = 0x1;
    /// `NLM_F_ACK`; the engine sets it where an answer is needed.
    pub const ACK: u16 = 0x4;
    /// `NLM_F_DUMP`; the engine sets it for dumps.
    pub const DUMP: u16 = 0x300;
    /// `NLM_F_REPLACE`: change an object that exists.
    pub const REPLACE: u16 = 0x100;
    /// `NLM_F_EXCL`: refuse if the object exists.
    pub const EXCL: u16 = 0x200;
    /// `NLM_F_CREATE`: create the object.
    pub const CREATE: u16 = 0x400;
    /// `NLM_F_DUMP_INTR`, in replies: the listing changed while it was read.
    pub(crate) const DUMP_INTR: u16 = 0x10;
    /// `NLM_F_CAPPED`, in errors: the request is not echoed.
    pub(crate) const CAPPED: u16 = 0x100;
    /// `NLM_F_ACK_TLVS`, in errors: attributes follow.
    pub(crate) const ACK_TLVS: u16 = 0x200;
}

pub(super) const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const NLMSGERR_ATTR_MSG: u16 = 1;

const HEADER: usize = 16;

/// One message as the kernel sent it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// Its type, such as `RTM_NEWADDR` or the number of a generic family.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// The number of the request it answers; 0 for events.
    pub sequence: u32,
    /// What follows the netlink header.
    pub payload: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes that follow a fixed header of so many bytes; none if it is cut off.
    pub fn attributes_after(&self, header: usize) -> Attributes<'a> {
        Attributes::new(self.payload.get(header..).unwrap_or_default())
    }

    /// Reads all that the engine would.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn probe(&self) {
        let _ = self.verdict();
        for attribute in self.attributes_after(4) {
            attribute.nested().for_each(drop);
        }
    }

    /// What it means for the request it answers.
    pub(super) fn verdict(&self) -> Result<Verdict, Error> {
        match self.kind {
            NLMSG_NOOP => Ok(Verdict::Nothing),
            NLMSG_OVERRUN => Err(Error::Overrun),
            NLMSG_ERROR => {
                let errno = ne_i32(self.payload).ok_or(Error::Malformed)?;
                Ok(Verdict::Answer(
                    self.answer(errno, || self.after_echo(errno)),
                ))
            }
            NLMSG_DONE => {
                let errno = ne_i32(self.payload).unwrap_or(0);
                Ok(Verdict::Answer(
                    self.answer(errno, || self.attributes_after(4)),
                ))
            }
            _ => Ok(Verdict::Data),
        }
    }

    fn answer(
        &self,
        errno: i32,
        attributes: impl FnOnce() -> Attributes<'a>,
    ) -> Result<(), KernelError> {
        if errno == 0 {
            return Ok(());
        }
        let text = (self.flags & flags::ACK_TLVS != 0)
            .then(attributes)
            .and_then(|attributes| attributes.find_kind(NLMSGERR_ATTR_MSG))
            .and_then(|attribute| attribute.str())
            .map(str::to_owned);
        Err(KernelError {
            errno: errno.saturating_abs(),
            text,
        })
    }

    /// Attributes of an error: they follow the request's header, or all of it when it failed.
    fn after_echo(&self, errno: i32) -> Attributes<'a> {
        let echoed = if errno == 0 || self.flags & flags::CAPPED != 0 {
            HEADER
        } else {
            self.payload
                .get(4..)
                .and_then(ne_u32)
                .map_or(HEADER, |length| length as usize)
        };
        self.attributes_after(echoed.saturating_add(4).saturating_add(3) & !3)
    }
}

/// What a message means for the request it answers.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Part of the answer.
    Data,
    /// Of no meaning.
    Nothing,
    /// The request is done, or refused.
    Answer(Result<(), KernelError>),
}

/// Splits what one receive brought into messages.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Reads the messages that fill `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn split(&mut self) -> Option<Message<'a>> {
        let length = ne_u32(self.rest)? as usize;
        let bytes = self.rest.get(..length)?;
        let message = Message {
            kind: u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?),
            flags: u16::from_ne_bytes(*bytes.get(6..)?.first_chunk()?),
            sequence: ne_u32(bytes.get(8..)?)?,
            payload: bytes.get(HEADER..)?,
            bytes,
        };
        self.rest = self
            .rest
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(message)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = self.split();
        if message.is_none() {
            self.rest = &[];
        }
        Some(message.ok_or(Error::Malformed))
    }
}

/// The messages that answer a request, kept in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Replies {
    data: Vec<u8>,
}

impl Replies {
    /// The messages in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        self.into_iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.data.clear();
    }

    pub(super) fn push(&mut self, message: &Message<'_>) {
        self.data.extend_from_slice(message.bytes);
        self.data.resize(self.data.len().next_multiple_of(4), 0);
    }
}

impl<'a> IntoIterator for &'a Replies {
    type Item = Message<'a>;
    type IntoIter =
        std::iter::MapWhile<Messages<'a>, fn(Result<Message<'a>, Error>) -> Option<Message<'a>>>;

    fn into_iter(self) -> Self::IntoIter {
        Messages::new(&self.data).map_while(Result::ok)
    }
}

/// Appends a message; `fill` writes what follows its header.
pub(super) fn write(
    out: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    fill: impl FnOnce(&mut Writer<'_>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    fill(&mut Writer::new(out));
    out.resize(out.len().next_multiple_of(4), 0);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// Numbers the message that starts `bytes`.
pub(super) fn set_sequence(bytes: &mut [u8], sequence: u32) {
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
}

fn ne_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn ne_i32(bytes: &[u8]) -> Option<i32> {
    bytes.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
}
