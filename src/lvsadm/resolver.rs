//! The system's names of hosts and services: getnameinfo(3), getservbyport(3), getservbyname(3).
#![expect(
    unsafe_code,
    reason = "the standard library finds addresses for names, but no names for addresses or ports"
)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::size_of;
use std::net::IpAddr;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipvs::Protocol;

/// Longest name of a host with its NUL (`NI_MAXHOST`, netdb.h).
const MAX_HOST: usize = 1025;

/// The service functions answer from one buffer of the C library.
static SERVICES: Mutex<()> = Mutex::new(());

/// The name of a host; none where the system knows none.
pub(super) fn host_name(address: IpAddr) -> Option<String> {
    let mut name = [0 as c_char; MAX_HOST];
    // Of a name that is too long nothing is told.
    let space = libc::socklen_t::try_from(name.len()).ok()?;
    let found = match address {
        IpAddr::V4(address) => {
            // SAFETY: every bit pattern of a sockaddr_in is valid, zeros included.
            let mut socket: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            socket.sin_family = libc::sa_family_t::try_from(libc::AF_INET).ok()?;
            socket.sin_addr.s_addr = address.to_bits().to_be();
            // SAFETY: the address is a whole sockaddr_in of the length told, the buffer is as long
            // as told, and neither is kept.
            unsafe {
                libc::getnameinfo(
                    ptr::from_ref(&socket).cast(),
                    libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).ok()?,
                    name.as_mut_ptr(),
                    space,
                    ptr::null_mut(),
                    0,
                    libc::NI_NAMEREQD,
                )
            }
        }
        IpAddr::V6(address) => {
            // SAFETY: every bit pattern of a sockaddr_in6 is valid, zeros included.
            let mut socket: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            socket.sin6_family = libc::sa_family_t::try_from(libc::AF_INET6).ok()?;
            socket.sin6_addr.s6_addr = address.octets();
            // SAFETY: as above, with a sockaddr_in6.
            unsafe {
                libc::getnameinfo(
                    ptr::from_ref(&socket).cast(),
                    libc::socklen_t::try_from(size_of::<libc::sockaddr_in6>()).ok()?,
                    name.as_mut_ptr(),
                    space,
                    ptr::null_mut(),
                    0,
                    libc::NI_NAMEREQD,
                )
            }
        }
    };
    if found != 0 {
        return None;
    }
    // SAFETY: after success the buffer holds a string with its NUL.
    Some(text(unsafe { CStr::from_ptr(name.as_ptr()) }))
}

/// The name of a port's service; none where the system knows none.
pub(super) fn service_name(port: u16, protocol: Protocol) -> Option<String> {
    let _alone = lock();
    // SAFETY: the protocol is a string with its NUL. What is returned is null, or a structure whose
    // name stays as it is until the next such call, which the lock holds off.
    unsafe {
        let entry =
            libc::getservbyport(c_int::from(port.to_be()), protocol_name(protocol).as_ptr());
        entry
            .as_ref()
            .map(|entry| text(CStr::from_ptr(entry.s_name)))
    }
}

/// The port of a service's name.
pub(super) fn service_port(name: &str, protocol: Protocol) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let _alone = lock();
    // SAFETY: both arguments are strings with their NULs. What is returned is null, or a structure
    // that stays as it is until the next such call, which the lock holds off.
    let entry =
        unsafe { libc::getservbyname(name.as_ptr(), protocol_name(protocol).as_ptr()).as_ref()? };
    // The lower half holds the port as it is sent.
    Some(u16::from_be((entry.s_port & 0xffff) as u16))
}

fn lock() -> MutexGuard<'static, ()> {
    SERVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn protocol_name(protocol: Protocol) -> &'static CStr {
    match protocol {
        Protocol::Tcp => c"tcp",
        Protocol::Udp => c"udp",
        Protocol::Sctp => c"sctp",
    }
}

fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}
