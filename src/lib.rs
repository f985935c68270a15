//! An LVS director with integrated failover.

pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod control;
pub mod director;
pub mod health;
pub mod lvs;
pub mod lvsadm;
pub mod vip;
