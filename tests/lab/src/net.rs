//! Bridges, and the cables that lead from hosts to them.

use std::io::Write;
use std::net::IpAddr;
use std::process::Stdio;

use crate::host::unworkable;
use crate::{Host, Lab, SOON, guest, links, until};

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
        if let Err(error) = links::add_bridge(name) {
            unworkable(&format!("bridge {name} cannot be made: {error}"));
        }
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
        let made = links::add_pair(&port, &bridge.name, interface, self.pid());
        let made = made.and_then(|()| {
            self.inside(|| {
                links::bring_up(interface)?;
                links::add_addresses(interface, addresses)
            })
        });
        if let Err(error) = made {
            unworkable(&format!("{port} cannot be made: {error}"));
        }
        Cable {
            bridge: bridge.name.clone(),
            port,
            host: self.clone(),
            interface: interface.to_owned(),
        }
    }

    /// Whether an address is on any of its interfaces.
    ///
    /// # Panics
    ///
    /// When the kernel does not list them.
    #[track_caller]
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        match self.inside(|| links::have_address(address)) {
            Ok(found) => found,
            Err(error) => unworkable(&format!("{}: addresses: {error}", self.name())),
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
        // From here on is measured: a program takes time to start.
        if let Err(error) = links::forget(&self.port) {
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
        until("the carrier is back", SOON, || self.carrier());
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
    run("ip", &["-batch", "-"], &lines.join("\n"));
}

#[track_caller]
fn tc(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    run("tc", &words, "");
}

#[track_caller]
fn run(program: &str, args: &[&str], input: &str) {
    let what = || format!("`{program} {}` {input}", args.join(" "));
    let mut child = guest::command(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| unworkable(&format!("{} cannot be run: {e}", what())));
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is none the worse for it.
        let _ = stdin.write_all(input.as_bytes());
    }
    match child.wait_with_output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => unworkable(&format!(
            "{} failed: {}",
            what(),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => unworkable(&format!("{} cannot be waited for: {error}", what())),
    }
}
