//! Addresses and their announcements on a real kernel.

use std::time::Duration;

use lab::{Family, Farm, Mode, kernel_test, until};

const SOON: Duration = Duration::from_secs(15);

kernel_test! {
    fn stale_vips_of_a_standby_are_removed_at_its_start(lab) {
        let mut farm = Farm::new(lab, Mode::Nat, Family::V4);
        farm.ha1.start();
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
