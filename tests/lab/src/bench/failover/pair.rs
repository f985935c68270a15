//! Two directors on one network, with keepalived or caribe on both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use lab::farm::service_address;
use lab::{Bridge, Cable, Family, Host, Lab, Process, director, wait};
use rustix::process::Signal;

/// What a start, or a takeover, may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

const KEEPALIVED: &str = "/run/caribe/keepalived.conf";
/// Where its children write their numbers.
const KEEPALIVED_CHILDREN: [&str; 2] = ["/run/caribe/v.pid", "/run/caribe/c.pid"];
/// The number in it is added to the priority of the instance.
const PRIORITY: &str = "/run/caribe/priority";

/// Who is measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Peer {
    Keepalived,
    Caribe,
}

/// How both are configured.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Between two heartbeats or adverts.
    pub(super) interval: Duration,
    /// Of the VIP that the client asks, and of heartbeats.
    pub(super) family: Family,
    /// So many of them missing mean death.
    pub(super) misses: u32,
    /// VIPs beside the one that the client asks.
    pub(super) more_vips: u32,
    /// More of caribe's configuration.
    pub(super) more: String,
    /// Virtual servers of keepalived, which then tells the other of their connections.
    pub(super) keepalived: String,
}

impl Setting {
    pub(super) fn of(interval: Duration) -> Self {
        Self {
            interval,
            family: Family::V4,
            misses: 3,
            more_vips: 0,
            more: String::new(),
            keepalived: String::new(),
        }
    }
}

/// Two directors and a client.
pub(super) struct Pair {
    pub(super) directors: [Host; 2],
    pub(super) cables: [Cable; 2],
    pub(super) client: Host,
    pub(super) switch: Bridge,
}

/// A daemon with all its processes.
pub(super) struct Daemon {
    pub(super) host: Host,
    pub(super) process: Process,
    peer: Peer,
}

/// The VIP that the client asks.
pub(super) fn vip(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, 80).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80).into(),
    }
}

/// The same with the length of its prefix.
fn vip_with_prefix(family: Family) -> String {
    let bits = if family == Family::V4 { 24 } else { 64 };
    format!("{}/{bits}", vip(family))
}

/// VIP number `index` of those beside the one that the client asks.
pub(super) fn more_vip(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from_be_bytes([10, 77, 0, 1]) + index)
}

impl Pair {
    pub(super) fn new(lab: &Lab) -> Self {
        let switch = lab.bridge("service");
        let addresses = |last| {
            let one = |family, bits| format!("{}/{bits}", service_address(family, last));
            [one(Family::V4, 24), one(Family::V6, 64)]
        };
        let connect = |host: &Host, last| {
            let [ipv4, ipv6] = addresses(last);
            host.connect(&switch, "eth0", &[&ipv4, &ipv6])
        };
        let client = lab.host("client");
        connect(&client, 100);
        let directors = [1, 2].map(|n| lab.host(&format!("ha{n}")));
        let cables = [0, 1].map(|i| {
            let last = if i == 0 { 11 } else { 12 };
            connect(&directors[i], last)
        });
        for host in &directors {
            host.write(director::KEY, 0o600, &"6b".repeat(32));
        }
        Self {
            directors,
            cables,
            client,
            switch,
        }
    }

    /// Starts both daemons and waits until the first has all VIPs, and the second none.
    pub(super) fn start(&self, peer: Peer, setting: &Setting) -> Option<[Daemon; 2]> {
        let mut daemons = [0, 1].map(|i| self.start_one(peer, i, setting));
        let [first, second] = &self.directors;
        let vip = vip(setting.family);
        let last = match setting.more_vips {
            0 => vip,
            more => more_vip(more - 1).into(),
        };
        let served = wait::holds_within(LIMIT, &mut || {
            first.has_address(vip) && first.has_address(last) && !second.has_address(vip)
        });
        if !served {
            self.end(&mut daemons);
        }
        served.then_some(daemons)
    }

    fn start_one(&self, peer: Peer, index: usize, setting: &Setting) -> Daemon {
        let host = &self.directors[index];
        let process = match peer {
            Peer::Caribe => {
                host.write(director::CONFIG, 0o644, &caribe_config(setting));
                let program = director::program("caribe");
                host.spawn(&[&program, "run", "--config", director::CONFIG])
            }
            Peer::Keepalived => {
                let priority = if index == 0 { 150 } else { 100 };
                host.write(KEEPALIVED, 0o644, &keepalived_config(setting, priority));
                let [vrrp, checkers] = KEEPALIVED_CHILDREN;
                let mut argv = vec!["keepalived", "--dont-fork", "--log-console"];
                argv.extend(["--use-file", KEEPALIVED, "--pid", "/run/caribe/k.pid"]);
                argv.extend(["--vrrp_pid", vrrp]);
                if setting.keepalived.is_empty() {
                    argv.push("--vrrp");
                } else {
                    host.write(PRIORITY, 0o644, "0\n");
                    argv.extend(["--checkers_pid", checkers]);
                }
                host.spawn(&argv)
            }
        };
        Daemon {
            host: host.clone(),
            process,
            peer,
        }
    }

    /// Kills both daemons, removes what they leave, and heals the cables.
    pub(super) fn end(&self, daemons: &mut [Daemon; 2]) {
        for daemon in daemons {
            daemon.kill();
        }
        for cable in &self.cables {
            cable.restore();
        }
        for host in &self.directors {
            // The guard of a killed daemon removes what is there as well.
            let gone = "while pgrep -f '[g]uard --socket' > /dev/null; do sleep 0.05; done; \
                        ip address flush dev eth0 to 192.0.2.80; \
                        ip address flush dev eth0 to 2001:db8::80; \
                        ip address flush dev eth0 to 10.77.0.0/16; rm -f /run/caribe/*";
            let _ = host.exec(&["sh", "-c", gone]);
        }
        let _ = self.client.exec(&["ip", "neigh", "flush", "all"]);
    }
}

impl Daemon {
    /// All its processes but caribe's guard get SIGKILL.
    pub(super) fn kill(&mut self) {
        // At once: a parent would start its child again, and a child say farewell.
        let parent = self.process.pid().to_string();
        let children = self.children();
        let all = std::iter::once(&parent).chain(&children);
        let argv: Vec<&str> = ["kill", "-9"]
            .into_iter()
            .chain(all.map(String::as_str))
            .collect();
        let _ = self.host.exec(&argv);
        self.process.kill();
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Makes the other one take over, as an operator would.
    pub(super) fn hand_over(&self, setting: &Setting) {
        match self.peer {
            Peer::Caribe => {
                let program = director::program("caribe");
                let _ = self.host.exec(&[&program, "handover", "vip"]);
            }
            Peer::Keepalived => {
                let config = keepalived_config(setting, 50);
                self.host.write(KEEPALIVED, 0o644, &config);
                self.signal(Signal::HUP);
            }
        }
    }

    /// Makes the VIP leave this one without a new configuration: to the one that prefers it if it
    /// goes `back`, which is `first`.
    pub(super) fn give_away(&self, first: &Self, back: bool) {
        match self.peer {
            Peer::Caribe => {
                let program = director::program("caribe");
                let _ = self.host.exec(&[&program, "handover", "vip"]);
            }
            Peer::Keepalived => {
                let weight = if back { "0\n" } else { "-100\n" };
                first.host.write(PRIORITY, 0o644, weight);
            }
        }
    }

    /// How often its threads have been woken, all processes together (proc_pid_status(5)).
    pub(super) fn wakings(&self) -> u64 {
        let pid = self.process.pid().to_string();
        let found = self.host.exec(&["pgrep", "-P", &pid]);
        let all = std::iter::once(pid.as_str()).chain(found.stdout.lines());
        all.map(wakings_of).sum()
    }

    fn children(&self) -> Vec<String> {
        match self.peer {
            Peer::Caribe => Vec::new(),
            Peer::Keepalived => KEEPALIVED_CHILDREN
                .iter()
                .map(|file| self.host.exec(&["cat", file]).stdout.trim().to_owned())
                .filter(|pid| !pid.is_empty())
                .collect(),
        }
    }
}

fn wakings_of(pid: &str) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{}/task", pid.trim()));
    let threads = threads.into_iter().flatten().flatten();
    threads
        .filter_map(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
            let mut lines = status.lines();
            let count = lines.find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"))?;
            count.trim().parse::<u64>().ok()
        })
        .sum()
}

fn caribe_config(setting: &Setting) -> String {
    let keepalive = setting.interval.as_millis();
    let deadtime = keepalive * u128::from(setting.misses);
    let initdead = (deadtime * 2).max(2000);
    let directors: String = [("ha1", 150, 11), ("ha2", 100, 12)]
        .iter()
        .map(|(name, priority, last)| {
            format!(
                "[[director]]\nname = \"{name}\"\npriority = {priority}\n\
                 paths = [{{ udp = \"{}\" }}]\n",
                service_address(setting.family, *last)
            )
        })
        .collect();
    let more: String = (0..setting.more_vips)
        .map(|index| {
            let address = more_vip(index);
            format!(",\n {{ address = \"{address}/32\", interface = \"eth0\" }}")
        })
        .collect();
    format!(
        "[cluster]\nname = \"bench\"\nkeys = [\"{}\"]\n\
         [heartbeat]\nkeepalive = \"{keepalive}ms\"\ndeadtime = \"{deadtime}ms\"\n\
         initdead = \"{initdead}ms\"\n{directors}\
         [[group]]\nname = \"vip\"\nfailback = \"manual\"\n\
         vips = [{{ address = \"{}\", interface = \"eth0\" }}{more}]\n{}",
        director::KEY,
        vip_with_prefix(setting.family),
        setting.more
    )
}

fn keepalived_config(setting: &Setting, priority: u8) -> String {
    let more: String = (0..setting.more_vips)
        .map(|index| format!("  {}/32\n", more_vip(index)))
        .collect();
    // Adverts name no more than 255 addresses; the others are told of to nobody.
    let more = if more.is_empty() {
        more
    } else {
        format!(" virtual_ipaddress_excluded {{\n{more} }}\n")
    };
    let (globals, track, file) = if setting.keepalived.is_empty() {
        ("", "", String::new())
    } else {
        (
            " lvs_sync_daemon eth0 vip\n",
            " track_file {\n  priority weight 1\n }\n",
            format!("track_file priority {{\n file {PRIORITY}\n}}\n"),
        )
    };
    format!(
        "global_defs {{\n vrrp_version 3\n vrrp_garp_master_repeat 5\n{globals}}}\n{file}\
         vrrp_instance vip {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n \
         priority {priority}\n advert_int {}\n virtual_ipaddress {{\n {}\n }}\n{more}{track}}}\n{}",
        setting.interval.as_secs_f64(),
        vip_with_prefix(setting.family),
        setting.keepalived
    )
}
