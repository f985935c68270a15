//! What the network says of probes that do not arrive.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::{Host, kernel_test};
use probes::kinds::icmp::Icmp;
use probes::kinds::udp::{Reply, Udp};
use probes::spec::{ProbeKind, Source};
use probes::{ProbeSpec, Shared, Target};

/// Asks all at once, over the same sockets; what came of each, in words.
fn ask(
    host: &Host,
    kind: &ProbeKind,
    from: [IpAddr; 2],
    to: &[IpAddr],
) -> BTreeMap<IpAddr, String> {
    let target = |to: IpAddr| {
        let from = from.into_iter().find(|it| it.is_ipv4() == to.is_ipv4());
        let spec = ProbeSpec {
            // Whoever is told at once does not need it.
            timeout: Duration::from_secs(60),
            source: Source {
                address: from,
                ..Source::default()
            },
            ..ProbeSpec::new(kind.clone())
        };
        Target::new(SocketAddr::new(to, 9), spec)
    };
    host.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let shared = Shared::default();
            let mut probes = tokio::task::JoinSet::new();
            for to in to {
                let (to, target, shared) = (*to, target(*to), shared.clone());
                probes.spawn(async move { (to, probes::probe(&target, &shared).await) });
            }
            let reports = probes.join_all().await.into_iter();
            let words = reports.map(|(to, report)| match report.result {
                Ok(_) => (to, "up".to_owned()),
                Err(failure) => (to, failure.to_string()),
            });
            words.collect()
        })
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

kernel_test! {
    fn a_probe_that_does_not_arrive_fails_at_once_with_the_reason(lab) {
        let network = lab.bridge("network");
        let [prober, router, far] = ["prober", "router", "far"].map(|name| lab.host(name));
        // A router answers an address five times in a row, and no more than once a second then
        // (`ip_error`, net/ipv4/route.c): each round comes from an address of its own.
        let _ours = prober.connect(&network, "eth0", &[
            "10.0.7.1/24",
            "10.0.7.2/24",
            "10.0.7.3/24",
            "2001:db8:7::1/64",
        ]);
        let _theirs = router.connect(&network, "eth0", &["10.0.7.254/24", "2001:db8:7::fe/64"]);
        let _beyond = far.connect(&network, "eth0", &["10.0.7.253/24", "2001:db8:7::fd/64"]);
        for host in [&router, &far] {
            for (key, value) in [
                ("net/ipv4/ip_forward", "1"),
                ("net/ipv6/conf/all/forwarding", "1"),
                ("net/ipv4/icmp_ratemask", "0"),
                ("net/ipv6/icmp/ratelimit", "0"),
            ] {
                host.sysctl(key, value);
            }
        }
        for host in [&prober, &far] {
            host.ip(&[
                "route add 198.51.100.0/24 via 10.0.7.254",
                "route add 2001:db8:8::/64 via 2001:db8:7::fe",
            ].map(str::to_owned));
        }
        // The last of each family goes round and round.
        router.ip(&[
            "route add unreachable 198.51.100.1",
            "route add prohibit 198.51.100.2",
            "route add 198.51.100.3 via 10.0.7.253",
            "route add unreachable 2001:db8:8::1",
            "route add prohibit 2001:db8:8::2",
            "route add 2001:db8:8::3 via 2001:db8:7::fd",
        ].map(str::to_owned));

        let lost = [
            ("198.51.100.1", "10.0.7.254 answers: host unreachable"),
            ("198.51.100.2", "10.0.7.254 answers: administratively prohibited"),
            ("198.51.100.3", "answers: time to live exceeded"),
            ("2001:db8:8::1", "2001:db8:7::fe answers: no route to the destination"),
            ("2001:db8:8::2", "2001:db8:7::fe answers: administratively prohibited"),
            ("2001:db8:8::3", "answers: hop limit exceeded"),
        ];
        let there = ["10.0.7.254", "2001:db8:7::fe"];
        let all: Vec<IpAddr> = lost.iter().map(|(to, _)| *to).chain(there).map(address).collect();
        let echo = ProbeKind::Icmp(Icmp);
        let quiet = ProbeKind::Udp(Udp {
            send: b"anybody?".to_vec(),
            expect: Reply::None,
        });
        // Over raw sockets, then over those that need no right.
        let nobody = "1 0";
        let everybody = "0 2147483647";
        for (kind, groups, from, at_home) in [
            (&echo, nobody, "10.0.7.1", "up"),
            (&echo, everybody, "10.0.7.2", "up"),
            (&quiet, everybody, "10.0.7.3", "port unreachable"),
        ] {
            prober.sysctl("net/ipv4/ping_group_range", groups);
            let from = [address(from), address("2001:db8:7::1")];
            let found = ask(&prober, kind, from, &all);
            for (to, expected) in lost.iter().copied().chain(there.map(|to| (to, at_home))) {
                let words = &found[&address(to)];
                assert!(words.ends_with(expected) || words.contains(&format!("{expected} (")), "{kind} {groups}: {found:#?}");
            }
        }
    }
}
