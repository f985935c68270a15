//! A process without free descriptors: alone in its file, because the limit is the process's.

use std::fs::File;
use std::time::{Duration, Instant};

use probes::kinds::udp::{Reply, Udp};
use probes::spec::ProbeKind;
use probes::{Health, Limits, ProbeSpec, Runner, Target};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

#[tokio::test]
async fn a_process_without_descriptors_keeps_its_verdicts_and_says_why() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(64),
            maximum,
        },
    )
    .unwrap();

    // Each question takes a socket of its own; over TCP one is there already, from the last.
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let answers = tokio::spawn(async move {
        let mut question = [0; 16];
        while let Ok((length, from)) = server.recv_from(&mut question).await {
            let _ = server.send_to(&question[..length], from).await;
        }
    });
    let kind = ProbeKind::Udp(Udp {
        send: b"there?".to_vec(),
        expect: Reply::With(Vec::new()),
    });
    let spec = ProbeSpec {
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(30),
        fall: 1,
        ..ProbeSpec::new(kind)
    };
    let start = Instant::now();
    let (runner, mut verdicts) = Runner::spawn(&Handle::current(), Limits::default(), move || {
        start.elapsed()
    });
    runner.set_targets([Target::new(address, spec)].into());
    assert_eq!(verdicts.recv().await.unwrap()[0].health, Health::Up);

    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let verdict = &verdicts.recv().await.unwrap()[0];
    assert_eq!(
        verdict.health,
        Health::Up,
        "it says nothing about the server"
    );
    assert_eq!(
        verdict.reason.as_ref().unwrap().to_string(),
        "the probe could not run: too many open files in this process"
    );

    drop(taken);
    let verdict = &verdicts.recv().await.unwrap()[0];
    assert_eq!((verdict.health, &verdict.reason), (Health::Up, &None));
    assert!(runner.stats().not_run > 0);
    answers.abort();
}
