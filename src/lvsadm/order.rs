//! The order in which ipvsadm lists.
//!
//! It compares numbers by the sign of their difference in 32 bits, so that 192.0.2.1 comes before
//! 10.0.0.1; such an order can run in circles, and then the way of sorting shows. To list like it,
//! this compares alike and sorts as glibc does, by merging halves.

use std::net::IpAddr;

use ipvs::{DestinationKey, Protocol, ServiceKey};

/// Sorts services; `key` tells which one an item is.
pub(super) fn sort_services<T>(items: &[T], key: impl Fn(&T) -> ServiceKey) -> Vec<&T> {
    merge_sort(items.iter().collect(), &|one, two| {
        difference(&service_rank(&key(one)), &service_rank(&key(two)))
    })
}

/// Sorts destinations; `key` tells which one an item is.
pub(super) fn sort_destinations<T>(items: &[T], key: impl Fn(&T) -> DestinationKey) -> Vec<&T> {
    merge_sort(items.iter().collect(), &|one, two| {
        let (one, two) = (key(one), key(two));
        let (first, second) = (words(one.address), words(two.address));
        // Of an IPv4 address only its one word counts, whatever it is compared with.
        let counted = if one.address.is_ipv6() { 4 } else { 1 };
        let by_address = difference(&first[..counted], &second[..counted]);
        if by_address != 0 {
            by_address
        } else {
            i32::from(one.port) - i32::from(two.port)
        }
    })
}

/// What services are compared by, the weightiest first: mark, family, protocol, address, port.
fn service_rank(key: &ServiceKey) -> [u32; 8] {
    let family = if key.is_ipv6() { 10 } else { 2 };
    match key {
        // The kernel lists marks without protocol; the address is then zero too.
        ServiceKey::FwMark { mark, .. } => [*mark, family, 0, 0, 0, 0, 0, 0],
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let number = match protocol {
                Protocol::Tcp => 6,
                Protocol::Udp => 17,
                Protocol::Sctp => 132,
            };
            let [a, b, c, d] = words(*address);
            [0, family, number, a, b, c, d, u32::from(*port)]
        }
    }
}

fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [address.to_bits(), 0, 0, 0],
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [
                (bits >> 96) as u32,
                (bits >> 64) as u32,
                (bits >> 32) as u32,
                bits as u32,
            ]
        }
    }
}

/// The first difference between two lists of numbers, as a signed number.
fn difference(one: &[u32], two: &[u32]) -> i32 {
    one.iter()
        .zip(two)
        .map(|(one, two)| one.wrapping_sub(*two).cast_signed())
        .find(|difference| *difference != 0)
        .unwrap_or(0)
}

fn merge_sort<T: Copy>(items: Vec<T>, compare: &impl Fn(T, T) -> i32) -> Vec<T> {
    if items.len() <= 1 {
        return items;
    }
    let second = merge_sort(items[items.len() / 2..].to_vec(), compare);
    let first = merge_sort(items[..items.len() / 2].to_vec(), compare);
    let (mut left, mut right) = (first.as_slice(), second.as_slice());
    let mut merged = Vec::with_capacity(items.len());
    while let ([one, ..], [two, ..]) = (left, right) {
        if compare(*one, *two) <= 0 {
            merged.push(*one);
            left = &left[1..];
        } else {
            merged.push(*two);
            right = &right[1..];
        }
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    merged
}
