//! Addresses and their announcements on a real kernel.

use std::collections::BTreeSet;
use std::time::Instant;

use caribe::clock;
use caribe::config::model::Vip;
use caribe::vip::Vips;
use lab::{Family, Farm, Host, Mode, SOON, kernel_test, until};

fn vips() -> [Vip; 2] {
    ["192.0.2.80/24", "2001:db8::80/64"].map(|address| Vip {
        address: address.parse().expect("it is an address"),
        interface: "eth0".to_owned(),
        label: None,
    })
}

/// Wants something of a host's VIPs and waits until it is so.
fn settle(host: &Host, ours: &mut Vips, want: impl FnOnce(&mut Vips) + Send) {
    host.inside(|| {
        want(ours);
        until("the VIPs are as wanted", SOON, || {
            ours.handle_timeout(clock::now());
            ours.is_settled()
        });
    });
}

fn answers(asker: &Host, address: &str) -> bool {
    asker.sh("ip neigh flush all");
    let reached = asker.exec(&["ping", "-c", "1", "-W", "2", address]);
    reached.status.success()
}

/// Heartbeats have a network of their own, and whoever asks first waits for five seconds.
fn apart() -> String {
    let mut config = lab::farm::config(Mode::Direct, Family::V4, &lab::farm::Settings::default());
    for last in [11, 12] {
        let service = format!("udp = \"192.0.2.{last}\"");
        config = config.replace(&service, &format!("udp = \"10.9.0.{last}\""));
    }
    config.replace("[[group]]\n", "[[group]]\nask_first = \"5s\"\n")
}

kernel_test! {
    fn stale_vips_of_a_standby_are_removed_at_its_start(lab) {
        let mut farm = Farm::new(lab, Mode::Nat, Family::V4);
        farm.ha1.start_alone();
        farm.ha1.wait_active("web", SOON);
        farm.ha2.host.sh("ip address add 192.0.2.80/24 dev eth0");
        farm.ha2.host.sh("ip address add 10.0.1.1/24 dev eth1");
        farm.ha2.start();
        until("ha2 stands by", SOON, || farm.ha2.role("web").as_deref() == Some("standby"));
        until("its stale VIPs are gone", SOON, || {
            !farm.has_vip(&farm.ha2) && !farm.ha2.host.has_address([10, 0, 1, 1].into())
        });
        let own = farm.ha2.host.sh("ip -o address show");
        assert!(own.contains("192.0.2.12/24") && own.contains("10.0.1.12/24"), "{own}");
        assert!(farm.ha1.is_active("web") && farm.has_vip(&farm.ha1));
    }

    fn a_thousand_vips_move_with_their_group(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let more: String = (0..1000)
            .map(|n| format!(", {{ address = \"198.18.{}.{}/32\", interface = \"eth0\" }}", n / 250, n % 250 + 1))
            .collect();
        for director in [&farm.ha1, &farm.ha2] {
            let config = lab::farm::config(Mode::Direct, Family::V4, &lab::farm::Settings::default());
            let with_more = config.replace("interface = \"eth0\" }]", &format!("interface = \"eth0\" }}{more}]"));
            director.host.write("/etc/caribe/caribe.toml", 0o644, &with_more);
        }
        farm.start_pair();
        let count = |director: &lab::Director| {
            director.host.sh("ip -o -4 address show dev eth0").lines().count()
        };
        until("ha1 has them all", SOON, || count(&farm.ha1) == 1002);
        assert_eq!(count(&farm.ha2), 1);
        farm.ha1.stop();
        assert_eq!(count(&farm.ha1), 1);
        farm.ha2.wait_active("web", SOON);
        until("ha2 has them all", SOON, || count(&farm.ha2) == 1002);
        let log = farm.ha2.log();
        assert!(!log.contains("is silent"), "{log}");
    }

    fn a_quiet_vip_serves_on_and_nobody_answers_for_it(lab) {
        let farm = Farm::new(lab, Mode::Direct, Family::V4);
        let (ha1, client) = (&farm.ha1.host, &farm.client);
        ha1.sh("ip address add 2001:db8::11/64 dev eth0");
        client.sh("ip address add 2001:db8::200/64 dev eth0");
        ha1.sh("ipvsadm -A -t 192.0.2.80:80 -s rr");
        for server in &farm.servers {
            ha1.sh(&format!("ipvsadm -a -t 192.0.2.80:80 -r {}:80 -g", server.address));
        }
        let configured: BTreeSet<Vip> = vips().into();
        let open = || {
            ha1.inside(|| Vips::open(&configured, &BTreeSet::new(), clock::now()))
                .expect("the host's addresses can be read")
        };
        let mut ours = open();
        settle(ha1, &mut ours, |ours| ours.put(&vips(), clock::now()));
        assert!(answers(client, "192.0.2.80") && answers(client, "2001:db8::80"));

        // A client that has not heard of the new owner.
        let mac = ha1.sh("cat /sys/class/net/eth0/address");
        client.sh(&format!("ip neigh replace 192.0.2.80 lladdr {} dev eth0 nud permanent", mac.trim()));
        let load = client.load(farm.vip);
        until("the client is served", SOON, || load.report().servers.len() == 3);
        settle(ha1, &mut ours, |ours| ours.quiet(&vips(), clock::now()));
        let from = Instant::now();
        assert!(!ha1.has_address(farm.vip.ip()));
        until("the client is served on", SOON, || load.since(from).servers.len() == 3);
        let report = load.report();
        assert_eq!(report.lost, 0, "{report:?}");
        drop(load);
        client.sh("ip neigh del 192.0.2.80 dev eth0");
        assert!(!answers(client, "192.0.2.80") && !answers(client, "2001:db8::80"));
        assert!(answers(client, "192.0.2.11"), "for its own address it does");

        settle(ha1, &mut ours, |ours| ours.put(&vips(), clock::now()));
        assert!(answers(client, "192.0.2.80") && answers(client, "2001:db8::80"));
        let arp_ignore = "cat /proc/sys/net/ipv4/conf/eth0/arp_ignore";
        let routes = "ip route show table local proto 202; ip -6 route show table local proto 202";
        assert_eq!(ha1.sh(arp_ignore).trim(), "0");
        assert_eq!(ha1.sh(routes), "");

        // What a crash leaves is cleared up by the next run.
        settle(ha1, &mut ours, |ours| ours.quiet(&vips(), clock::now()));
        assert_eq!(ha1.sh(arp_ignore).trim(), "1");
        assert_eq!(ha1.sh(routes).lines().count(), 2);
        drop(ours);
        let mut ours = open();
        settle(ha1, &mut ours, |ours| ours.remove_stale(&BTreeSet::new(), clock::now()));
        assert_eq!(ha1.sh(arp_ignore).trim(), "0");
        assert_eq!(ha1.sh(routes), "");
    }

    fn a_vip_that_a_stranger_has_is_told_of_and_taken_once_it_has_left(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let ours = "{ address = \"192.0.2.80/24\", interface = \"eth0\" }";
        let more = format!(
            "{ours}, {}, {}",
            ours.replace("192.0.2.80/24", "192.0.2.81/24"),
            ours.replace("192.0.2.80/24", "2001:db8::80/64"),
        );
        let config = lab::farm::config(Mode::Direct, Family::V4, &lab::farm::Settings::default());
        farm.ha1.host.write(lab::director::CONFIG, 0o644, &config.replace(ours, &more));
        let client = &farm.client;
        client.sh("ip address add 192.0.2.80/24 dev eth0");
        client.sh("ip address add 2001:db8::80/64 dev eth0 nodad");
        let mac = client.sh("cat /sys/class/net/eth0/address").trim().to_owned();

        farm.ha1.start_alone();
        farm.ha1.wait_active("web", SOON);
        let problems = || -> Vec<Option<String>> {
            let status = farm.ha1.status().unwrap_or_default();
            let vips = status["groups"][0]["vips"].as_array().cloned().unwrap_or_default();
            vips.iter().map(|vip| vip["problem"].as_str().map(str::to_owned)).collect()
        };
        let held = |address: &str| {
            Some(format!("{address} is not put on eth0: {mac} answers for it there, which is no director's"))
        };
        let expected = [held("192.0.2.80"), None, held("2001:db8::80")];
        until("the status tells", SOON, || problems() == expected);
        let here = |address: &str| farm.ha1.host.has_address(address.parse().expect("it is an address"));
        assert!(here("192.0.2.81") && !here("192.0.2.80") && !here("2001:db8::80"));
        let events = farm.ha1.caribe(&["events", "--json"]);
        assert!(events.contains("vip-refused") && events.contains(&mac), "{events}");
        assert!(farm.ha1.log().contains("another host has a VIP"));

        client.sh("ip address del 192.0.2.80/24 dev eth0; ip address del 2001:db8::80/64 dev eth0");
        until("both are put", SOON, || here("192.0.2.80") && here("2001:db8::80"));
        until("the status is well", SOON, || problems() == [None, None, None]);

        // Whoever comes later is told of, and does not get them.
        client.sysctl("net/ipv4/conf/eth0/arp_notify", "1");
        client.sh("ip address add 192.0.2.80/24 dev eth0; ip link set eth0 address 02:00:00:00:99:01");
        until("it is told", SOON, || {
            let log = farm.ha1.log();
            log.contains("another host answers for a VIP too") && log.contains("02:00:00:00:99:01")
        });
        assert!(here("192.0.2.80"));
    }

    fn a_takeover_leaves_to_a_stranger_what_it_has_and_takes_the_rest_at_once(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let ours = "{ address = \"192.0.2.80/24\", interface = \"eth0\" }";
        let more = format!(
            "{ours}, {}, {}",
            ours.replace("192.0.2.80/24", "192.0.2.81/24"),
            ours.replace("192.0.2.80/24", "2001:db8::80/64"),
        );
        let config = apart().replace(ours, &more);
        for director in [&farm.ha1, &farm.ha2] {
            director.host.write(lab::director::CONFIG, 0o644, &config);
        }
        farm.start_pair();
        let client = &farm.client;
        client.sh("ip address add 192.0.2.81/24 dev eth0");
        client.sh("ip address add 2001:db8::80/64 dev eth0 nodad");
        let mac = client.sh("cat /sys/class/net/eth0/address").trim().to_owned();
        let problems = |director: &lab::Director| -> Vec<Option<String>> {
            let status = director.status().unwrap_or_default();
            let vips = status["groups"][0]["vips"].as_array().cloned().unwrap_or_default();
            vips.iter().map(|vip| vip["problem"].as_str().map(str::to_owned)).collect()
        };
        // The standby asks as soon as the owner is late, and knows before it is dead: what a
        // stranger has is not put for a moment.
        let monitor = farm.ha2.host.spawn(&["ip", "-o", "monitor", "address"]);
        farm.heartbeat_cables[0].cut();
        farm.ha2.wait_active("web", SOON);
        let held = |address: &str| {
            Some(format!("{address} is not put on eth0: {mac} answers for it there, which is no director's"))
        };
        let expected = [held("192.0.2.81"), held("2001:db8::80")];
        until("the status tells", SOON, || problems(&farm.ha2).ends_with(&expected));
        let here = |address: &str| farm.ha2.host.has_address(address.parse().expect("it is an address"));
        assert!(here("192.0.2.80") && !here("192.0.2.81") && !here("2001:db8::80"));
        let told = monitor.log();
        assert!(told.contains("192.0.2.80") && !told.contains("192.0.2.81"), "{told}");
        assert!(!told.contains("2001:db8::80"), "{told}");
        let status = farm.ha2.status().unwrap_or_default();
        let waited = status["takeovers"][0]["addresses_after_us"].as_u64();
        assert!(waited.is_some_and(|micros| micros < 4_000_000), "{status}");
        let events = farm.ha2.caribe(&["events", "--json"]);
        assert!(events.contains("vip-foreseen") && events.contains("vip-refused"), "{events}");
        // Its peer, which answers for all of them still, is none.
        assert!(farm.has_vip(&farm.ha1));

        client.sh("ip address del 192.0.2.81/24 dev eth0; ip address del 2001:db8::80/64 dev eth0");
        until("all are put", SOON, || here("192.0.2.81") && here("2001:db8::80"));
    }

    fn a_vip_of_a_peer_that_is_cut_off_and_still_answers_is_taken_without_waiting(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let config = apart();
        for director in [&farm.ha1, &farm.ha2] {
            director.host.write(lab::director::CONFIG, 0o644, &config);
        }
        farm.start_pair();
        farm.heartbeat_cables[0].cut();
        farm.ha2.wait_active("web", SOON);
        assert!(farm.has_vip(&farm.ha1) && farm.has_vip(&farm.ha2));
        until("whose answers they are is known", SOON, || {
            let log = farm.ha2.log();
            log.contains("another host answers for a VIP too") && log.contains("director=\"ha1\"")
        });
        assert!(!farm.ha2.log().contains("another host has a VIP"));
        let status = farm.ha2.status().unwrap_or_default();
        let waited = status["takeovers"][0]["addresses_after_us"].as_u64();
        assert!(waited.is_some_and(|micros| micros < 4_000_000), "{status}");

        // Without a peer that is heard, it is known by its neighbour entry alone, if at all: here
        // it is a stranger, and serves on.
        farm.ha2.stop();
        farm.ha1.wait_active("web", SOON);
        farm.ha2.start_alone();
        farm.ha2.wait_active("web", SOON);
        assert!(farm.has_vip(&farm.ha1) && !farm.has_vip(&farm.ha2));
    }

    fn an_ipv6_vip_is_announced_with_the_override_flag(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V6);
        let sniffer = farm.client.spawn(&["tcpdump", "-lnvi", "eth0", "icmp6"]);
        until("tcpdump listens", SOON, || sniffer.log().contains("listening on"));
        farm.start_pair();
        until("the VIP is announced", SOON, || {
            let heard = sniffer.log();
            heard.contains("neighbor advertisement, length 32, tgt is 2001:db8::80")
                && heard.contains("override")
        });
    }
}
