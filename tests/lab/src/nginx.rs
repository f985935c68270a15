//! Real servers: hosts with nginx, ready for their mode.

use crate::farm::{GATEWAY, RS, VIP, inner_address, service_address};
use crate::{Bridge, Family, Host, Lab, Mode, Process, SOON, until};

const NGINX: &str = "
daemon off;
master_process off;
worker_processes 1;
pid /run/caribe/nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000;
    default_type text/plain;
    server {
        listen 80;
        listen [::]:80 ipv6only=on;
        return 200 \"NAME\\n\";
    }
}
";

/// A real server: a host with nginx, which answers every request with the host's name.
#[derive(Debug)]
pub struct RealServer {
    /// The host.
    pub host: Host,
    /// Where directors send packets for it.
    pub address: String,
    nginx: Option<Process>,
}

impl RealServer {
    /// The farm's real servers, on the networks that their mode needs.
    ///
    /// # Panics
    ///
    /// When anything of it fails.
    #[track_caller]
    #[must_use]
    pub fn all(
        lab: &Lab,
        mode: Mode,
        family: Family,
        service: &Bridge,
        inner: &Bridge,
    ) -> Vec<Self> {
        let bits = if family == Family::V4 { 24 } else { 64 };
        let mut servers = Vec::new();
        for (number, last) in (1..).zip(RS) {
            let host = lab.host(&format!("rs{number}"));
            let outer = service_address(family, last);
            if mode != Mode::Nat {
                host.connect(service, "eth0", &[&format!("{outer}/{bits}")]);
            }
            if mode != Mode::Direct {
                host.connect(inner, "eth1", &[&format!("{}/24", inner_address(last))]);
            }
            let address = match mode {
                Mode::Direct => outer,
                Mode::Nat | Mode::Tunnel => inner_address(last),
            };
            servers.push(Self::on(host, mode, family, address));
        }
        servers
    }

    /// Makes a host, which is on its networks already, a real server, whatever else it is.
    ///
    /// # Panics
    ///
    /// When anything of it fails.
    #[track_caller]
    #[must_use]
    pub fn on(host: Host, mode: Mode, family: Family, address: String) -> Self {
        prepare_server(&host, mode, family, &service_address(family, VIP));
        let mut server = Self {
            host,
            address,
            nginx: None,
        };
        server.start();
        server
    }

    /// Starts nginx and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn start(&mut self) {
        self.host.write(
            "/run/caribe/nginx.conf",
            0o644,
            &NGINX.replace("NAME", self.host.name()),
        );
        self.nginx = Some(self.host.spawn(&["nginx", "-c", "/run/caribe/nginx.conf"]));
        let host = &self.host;
        until(&format!("nginx answers on {}", host.name()), SOON, || {
            host.inside(|| std::net::TcpStream::connect(("127.0.0.1", 80)).is_ok())
        });
    }

    /// Kills nginx with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut nginx) = self.nginx.take() {
            nginx.kill();
        }
    }
}

/// Makes a host ready to be a real server, as the manual of every LVS says.
fn prepare_server(host: &Host, mode: Mode, family: Family, vip: &str) {
    match (mode, family) {
        (Mode::Direct, Family::V4) => {
            quiet_arp(host);
            host.ip(&[format!("address add {vip}/32 dev lo")]);
        }
        (Mode::Direct, Family::V6) => host.ip(&[format!("address add {vip}/128 dev lo nodad")]),
        (Mode::Nat, _) => host.ip(&[format!("route add default via {}", inner_address(GATEWAY))]),
        (Mode::Tunnel, _) => {
            quiet_arp(host);
            host.ip(&[
                format!("address add {vip}/32 dev tunl0"),
                "link set tunl0 up".to_owned(),
            ]);
            host.sysctl("net/ipv4/conf/tunl0/rp_filter", "0");
        }
    }
}

/// Never answers for an address of another interface, never announces one.
fn quiet_arp(host: &Host) {
    host.sysctl("net/ipv4/conf/all/arp_ignore", "1");
    host.sysctl("net/ipv4/conf/all/arp_announce", "2");
}
