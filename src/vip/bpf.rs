//! The words of classic BPF: what the kernel keeps from a packet socket's buffer.
//!
//! Source: networking/filter.rst of the kernel, and its linux/filter.h.

pub(super) const LOAD_WORD: u16 = 0x20;
pub(super) const LOAD_HALF: u16 = 0x28;
pub(super) const LOAD_OCTET: u16 = 0x30;
pub(super) const AND: u16 = 0x54;
pub(super) const TO_X: u16 = 0x07;
pub(super) const GO: u16 = 0x05;
pub(super) const IF_EQUAL: u16 = 0x15;
pub(super) const IF_EQUAL_X: u16 = 0x1d;
pub(super) const RETURN: u16 = 0x06;

/// Where the kernel shows to whom a packet goes (`SKF_AD_OFF + SKF_AD_PKTTYPE`): 0 is this host.
pub(super) const KIND: u32 = 0xffff_f000 + 4;
/// Where it shows whether a frame bears the tag of a VLAN that the host doesn't have
/// (`SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT`).
pub(super) const TAGGED: u32 = 0xffff_f000 + 48;
/// Where it shows the network header (`SKF_NET_OFF`).
pub(super) const NETWORK: u32 = 0xfff0_0000;
