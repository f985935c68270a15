//! A daemon that is killed and started again finds its table and addresses, and adopts them.

use lab::farm::Settings;
use lab::{Family, Farm, Mode, SOON, kernel_test, until};

kernel_test! {
    fn a_restart_adopts_the_table_and_loses_no_connection(lab) {
        // The guard of a director that is alone waits for half of deadtime: a machine that is busy
        // with other tests needs some of it.
        let settings = Settings { alone: true, deadtime: "60s", ..Settings::default() };
        let mut farm = Farm::with(lab, Mode::Nat, Family::V4, &settings);
        farm.ha1.start();
        farm.ha1.wait_active("web", SOON);
        for server in &farm.servers {
            farm.wait_health(&farm.ha1, &server.address, "up");
        }
        let mut kept: Vec<_> =
            (0..9).map(|_| farm.client.keep(farm.vip).expect("a connection is made")).collect();
        let before: Vec<String> =
            kept.iter_mut().map(|c| c.ask().expect("it is answered")).collect();
        farm.ha1.host.sh("ipvsadm -A -u 192.0.2.80:53 -s rr");

        farm.ha1.kill();
        let while_dead: Vec<String> =
            kept.iter_mut().map(|c| c.ask().expect("the kernel serves on")).collect();
        assert_eq!(while_dead, before);
        let load = farm.client.load(farm.vip);
        let events = farm.ha1.host.spawn(&["ip", "monitor", "address"]);
        farm.ha1.start();
        farm.ha1.wait_active("web", SOON);
        for server in &farm.servers {
            farm.wait_health(&farm.ha1, &server.address, "up");
        }
        let after: Vec<String> =
            kept.iter_mut().map(|c| c.ask().expect("it goes on")).collect();
        assert_eq!(after, before);
        let report = load.report();
        assert_eq!(report.lost, 0, "a restart costs no request: {report:?}");
        assert!(!events.log().contains("Deleted"), "no address was touched: {}", events.log());
        assert!(farm.ha1.table().contains("UDP  192.0.2.80:53 rr"), "foreign services stay");
    }

    fn a_service_that_is_no_longer_configured_is_removed_by_the_next_run(lab) {
        let settings = Settings { alone: true, ..Settings::default() };
        let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        farm.ha1.start();
        farm.ha1.wait_active("web", SOON);
        until("it is in the table", SOON, || farm.ha1.table().contains("192.0.2.80:80"));
        farm.ha1.kill();
        farm.ha1.host.sh("sed -i 's/^port = 80/port = 8080/' /etc/caribe/caribe.toml");
        farm.ha1.start();
        until("the table follows the file", SOON, || {
            let table = farm.ha1.table();
            table.contains("192.0.2.80:8080") && !table.contains("192.0.2.80:80 ")
        });
    }

    fn what_somebody_else_removes_is_put_back_and_counted(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        farm.start_pair();
        farm.ha1.host.sh("ipvsadm -C");
        until("the table is back", SOON, || {
            farm.servers.iter().all(|s| farm.ha1.table().contains(&format!("{}:80", s.address)))
        });
        farm.ha1.host.sh("ip address del 192.0.2.80/24 dev eth0");
        until("the VIP is back", SOON, || farm.has_vip(&farm.ha1));
        until("both are counted", SOON, || {
            let status = farm.ha1.status().unwrap_or_default();
            let counted = |what: &str| status["counters"][what].as_u64().unwrap_or(0);
            counted("drift_repaired") >= 4 && counted("vips_restored") == 1
        });
        assert!(farm.ha1.is_active("web") && !farm.ha2.is_active("web"));
    }

    fn a_service_that_the_kernel_refuses_is_told_of_and_its_vip_held_all_the_same(lab) {
        let mut farm = Farm::new(lab, Mode::Direct, Family::V4);
        let config = lab::farm::config(Mode::Direct, Family::V4, &Settings::default());
        let config = config.replace("scheduler = \"rr\"", "scheduler = \"ovf\"");
        farm.ha1.host.write(lab::director::CONFIG, 0o644, &config);
        let modprobe = farm.ha1.host.sh("cat /proc/sys/kernel/modprobe");
        farm.ha1.host.sysctl("kernel/modprobe", "/bin/false");
        farm.ha1.start_alone();
        farm.ha1.wait_active("web", SOON);
        let is_told = || {
            let status = farm.ha1.status().unwrap_or_default().to_string();
            status.contains("the kernel refuses its service")
        };
        until("what is amiss is told", SOON, is_told);
        assert!(farm.has_vip(&farm.ha1));

        farm.ha1.host.sysctl("kernel/modprobe", modprobe.trim());
        until("the service is there", SOON, || farm.ha1.table().contains("ovf"));
        until("nothing is amiss", SOON, || !is_told());
        assert!(farm.ha1.is_active("web"));
    }
}
