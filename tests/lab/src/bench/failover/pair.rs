//! Two directors on one network, with keepalived or caribe on both.

use std::net::Ipv4Addr;
use std::time::Duration;

use lab::farm::service_address;
use lab::{Cable, Family, Host, Lab, Process, director, wait};
use rustix::process::Signal;

/// What a start, or a takeover, may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

const KEEPALIVED: &str = "/run/caribe/keepalived.conf";
const KEEPALIVED_CHILD: &str = "/run/caribe/v.pid";

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
    /// So many of them missing mean death.
    pub(super) misses: u32,
    /// VIPs beside the one that the client asks.
    pub(super) more_vips: u32,
    /// More of caribe's configuration.
    pub(super) more: String,
}

impl Setting {
    pub(super) fn of(interval: Duration) -> Self {
        Self {
            interval,
            misses: 3,
            more_vips: 0,
            more: String::new(),
        }
    }
}

/// Two directors and a client.
pub(super) struct Pair {
    pub(super) directors: [Host; 2],
    pub(super) cables: [Cable; 2],
    pub(super) client: Host,
    pub(super) vip: Ipv4Addr,
}

/// A daemon with all its processes.
pub(super) struct Daemon {
    pub(super) host: Host,
    pub(super) process: Process,
    peer: Peer,
}

/// VIP number `index` of those beside the one that the client asks.
pub(super) fn more_vip(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from_be_bytes([10, 77, 0, 1]) + index)
}

impl Pair {
    pub(super) fn new(lab: &Lab) -> Self {
        let switch = lab.bridge("service");
        let address = |last| format!("{}/24", service_address(Family::V4, last));
        let client = lab.host("client");
        client.connect(&switch, "eth0", &[&address(100)]);
        let directors = [1, 2].map(|n| lab.host(&format!("ha{n}")));
        let cables = [0, 1].map(|i| {
            let last = if i == 0 { 11 } else { 12 };
            directors[i].connect(&switch, "eth0", &[&address(last)])
        });
        for host in &directors {
            host.write(director::KEY, 0o600, &"6b".repeat(32));
        }
        Self {
            directors,
            cables,
            client,
            vip: Ipv4Addr::new(192, 0, 2, 80),
        }
    }

    /// Starts both daemons and waits until the first has all VIPs, and the second none.
    pub(super) fn start(&self, peer: Peer, setting: &Setting) -> Option<[Daemon; 2]> {
        let mut daemons = [0, 1].map(|i| self.start_one(peer, i, setting));
        let [first, second] = &self.directors;
        let last = match setting.more_vips {
            0 => self.vip,
            more => more_vip(more - 1),
        };
        let served = wait::holds_within(LIMIT, &mut || {
            first.has_address(self.vip.into())
                && first.has_address(last.into())
                && !second.has_address(self.vip.into())
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
                host.spawn(&[
                    "keepalived",
                    "--dont-fork",
                    "--log-console",
                    "--vrrp",
                    "--use-file",
                    KEEPALIVED,
                    "--pid",
                    "/run/caribe/k.pid",
                    "--vrrp_pid",
                    KEEPALIVED_CHILD,
                ])
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

    fn children(&self) -> Vec<String> {
        match self.peer {
            Peer::Caribe => Vec::new(),
            Peer::Keepalived => {
                let read = self.host.exec(&["cat", KEEPALIVED_CHILD]);
                vec![read.stdout.trim().to_owned()]
            }
        }
    }

    /// Processor time that all its processes have used, in user and in kernel mode, as far as the
    /// kernel counts it.
    pub(super) fn processor(&self) -> Duration {
        let pid = self.process.pid().to_string();
        let found = self.host.exec(&["pgrep", "-P", &pid]);
        let all = std::iter::once(pid.as_str()).chain(found.stdout.lines());
        all.map(used).sum()
    }
}

/// Of one process with all its threads.
fn used(pid: &str) -> Duration {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", pid.trim())) else {
        return Duration::ZERO;
    };
    threads
        .flatten()
        .filter_map(|thread| {
            // Nanoseconds on the processor (Documentation/scheduler/sched-stats.rst); ticks would
            // be too coarse.
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let nanos = text.split(' ').next()?.parse().ok()?;
            Some(Duration::from_nanos(nanos))
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
                service_address(Family::V4, *last)
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
         vips = [{{ address = \"192.0.2.80/24\", interface = \"eth0\" }}{more}]\n{}",
        director::KEY,
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
    format!(
        "global_defs {{\n vrrp_version 3\n vrrp_garp_master_repeat 5\n}}\n\
         vrrp_instance vip {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n \
         priority {priority}\n advert_int {}\n virtual_ipaddress {{\n 192.0.2.80/24\n }}\n{more}}}\n",
        setting.interval.as_secs_f64()
    )
}
