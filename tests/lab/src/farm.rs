//! The standard farm: a pair of directors, three web servers and a client, with all addresses.
//!
//! ```text
//!  client .100      ha1 .11  ha2 .12      rs1 .21  rs2 .22  rs3 .23
//!     |eth0           |eth0    |eth0         |eth0 (direct, tunnel)
//! ----+---------------+--------+-------------+------------ service: 192.0.2.0/24, 2001:db8::/64
//!                     |eth1    |eth1         |eth1 (NAT, tunnel)
//! --------------------+--------+-------------+------------ inner: 10.0.1.0/24
//!                     |eth2    |eth2
//! --------------------+--------+-------------------------- heartbeat: 10.9.0.0/24
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

pub use crate::nginx::RealServer;

use crate::{Cable, Director, Host, Lab, SOON, director, until};

/// How the directors' packets reach the servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The servers carry the VIP and answer clients themselves.
    Direct,
    /// The servers' way out leads through the active director.
    Nat,
    /// The servers carry the VIP on a tunnel and answer clients themselves.
    Tunnel,
}

/// The addresses that a farm uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// 192.0.2.0/24
    V4,
    /// 2001:db8::/64
    V6,
}

/// What a farm's configuration says beyond its addresses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `keepalive`.
    pub keepalive: &'static str,
    /// `deadtime`: what a machine that is busy with something else does not take for a death.
    pub deadtime: &'static str,
    /// `initdead`: no limit for a pair, which has heard each other before; a director that is to
    /// start without its peer is [started alone](Director::start_alone).
    pub initdead: &'static str,
    /// `failback`.
    pub failback: &'static str,
    /// `failback_delay`, if any.
    pub failback_delay: Option<&'static str>,
    /// Whether `ha1` is the cluster's only director.
    pub alone: bool,
    /// Whether the directors have a second network for heartbeats.
    pub second_path: bool,
    /// Whether the loss of a carrier makes a director unfit.
    pub monitor_links: bool,
    /// `forward`, `on_failure` and so on: lines of the `[[virtual]]`.
    pub more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keepalive: "100ms",
            deadtime: "1s",
            initdead: "60s",
            failback: "manual",
            failback_delay: None,
            alone: false,
            second_path: false,
            monitor_links: false,
            more: String::new(),
        }
    }
}

/// The farm.
#[derive(Debug)]
pub struct Farm {
    /// The director with more priority.
    pub ha1: Director,
    /// The other one.
    pub ha2: Director,
    /// `rs1`, `rs2`, `rs3`.
    pub servers: Vec<RealServer>,
    /// Where clients sit.
    pub client: Host,
    /// `ha1`'s and `ha2`'s cables to the service network.
    pub service_cables: [Cable; 2],
    /// `ha1`'s and `ha2`'s cables to the network behind them.
    pub inner_cables: [Cable; 2],
    /// `ha1`'s and `ha2`'s cables to the heartbeat network.
    pub heartbeat_cables: [Cable; 2],
    /// The virtual service.
    pub vip: SocketAddr,
}

/// Address number `last` of the service network.
#[must_use]
pub fn service_address(family: Family, last: u8) -> String {
    match family {
        Family::V4 => format!("192.0.2.{last}"),
        Family::V6 => format!("2001:db8::{last}"),
    }
}

/// Address number `last` of the network behind the directors.
#[must_use]
pub fn inner_address(last: u8) -> String {
    format!("10.0.1.{last}")
}

/// Address number `last` of the heartbeat network.
#[must_use]
pub fn heartbeat_address(last: u8) -> String {
    format!("10.9.0.{last}")
}

/// The directors' last octets.
const HA: [u8; 2] = [11, 12];
/// The real servers' last octets.
pub(crate) const RS: [u8; 3] = [21, 22, 23];
/// The virtual address's last octet.
pub(crate) const VIP: u8 = 80;
/// The client's last octet.
const CLIENT: u8 = 100;
/// The address that servers behind NAT send everything to; it moves along with the VIP.
pub(crate) const GATEWAY: u8 = 1;

impl Farm {
    /// Builds the hosts and starts the servers; the directors are configured but not started.
    ///
    /// # Panics
    ///
    /// When anything of it fails.
    #[track_caller]
    #[must_use]
    pub fn new(lab: &Lab, mode: Mode, family: Family) -> Self {
        Self::with(lab, mode, family, &Settings::default())
    }

    /// As [`Farm::new`], with another configuration.
    ///
    /// # Panics
    ///
    /// When anything of it fails.
    #[track_caller]
    #[must_use]
    pub fn with(lab: &Lab, mode: Mode, family: Family, settings: &Settings) -> Self {
        let service = lab.bridge("service");
        let inner = lab.bridge("inner");
        let heartbeat = lab.bridge("heartbeat");
        let bits = if family == Family::V4 { 24 } else { 64 };
        let on_service = |last| format!("{}/{bits}", service_address(family, last));

        let client = lab.host("client");
        client.connect(&service, "eth0", &[&on_service(CLIENT)]);

        let servers = RealServer::all(lab, mode, family, &service, &inner);

        let config = config(mode, family, settings);
        let key = "6b".repeat(32);
        let mut service_cables = Vec::new();
        let mut inner_cables = Vec::new();
        let mut heartbeat_cables = Vec::new();
        let mut directors = Vec::new();
        for (number, last) in (1..).zip(HA) {
            let host = lab.host(&format!("ha{number}"));
            service_cables.push(host.connect(&service, "eth0", &[&on_service(last)]));
            let address = format!("{}/24", inner_address(last));
            inner_cables.push(host.connect(&inner, "eth1", &[&address]));
            let address = format!("{}/24", heartbeat_address(last));
            heartbeat_cables.push(host.connect(&heartbeat, "eth2", &[&address]));
            host.sysctl("net/ipv4/ip_forward", "1");
            host.sysctl("net/ipv6/conf/all/forwarding", "1");
            directors.push(Director::new(host, &config, &key));
        }
        let ip: IpAddr = match service_address(family, VIP).parse() {
            Ok(ip) => ip,
            Err(_) => unreachable!("the VIP is an address"),
        };
        Self {
            ha2: directors.remove(1),
            ha1: directors.remove(0),
            servers,
            client,
            service_cables: pair(service_cables),
            inner_cables: pair(inner_cables),
            heartbeat_cables: pair(heartbeat_cables),
            vip: SocketAddr::new(ip, 80),
        }
    }

    /// Starts both directors and waits until `ha1` is active, `ha2` follows it and both have all
    /// servers in their tables.
    ///
    /// # Panics
    ///
    /// When that does not come about.
    #[track_caller]
    pub fn start_pair(&mut self) {
        self.ha1.start();
        self.ha2.start();
        self.ha1.wait_active("web", SOON);
        until("ha2 follows ha1", SOON, || {
            self.ha2.owner("web").as_deref() == Some("ha1")
        });
        for director in [&self.ha1, &self.ha2] {
            for server in &self.servers {
                self.wait_health(director, &server.address, "up");
            }
        }
    }

    /// The director that is active in the farm's group.
    ///
    /// # Panics
    ///
    /// When it is not exactly one.
    #[track_caller]
    #[must_use]
    pub fn active(&self) -> &Director {
        let active: Vec<&Director> = [&self.ha1, &self.ha2]
            .into_iter()
            .filter(|d| d.is_active("web"))
            .collect();
        assert_eq!(active.len(), 1, "one director is active");
        active[0]
    }

    /// Waits until a director sees a server in a state of health, and has put that in its table.
    ///
    /// # Panics
    ///
    /// When that does not come about.
    #[track_caller]
    pub fn wait_health(&self, director: &Director, address: &str, health: &str) {
        let what = format!("{} sees {address} {health}", director.name());
        let row = format!("-> {}:80 ", bracketed(address));
        until(&what, SOON, || {
            director.health(address).as_deref() == Some(health)
                && director.table().contains(&row) == (health == "up")
        });
    }

    /// Whether a host carries the VIP.
    #[must_use]
    pub fn has_vip(&self, director: &Director) -> bool {
        director.host.has_address(self.vip.ip())
    }

    /// The names of all servers.
    #[must_use]
    pub fn server_names(&self) -> BTreeSet<String> {
        self.servers
            .iter()
            .map(|server| server.host.name().to_owned())
            .collect()
    }
}

fn pair(cables: Vec<Cable>) -> [Cable; 2] {
    match <[Cable; 2]>::try_from(cables) {
        Ok(cables) => cables,
        Err(_) => unreachable!("there are two directors"),
    }
}

fn bracketed(address: &str) -> String {
    if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}

/// The configuration of both directors.
#[must_use]
pub fn config(mode: Mode, family: Family, settings: &Settings) -> String {
    let Settings {
        keepalive,
        deadtime,
        initdead,
        failback,
        failback_delay,
        alone,
        second_path,
        monitor_links,
        more,
    } = settings;
    let bits = if family == Family::V4 { 24 } else { 64 };
    let key = director::KEY;
    let mut text = format!(
        "[cluster]\nname = \"lab\"\nkeys = [\"{key}\"]\n\n\
         [heartbeat]\nkeepalive = \"{keepalive}\"\ndeadtime = \"{deadtime}\"\n\
         initdead = \"{initdead}\"\n",
    );
    let directors = [("ha1", 150, HA[0]), ("ha2", 100, HA[1])];
    let count = if *alone { 1 } else { directors.len() };
    for (name, priority, last) in directors.into_iter().take(count) {
        let mut paths = format!("{{ udp = \"{}\" }}", service_address(family, last));
        if *second_path {
            paths.push_str(&format!(", {{ udp = \"{}\" }}", heartbeat_address(last)));
        }
        text.push_str(&format!(
            "\n[[director]]\nname = \"{name}\"\npriority = {priority}\npaths = [{paths}]\n"
        ));
    }
    let vip = service_address(family, VIP);
    let mut vips = format!("{{ address = \"{vip}/{bits}\", interface = \"eth0\" }}");
    if mode == Mode::Nat {
        let gateway = inner_address(GATEWAY);
        vips.push_str(&format!(
            ", {{ address = \"{gateway}/24\", interface = \"eth1\" }}"
        ));
    }
    let delay = failback_delay
        .map(|d| format!("failback_delay = \"{d}\"\n"))
        .unwrap_or_default();
    let links = if *monitor_links {
        "monitor_links = [\"eth0\"]\n"
    } else {
        ""
    };
    let forward = match mode {
        Mode::Direct => "direct",
        Mode::Nat => "nat",
        Mode::Tunnel => "tunnel",
    };
    text.push_str(&format!(
        "\n[[group]]\nname = \"web\"\nfailback = \"{failback}\"\nvips = [{vips}]\n{delay}{links}\n\
         [[virtual]]\nname = \"www\"\ngroup = \"web\"\naddress = \"{vip}\"\nport = 80\n\
         protocol = \"tcp\"\nscheduler = \"rr\"\nforward = \"{forward}\"\n\
         probe = {{ http = \"/\", interval = \"500ms\", timeout = \"400ms\", fall = 2, rise = 1 }}\n\
         {more}"
    ));
    for last in RS {
        let address = match mode {
            Mode::Direct => service_address(family, last),
            Mode::Nat | Mode::Tunnel => inner_address(last),
        };
        text.push_str(&format!("\n[[virtual.server]]\naddress = \"{address}\"\n"));
    }
    text
}
