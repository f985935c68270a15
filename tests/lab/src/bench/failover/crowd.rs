//! A handover and a failback on purpose, while many connections are made and some last.
//!
//! Behind the directors are real servers, to which packets are forwarded directly. Both peers tell
//! the other director of their connections and choose servers by a hash of the client, so that
//! either could go on with every connection.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::client::Load;
use lab::farm::RealServer;
use lab::traffic::Echo;
use lab::transfers::{Depot, Transfers};
use lab::{Family, Lab, Mode, wait};

use super::super::say;
use super::client::{Client, ECHO, Missed};
use super::pair::{Daemon, LIMIT, Pair, Peer, Setting, vip};

/// From one new connection to the next.
const PACE: Duration = Duration::from_millis(5);
/// Downloads, and uploads.
const TRANSFERS: usize = 4;
/// Where the web and the transfers are.
const WEB: u16 = 80;
const DEPOT: u16 = 81;
/// Everybody is served for so long before, between and after.
const STRETCH: Duration = Duration::from_secs(3);
/// What a director needs of its kernel to go on with a connection that it has not seen begin. The
/// first is for packets that are there before the news, the others make the news come at once
/// (ipvs-sysctl.rst of the kernel).
const SYSCTLS: [(&str, &str); 4] = [
    ("sloppy_tcp", "1"),
    ("sync_threshold", "3 0"),
    ("sync_refresh_period", "10"),
    ("sync_retries", "1"),
];

/// Nothing of IPVS remains after these.
const CLEARING: [&[&str]; 3] = [
    &["ipvsadm", "-C"],
    &["ipvsadm", "--stop-daemon", "master"],
    &["ipvsadm", "--stop-daemon", "backup"],
];

/// What clients missed while a group went there and back.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    datagrams: Missed,
    connections: usize,
    failed: usize,
    broken: usize,
    /// What went wrong, for people.
    faults: String,
}

/// A pair with servers behind it.
struct Crowd<'a> {
    pair: &'a Pair,
    servers: Vec<RealServer>,
    /// What runs on them beside the web.
    _services: Vec<(Echo, Depot)>,
}

/// What clients do at once.
struct Clients {
    datagrams: Client,
    load: Load,
    transfers: Transfers,
}

impl Pair {
    /// Lets each peer hand its VIP over and take it back, so many times; returns lines of a table.
    pub(super) fn crowded(
        &self,
        lab: &Lab,
        runs: usize,
        interval: Duration,
    ) -> Result<String, String> {
        let mut crowd = Crowd::new(lab, self)?;
        let setting = Setting {
            more: caribe(&crowd.servers),
            keepalived: keepalived(&crowd.servers),
            ..Setting::of(interval)
        };
        let mut seen: Vec<(Peer, Seen)> = Vec::new();
        for run in 0..runs {
            for peer in [Peer::Keepalived, Peer::Caribe] {
                let one = crowd
                    .there_and_back(peer, &setting)
                    .map_err(|why| format!("{peer:?}: {why}"))?;
                say(&format!("there and back {peer:?} {run}: {}", one.text()));
                seen.push((peer, one));
            }
        }
        for server in &mut crowd.servers {
            server.kill();
        }
        let mut table = format!(
            "handover and failback, {:.0} connections a second, {TRANSFERS} downloads and as many \
             uploads, {runs} runs:\n",
            1.0 / PACE.as_secs_f64()
        );
        for peer in [Peer::Keepalived, Peer::Caribe] {
            let all = seen.iter().filter(|(of, _)| *of == peer);
            let all: Vec<Seen> = all.map(|(_, seen)| seen.clone()).collect();
            let _ = writeln!(table, "{peer:?}: {}", summary(&all));
        }
        Ok(table)
    }

    /// Moves the VIP from the first director to the second, or back, as an operator would.
    fn move_vip(&self, daemons: &[Daemon; 2], back: bool) -> Result<(), String> {
        daemons[usize::from(back)].give_away(&daemons[0], back);
        let [from, to] = if back { [1, 0] } else { [0, 1] };
        let moved = wait::holds_within(LIMIT, &mut || {
            self.directors[to].has_address(vip(Family::V4))
                && !self.directors[from].has_address(vip(Family::V4))
        });
        moved
            .then_some(())
            .ok_or_else(|| "the VIP did not move".to_owned())
    }
}

impl<'a> Crowd<'a> {
    fn new(lab: &Lab, pair: &'a Pair) -> Result<Self, String> {
        let servers = RealServer::all(lab, Mode::Direct, Family::V4, &pair.switch, &pair.switch);
        let vip = |port| SocketAddr::new(vip(Family::V4), port);
        let not = |what: &str, error| format!("no {what} on a real server: {error}");
        let services = servers.iter().map(|server| {
            let echo = server.host.echo(vip(ECHO)).map_err(|e| not("echo", e))?;
            let depot = server.host.depot(vip(DEPOT)).map_err(|e| not("depot", e))?;
            Ok((echo, depot))
        });
        let services = services.collect::<Result<_, String>>()?;
        for host in &pair.directors {
            host.sysctl("net/ipv4/ip_forward", "1");
        }
        Ok(Self {
            pair,
            servers,
            _services: services,
        })
    }

    fn there_and_back(&self, peer: Peer, setting: &Setting) -> Result<Seen, String> {
        for host in &self.pair.directors {
            for (name, value) in SYSCTLS {
                host.sysctl(&format!("net/ipv4/vs/{name}"), value);
            }
        }
        let mut daemons = self.pair.start(peer, setting).ok_or("did not start")?;
        let seen = self.watch(&daemons);
        self.pair.end(&mut daemons);
        for host in &self.pair.directors {
            // What whoever is killed leaves, if anything.
            for argv in CLEARING {
                let _ = host.exec(argv);
            }
        }
        seen
    }

    fn watch(&self, daemons: &[Daemon; 2]) -> Result<Seen, String> {
        let rows = self.servers.len() * 3;
        let ready = wait::holds_within(LIMIT, &mut || {
            self.pair.directors.iter().all(|host| {
                let table = host.exec(&["ipvsadm", "-L", "-n"]).stdout;
                table.matches("-> 192.0.2.").count() >= rows
            })
        });
        if !ready {
            return Err("the tables are not complete".to_owned());
        }
        let clients = Clients::start(self.pair)?;
        let served = clients.go_on("before").and_then(|()| {
            self.pair.move_vip(daemons, false)?;
            clients.go_on("after the handover")?;
            self.pair.move_vip(daemons, true)?;
            clients.go_on("after the failback")
        });
        let seen = clients.end();
        served.map(|()| seen)
    }
}

impl Clients {
    fn start(pair: &Pair) -> Result<Self, String> {
        let vip = |port| SocketAddr::new(vip(Family::V4), port);
        let transfers = pair.client.transfer(vip(DEPOT), TRANSFERS);
        Ok(Self {
            transfers: transfers.map_err(|error| format!("no transfer: {error}"))?,
            datagrams: Client::start(&pair.client, vip(ECHO)),
            load: pair.client.load_every(PACE, vip(WEB)),
        })
    }

    /// Waits for a while, and until everything has been served in it.
    fn go_on(&self, when: &str) -> Result<(), String> {
        let (begin, answers) = (Instant::now(), self.datagrams.answers());
        let bytes = self.transfers.bytes();
        let goes_on = wait::holds_within(LIMIT, &mut || {
            begin.elapsed() > STRETCH
                && self.load.since(begin).requests > 100
                && self.datagrams.answers() > answers + 1000
                && self.transfers.bytes() > bytes + 1_000_000
        });
        let missing = || format!("not everybody was served {when}");
        goes_on.then_some(()).ok_or_else(missing)
    }

    fn end(self) -> Seen {
        let report = self.load.report();
        let broken = self.transfers.end();
        Seen {
            datagrams: self.datagrams.stop(),
            connections: report.requests,
            failed: report.lost,
            broken: broken.len(),
            faults: format!("{:?} {broken:?}", report.faults),
        }
    }
}

impl Seen {
    fn text(&self) -> String {
        format!(
            "{} packets of 0.5 ms lost, {:.1} ms without at most; {} of {} connections failed; {} of \
             {} transfers broke; {}",
            self.datagrams.packets,
            self.datagrams.gap.as_secs_f64() * 1e3,
            self.failed,
            self.connections,
            self.broken,
            TRANSFERS * 2,
            self.faults
        )
    }
}

/// Median and worst of what was missed.
fn summary(all: &[Seen]) -> String {
    let figure = |of: fn(&Seen) -> f64| {
        let mut figures: Vec<f64> = all.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.get(figures.len() / 2).copied().unwrap_or_default();
        let worst = figures.last().copied().unwrap_or_default();
        format!("{middle:.0}, at worst {worst:.0}")
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
    let parts = [
        figure(|seen| seen.datagrams.packets as f64),
        figure(|seen| seen.failed as f64),
        figure(|seen| seen.broken as f64),
        figure(|seen| seen.datagrams.gap.as_secs_f64() * 1e3),
    ];
    let [packets, failed, broken, gap] = parts;
    format!(
        "packets lost {packets}; connections failed {failed}; transfers broken {broken}; ms without \
         an answer {gap}"
    )
}

fn caribe(servers: &[RealServer]) -> String {
    let mut text = "[ipvs.sync]\ninterface = \"eth0\"\n[ipvs.sysctl]\nsloppy_tcp = 1\n".to_owned();
    for (port, protocol) in [(WEB, "tcp"), (DEPOT, "tcp"), (ECHO, "udp")] {
        let _ = write!(
            text,
            "[[virtual]]\nname = \"v{port}\"\ngroup = \"vip\"\naddress = \"192.0.2.80\"\n\
             port = {port}\nprotocol = \"{protocol}\"\nscheduler = \"mh\"\nforward = \"direct\"\n\
             probe = {{ tcp = true, port = 80, interval = \"1s\", timeout = \"900ms\" }}\n"
        );
        for server in servers {
            let _ = write!(
                text,
                "[[virtual.server]]\naddress = \"{}\"\n",
                server.address
            );
        }
    }
    text
}

fn keepalived(servers: &[RealServer]) -> String {
    let mut text = String::new();
    for (port, protocol) in [(WEB, "TCP"), (DEPOT, "TCP"), (ECHO, "UDP")] {
        let _ = write!(
            text,
            "virtual_server 192.0.2.80 {port} {{\n delay_loop 1\n lvs_sched mh\n lvs_method DR\n \
             protocol {protocol}\n"
        );
        for server in servers {
            let _ = write!(
                text,
                " real_server {} {port} {{\n  TCP_CHECK {{\n   connect_port 80\n   \
                 connect_timeout 1\n  }}\n }}\n",
                server.address
            );
        }
        text.push_str("}\n");
    }
    text
}
