//! Links and addresses of this thread's network, asked of the kernel without a program.

use std::error::Error;
use std::net::IpAddr;

use ipvs::netlink::{Batch, Connection, Family, Writer, flags};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};

// linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
// linux/if_link.h
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
/// linux/veth.h
const VETH_INFO_PEER: u16 = 1;
// linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 2;
/// linux/if.h
const IFF_UP: u32 = 1;
/// The size of struct ifaddrmsg.
const IFADDRMSG: usize = 8;

/// What can go wrong, in words.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Makes a bridge that forwards at once, and brings it up.
pub(crate) fn add_bridge(name: &str) -> Result<()> {
    add(name, "bridge", |data| {
        data.u32(IFLA_BR_FORWARD_DELAY, 0);
        data.u32(IFLA_BR_STP_STATE, 0);
        data.u8(IFLA_BR_MCAST_SNOOPING, 0);
    })?;
    bring_up(name)
}

/// Makes a pair of joined interfaces: `port` here, up and on the bridge `master`, and `peer` in the
/// network of the thread `host`.
pub(crate) fn add_pair(port: &str, master: &str, peer: &str, host: u32) -> Result<()> {
    add(port, "veth", |data| {
        data.nested(VETH_INFO_PEER, |other| {
            header(other, 0, 0);
            other.str(IFLA_IFNAME, peer);
            other.u32(IFLA_NET_NS_PID, host);
        });
    })?;
    let master = index(master)?;
    set(port, IFF_UP, |message| {
        message.u32(IFLA_MASTER, master);
    })
}

/// Takes a port off its bridge.
pub(crate) fn forget(port: &str) -> Result<()> {
    set(port, 0, |message| {
        message.u32(IFLA_MASTER, 0);
    })
}

/// Brings an interface up.
pub(crate) fn bring_up(name: &str) -> Result<()> {
    set(name, IFF_UP, |_| ())
}

/// Adds addresses, each with its prefix length, to an interface; none is asked for first.
pub(crate) fn add_addresses(name: &str, addresses: &[&str]) -> Result<()> {
    let index = index(name)?;
    let mut batch = Batch::default();
    for text in addresses {
        let (address, bits) = text.split_once('/').ok_or("there is no prefix length")?;
        let (address, bits): (IpAddr, u8) = (address.parse()?, bits.parse()?);
        let family = match address {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let family = u8::try_from(family.as_raw())?;
        batch.push(RTM_NEWADDR, flags::CREATE | flags::EXCL, |message| {
            // struct ifaddrmsg: family, prefix length, flags, scope, index
            message.raw(&[family, bits, 0, 0]).raw(&index.to_ne_bytes());
            let bytes = bytes(address);
            message.bytes(IFA_LOCAL, &bytes).bytes(IFA_ADDRESS, &bytes);
            message.u32(IFA_FLAGS, IFA_F_NODAD);
        });
    }
    send(&batch)
}

/// Whether any interface has an address.
pub(crate) fn have_address(address: IpAddr) -> Result<bool> {
    let wanted = bytes(address);
    let all = Connection::open(Family::Route)?.dump(RTM_GETADDR, 0, &[0; IFADDRMSG])?;
    let found = all.iter().any(|message| {
        let attributes = message.attributes_after(IFADDRMSG);
        // `IFA_ADDRESS` is the other end's where there is one.
        let own = attributes.find_kind(IFA_LOCAL);
        let own = own.or_else(|| attributes.find_kind(IFA_ADDRESS));
        own.is_some_and(|own| own.payload == wanted)
    });
    Ok(found)
}

/// Makes an interface of a kind, with the data that the kind has.
fn add(name: &str, kind: &str, data: impl FnOnce(&mut Writer<'_>)) -> Result<()> {
    let mut batch = Batch::default();
    batch.push(RTM_NEWLINK, flags::CREATE | flags::EXCL, |message| {
        header(message, 0, 0);
        message.str(IFLA_IFNAME, name);
        message.nested(IFLA_LINKINFO, |info| {
            info.str(IFLA_INFO_KIND, kind);
            info.nested(IFLA_INFO_DATA, data);
        });
    });
    send(&batch)
}

/// Sets flags of an interface, and what `fill` adds.
fn set(name: &str, flags: u32, fill: impl FnOnce(&mut Writer<'_>)) -> Result<()> {
    let index = index(name)?;
    let mut batch = Batch::default();
    batch.push(RTM_NEWLINK, 0, |message| {
        header(message, index, flags);
        fill(message);
    });
    send(&batch)
}

/// struct ifinfomsg: family, pad, hardware, index, flags, change
fn header(message: &mut Writer<'_>, index: u32, flags: u32) {
    message.raw(&[0; 4]).raw(&index.to_ne_bytes());
    message.raw(&flags.to_ne_bytes()).raw(&flags.to_ne_bytes());
}

fn send(batch: &Batch) -> Result<()> {
    for outcome in Connection::open(Family::Route)?.batch(batch)? {
        outcome?;
    }
    Ok(())
}

fn index(name: &str) -> Result<u32> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(netdevice::name_to_index(&any, name)?)
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(it) => it.octets().to_vec(),
        IpAddr::V6(it) => it.octets().to_vec(),
    }
}
