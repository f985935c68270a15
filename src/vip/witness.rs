//! Sees the first packet that comes for VIPs.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{RecvFlags, bind, recv};
use socket2::{Domain, SockFilter, Socket, Type};

use super::bpf::{AND, GO, IF_EQUAL, KIND, LOAD_OCTET, LOAD_WORD, RETURN};
use super::packet::{LinkAddress, ignore_outgoing};

/// So many VIPs of each family are looked for; the kernel takes 4,096 instructions.
const MOST: usize = 256;

/// A packet socket that has room for nothing but packets to some VIPs.
///
/// To open one takes the kernel a translation of a program, and to drop one a grace period and the
/// removal of the program from its memory, for which every packet of the host may wait: do neither
/// in a takeover.
#[derive(Debug)]
pub struct Witness(Socket);

impl Witness {
    /// Is to see packets for some of the addresses: the first 256 of each family. It sees none, and
    /// costs nothing, until it looks.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_RAW`, or when no more sockets can be had.
    pub fn open(vips: impl IntoIterator<Item = IpAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), None)?;
        let program: Vec<SockFilter> = filter(vips)
            .into_iter()
            .map(|(code, equal, other, k)| SockFilter::new(code, equal, other, k))
            .collect();
        socket.attach_filter(&program)?;
        // The least that the kernel gives: more than one packet is of no use.
        socket.set_recv_buffer_size(0)?;
        ignore_outgoing(&socket);
        Ok(Self(socket))
    }

    /// From now on sees what comes to this host, which costs each packet a look, whatever it is.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory.
    pub fn look(&self) -> io::Result<()> {
        Ok(bind(&self.0, &LinkAddress::everything())?)
    }

    /// Whether there was such a packet.
    #[must_use]
    pub fn has_seen(&self) -> bool {
        // Left where it is, it keeps others from coming in after it.
        let look = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        recv(&self.0, &mut [0; 1][..], look).is_ok()
    }
}

impl AsFd for Witness {
    /// Readable from the first such packet on.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A code, how far to go if it is so and if not, and what it is about (`struct sock_filter`).
type Instruction = (u16, u8, u8, u32);

const TAKE: Instruction = (RETURN, 0, 0, u32::MAX);
const DROP: Instruction = (RETURN, 0, 0, 0);
/// Where an IPv4 header has the destination (RFC 791), and an IPv6 header (RFC 8200).
const TO_V4: u32 = 16;
const TO_V6: u32 = 24;

/// A program that takes what is addressed to one of the VIPs. The packet begins with its network
/// header, as of a socket of `SOCK_DGRAM`.
fn filter(vips: impl IntoIterator<Item = IpAddr>) -> Vec<Instruction> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for vip in vips {
        match vip {
            IpAddr::V4(ip) if v4.len() < MOST * 2 => {
                v4.push((IF_EQUAL, 0, 1, ip.to_bits()));
                v4.push(TAKE);
            }
            IpAddr::V6(ip) if v6.len() < MOST * 9 => {
                // After each word: how far it is to the next VIP.
                for (at, beyond) in [(0, 7), (1, 5), (2, 3), (3, 1)] {
                    let word = (ip.to_bits() >> (96 - 32 * at)) as u32;
                    v6.push((LOAD_WORD, 0, 0, TO_V6 + 4 * at));
                    v6.push((IF_EQUAL, 0, beyond, word));
                }
                v6.push(TAKE);
            }
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
    }
    let over_v4 = u32::try_from(v4.len()).unwrap_or(0) + 2;
    let mut program = vec![
        (LOAD_WORD, 0, 0, KIND),
        (IF_EQUAL, 1, 0, 0),
        DROP,
        (LOAD_OCTET, 0, 0, 0),
        (AND, 0, 0, 0xf0),
        (IF_EQUAL, 1, 0, 0x40),
        (GO, 0, 0, over_v4),
        (LOAD_WORD, 0, 0, TO_V4),
    ];
    program.extend(v4);
    program.push(DROP);
    program.push((IF_EQUAL, 1, 0, 0x60));
    program.push(DROP);
    program.extend(v6);
    program.push(DROP);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_fits_however_many_vips_there_are() {
        let v4 = (0..1000).map(|n| IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8]));
        let v6 = (0..1000).map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]));
        let length = |vips: Vec<IpAddr>| filter(vips).len();
        assert_eq!(length(Vec::new()), 12);
        assert_eq!(length(v4.clone().collect()), 12 + MOST * 2);
        assert_eq!(length(v4.chain(v6).collect()), 12 + MOST * (2 + 9));
    }

    /// What a program makes of a packet to this host.
    fn takes(program: &[Instruction], packet: &[u8]) -> bool {
        let (mut at, mut a) = (0, 0);
        loop {
            let (code, equal, other, k) = program[at];
            at += 1;
            let octet = |n: u32| u32::from(packet.get(n as usize).copied().unwrap_or(0));
            match code {
                LOAD_WORD if k == KIND => a = 0,
                LOAD_WORD => a = (0..4).fold(0, |word, n| word << 8 | octet(k + n)),
                LOAD_OCTET => a = octet(k),
                AND => a &= k,
                GO => at += k as usize,
                IF_EQUAL => at += usize::from(if a == k { equal } else { other }),
                RETURN => return k > 0,
                code => panic!("{code:#x}"),
            }
        }
    }

    fn packet(to: IpAddr) -> Vec<u8> {
        match to {
            IpAddr::V4(ip) => [&[0x45; 16][..], &ip.octets()].concat(),
            IpAddr::V6(ip) => [&[0x60; 24][..], &ip.octets()].concat(),
        }
    }

    #[test]
    fn packets_to_the_vips_are_taken_and_no_others() {
        let vips = ["192.0.2.80", "192.0.2.81", "2001:db8::80", "2001:db8:1::80"];
        let vips = vips.map(|vip| vip.parse::<IpAddr>().unwrap());
        let others = [
            "192.0.2.79",
            "2001:db8::81",
            "2001:db8:2::80",
            "2002:db8::80",
        ];
        let program = filter(vips);
        assert!(vips.iter().all(|vip| takes(&program, &packet(*vip))));
        for other in others {
            assert!(!takes(&program, &packet(other.parse().unwrap())), "{other}");
        }
        assert!(!takes(&program, &[0, 1, 8, 0, 6, 4, 0, 1]), "ARP");
        let [one, _, six, _] = vips;
        assert!(!takes(&filter([one]), &packet(six)));
        assert!(!takes(&filter([six]), &packet(one)));
        assert!(takes(&filter([six]), &packet(six)));
    }
}
