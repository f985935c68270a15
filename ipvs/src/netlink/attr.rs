//! Attributes: what follows a message's fixed header, written and read without copies.

use std::iter::FusedIterator;

/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` (linux/netlink.h), not part of an attribute's type.
const KIND_MASK: u16 = 0x3fff;
const NESTED: u16 = 0x8000;
const HEADER: usize = 4;
const LONGEST: usize = u16::MAX as usize - HEADER;

/// Appends a message's content to a buffer: fixed headers raw, then attributes.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Writes at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Appends bytes as they are: a family's fixed header, in multiples of four bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends an attribute of bytes. At most 65,531 fit; the rest is cut off.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let value = &value[..value.len().min(LONGEST)];
        self.header(kind, value.len());
        self.out.extend_from_slice(value);
        self.pad();
        self
    }

    /// Appends a number of one byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// Appends a number in the host's byte order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a number in network byte order.
    pub fn u16_be(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends a number in the host's byte order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends text with the NUL that the kernel expects at its end.
    pub fn str(&mut self, kind: u16, value: &str) -> &mut Self {
        let value = &value.as_bytes()[..value.len().min(LONGEST - 1)];
        self.header(kind, value.len() + 1);
        self.out.extend_from_slice(value);
        self.out.push(0);
        self.pad();
        self
    }

    /// Appends an attribute made of attributes.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) -> &mut Self {
        let start = self.out.len();
        self.header(kind | NESTED, 0);
        fill(&mut Writer { out: self.out });
        let length = self.out.len() - start;
        if length > usize::from(u16::MAX) {
            self.out.truncate(start + HEADER);
        } else if let Some(field) = self.out.get_mut(start..start + 2) {
            field.copy_from_slice(&(length as u16).to_ne_bytes());
        }
        self
    }

    fn header(&mut self, kind: u16, payload: usize) {
        self.out
            .extend_from_slice(&((payload + HEADER) as u16).to_ne_bytes());
        self.out.extend_from_slice(&kind.to_ne_bytes());
    }

    fn pad(&mut self) {
        while !self.out.len().is_multiple_of(4) {
            self.out.push(0);
        }
    }
}

/// Iterates over attributes; what is cut off or malformed ends the iteration.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads the attributes that fill `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The first attribute of a type.
    pub fn find_kind(&self, kind: u16) -> Option<Attribute<'a>> {
        self.clone().find(|attribute| attribute.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(ne_u16(self.rest)?);
        let kind = ne_u16(self.rest.get(2..)?)? & KIND_MASK;
        let Some(payload) = self.rest.get(HEADER..length) else {
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Attribute { kind, payload })
    }
}

impl FusedIterator for Attributes<'_> {}

/// One attribute. Numbers are `None` when the payload is shorter than they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attribute<'a> {
    /// Its type, without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
    pub kind: u16,
    /// Its content, without padding.
    pub payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// A number of one byte.
    pub fn u8(&self) -> Option<u8> {
        self.payload.first().copied()
    }

    /// A number in the host's byte order.
    pub fn u16(&self) -> Option<u16> {
        ne_u16(self.payload)
    }

    /// A number in network byte order.
    pub fn u16_be(&self) -> Option<u16> {
        self.payload
            .first_chunk()
            .map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// A number in the host's byte order.
    pub fn u32(&self) -> Option<u32> {
        self.payload
            .first_chunk()
            .map(|bytes| u32::from_ne_bytes(*bytes))
    }

    /// A number in the host's byte order.
    pub fn u64(&self) -> Option<u64> {
        self.payload
            .first_chunk()
            .map(|bytes| u64::from_ne_bytes(*bytes))
    }

    /// Text up to its first NUL; `None` when it is not UTF-8.
    pub fn str(&self) -> Option<&'a str> {
        let end = self
            .payload
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.payload.len());
        std::str::from_utf8(&self.payload[..end]).ok()
    }

    /// The attributes it is made of.
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }
}

fn ne_u16(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}
