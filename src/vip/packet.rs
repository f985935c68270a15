//! The packet socket that announcements leave through, and what all packet sockets need.
#![expect(
    unsafe_code,
    reason = "rustix has no link-layer address and no options of packet sockets, and lets callers bring their own kinds only so"
)]

use std::io::IoSlice;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, SocketFlags, SocketType,
    sendmmsg, socket_with,
};

/// A frame and the number of the interface it leaves by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// The interface's number.
    pub index: u32,
    /// The whole Ethernet frame, without checksum.
    pub frame: Vec<u8>,
}

/// One packet socket for all interfaces.
///
/// Its protocol is 0: it receives nothing, so that opening and closing it waits for no grace
/// period of the kernel (packet(7)), and it is bound to no interface, so that one that is created
/// anew needs no new socket.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens the socket, which needs CAP_NET_RAW.
    pub fn open() -> Result<Self, Errno> {
        socket_with(
            AddressFamily::PACKET,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .map(Self)
    }

    /// Hands frames to their interfaces with one system call; returns how many were taken.
    ///
    /// # Errors
    /// What befell the first frame; if one after it fails, the next call that starts with it tells.
    pub fn send(&self, envelopes: &[Envelope]) -> Result<usize, Errno> {
        let addresses: Vec<_> = envelopes
            .iter()
            .map(|envelope| LinkAddress::of(envelope).as_any())
            .collect();
        let slices: Vec<_> = envelopes
            .iter()
            .map(|envelope| [IoSlice::new(&envelope.frame)])
            .collect();
        let mut controls: Vec<_> = envelopes
            .iter()
            .map(|_| SendAncillaryBuffer::default())
            .collect();
        let mut messages: Vec<_> = addresses
            .iter()
            .zip(&slices)
            .zip(&mut controls)
            .map(|((address, slice), control)| MMsgHdr::new_with_addr(address, slice, control))
            .collect();
        sendmmsg(&self.0, &mut messages, SendFlags::DONTWAIT)
    }
}

/// The number of the interface that a packet socket has received a frame by, from where the frame
/// came; `None` for an address of another family.
pub(super) fn received_by(from: &SocketAddrAny) -> Option<u32> {
    let is_whole = from.addr_len() as usize >= offset_of!(libc::sockaddr_ll, sll_addr);
    if from.address_family() != AddressFamily::PACKET || !is_whole {
        return None;
    }
    // SAFETY: the storage that `from` points to is as large and aligned as any socket address, and
    // of a packet socket's family the kernel has written every field before `sll_addr`.
    let address = unsafe { &*from.as_ptr().cast::<libc::sockaddr_ll>() };
    u32::try_from(address.sll_ifindex).ok()
}

/// Linux's `PACKET_IGNORE_OUTGOING` (linux/if_packet.h).
const IGNORE_OUTGOING: libc::c_int = 23;

/// Keeps what this host sends, or passes on, from being cloned for a packet socket that is not to
/// see it. Kernels before 4.20 cannot, and clone it.
pub(super) fn ignore_outgoing(socket: &impl AsRawFd) {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is an integer, readable for the size that is told.
    let _ = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            IGNORE_OUTGOING,
            (&raw const on).cast(),
            size,
        )
    };
}

/// `struct sockaddr_ll` as packet(7) wants it for sending whole frames, and for receiving.
pub(super) struct LinkAddress(libc::sockaddr_ll);

impl LinkAddress {
    /// Of packets of every protocol, on every interface.
    pub(super) fn everything() -> Self {
        Self(libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: 0,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        })
    }

    fn of(envelope: &Envelope) -> Self {
        let ethertype = match envelope.frame.get(12..14) {
            Some(&[high, low]) => u16::from_ne_bytes([high, low]),
            _ => 0,
        };
        Self(libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: ethertype,
            sll_ifindex: envelope.index as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [0; 8],
        })
    }
}

// SAFETY: the pointer passed on is that of a whole `sockaddr_ll`, readable for its size and of the
// family that it says.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        let size = size_of::<libc::sockaddr_ll>() as SocketAddrLen;
        f((&raw const self.0).cast(), size)
    }
}
