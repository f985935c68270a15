//! Bridges, and the cables that lead from hosts to them.

use std::error::Error;
use std::fs;
use std::time::Duration;

use ipvs::netlink::{Batch, Connection, Family};

use crate::host::unworkable;
use crate::{Host, Lab, guest, until};

/// A switch, to which hosts are cabled.
#[derive(Clone, Debug)]
pub struct Bridge {
    name: String,
}

/// A cable from an interface of a host to a port of a bridge.
#[derive(Clone, Debug)]
pub struct Cable {
    bridge: String,
    port: String,
    host: Host,
    interface: String,
}

impl Lab {
    /// A new switch.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    #[must_use]
    pub fn bridge(&self, name: &str) -> Bridge {
        switch_ip(&[
            format!("link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"),
            format!("link set {name} up"),
        ]);
        Bridge {
            name: name.to_owned(),
        }
    }

    /// Takes a switch away; the cables to it lead nowhere.
    ///
    /// # Panics
    ///
    /// When there is none of this name.
    #[track_caller]
    pub fn remove_bridge(&self, name: &str) {
        switch_ip(&[format!("link del {name}")]);
    }
}

impl Host {
    /// A new interface with a cable to a switch, and its addresses (with prefix lengths).
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    pub fn connect(&self, bridge: &Bridge, interface: &str, addresses: &[&str]) -> Cable {
        let port = format!("{}-{interface}", self.name());
        switch_ip(&[
            format!(
                "link add {port} type veth peer name {interface} netns {}",
                self.pid()
            ),
            format!("link set {port} master {} up", bridge.name),
        ]);
        let mut lines = vec![format!("link set {interface} up")];
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            lines.push(format!("address add {address} dev {interface}{nodad}"));
        }
        self.ip(&lines);
        Cable {
            bridge: bridge.name.clone(),
            port,
            host: self.clone(),
            interface: interface.to_owned(),
        }
    }
}

impl Cable {
    /// Takes the cable away, and both of its interfaces, which would last as long as the host.
    ///
    /// # Panics
    ///
    /// When it is gone already.
    #[track_caller]
    pub fn remove(self) {
        switch_ip(&[format!("link del {}", self.port)]);
    }

    /// The switch forgets the port: nothing passes, but the host still sees a carrier.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    pub fn cut(&self) {
        if let Err(error) = forget(&self.port) {
            unworkable(&format!(
                "{} cannot be taken off its switch: {error}",
                self.port
            ));
        }
    }

    /// Undoes [`Cable::cut`].
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    pub fn restore(&self) {
        switch_ip(&[format!("link set {} master {}", self.port, self.bridge)]);
    }

    /// Pulls the plug: the host loses the carrier.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    pub fn unplug(&self) {
        switch_ip(&[format!("link set {} down", self.port)]);
    }

    /// Undoes [`Cable::unplug`].
    ///
    /// # Panics
    ///
    /// When the kernel refuses, or the host does not see the carrier again.
    #[track_caller]
    pub fn plug(&self) {
        switch_ip(&[format!("link set {} up", self.port)]);
        until("the carrier is back", Duration::from_secs(5), || {
            self.carrier()
        });
    }

    /// Whether the host sees a carrier.
    #[must_use]
    pub fn carrier(&self) -> bool {
        let shown = self
            .host
            .exec(&["ip", "-o", "link", "show", &self.interface])
            .stdout;
        shown.contains("LOWER_UP")
    }

    /// Spoils what comes to the host, as tc-netem(8) says: `loss 30%`, `delay 5ms`.
    ///
    /// # Panics
    ///
    /// When tc refuses.
    #[track_caller]
    pub fn netem(&self, how: &str) {
        tc(&format!("qdisc replace dev {} root netem {how}", self.port));
    }

    /// Undoes [`Cable::netem`].
    ///
    /// # Panics
    ///
    /// When tc refuses.
    #[track_caller]
    pub fn netem_off(&self) {
        tc(&format!("qdisc del dev {} root", self.port));
    }
}

/// Runs `ip -batch` where the switches are: in the guest itself.
#[track_caller]
fn switch_ip(lines: &[String]) {
    for line in lines {
        run("ip", line);
    }
}

/// `ip link set PORT nomaster`, without the time that a program takes to start: from here on is
/// measured.
fn forget(port: &str) -> Result<(), Box<dyn Error>> {
    const RTM_NEWLINK: u16 = 16; // linux/rtnetlink.h
    const IFLA_MASTER: u16 = 10; // linux/if_link.h
    let index = fs::read_to_string(format!("/sys/class/net/{port}/ifindex"))?;
    let index: u32 = index.trim().parse()?;
    let mut batch = Batch::default();
    batch.push(RTM_NEWLINK, 0, |message| {
        // struct ifinfomsg: family, pad, hardware, index, flags, change
        message.raw(&[0; 4]).raw(&index.to_ne_bytes()).raw(&[0; 8]);
        message.u32(IFLA_MASTER, 0);
    });
    for outcome in Connection::open(Family::Route)?.batch(&batch)? {
        outcome?;
    }
    Ok(())
}

#[track_caller]
fn tc(line: &str) {
    run("tc", line);
}

#[track_caller]
fn run(program: &str, line: &str) {
    let output = guest::command(program)
        .args(line.split_whitespace())
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => unworkable(&format!(
            "`{program} {line}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => unworkable(&format!("`{program} {line}` cannot be run: {error}")),
    }
}
