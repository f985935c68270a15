//! Plans on the kernel: they end where they should, and no connection is lost on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use fastrand::Rng;
use ipvs::{
    Client, Destination, DestinationKey, Encapsulation, Entry, Forwarding, Granularity, Kernel,
    Protocol, Service, ServiceKey, Table, plan,
};
use lab::{Host, Lab, kernel_test};

use crate::random;

const PATIENCE: Duration = Duration::from_secs(1);

/// A table that the kernel takes, of things that are also in others.
fn table(rng: &mut Rng) -> Table {
    (0..rng.u8(..9))
        .map(|_| {
            let key = match random::service_key(rng) {
                ServiceKey::FwMark { mark: 0, ipv6 } => ServiceKey::FwMark { mark: 3, ipv6 },
                other => other,
            };
            let mut service = random::service(rng);
            // Nearly half have the scheduler that a plan takes most care of.
            service.scheduler = if random::percent(rng, 40) {
                "mh".to_owned()
            } else {
                random::one_of(rng, &random::SCHEDULERS).to_owned()
            };
            if let Some(persistence) = &mut service.persistence
                && let Granularity::Prefix(length) = &mut persistence.granularity
            {
                *length = (*length).clamp(1, 128);
            }
            service.engine = random::percent(rng, 20).then(|| "sip".to_owned());
            let destinations = (0..rng.u8(..9)).map(|_| destination(rng, key)).collect();
            let entry = Entry {
                service,
                destinations,
            };
            (key, entry)
        })
        .collect()
}

fn destination(rng: &mut Rng, service: ServiceKey) -> (DestinationKey, Destination) {
    let mut key = random::destination_key(rng);
    while !is_host(key.address) {
        key = random::destination_key(rng);
    }
    let mut destination = random::destination(rng);
    if key.address.is_ipv6() != service.is_ipv6() {
        destination.forwarding = Forwarding::Tunnel;
    }
    destination.weight = random::one_of(rng, &[0, 0, 1, 2, 5, 65_535]);
    if destination.weight == 0 {
        destination.resting_weight = Some(random::one_of(rng, &[1, 2, 5]));
    }
    destination.upper_threshold = destination.upper_threshold.max(destination.lower_threshold);
    if let Encapsulation::Gue { port: 0, flags } = destination.encapsulation {
        destination.encapsulation = Encapsulation::Gue { port: 6080, flags };
    }
    (key, destination)
}

fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => [10, 127].contains(&address.octets()[0]),
        IpAddr::V6(address) => {
            [0x2001, 0].contains(&address.segments()[0]) && {
                let mapped = address.to_ipv4_mapped().is_some();
                !(mapped || address.is_unspecified())
            }
        }
    }
}

/// Makes the kernel's table `wanted`, every service being ours.
fn bring_about(kernel: &mut Client, wanted: &Table, what: &str) {
    let listing = kernel.listing().expect("the table can be read");
    let owned: BTreeSet<_> = listing.iter().map(|listed| listed.key).collect();
    let changes = plan(wanted, &listing, &owned);
    for outcome in kernel.apply(&changes).expect("changes can be sent") {
        assert_eq!(outcome, Ok(()), "{what}");
    }
    let listing = kernel.listing().expect("the table can be read");
    assert_eq!(plan(wanted, &listing, &owned), [], "{what}: a second plan");
}

/// Services with their destinations; for `mh` in the order that its lookup table comes from.
type Held = BTreeMap<ServiceKey, (Service, Vec<(DestinationKey, Destination)>)>;

fn held(kernel: &mut Client) -> Held {
    let listing = kernel.listing().expect("the table can be read");
    listing
        .into_iter()
        .map(|listed| {
            let servers = listed.destinations.iter();
            let mut servers: Vec<_> = servers.map(|one| (one.key, one.destination)).collect();
            if listed.service.scheduler != "mh" {
                servers.sort_unstable_by_key(|(key, _)| *key);
            }
            (listed.key, (listed.service, servers))
        })
        .collect()
}

/// A client, a director between two networks, and one host that is all servers.
struct Net {
    client: Host,
    director: Host,
}

const VIP: &str = "192.0.2.80:80";

fn net(lab: &Lab) -> Net {
    let (outside, inside) = (lab.bridge("outside"), lab.bridge("inside"));
    let [client, director, servers] = ["client", "director", "servers"].map(|name| lab.host(name));
    client.connect(&outside, "eth0", &["192.0.2.1/24"]);
    director.connect(&outside, "eth0", &["192.0.2.80/24"]);
    director.connect(&inside, "eth1", &["10.0.1.1/24"]);
    director.sysctl("net/ipv4/ip_forward", "1");
    let addresses: Vec<_> = (21..27).map(|last| format!("10.0.1.{last}/24")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    servers.connect(&inside, "eth0", &addresses);
    servers.ip(&["route add default via 10.0.1.1".to_owned()]);
    let listener = servers.inside(|| TcpListener::bind("0.0.0.0:80").expect("port 80 is free"));
    // It ends with the guest.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    // The namespaces live as long as somebody is in them.
    std::mem::forget(servers);
    Net { client, director }
}

/// Answers each byte with the last one of the address that was asked.
fn answer(mut stream: TcpStream) {
    let own = match stream.local_addr() {
        Ok(SocketAddr::V4(own)) => own.ip().octets()[3],
        _ => return,
    };
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&[own]).is_ok() {}
}

fn ask(stream: &mut TcpStream) -> std::io::Result<u8> {
    let mut byte = [0];
    stream.write_all(&byte)?;
    stream.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn web_key() -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 80].into(),
        port: 80,
    }
}

fn server(last: u8) -> DestinationKey {
    DestinationKey {
        address: [10, 0, 1, last].into(),
        port: 80,
    }
}

/// A service with some of the servers, and others that nobody uses.
fn web(rng: &mut Rng) -> Table {
    let mut table = table(rng);
    let scheduler = ["rr", "wlc", "mh", "mh", "sh", "sed"];
    let mut destinations = BTreeMap::new();
    for last in 21..27 {
        if random::percent(rng, 70) {
            let weight = rng.u32(..3);
            let destination = Destination {
                resting_weight: (weight == 0).then_some(2),
                ..Destination::new(Forwarding::Masquerade, weight)
            };
            destinations.insert(server(last), destination);
        }
    }
    let entry = Entry {
        service: Service::new(random::one_of(rng, &scheduler)),
        destinations,
    };
    table.insert(web_key(), entry);
    table
}

kernel_test! {
    /// From any table to any other, and the lookup table of `mh` is that of a new service.
    fn a_plan_ends_in_the_table_that_a_new_kernel_would_have(lab) {
        let mut rng = Rng::with_seed(7);
        let tables: Vec<_> = (0..60).map(|_| table(&mut rng)).collect();
        let old = lab.host("old").inside(|| {
            let mut kernel = Client::open().expect("the kernel has IPVS");
            let one = |(round, table)| {
                bring_about(&mut kernel, table, &format!("round {round}"));
                held(&mut kernel)
            };
            tables.iter().enumerate().map(one).collect::<Vec<_>>()
        });
        lab.host("new").inside(|| {
            let mut kernel = Client::open().expect("the kernel has IPVS");
            for (round, table) in tables.iter().enumerate() {
                kernel.command(ipvs::Command::Flush).expect("a flush");
                bring_about(&mut kernel, table, &format!("round {round}, new"));
                assert_eq!(old[round], held(&mut kernel), "round {round}: {table:?}");
            }
        });
    }

    /// Connections to a server of both tables go on, whatever else becomes different.
    fn no_connection_to_a_server_that_stays_is_lost(lab) {
        let net = net(lab);
        let mut rng = Rng::with_seed(11);
        let mut kernel = net.director.inside(|| Client::open().expect("the kernel has IPVS"));
        let mut open: Vec<(u8, TcpStream)> = Vec::new();
        let mut asked = 0;
        for round in 0..40 {
            let wanted = web(&mut rng);
            let servers = &wanted[&web_key()].destinations;
            open.retain(|(last, _)| servers.contains_key(&server(*last)));
            bring_about(&mut kernel, &wanted, &format!("round {round}"));
            for (server, stream) in &mut open {
                let answer = ask(stream).map_err(|error| error.to_string());
                assert_eq!(answer, Ok(*server), "round {round}");
                asked += 1;
            }
            for _ in 0..3 {
                // Nobody may serve now; what counts is what has begun.
                let address = VIP.parse().expect("an address");
                let connected = net
                    .client
                    .inside(|| TcpStream::connect_timeout(&address, PATIENCE));
                let Ok(mut stream) = connected else { continue };
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                if let Ok(server) = ask(&mut stream) {
                    open.push((server, stream));
                }
            }
        }
        println!("{asked} questions on connections that lasted");
        assert!(asked > 100, "only {asked}");
    }
}
