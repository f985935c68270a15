//! What the programs say on a host that cannot run them, or not yet.

use lab::director::{CONFIG, KEY, program};
use lab::{Family, Farm, Mode, kernel_test};

kernel_test! {
    fn a_kernel_without_ipvs_and_missing_rights_are_told_with_their_remedy(lab) {
        let farm = Farm::new(lab, Mode::Direct, Family::V4);
        let host = &farm.ha1.host;
        let caribe = program("caribe");
        let lvsadm = program("lvsadm");
        // Somebody without any right, who may read the configuration.
        host.sh(&format!("chown nobody {KEY} && mkdir -p /run/caribe && chmod 777 /run/caribe"));
        let nobody = ["setpriv", "--reuid=nobody", "--clear-groups", "--inh-caps=-all"];
        let denied = host.exec(&[&nobody[..], &[&caribe, "run", "--config", CONFIG]].concat());
        assert_eq!(denied.status.code(), Some(4), "{denied:?}");
        assert!(denied.stderr.contains("CAP_NET_ADMIN"), "{}", denied.stderr);
        let denied = host.exec(&[&nobody[..], &[&lvsadm, "-L", "-n"]].concat());
        assert!(denied.stderr.contains("CAP_NET_ADMIN"), "{}", denied.stderr);
        assert!(!denied.status.success());

        host.sh(&format!("chown root {KEY}; rm -f /run/caribe/*"));
        host.sh("modprobe -r ip_vs && rm /lib/modules/*");
        let without = host.exec(&[&caribe, "run", "--config", CONFIG]);
        assert_eq!(without.status.code(), Some(3), "{without:?}");
        assert!(without.stderr.contains("modprobe ip_vs"), "{}", without.stderr);
        assert!(without.stderr.contains("cargo lab demo"), "{}", without.stderr);
        let without = host.exec(&[&lvsadm, "-L", "-n"]);
        assert_eq!(without.status.code(), Some(2), "{without:?}");
        assert!(without.stderr.contains("modprobe ip_vs"), "{}", without.stderr);
    }

    fn every_example_is_accepted_on_a_host_of_its_name(lab) {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
        let caribe = program("caribe");
        let host = lab.host("ha1");
        for key in [KEY, "/etc/caribe/cluster-1.key", "/etc/caribe/cluster-2.key"] {
            let _ = host.exec(&[&caribe, "key", "generate", key]).expect_success();
        }
        for name in ["web-farm", "nat", "tunnel", "ipv6"] {
            let file = format!("{examples}/{name}.toml");
            let checked = host.exec(&[&caribe, "check", &file]);
            assert!(checked.status.success(), "{checked:?}");
            assert!(checked.stdout.contains("is valid"), "{checked:?}");
        }
        let again = host.exec(&[&caribe, "key", "generate", KEY]);
        assert_eq!(again.status.code(), Some(1), "a key is never overwritten: {again:?}");
    }
}
