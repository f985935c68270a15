//! IPVS objects as plain values: services, destinations and the table they make.

use serde::{Deserialize, Serialize};

/// Transport protocol of a virtual service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IPPROTO_TCP, 6.
    Tcp,
    /// IPPROTO_UDP, 17.
    Udp,
}

/// How a director forwards packets to a destination (`IP_VS_CONN_F_FWD_MASK`, linux/ip_vs.h).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Forwarding {
    /// Network address translation; the destination's way back leads through the director.
    Masquerade,
    /// Link-layer readdressing; the destination shares a network with the director and has the VIP.
    Direct,
    /// IP-in-IP; the destination has a tunnel and the VIP.
    Tunnel,
}
