//! Where the kernel has found a neighbour: one entry of its table, as bytes (rtnetlink(7)).

use std::net::IpAddr;

use ipvs::netlink::{Attributes, Writer};

use super::frame::Mac;

/// `struct ndmsg`.
const HEADER: usize = 12;
/// linux/neighbour.h
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

/// Asks for one neighbour, which kernels since 5.0 can tell.
pub(super) fn request(index: u32, address: IpAddr) -> Vec<u8> {
    let family = match address {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    let mut out = Vec::new();
    let mut message = Writer::new(&mut out);
    message
        .raw(&[family as u8, 0, 0, 0])
        .raw(&index.to_ne_bytes())
        .raw(&[0; 4]);
    match address {
        IpAddr::V4(ip) => message.bytes(NDA_DST, &ip.octets()),
        IpAddr::V6(ip) => message.bytes(NDA_DST, &ip.octets()),
    };
    out
}

/// Reads the answer; `None` where the neighbour's Ethernet address isn't known.
pub(super) fn decode(kind: u16, body: &[u8]) -> Option<Mac> {
    let (_, attributes) = body.split_at_checked(HEADER)?;
    if kind != libc::RTM_NEWNEIGH {
        return None;
    }
    let attributes = Attributes::new(attributes);
    attributes.find_kind(NDA_LLADDR)?.payload.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_question_names_interface_and_address() {
        let expected = [
            &[2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0][..],
            &[8, 0, 1, 0, 192, 0, 2, 12],
        ]
        .concat();
        assert_eq!(request(7, [192, 0, 2, 12].into()), expected);
        assert_eq!(request(7, "2001:db8::12".parse().unwrap())[0], 10);
    }

    #[test]
    fn the_answer_names_the_ethernet_address() {
        let mac = [2, 0, 0, 0, 0, 9];
        let mut known = request(7, [192, 0, 2, 12].into());
        assert_eq!(decode(libc::RTM_NEWNEIGH, &known), None, "without one");
        Writer::new(&mut known).bytes(NDA_LLADDR, &mac);
        assert_eq!(decode(libc::RTM_NEWNEIGH, &known), Some(mac));
        assert_eq!(decode(libc::RTM_DELNEIGH, &known), None);
        let mut tunnel = request(7, [192, 0, 2, 12].into());
        Writer::new(&mut tunnel).bytes(NDA_LLADDR, &[192, 0, 2, 9]);
        assert_eq!(decode(libc::RTM_NEWNEIGH, &tunnel), None, "no Ethernet");
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(body in prop::collection::vec(any::<u8>(), 0..96)) {
            let _ = decode(libc::RTM_NEWNEIGH, &body);
        }
    }
}
