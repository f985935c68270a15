//! The pair on real kernels: each test boots its own, with real servers and real traffic.

#![expect(clippy::expect_used, reason = "how a test fails")]

mod adoption;
mod events;
mod failover;
mod guard;
mod handover;
mod host;
mod lvsadm;
mod mh;
mod nights;
mod nights_config;
mod own_servers;
mod paths;
mod probing;
mod servers;
mod sync;
mod table;
mod trust;
mod vips;
