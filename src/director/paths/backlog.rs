//! What was let wait in a socket: read in one call, each with how long it has been there.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, recvmmsg, setsockopt,
};
use nix::sys::time::TimeSpec;

use crate::clock::{self, Time};
use crate::cluster::MAX_DATAGRAM;

/// Datagrams that are read in one call. A peer says one between two calls, and seldom a second.
const AT_ONCE: usize = 4;
/// One byte more than is valid shows that a datagram was too long.
pub(super) const ROOM: usize = MAX_DATAGRAM + 1;
/// For so long the time of day is taken to go along with time since boot: asking for it in each
/// turn would cost a call more.
const KNOWN: Duration = Duration::from_secs(1);

/// Reads the sockets of one path.
#[derive(Debug)]
pub(super) struct Backlog {
    buffer: Vec<u8>,
    of_day: OfDay,
}

/// What the time of day was when it was asked for last. The kernel stamps datagrams with it.
#[derive(Clone, Copy, Debug, Default)]
struct OfDay {
    asked: Time,
    wall: Duration,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; AT_ONCE * ROOM],
            of_day: OfDay::default(),
        }
    }

    /// Makes the kernel stamp what comes in. Where it does not, what was let wait seems to have come
    /// late, which is not worth a complaint.
    pub(super) fn prepare(socket: &UdpSocket) {
        let _ = setsockopt(socket, ReceiveTimestampns, &true);
    }

    /// Hands over what waits in a socket that was empty at `empty`. Whether it is empty now.
    ///
    /// # Errors
    ///
    /// When there was nothing, or something that the kernel had to tell of the peer.
    pub(super) fn read(
        &mut self,
        socket: &UdpSocket,
        empty: Time,
        now: Time,
        mut each: impl FnMut(&[u8], Duration),
    ) -> io::Result<bool> {
        let control = nix::cmsg_space!(TimeSpec);
        let mut headers = MultiHeaders::<()>::preallocate(AT_ONCE, Some(control));
        let rooms = self.buffer.chunks_exact_mut(ROOM);
        let mut rooms: Vec<_> = rooms.map(|room| [IoSliceMut::new(room)]).collect();
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        let mut count = 0;
        for message in recvmmsg(fd, &mut headers, rooms.iter_mut(), flags, None)? {
            count += 1;
            let waited = stamp(&message).map_or(Duration::ZERO, |stamp| {
                self.of_day.passed_since(stamp, empty, now)
            });
            each(message.iovs().next().unwrap_or_default(), waited);
        }
        Ok(count < AT_ONCE)
    }
}

fn stamp(message: &RecvMsg<'_, '_, ()>) -> Option<Duration> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
        _ => None,
    })
}

impl OfDay {
    /// How long ago the time of day was `stamp`, which was after `empty`: whatever somebody sets it
    /// to meanwhile, it was no longer ago than that.
    fn passed_since(&mut self, stamp: Duration, empty: Time, now: Time) -> Duration {
        let most = now.saturating_sub(empty);
        if now < self.asked + KNOWN {
            let passed = (self.wall + (now - self.asked)).checked_sub(stamp);
            if let Some(passed) = passed.filter(|passed| *passed <= most) {
                return passed;
            }
        }
        // Long ago, or the time of day has been set.
        *self = Self {
            asked: now,
            wall: clock::wall(),
        };
        self.wall.saturating_sub(stamp).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Sockets that are connected to each other.
    fn pair() -> (UdpSocket, UdpSocket) {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (one, other) = (bind(), bind());
        one.connect(other.local_addr().unwrap()).unwrap();
        other.connect(one.local_addr().unwrap()).unwrap();
        other.set_nonblocking(true).unwrap();
        Backlog::prepare(&other);
        (one, other)
    }

    #[test]
    fn all_that_waits_is_read_whole_and_in_order() {
        let (one, other) = pair();
        let sent: Vec<Vec<u8>> = [1, 0, ROOM - 1, ROOM + 99, 2, 3]
            .map(|length| vec![7; length])
            .into();
        for datagram in &sent {
            one.send(datagram).unwrap();
        }
        let mut backlog = Backlog::new();
        let mut lengths = Vec::new();
        let mut read = || {
            let (now, empty) = (clock::now(), Time::ZERO);
            backlog.read(&other, empty, now, |bytes, _| lengths.push(bytes.len()))
        };
        assert!(!read().unwrap());
        assert!(read().unwrap());
        assert_eq!(read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // One that is too long is seen to be.
        assert_eq!(lengths, [1, 0, ROOM - 1, ROOM, 2, 3]);
    }

    /// By how long `later` than it was sent a datagram, read then, seems to have been sent.
    fn waited(
        backlog: &mut Backlog,
        sockets: &(UdpSocket, UdpSocket),
        later: Duration,
    ) -> Duration {
        let (one, other) = sockets;
        let empty = clock::now();
        one.send(b"then").unwrap();
        let now = clock::now() + later;
        backlog.of_day = OfDay {
            asked: now,
            wall: clock::wall() + later,
        };
        let mut told = Duration::ZERO;
        let mut each = |_: &[u8], waited| told = waited;
        backlog.read(other, empty, now, &mut each).unwrap();
        assert!(told <= now - empty, "{told:?}");
        told
    }

    #[test]
    fn the_kernel_tells_since_when_a_datagram_waits() {
        let (sockets, mut backlog) = (pair(), Backlog::new());
        let deadline = clock::now() + millis(10_000);
        // A moment after it was first asked to, the kernel stamps what comes in, not what is read.
        while waited(&mut backlog, &sockets, millis(300)) < millis(300) {
            assert!(clock::now() < deadline, "no stamps");
        }
    }

    #[test]
    fn whoever_sets_the_time_of_day_makes_nothing_older_than_it_can_be() {
        let wall = clock::wall();
        let hour = millis(3_600_000);
        let (empty, now) = (millis(5000), millis(5100));
        // Before and after the time of day was set, by an hour, in each direction.
        for (known, stamp) in [
            (wall, wall + hour),
            (wall, wall - hour),
            (wall + hour, wall),
        ] {
            let mut of_day = OfDay {
                asked: now,
                wall: known,
            };
            let passed = of_day.passed_since(stamp, empty, now);
            assert!(passed <= now - empty, "{passed:?}");
            assert!(of_day.wall >= wall && of_day.wall < wall + hour / 2);
        }
    }
}
