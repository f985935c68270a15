//! The `ipvs` crate and lvsadm against the kernel and ipvsadm.

use lab::{Host, director, kernel_test};

/// Every kind of service and destination that this version knows.
const TABLE: &str = "\
-A -t 192.0.2.80:80 -s wlc -p 300
-a -t 192.0.2.80:80 -r 10.0.1.21:8080 -m -w 3
-a -t 192.0.2.80:80 -r 10.0.1.22:80 -m -w 0
-A -u 192.0.2.80:53 -s rr
-a -u 192.0.2.80:53 -r 10.0.1.21:53 -g -w 1
-A -t [2001:db8::80]:443 -s sh -b sh-port
-a -t [2001:db8::80]:443 -r [2001:db8::21]:443 -i -w 65535
-A -f 7 -s wrr
-a -f 7 -r 10.0.1.23:0 -g -w 100
-A -f 8 -6 -s mh
";

/// Lists the table with ipvsadm and with lvsadm.
fn both(host: &Host) -> [String; 2] {
    let lvsadm = director::program("lvsadm");
    [["ipvsadm", "-L", "-n"], [&lvsadm, "-L", "-n"]].map(|argv| host.exec(&argv).expect_success())
}

kernel_test! {
    fn lvsadm_lists_the_table_as_ipvsadm_does(lab) {
        let host = lab.host("one");
        let [theirs, ours] = both(&host);
        assert_eq!(ours, theirs, "an empty table");
        let _ = host.exec_with_input(&["ipvsadm", "-R"], TABLE).expect_success();
        let [theirs, ours] = both(&host);
        assert_eq!(theirs.lines().count(), 3 + 10, "{theirs}");
        assert_eq!(ours, theirs);
    }

    fn a_planned_table_is_what_the_kernel_then_holds(lab) {
        use ipvs::{Kernel, plan};
        let (from, to) = (lab.host("from"), lab.host("to"));
        let _ = from.exec_with_input(&["ipvsadm", "-R"], TABLE).expect_success();
        let _ = to.exec_with_input(&["ipvsadm", "-R"], "-A -t 192.0.2.80:80 -s rr\n").expect_success();
        let wanted = from.inside(|| {
            ipvs::Client::open().and_then(|mut kernel| kernel.table()).expect("it can be read")
        });
        let left = to.inside(|| {
            let mut kernel = ipvs::Client::open().expect("the kernel has IPVS");
            let owned = std::collections::BTreeSet::new();
            let changes = plan(&wanted, &kernel.listing().expect("it can be read"), &owned);
            for outcome in kernel.apply(&changes).expect("it can be written") {
                outcome.expect("no change is refused");
            }
            plan(&wanted, &kernel.listing().expect("it can be read"), &owned)
        });
        assert_eq!(left, [], "a second plan is empty");
        let [theirs, _] = both(&from);
        let [ours, _] = both(&to);
        let sorted = |text: &str| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        };
        assert_eq!(sorted(&ours), sorted(&theirs));
    }
}
