//! What the network says of datagrams that it did not deliver: ICMP errors, which the kernel keeps
//! for the sockets that ask for them (ip(7), `IP_RECVERR`).

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, sock_extended_err};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};

use crate::failure::{Failure, Stage};

/// Bytes of a datagram that are looked at again.
const QUOTE: usize = 64;
/// Bytes for a `sock_extended_err` with the address of who sent the error.
const CONTROL: usize = 64;

/// Who did not deliver a datagram, and why. Its `Display` is the reason shown to operators.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    by: IpAddr,
    why: Why,
}

/// Type and code of an error, where they mean that nothing arrives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Why {
    /// RFC 792, RFC 1122 (section 3.2.2.1), RFC 1812 (section 5.2.7.1).
    V4(u8, u8),
    /// RFC 4443.
    V6(u8, u8),
}

/// A datagram that an error was about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Returned {
    /// Where it was to go.
    pub(crate) to: IpAddr,
    /// As much as was sent back of what followed its IP header, or with UDP that of UDP.
    pub(crate) quote: Vec<u8>,
    /// `None` where the next one will arrive: the kernel has learnt of a shorter way, or of a
    /// smaller size.
    pub(crate) refusal: Option<Refusal>,
}

/// Has the kernel keep what is said of a socket's datagrams.
pub(crate) fn keep(socket: &impl AsFd, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
    }
    Ok(())
}

/// The next error that is kept for a socket; `WouldBlock` if there is none.
pub(crate) fn next(socket: &impl AsFd) -> io::Result<Returned> {
    let mut quote = vec![0; QUOTE];
    let mut pieces = [IoSliceMut::new(&mut quote)];
    let mut control = nix::cmsg_space!([u8; CONTROL]);
    let received = recvmsg::<SockaddrStorage>(
        socket.as_fd().as_raw_fd(),
        &mut pieces,
        Some(&mut control),
        MsgFlags::MSG_ERRQUEUE,
    )?;
    let to = received.address.as_ref().and_then(ip_of);
    let refusal = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4RecvErr(error, by) => {
            let by = by?.sin_addr.s_addr.to_ne_bytes();
            Refusal::new(&error, by.into())
        }
        ControlMessageOwned::Ipv6RecvErr(error, by) => {
            Refusal::new(&error, by?.sin6_addr.s6_addr.into())
        }
        _ => None,
    });
    let length = received.bytes;
    quote.truncate(length);
    Ok(Returned {
        to: to.ok_or(io::ErrorKind::InvalidData)?,
        quote,
        refusal,
    })
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|it| it.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|it| it.ip().into()))
}

impl Refusal {
    /// `None` for an error that does not mean that nothing arrives.
    fn new(error: &sock_extended_err, by: IpAddr) -> Option<Self> {
        let why = match error.ee_origin {
            SO_EE_ORIGIN_ICMP => Why::V4(error.ee_type, error.ee_code),
            SO_EE_ORIGIN_ICMP6 => Why::V6(error.ee_type, error.ee_code),
            _ => return None,
        };
        why.words().map(|_| Self { by, why })
    }

    /// Whether the host itself says that nobody listens on the port.
    fn is_closed_port(&self) -> bool {
        matches!(self.why, Why::V4(3, 3) | Why::V6(1, 4))
    }

    /// The failure of a probe of `target`.
    pub(crate) fn failure(self, target: IpAddr) -> Failure {
        let what = if self.by == target && self.is_closed_port() {
            "port unreachable".to_owned()
        } else {
            self.to_string()
        };
        Failure::Io {
            what,
            stage: Stage::Connecting,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.why.words().unwrap_or("destination unreachable");
        write!(f, "{} answers: {words}", self.by)
    }
}

impl Why {
    /// `None` for what does not mean that nothing arrives.
    fn words(self) -> Option<&'static str> {
        Some(match self {
            // A datagram that is too big is sent in pieces from then on.
            Self::V4(3, 4) => return None,
            Self::V4(3, 0) => "network unreachable",
            Self::V4(3, 1) => "host unreachable",
            Self::V4(3, 2) => "protocol unreachable",
            Self::V4(3, 3) | Self::V6(1, 4) => "port unreachable",
            Self::V4(3, 5) => "source route failed",
            Self::V4(3, 6) => "network unknown",
            Self::V4(3, 7) => "host unknown",
            Self::V4(3, 8) => "source host isolated",
            Self::V4(3, 9) => "network administratively prohibited",
            Self::V4(3, 10) => "host administratively prohibited",
            Self::V4(3, 11) => "network unreachable for this type of service",
            Self::V4(3, 12) => "host unreachable for this type of service",
            Self::V4(3, 13) | Self::V6(1, 1) => "administratively prohibited",
            Self::V4(3, 14) => "host precedence violation",
            Self::V4(3, 15) => "precedence cutoff in effect",
            Self::V4(11, 1) | Self::V6(3, 1) => "fragments missing when it was put together",
            Self::V4(11, _) => "time to live exceeded (a routing loop?)",
            Self::V6(3, _) => "hop limit exceeded (a routing loop?)",
            Self::V4(12, _) | Self::V6(4, _) => "a header that it does not understand",
            Self::V6(1, 0) => "no route to the destination",
            Self::V6(1, 2) => "beyond the scope of the source address",
            Self::V6(1, 3) => "address unreachable",
            Self::V6(1, 5) => "source address refused by policy",
            Self::V6(1, 6) => "route to the destination rejected",
            Self::V4(3, _) | Self::V6(1, _) => "destination unreachable",
            // Source quench, redirects, a packet that is too big.
            Self::V4(..) | Self::V6(..) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(origin: u8, kind: u8, code: u8) -> sock_extended_err {
        sock_extended_err {
            ee_errno: 0,
            ee_origin: origin,
            ee_type: kind,
            ee_code: code,
            ee_pad: 0,
            ee_info: 0,
            ee_data: 0,
        }
    }

    #[test]
    fn whoever_does_not_deliver_a_datagram_is_named_with_the_reason() {
        const V4: u8 = SO_EE_ORIGIN_ICMP;
        const V6: u8 = SO_EE_ORIGIN_ICMP6;
        let table = [
            ((V4, 3, 0), Some("network unreachable")),
            ((V4, 3, 1), Some("host unreachable")),
            ((V4, 3, 2), Some("protocol unreachable")),
            ((V4, 3, 3), Some("port unreachable")),
            ((V4, 3, 4), None),
            ((V4, 3, 9), Some("network administratively prohibited")),
            ((V4, 3, 10), Some("host administratively prohibited")),
            ((V4, 3, 13), Some("administratively prohibited")),
            ((V4, 3, 99), Some("destination unreachable")),
            ((V4, 4, 0), None),
            ((V4, 5, 1), None),
            ((V4, 11, 0), Some("time to live exceeded (a routing loop?)")),
            (
                (V4, 11, 1),
                Some("fragments missing when it was put together"),
            ),
            ((V4, 12, 0), Some("a header that it does not understand")),
            ((V6, 1, 0), Some("no route to the destination")),
            ((V6, 1, 1), Some("administratively prohibited")),
            ((V6, 1, 3), Some("address unreachable")),
            ((V6, 1, 4), Some("port unreachable")),
            ((V6, 1, 6), Some("route to the destination rejected")),
            ((V6, 1, 99), Some("destination unreachable")),
            ((V6, 2, 0), None),
            ((V6, 3, 0), Some("hop limit exceeded (a routing loop?)")),
            ((V6, 4, 1), Some("a header that it does not understand")),
            // Of this host's own making (a message that is too long).
            ((1, 0, 0), None),
        ];
        for ((origin, kind, code), expected) in table {
            let router: IpAddr = "192.0.2.1".parse().unwrap();
            let refusal = Refusal::new(&error(origin, kind, code), router);
            let reason = refusal.map(|it| it.failure("198.51.100.7".parse().unwrap()));
            let expected = expected.map(|words| format!("192.0.2.1 answers: {words}"));
            let reason = reason.map(|it| it.to_string());
            assert_eq!(reason, expected, "{origin} {kind} {code}");
        }
    }

    #[test]
    fn a_host_that_says_of_itself_that_nobody_listens_is_not_named() {
        let host: IpAddr = "2001:db8::7".parse().unwrap();
        let refusal = Refusal::new(&error(SO_EE_ORIGIN_ICMP6, 1, 4), host).unwrap();
        assert_eq!(refusal.failure(host).to_string(), "port unreachable");
        let prohibited = Refusal::new(&error(SO_EE_ORIGIN_ICMP6, 1, 1), host).unwrap();
        assert_eq!(
            prohibited.failure(host).to_string(),
            "2001:db8::7 answers: administratively prohibited"
        );
    }
}
