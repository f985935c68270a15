//! Heartbeats that must not be trusted change nothing, and are counted.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use caribe::cluster::{Claim, Codec, Fitness, Heartbeat, Keys, Role, Settings, Standing};
use caribe::config::{self, HostFacts};
use lab::client::Load;
use lab::farm::{self, service_address};
use lab::{Director, Family, Farm, Host, Mode, SOON, kernel_test, until};

/// The key that the farm's directors share.
const KEY: [u8; 32] = [0x6b; 32];

/// Makes datagrams as the director `node` of the farm would, signed with `key`.
fn codec(node: &str, key: &[u8]) -> (Codec, Settings) {
    let text = farm::config(Mode::Direct, Family::V4, &farm::Settings::default());
    let loaded = config::parse(&text, "farm.toml", &HostFacts::unchecked())
        .map_err(|report| report.render(config::Style::Plain))
        .expect("the farm's configuration is valid");
    let settings = Settings::new(&loaded.config, node).expect("the farm has this director");
    let codec = Codec::new(&settings, Keys::new(key, [])).expect("it fits into a heartbeat");
    (codec, settings)
}

/// What ha1 would say if it were active with a claim newer than any.
fn claim(settings: &Settings, session: u64, counter: u64) -> Heartbeat {
    let standing = Standing {
        fitness: Fitness::FULL,
        ready: true,
        preferred: false,
        declines: false,
        priority: 999,
    };
    let claim = Claim {
        role: Role::Active,
        epoch: 1_000_000,
        standing,
        owner: None,
        offer: None,
        partial: false,
    };
    Heartbeat {
        sender: settings.node.clone(),
        session,
        counter,
        clock: Duration::from_secs(counter),
        digest: settings.digest,
        stopping: false,
        answer: true,
        echoes: [].into(),
        claims: [("web".to_owned(), claim)].into(),
        stations: [].into(),
    }
}

/// Sends datagrams to a director's heartbeat port.
fn send(from: &Host, to: &str, datagrams: Vec<Vec<u8>>) {
    let to: SocketAddr = format!("{to}:539").parse().expect("it is an address");
    from.inside(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a port is free");
        for datagram in &datagrams {
            socket.send_to(datagram, to).expect("it is sent");
        }
    });
}

fn dropped(director: &Director, reason: &str) -> u64 {
    let status = director.status().unwrap_or_default();
    status["counters"]["dropped"][reason].as_u64().unwrap_or(0)
}

/// UDP payloads of a capture file (pcap-savefile(5)) of Ethernet frames with IPv4.
fn payloads(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = capture.get(24..).unwrap_or_default();
    while let Some((header, tail)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some((frame, tail)) = tail.split_at_checked(length) else {
            break;
        };
        found.push(frame[42..].to_vec());
        rest = tail;
    }
    found
}

/// A client of the group, once it is served.
fn load(farm: &Farm) -> Load {
    let load = farm.client.load(farm.vip);
    until("the client is served", SOON, || {
        load.report().servers.len() == 3
    });
    load
}

/// Waits until requests that begin from now on are served by every server, and none has failed
/// since `from` but for those that only took too long: the machine may be busy.
#[track_caller]
fn assert_served(load: &Load, from: Instant) {
    let start = Instant::now();
    until("the client is served on", SOON, || {
        load.since(start).servers.len() == 3 && load.have_ended(start)
    });
    let mut faults = load.since(from).faults;
    faults.retain(|what, _| !what.contains("within"));
    assert!(faults.is_empty(), "{faults:?}");
}

kernel_test! {
    fn forged_heartbeats_change_nothing(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        let ha1 = service_address(Family::V4, 11);
        let ha2 = service_address(Family::V4, 12);
        let epoch = farm.ha1.status().expect("ha1 answers")["groups"][0]["epoch"].clone();
        let load = load(&farm);
        let from = Instant::now();

        // Signed with another key, sent from anywhere and from a director's own host.
        let (stranger, settings) = codec("ha1", &[0x2a; 32]);
        let forged: Vec<Vec<u8>> =
            (1..=20).map(|n| stranger.encode(0, &claim(&settings, 7, n))).collect();
        send(&farm.client, &ha2, forged.clone());
        send(&farm.ha1.host, &ha2, forged);
        until("the wrong key is counted", SOON, || dropped(&farm.ha2, "key") == 40);

        // Our key id, but no key; cut short; too long; nonsense.
        let (ours, settings) = codec("ha1", &KEY);
        let good = ours.encode(0, &claim(&settings, 7, 1));
        let mut unsigned = good.clone();
        *unsigned.last_mut().expect("it is not empty") ^= 1;
        let mut cut = good.clone();
        cut.truncate(40);
        let mut long = good.clone();
        long.resize(1600, 0);
        send(&farm.client, &ha2, vec![unsigned, cut, long, b"hello".to_vec(), Vec::new()]);
        until("the wrong signature is counted", SOON, || dropped(&farm.ha2, "signature") == 1);
        until("wrong lengths are counted", SOON, || {
            dropped(&farm.ha2, "length") + dropped(&farm.ha2, "version") == 4
        });

        // Even with the right key: a session that has never echoed ours proves nothing.
        let unproven: Vec<Vec<u8>> =
            (1..=20).map(|n| ours.encode(0, &claim(&settings, 7, n))).collect();
        send(&farm.client, &ha2, unproven.clone());
        // To the one that it claims to be, it is a reflection.
        send(&farm.client, &ha1, unproven);
        until("the reflection is counted", SOON, || dropped(&farm.ha1, "reflected") == 20);
        until("the unproven are counted", SOON, || dropped(&farm.ha2, "unproven") >= 20);

        assert_served(&load, from);
        assert_eq!(farm.active().name(), "ha1");
        for director in [&farm.ha1, &farm.ha2] {
            let status = director.status().expect("it answers");
            assert_eq!(status["groups"][0]["epoch"], epoch);
            let alive = |d: &serde_json::Value| d["liveness"] == "alive";
            assert!(status["directors"].as_array().is_some_and(|all| all.iter().all(alive)));
        }
    }

    fn replayed_heartbeats_keep_nobody_alive_and_kill_nobody(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let sniffer = farm.ha2.host.spawn(&[
            "tcpdump", "-U", "-i", "eth0", "-w", "/run/caribe/heard.pcap",
            "udp port 539 and src host 192.0.2.11",
        ]);
        until("tcpdump listens", SOON, || sniffer.log().contains("listening on"));
        farm.start_pair();
        let capture = farm.ha2.host.path("/run/caribe/heard.pcap");
        let heard = || payloads(&std::fs::read(&capture).unwrap_or_default());
        until("some heartbeats are recorded", SOON, || heard().len() > 30);

        // While their sender lives, and after its death.
        let load = load(&farm);
        let from = Instant::now();
        let ha2 = service_address(Family::V4, 12);
        let recorded = heard();
        send(&farm.client, &ha2, recorded.clone());
        until("the replay is counted", SOON, || {
            dropped(&farm.ha2, "replayed") >= recorded.len() as u64 / 2
        });
        assert_served(&load, from);
        assert_eq!(farm.active().name(), "ha1");

        farm.ha1.host.sh("ip link set eth0 down");
        farm.ha2.wait_active("web", SOON);
        let from = Instant::now();
        until("the client is served by ha2", SOON, || load.since(from).servers.len() == 3);
        let from = Instant::now();
        let before = dropped(&farm.ha2, "replayed");
        for _ in 0..10 {
            send(&farm.client, &ha2, recorded.clone());
        }
        until("all of it is counted", SOON, || dropped(&farm.ha2, "replayed") > before);
        let status = farm.ha2.status().expect("ha2 answers");
        assert_eq!(status["directors"][0]["liveness"], "dead");
        assert!(farm.ha2.is_active("web"));
        assert_served(&load, from);

        // A new run of the dead director is not displaced by its former session.
        farm.ha1.kill();
        farm.ha1.host.sh("ip link set eth0 up");
        farm.ha1.start();
        until("ha1 is heard again", SOON, || {
            let status = farm.ha2.status().unwrap_or_default();
            status["directors"][0]["liveness"] == "alive"
        });
        let from = Instant::now();
        for _ in 0..10 {
            send(&farm.client, &ha2, recorded.clone());
        }
        let status = farm.ha2.status().expect("ha2 answers");
        assert_eq!(status["directors"][0]["liveness"], "alive");
        assert_served(&load, from);
        assert_eq!(farm.active().name(), "ha2");
    }
}
