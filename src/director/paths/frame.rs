//! Frames on a serial line: where a datagram begins and ends there, and whether it came whole.
//!
//! A datagram and its CRC-32 (IEEE 802.3) are stuffed so that they hold no zero byte (COBS:
//! Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999), and a zero byte stands before
//! and after them. So a receiver that comes in the middle, or has lost bytes, is in step again
//! with the next frame. The checksum only tells noise from forgery: what counts is the signature
//! inside.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::clock::Time;
use crate::cluster::MAX_DATAGRAM;

/// Between frames; never within one.
const DELIMITER: u8 = 0;
/// Bytes that one stuffing code stands for at most, itself included.
const RUN: usize = 255;
const CRC: usize = 4;
/// Start bit, eight bits of data, stop bit.
const BITS: u32 = 10;

/// The frame that carries `datagram`.
pub(super) fn encode(datagram: &[u8]) -> Vec<u8> {
    let crc = crc32(datagram).to_be_bytes();
    let mut frame = Vec::with_capacity(frame_len(datagram.len()));
    frame.push(DELIMITER);
    // The code of a run says how far the next zero is; it is known at the run's end.
    let mut code = frame.len();
    frame.push(0);
    for byte in datagram.iter().chain(&crc) {
        if *byte != DELIMITER {
            frame.push(*byte);
        }
        if *byte == DELIMITER || frame.len() - code == RUN {
            frame[code] = run_length(frame.len() - code);
            code = frame.len();
            frame.push(0);
        }
    }
    frame[code] = run_length(frame.len() - code);
    frame.push(DELIMITER);
    frame
}

fn run_length(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// The longest frame that a datagram of `length` bytes can need.
pub(super) const fn frame_len(length: usize) -> usize {
    let stuffed = length + CRC;
    stuffed + stuffed / (RUN - 1) + 1 + 2
}

/// How long `bytes` take on a line of `baud` bits a second.
pub(super) fn time_on_line(bytes: usize, baud: u32) -> Duration {
    let bits = u32::try_from(bytes)
        .unwrap_or(u32::MAX)
        .saturating_mul(BITS);
    Duration::from_secs(1) * bits / baud.max(1)
}

/// Finds datagrams in what comes in.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    stuffed: Vec<u8>,
    /// More has come without a delimiter than a frame can have.
    overrun: bool,
}

impl Decoder {
    /// Takes bytes in, and hands over each datagram, or nothing for each frame that is damaged.
    pub(super) fn take(&mut self, bytes: &[u8], mut each: impl FnMut(Option<&[u8]>)) {
        for byte in bytes {
            if *byte != DELIMITER {
                self.overrun |= self.stuffed.len() >= frame_len(MAX_DATAGRAM);
                if !self.overrun {
                    self.stuffed.push(*byte);
                }
                continue;
            }
            if self.overrun {
                each(None);
            } else if !self.stuffed.is_empty() {
                each(decode(&self.stuffed).as_deref());
            }
            self.stuffed.clear();
            self.overrun = false;
        }
    }

    /// Forgets what has come of a frame.
    pub(super) fn reset(&mut self) {
        self.stuffed.clear();
        self.overrun = false;
    }
}

/// The datagram in what stood between two delimiters.
fn decode(stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(stuffed.len());
    let mut rest = stuffed;
    while let Some((code, tail)) = rest.split_first() {
        let (run, tail) = tail.split_at_checked(usize::from(*code).checked_sub(1)?)?;
        bytes.extend(run);
        if usize::from(*code) < RUN && !tail.is_empty() {
            bytes.push(DELIMITER);
        }
        rest = tail;
    }
    let crc = bytes.split_off(bytes.len().checked_sub(CRC)?);
    (crc == crc32(&bytes).to_be_bytes()).then_some(bytes)
}

fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let odd = crc & 1 == 1;
            crc >>= 1;
            if odd {
                crc ^= POLYNOMIAL;
            }
        }
    }
    !crc
}

/// What waits for a line on which one frame at a time can go out: pure.
///
/// A heartbeat that has waited is worth less than a new one, so only the newest waits, and none
/// is put where the kernel would queue it.
#[derive(Debug)]
pub(super) struct Pace {
    baud: u32,
    /// Until when the last frame is on its way.
    busy: Time,
    next: Option<Vec<u8>>,
}

impl Pace {
    /// For a line of `baud` bits a second.
    pub(super) fn new(baud: u32) -> Self {
        Self {
            baud,
            busy: Time::ZERO,
            next: None,
        }
    }

    /// Has a datagram sent as soon as the line is free; it replaces one that waits.
    pub(super) fn offer(&mut self, datagram: Vec<u8>) {
        self.next = Some(datagram);
    }

    /// The frame to be written now, if there is one and the line is free.
    pub(super) fn take(&mut self, now: Time) -> Option<Vec<u8>> {
        if now < self.busy {
            return None;
        }
        let frame = encode(&self.next.take()?);
        self.busy = now + time_on_line(frame.len(), self.baud);
        Some(frame)
    }

    /// When there will be a frame to be written.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.next.as_ref().map(|_| self.busy)
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.next = None;
    }
}
