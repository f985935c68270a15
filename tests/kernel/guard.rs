//! A daemon that dies or hangs on a host that lives on.

use std::os::unix::net::UnixDatagram;

use lab::director::{CONFIG, program};
use lab::farm::{self, Settings};
use lab::{Family, Farm, Mode, SOON, kernel_test, until};
use rustix::process::Signal;

/// The process numbers of all guards in the guest.
fn guards(farm: &Farm) -> Vec<u32> {
    let found = farm.ha1.host.exec(&["pgrep", "-f", "guard --socket"]);
    let numbers = found
        .stdout
        .lines()
        .filter_map(|line| line.trim().parse().ok());
    numbers.collect()
}

kernel_test! {
    fn a_director_that_dies_alone_and_stays_dead_leaves_no_vip(lab) {
        let mut farm = Farm::new(lab, Mode::Nat, Family::V4);
        farm.ha1.start_alone();
        farm.ha1.wait_active("web", SOON);
        until("the VIP is there", SOON, || farm.has_vip(&farm.ha1));
        // A guard that dies first is replaced, and the new one knows what to do.
        let all = guards(&farm);
        assert_eq!(all.len(), 1);
        let first = all[0];
        farm.ha1.host.sh(&format!("kill -TERM {first}; kill -INT {first}; kill -KILL {first}"));
        let other = || guards(&farm).into_iter().find(|guard| *guard != first);
        until("another guard runs", SOON, || other().is_some());
        until("it is charged", SOON, || {
            farm.ha1.host.exec(&["flock", "-n", "/run/caribe/caribe.sock.guard", "true"]).status.code() == Some(1)
        });
        assert!(farm.ha1.is_active("web") && farm.has_vip(&farm.ha1));
        farm.ha1.kill();
        until("the VIPs are gone", SOON, || {
            !farm.has_vip(&farm.ha1) && !farm.ha1.host.has_address([10, 0, 1, 1].into())
        });
        until("the guard has ended", SOON, || guards(&farm).is_empty());
        let own = farm.ha1.host.sh("ip -o address show");
        assert!(own.contains("192.0.2.11/24") && own.contains("10.0.1.11/24"), "{own}");
    }

    fn peers_are_told_of_a_death_whatever_the_path(lab) {
        // Silence would tell after a minute, and of these paths nobody refuses a heartbeat.
        let settings =
            Settings { keepalive: "500ms", deadtime: "60s", ..Settings::default() };
        let plain = farm::config(Mode::Direct, Family::V4, &settings);
        let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        for path in [
            r#"{ multicast = "239.1.2.3", interface = "eth2" }"#,
            r#"{ broadcast = "10.9.0.255", interface = "eth2" }"#,
        ] {
            let mut text = plain.clone();
            for last in [11, 12] {
                text = text.replace(&format!("{{ udp = \"192.0.2.{last}\" }}"), path);
            }
            for director in [&farm.ha1, &farm.ha2] {
                director.host.write(CONFIG, 0o644, &text);
            }
            farm.start_pair();
            // The guard must have been told that a peer lives.
            until("each hears the other", SOON, || {
                [(&farm.ha1, 1), (&farm.ha2, 0)].into_iter().all(|(director, peer)| {
                    let status = director.status().unwrap_or_default();
                    status["directors"][peer]["hears_us"] == true
                })
            });
            farm.ha1.kill();
            farm.ha2.wait_active("web", SOON);
            let log = farm.ha2.log();
            assert!(log.contains("not running"), "{path}: {log}");
            until("its guard has removed the VIP", SOON, || !farm.has_vip(&farm.ha1));
            assert!(farm.has_vip(&farm.ha2));
            farm.ha2.stop();
        }
    }

    fn release_removes_what_is_left_and_spares_a_director_that_runs(lab) {
        let settings = Settings { alone: true, ..Settings::default() };
        let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        farm.ha1.start();
        farm.ha1.wait_active("web", SOON);
        until("the VIP is there", SOON, || farm.has_vip(&farm.ha1));
        let caribe = program("caribe");
        let release = |more: &[&str]| {
            let argv = [&[&caribe, "release", "--config", CONFIG], more].concat();
            farm.ha1.host.exec(&argv)
        };
        let refused = release(&[]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("is running"), "{}", refused.stderr);
        assert!(farm.has_vip(&farm.ha1));
        let forced = release(&["--force"]).expect_success();
        assert_eq!(forced, "removed 192.0.2.80 from eth0\n");
        until("the VIP is back", SOON, || farm.has_vip(&farm.ha1));

        // Daemon and guard die together. What is left has our mark and is configured no more, and
        // what is configured has no mark.
        let guard = guards(&farm)[0];
        farm.ha1.signal(Signal::STOP);
        farm.ha1.host.sh(&format!("kill -KILL {guard}"));
        farm.ha1.kill();
        assert!(farm.has_vip(&farm.ha1));
        farm.ha1.host.sh("ip address add 192.0.2.99/24 dev eth0");
        farm.ha1.host.sh(&format!("sed -i 's/192.0.2.80/192.0.2.99/' {CONFIG}"));
        farm.ha1.host.sh("ip address add 192.0.2.98/24 dev eth0");
        let released = farm.ha1.host.exec(&[&caribe, "release", "--config", CONFIG]).expect_success();
        assert_eq!(released.lines().count(), 2, "{released}");
        let own = farm.ha1.host.sh("ip -o address show");
        assert!(!own.contains("192.0.2.80") && !own.contains("192.0.2.99"), "{own}");
        assert!(own.contains("192.0.2.11/24") && own.contains("192.0.2.98/24"), "{own}");
        let again = farm.ha1.host.exec(&[&caribe, "release", "--config", CONFIG]).expect_success();
        assert_eq!(again, "");
    }

    fn a_clean_stop_ends_the_guard(lab) {
        let settings = Settings { alone: true, ..Settings::default() };
        let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        farm.ha1.start();
        farm.ha1.wait_active("web", SOON);
        assert_eq!(guards(&farm).len(), 1);
        farm.ha1.stop();
        assert_eq!(guards(&farm), [0; 0]);
        assert!(!farm.has_vip(&farm.ha1));
    }

    fn watchdogs_starve_when_the_daemon_is_stopped(lab) {
        // The first one is the lab's kernel's own, which would end the guest.
        let settings = Settings { more: "\n[watchdog]\ndevice = \"/dev/watchdog1\"\n".to_owned(), ..Settings::default() };
        let farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        farm.ha1.host.sh("modprobe softdog soft_noboot=1 soft_margin=2 nowayout=0");
        // Seen by this process through the host's own files.
        let path = farm.ha1.host.path("/run/caribe/notify");
        let manager = UnixDatagram::bind(path).expect("a socket is made");
        manager.set_nonblocking(true).expect("it does not wait");
        let heard = |word: &str| {
            let mut buffer = [0; 512];
            let mut times = 0;
            while let Ok(length) = manager.recv(&mut buffer) {
                times += usize::from(buffer[..length].starts_with(word.as_bytes()));
            }
            times
        };
        let caribe = program("caribe");
        let mut process = farm.ha1.host.spawn(&[
            "env", "NOTIFY_SOCKET=/run/caribe/notify", "WATCHDOG_USEC=600000",
            &caribe, "run", "--config", CONFIG,
        ]);
        until("the manager's watchdog is fed", SOON, || heard("WATCHDOG=1") > 0);
        until("and goes on being fed", SOON, || heard("WATCHDOG=1") > 0);
        let triggered = || farm.ha1.host.sh("dmesg").contains("Triggered");
        assert!(!triggered());
        process.signal(Signal::STOP);
        until("the device's time is over", SOON, triggered);
        heard("WATCHDOG=1");
        process.signal(Signal::CONT);
        until("it is fed again", SOON, || heard("WATCHDOG=1") > 0);
        process.signal(Signal::TERM);
        assert!(process.wait(SOON).success());
    }
}
