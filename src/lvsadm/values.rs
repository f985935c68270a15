//! Numbers, addresses and ports as an operator writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipvs::Protocol;

use super::names::Resolver;

/// A decimal number as strtol(3) reads it, with blanks and a sign before it, and nothing after it.
pub(super) fn integer(text: &str, range: RangeInclusive<i64>) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than the type holds is outside of every range.
    text.parse().ok().filter(|number| range.contains(number))
}

/// An IPv4 address as inet_aton(3) reads it: one to four numbers, decimal, octal or hexadecimal,
/// the last of which fills what is left.
pub(super) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 {
        return None;
    }
    let mut bits: u64 = 0;
    for part in leading {
        bits = bits << 8 | number_in_c(part).filter(|number| *number <= 0xff)?;
    }
    let left = 32 - 8 * leading.len();
    let last = number_in_c(last).filter(|number| number >> left == 0)?;
    u32::try_from(bits << left | last)
        .ok()
        .map(Ipv4Addr::from_bits)
}

fn number_in_c(text: &str) -> Option<u64> {
    if !text.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // The sign that Rust would read is none of C's here.
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// A netmask, as an address or as a name from /etc/networks or the like.
pub(super) fn netmask(text: &str, resolver: &dyn Resolver) -> Option<Ipv4Addr> {
    ipv4(text).or_else(|| host(text, resolver))
}

/// `host[:port]`, where an IPv6 address with a port stands in brackets.
///
/// Ports may be names of services of the protocol, hosts may be names with an IPv4 address.
pub(super) fn endpoint(
    text: &str,
    protocol: Option<Protocol>,
    resolver: &dyn Resolver,
) -> Option<(IpAddr, Option<u16>)> {
    // Of a bare number nobody knows whether it is meant as an address or as a port.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (address, port_text) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            (address, Some(after.strip_prefix(':')?))
        }
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.rsplit_once(':') {
            Some((address, port)) => (address, Some(port)),
            None => (text, None),
        },
    };
    let address = match address.parse::<Ipv6Addr>() {
        Ok(address) => IpAddr::V6(address),
        Err(_) => ipv4(address).or_else(|| host(address, resolver))?.into(),
    };
    match port_text {
        None => Some((address, None)),
        Some(text) => port(text, protocol, resolver).map(|port| (address, Some(port))),
    }
}

fn host(name: &str, resolver: &dyn Resolver) -> Option<Ipv4Addr> {
    if name.is_empty() || name.contains(|letter: char| letter.is_whitespace()) {
        return None;
    }
    resolver.address(name)
}

fn port(text: &str, protocol: Option<Protocol>, resolver: &dyn Resolver) -> Option<u16> {
    integer(text, 0..=0xffff)
        .and_then(|port| u16::try_from(port).ok())
        .or_else(|| resolver.port(text, protocol?))
}
