//! The settings and interfaces of the host, behind a trait for tests.

use std::fs;
use std::io;
use std::path::Path;

use rustix::net::{AddressFamily, SocketType, netdevice, socket};

/// Where the kernel has the settings of IPVS, those of this network namespace.
const SETTINGS: &str = "/proc/sys/net/ipv4/vs";

/// What connection sync needs of a host beside its IPVS.
pub trait Host {
    /// A setting below `net.ipv4.vs`, as the kernel writes it.
    ///
    /// # Errors
    ///
    /// `NotFound` when the kernel does not have it; anything else as the file system says.
    fn read(&mut self, name: &str) -> io::Result<String>;

    /// Gives a setting a value.
    ///
    /// # Errors
    ///
    /// As the file system says: the value is refused, or `/proc/sys` is read-only.
    fn write(&mut self, name: &str, value: &str) -> io::Result<()>;

    /// The index of an interface, if there is one of this name.
    fn link(&mut self, name: &str) -> Option<u32>;
}

/// The host that this program runs on.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Host for System {
    fn read(&mut self, name: &str) -> io::Result<String> {
        fs::read_to_string(Path::new(SETTINGS).join(name))
    }

    fn write(&mut self, name: &str, value: &str) -> io::Result<()> {
        fs::write(Path::new(SETTINGS).join(name), value)
    }

    fn link(&mut self, name: &str) -> Option<u32> {
        let any = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
        netdevice::name_to_index(&any, name).ok()
    }
}
