//! The lab itself: its kernel, hosts, cables and real servers.

use std::time::Duration;

use lab::{Family, Farm, Mode, kernel_test, until};

kernel_test! {
    fn a_guest_has_ipvs_and_may_write_anywhere(lab) {
        let host = lab.host("one");
        host.sh("ipvsadm -A -t 192.0.2.80:80 -s wrr");
        assert!(host.sh("ipvsadm -L -n").contains("192.0.2.80:80 wrr"));
        std::fs::write("/etc/lab-was-here", "x").expect("the guest's root is writable");
        assert!(lab.out().join("console.txt").exists());
    }

    fn cables_can_be_cut_and_unplugged(lab) {
        let switch = lab.bridge("switch");
        let (one, two) = (lab.host("one"), lab.host("two"));
        let cable = one.connect(&switch, "eth0", &["192.0.2.1/24", "2001:db8::1/64"]);
        two.connect(&switch, "eth0", &["192.0.2.2/24", "2001:db8::2/64"]);
        let reaches = |address: &str| {
            one.exec(&["ping", "-c1", "-W1", address]).status.success()
        };
        assert!(reaches("192.0.2.2") && reaches("2001:db8::2"));
        cable.cut();
        assert!(cable.carrier() && !reaches("192.0.2.2"));
        cable.restore();
        assert!(reaches("192.0.2.2"));
        cable.unplug();
        until("the carrier is lost", Duration::from_secs(5), || !cable.carrier());
        cable.plug();
        until("the other host is reached", Duration::from_secs(5), || reaches("192.0.2.2"));
    }

    fn every_server_of_a_farm_answers_with_its_name(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        for (name, address) in [("rs1", "192.0.2.21"), ("rs2", "192.0.2.22"), ("rs3", "192.0.2.23")] {
            let answer = farm.client.sh(&format!("curl -s http://{address}/"));
            assert_eq!(answer, format!("{name}\n"));
        }
        farm.servers[1].kill();
        let refused = farm.client.exec(&["curl", "-s", "http://192.0.2.22/"]);
        assert_eq!(refused.status.code(), Some(7), "{refused:?}");
    }
}
