//! The scheduler `mh`: which server a client reaches depends on the configuration's meaning alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use caribe::config::model::Config;
use caribe::config::{self, HostFacts};
use caribe::health::Health;
use caribe::lvs::desired;
use ipvs::connections::connections;
use ipvs::{Client, Kernel, plan};
use lab::{Host, Lab, kernel_test};

const CLIENTS: u32 = 1000;
const SERVERS: u8 = 12;

/// A configuration that lists its servers in the order given; weights go with the server.
fn configuration(order: &[u8], on_failure: &str) -> Arc<Config> {
    let mut text = format!(
        r#"
        [cluster]
        name = "t"
        keys = ["/k"]
        [[director]]
        name = "ha1"
        paths = [{{ udp = "192.0.2.11" }}]
        [[group]]
        name = "web"
        vips = [{{ address = "192.0.2.80/24", interface = "eth0" }}]
        [[virtual]]
        name = "www"
        group = "web"
        address = "192.0.2.80"
        port = 53
        protocol = "udp"
        scheduler = "mh"
        forward = "nat"
        on_failure = "{on_failure}"
        probe = {{ tcp = true }}
        "#
    );
    for last in order {
        let weight = 1 + last % 3;
        text.push_str(&format!(
            "[[virtual.server]]\naddress = \"10.0.1.{last}\"\nweight = {weight}\n"
        ));
    }
    config::parse(&text, "t.toml", &HostFacts::unchecked())
        .map_err(|report| report.render(config::Style::Plain))
        .expect("a good configuration")
        .config
}

/// A director of its own network, with all clients and servers behind one neighbour each.
struct Director {
    host: Host,
    client: Host,
    config: Arc<Config>,
    down: BTreeSet<u8>,
    asked: u16,
}

impl Director {
    fn new(lab: &Lab, name: &str, config: Arc<Config>) -> Self {
        let switch = lab.bridge(&format!("{name}-net"));
        let host = lab.host(name);
        let client = lab.host(&format!("{name}-c"));
        host.connect(&switch, "eth0", &["192.0.2.80/24"]);
        client.connect(&switch, "eth0", &["192.0.2.1/24"]);
        host.sysctl("net/ipv4/ip_forward", "1");
        // Every client is this one host, and every server too; nobody has to answer.
        host.ip(&["route add 10.0.0.0/8 via 192.0.2.1".to_owned()]);
        client.ip(&["route add local 10.9.0.0/16 dev lo".to_owned()]);
        Self {
            host,
            client,
            config,
            down: BTreeSet::new(),
            asked: 0,
        }
    }

    /// Programs the table for the servers that are up now, as the daemon does.
    fn program(&self, unknown: bool) {
        let health = |_: &str, at: SocketAddr| match at.ip() {
            IpAddr::V4(address) if self.down.contains(&address.octets()[3]) => Health::Down,
            _ if unknown => Health::Unknown,
            _ => Health::Up,
        };
        self.host.inside(|| {
            let mut kernel = Client::open().expect("the kernel has IPVS");
            let adopted = kernel.table().expect("the table can be read");
            let wanted = desired(&self.config, health, &adopted, &BTreeSet::new());
            let listing = kernel.listing().expect("the table can be read");
            let changes = plan(&wanted, &listing, &BTreeSet::new());
            for outcome in kernel.apply(&changes).expect("changes can be sent") {
                assert_eq!(outcome, Ok(()));
            }
        });
    }

    fn fails(&mut self, last: u8) {
        self.down.insert(last);
        self.program(false);
    }

    fn returns(&mut self, last: u8) {
        self.down.remove(&last);
        self.program(false);
    }

    /// The server of each of the clients, from the kernel's list of connections.
    fn served_by(&mut self) -> BTreeMap<IpAddr, IpAddr> {
        self.asked += 1;
        let port = 20_000 + self.asked;
        self.client.inside(|| {
            for number in 0..CLIENTS {
                let own = Ipv4Addr::from_bits(0x0a09_0001 + number);
                let socket = UdpSocket::bind((own, port)).expect("any local address will do");
                let _ = socket.send_to(b"?", "192.0.2.80:53");
            }
        });
        self.host.inside(|| {
            connections()
                .expect("the kernel lists connections")
                .map(|connection| connection.expect("a connection"))
                .filter(|connection| connection.client.port() == port)
                .map(|connection| (connection.client.ip(), connection.destination.ip()))
                .collect()
        })
    }
}

/// Two directors with the same servers in different orders, and different pasts.
fn one_table(lab: &Lab, on_failure: &str) {
    let forward: Vec<u8> = (21..21 + SERVERS).collect();
    let mut shuffled = forward.clone();
    shuffled.rotate_left(5);
    shuffled.swap(0, 7);
    let mut one = Director::new(lab, "d1", configuration(&forward, on_failure));
    let mut two = Director::new(lab, "d2", configuration(&shuffled, on_failure));

    // One starts while all is well, the other before it knows anything, with a server down.
    one.program(false);
    two.down.insert(27);
    two.program(true);
    two.program(false);
    for last in [21, 30, 25] {
        one.fails(last);
    }
    one.returns(30);
    one.returns(21);
    for last in [32, 21] {
        two.fails(last);
    }
    two.returns(27);
    two.returns(21);
    two.returns(32);
    two.fails(25);

    let (first, second) = (one.served_by(), two.served_by());
    assert_eq!(
        differences(&first, &second),
        0,
        "{on_failure}: one server is down"
    );
    let server: IpAddr = [10, 0, 1, 25].into();
    assert!(first.values().all(|reached| *reached != server));

    one.returns(25);
    two.returns(25);
    let (before, second) = (one.served_by(), two.served_by());
    assert_eq!(before.len(), CLIENTS as usize, "every client is served");
    assert_eq!(differences(&before, &second), 0, "{on_failure}: all are up");
    let servers: BTreeSet<_> = before.values().collect();
    assert_eq!(servers.len(), usize::from(SERVERS), "every server serves");

    // A server that goes and comes back finds its own clients, and nobody else lost any.
    one.fails(23);
    let without = one.served_by();
    let moved = without
        .iter()
        .filter(|(client, server)| before[*client] != **server)
        .filter(|(client, _)| before[*client] != IpAddr::from([10, 0, 1, 23]));
    let moved = moved.count();
    one.returns(23);
    assert_eq!(
        differences(&before, &one.served_by()),
        0,
        "{on_failure}: all are back"
    );
    if on_failure == "quiesce" {
        assert_eq!(moved, 0);
    }
}

fn differences(one: &BTreeMap<IpAddr, IpAddr>, two: &BTreeMap<IpAddr, IpAddr>) -> usize {
    let keys: BTreeSet<_> = one.keys().chain(two.keys()).collect();
    keys.iter()
        .filter(|key| one.get(**key) != two.get(**key))
        .count()
}

kernel_test! {
    fn clients_reach_the_same_servers_where_failed_ones_are_removed(lab) {
        one_table(lab, "remove");
    }

    fn clients_reach_the_same_servers_where_failed_ones_are_quiesced(lab) {
        one_table(lab, "quiesce");
    }
}
