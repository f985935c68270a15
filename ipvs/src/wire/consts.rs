//! Numbers of the kernel's interface (linux/ip_vs.h, linux/genetlink.h).

/// `GENL_ID_CTRL`: the family that knows the others.
pub(crate) const GENL_ID_CTRL: u16 = 0x10;
/// `CTRL_CMD_GETFAMILY`.
pub(super) const CTRL_CMD_GETFAMILY: u8 = 3;
/// `CTRL_ATTR_FAMILY_ID`.
pub(super) const CTRL_ATTR_FAMILY_ID: u16 = 1;
/// `CTRL_ATTR_FAMILY_NAME`.
pub(super) const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// `IPVS_GENL_NAME`.
pub(super) const FAMILY_NAME: &str = "IPVS";
/// `IPVS_GENL_VERSION`.
pub(super) const FAMILY_VERSION: u8 = 1;
/// Length of struct genlmsghdr.
pub(super) const GENL_HEADER: usize = 4;

/// `IPVS_CMD_*`.
pub(crate) mod command {
    pub(crate) const NEW_SERVICE: u8 = 1;
    pub(crate) const SET_SERVICE: u8 = 2;
    pub(crate) const DEL_SERVICE: u8 = 3;
    pub(crate) const GET_SERVICE: u8 = 4;
    pub(crate) const NEW_DEST: u8 = 5;
    pub(crate) const SET_DEST: u8 = 6;
    pub(crate) const DEL_DEST: u8 = 7;
    pub(crate) const GET_DEST: u8 = 8;
    pub(crate) const NEW_DAEMON: u8 = 9;
    pub(crate) const DEL_DAEMON: u8 = 10;
    pub(crate) const GET_DAEMON: u8 = 11;
    pub(crate) const SET_CONFIG: u8 = 12;
    pub(crate) const GET_CONFIG: u8 = 13;
    pub(crate) const GET_INFO: u8 = 15;
    pub(crate) const ZERO: u8 = 16;
    pub(crate) const FLUSH: u8 = 17;
}

/// `IPVS_CMD_ATTR_SERVICE`.
pub(super) const ATTR_SERVICE: u16 = 1;
/// `IPVS_CMD_ATTR_DEST`.
pub(super) const ATTR_DEST: u16 = 2;
/// `IPVS_CMD_ATTR_DAEMON`.
pub(super) const ATTR_DAEMON: u16 = 3;
/// `IPVS_CMD_ATTR_TIMEOUT_TCP`.
pub(super) const TIMEOUT_TCP: u16 = 4;
/// `IPVS_CMD_ATTR_TIMEOUT_TCP_FIN`.
pub(super) const TIMEOUT_TCP_FIN: u16 = 5;
/// `IPVS_CMD_ATTR_TIMEOUT_UDP`.
pub(super) const TIMEOUT_UDP: u16 = 6;

/// `IPVS_SVC_ATTR_*`.
pub(super) mod svc {
    pub(crate) const AF: u16 = 1;
    pub(crate) const PROTOCOL: u16 = 2;
    pub(crate) const ADDR: u16 = 3;
    pub(crate) const PORT: u16 = 4;
    pub(crate) const FWMARK: u16 = 5;
    pub(crate) const SCHED_NAME: u16 = 6;
    pub(crate) const FLAGS: u16 = 7;
    pub(crate) const TIMEOUT: u16 = 8;
    pub(crate) const NETMASK: u16 = 9;
    pub(crate) const STATS: u16 = 10;
    pub(crate) const PE_NAME: u16 = 11;
    pub(crate) const STATS64: u16 = 12;
}

/// `IP_VS_SVC_F_*`. `IP_VS_SVC_F_HASHED` (2) is the kernel's own and not among them.
pub(super) mod svc_flag {
    pub(crate) const PERSISTENT: u32 = 0x1;
    pub(crate) const ONEPACKET: u32 = 0x4;
    pub(crate) const SCHED1: u32 = 0x8;
    pub(crate) const SCHED2: u32 = 0x10;
    pub(crate) const SCHED3: u32 = 0x20;
    /// The flags that we set or clear; others stay as they are in the kernel.
    pub(crate) const MASK: u32 = PERSISTENT | ONEPACKET | SCHED1 | SCHED2 | SCHED3;
}

/// `IPVS_DEST_ATTR_*`.
pub(super) mod dest {
    pub(crate) const ADDR: u16 = 1;
    pub(crate) const PORT: u16 = 2;
    pub(crate) const FWD_METHOD: u16 = 3;
    pub(crate) const WEIGHT: u16 = 4;
    pub(crate) const U_THRESH: u16 = 5;
    pub(crate) const L_THRESH: u16 = 6;
    pub(crate) const ACTIVE_CONNS: u16 = 7;
    pub(crate) const INACT_CONNS: u16 = 8;
    pub(crate) const PERSIST_CONNS: u16 = 9;
    pub(crate) const STATS: u16 = 10;
    pub(crate) const ADDR_FAMILY: u16 = 11;
    pub(crate) const STATS64: u16 = 12;
    pub(crate) const TUN_TYPE: u16 = 13;
    pub(crate) const TUN_PORT: u16 = 14;
    pub(crate) const TUN_FLAGS: u16 = 15;
}

/// `IP_VS_CONN_F_*`: methods of forwarding.
pub(super) mod forward {
    pub(crate) const MASK: u32 = 7;
    pub(crate) const MASQ: u32 = 0;
    pub(crate) const LOCALNODE: u32 = 1;
    pub(crate) const TUNNEL: u32 = 2;
    pub(crate) const DROUTE: u32 = 3;
}

/// `IP_VS_CONN_F_TUNNEL_TYPE_*`.
pub(super) mod tunnel {
    pub(crate) const IPIP: u8 = 0;
    pub(crate) const GUE: u8 = 1;
    pub(crate) const GRE: u8 = 2;
}

/// `IPVS_DAEMON_ATTR_*`. Port and length are in the host's byte order.
pub(super) mod daemon {
    pub(crate) const STATE: u16 = 1;
    pub(crate) const MCAST_IFN: u16 = 2;
    pub(crate) const SYNC_ID: u16 = 3;
    pub(crate) const SYNC_MAXLEN: u16 = 4;
    pub(crate) const MCAST_GROUP: u16 = 5;
    pub(crate) const MCAST_GROUP6: u16 = 6;
    pub(crate) const MCAST_PORT: u16 = 7;
    pub(crate) const MCAST_TTL: u16 = 8;
}

/// `IP_VS_STATE_*`.
pub(super) mod state {
    pub(crate) const MASTER: u32 = 1;
    pub(crate) const BACKUP: u32 = 2;
}

/// `IPVS_STATS_ATTR_*`.
pub(super) mod stats {
    pub(crate) const CONNS: u16 = 1;
    pub(crate) const INPKTS: u16 = 2;
    pub(crate) const OUTPKTS: u16 = 3;
    pub(crate) const INBYTES: u16 = 4;
    pub(crate) const OUTBYTES: u16 = 5;
    pub(crate) const CPS: u16 = 6;
    pub(crate) const INPPS: u16 = 7;
    pub(crate) const OUTPPS: u16 = 8;
    pub(crate) const INBPS: u16 = 9;
    pub(crate) const OUTBPS: u16 = 10;
}

/// `IPVS_INFO_ATTR_VERSION`.
pub(super) const INFO_VERSION: u16 = 1;
/// `IPVS_INFO_ATTR_CONN_TAB_SIZE`.
pub(super) const INFO_CONN_TAB_SIZE: u16 = 2;

/// `AF_INET`.
pub(super) const AF_INET: u16 = 2;
/// `AF_INET6`.
pub(super) const AF_INET6: u16 = 10;

/// `IPPROTO_TCP`.
pub(super) const IPPROTO_TCP: u16 = 6;
/// `IPPROTO_UDP`.
pub(super) const IPPROTO_UDP: u16 = 17;
/// `IPPROTO_SCTP`.
pub(super) const IPPROTO_SCTP: u16 = 132;
