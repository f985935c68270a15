//! `HAProxy` beside a probe: the same agent answers both, and both must come to the same.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use probes::kinds::agent::Agent;
use probes::spec::ProbeKind;
use probes::{ProbeSpec, Shared, Target, Weight};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::process::Place;

/// What agents say.
const LINES: [&str; 28] = [
    "up",
    "ready",
    "UP",
    "100%",
    "75%",
    "up 75%",
    "75%,up,ready",
    "200%",
    "0%",
    "drain",
    "drain 75%",
    "75% drain",
    "50% 75%",
    "drain ready",
    "drain ready 75%",
    "ready drain",
    "maint ready",
    "down up",
    "up down",
    "drain down",
    "75%,maxconn:30,maint,down",
    "up maxconn:30",
    "maint",
    "maint #tonight",
    "down",
    "down #disk full",
    "fail",
    "stopped # for ever",
];

/// What a server's configured weight of 100 comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comes {
    To(u32),
    Down,
}

#[tokio::test]
async fn haproxy_and_a_probe_come_to_the_same_by_an_agents_line() {
    let place = Place::new(9000);
    let agent = agent(&place).await;
    let mut servers = String::new();
    for (number, line) in LINES.iter().enumerate() {
        writeln!(
            servers,
            "  server s{number} 192.0.2.1:80 weight 100 agent-check agent-inter 50ms \
             agent-addr {} agent-port {} agent-send '{line}'\\n",
            agent.ip(),
            agent.port(),
        )
        .unwrap();
    }
    let stats = place.path("stats");
    let settings = place.write(
        "haproxy.cfg",
        &format!(
            "global\n  stats socket {stats} level admin\n\
             defaults\n  mode tcp\n  timeout connect 30s\n  timeout client 30s\n  timeout server 30s\n\
             frontend f\n  bind {address}\n  default_backend b\n\
             backend b\n{servers}",
            stats = stats.display(),
            address = place.address,
        ),
    );
    let mut command = place.command("/usr/sbin/haproxy");
    command.args(["-db", "-f", &settings]);
    let _server = place.start_listening(&mut command);

    let told = async {
        loop {
            if let Some(told) = told_by_haproxy(&stats) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), told).await;
    let told = told.expect("HAProxy has heard all agents");
    for (line, (status, haproxy)) in LINES.iter().zip(told) {
        assert_eq!(
            told_by_probe(agent, line).await,
            haproxy,
            "{line}: {status}"
        );
    }
}

/// An agent that says what it is asked to.
async fn agent(place: &Place) -> SocketAddr {
    let listener = TcpListener::bind((place.address.ip(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let _ = stream.read_line(&mut line).await;
                let _ = stream.write_all(line.as_bytes()).await;
            });
        }
    });
    address
}

async fn told_by_probe(agent: SocketAddr, line: &str) -> Comes {
    let spec = ProbeSpec {
        timeout: Duration::from_secs(30),
        ..ProbeSpec::new(ProbeKind::Agent(Agent {
            send: format!("{line}\n").into_bytes(),
        }))
    };
    let report = probes::probe(&Target::new(agent, spec), &Shared::default()).await;
    match report.result {
        Ok(answer) => match answer.weight {
            None => Comes::To(100),
            Some(Weight::Percent(share)) => Comes::To(share),
            Some(Weight::Exactly(weight)) => panic!("an exact weight of {weight}"),
        },
        Err(failure) => {
            let reason = failure.to_string();
            assert!(reason.starts_with("its agent says: "), "{line}: {reason}");
            Comes::Down
        }
    }
}

/// What its statistics say of each server ("show stat" in its Management Guide), once every agent has
/// answered.
fn told_by_haproxy(socket: &Path) -> Option<Vec<(String, Comes)>> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"show stat\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let column = |name: &str| head.iter().position(|it| *it == name).unwrap();
    let [name, status, weight, answered] =
        ["svname", "status", "weight", "agent_status"].map(column);
    let mut told = Vec::new();
    for server in lines.filter(|line| line.get(name).is_some_and(|it| it.starts_with('s'))) {
        // Before that it is "INI", and there is a star before it while the agent is asked.
        if !["CHECKED", "L7OK", "L7STS"].contains(&server[answered]) {
            return None;
        }
        let comes = match server[status].split(' ').next() {
            Some("MAINT" | "DOWN") => Comes::Down,
            Some("DRAIN") => Comes::To(0),
            Some("UP" | "no") => Comes::To(server[weight].parse().unwrap()),
            other => panic!("{other:?} in {text}"),
        };
        told.push((server[status].to_owned(), comes));
    }
    assert_eq!(told.len(), LINES.len(), "{text}");
    Some(told)
}
