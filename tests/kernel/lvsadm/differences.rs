//! Where lvsadm answers otherwise than ipvsadm, on purpose: what both do, as lvsadm(8) lists it.

use lab::kernel_test;

use super::{Answer, Pair, words};

fn answer(status: i32, stdout: &str, stderr: &str) -> Answer {
    Answer {
        status: Some(status),
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    }
}

/// A command line, input, and what both answer.
fn check(pair: &Pair, line: &str, input: &str, theirs: &Answer, ours: &Answer) {
    assert_eq!(&pair.theirs(&words(line), input), theirs, "ipvsadm {line}");
    assert_eq!(&pair.ours(&words(line), input), ours, "lvsadm {line}");
}

kernel_test! {
    fn each_difference_from_ipvsadm_is_what_the_manual_says(lab) {
        let pair = Pair::new(lab);
        let done = answer(0, "", "");
        // Marks above 2147483647, and thresholds.
        let table = "-A -f 4294967295\n-A -t 192.0.2.1:80\n\
                     -a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -x 100 -y 50\n-A -t 192.0.2.2:80 -s mh -b flag-3\n";
        check(&pair, "-R", table, &done, &done);
        let saved = |mark: &str, thresholds: &str, flag: &str| {
            let services = format!(
                "-A -t 192.0.2.1:80 -s wlc\n\
                 -a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1{thresholds}\n\
                 -A -t 192.0.2.2:80 -s mh -b {flag}\n"
            );
            let mark = format!("-A -f {mark} -s wlc\n");
            // The order of marks is that of signed numbers.
            answer(0, &format!("{mark}{services}"), "")
        };
        check(&pair, "-S -n", "", &saved("-1", "", ""), &saved("4294967295", " -x 100 -y 50", "flag-3"));
        let listed = |mark: &str| answer(0, &format!(
            "Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\nFWM  {mark} wlc\n"
        ), "");
        check(&pair, "-L -n -f 4294967295", "", &listed("-1"), &listed("4294967295"));
        // What follows a number or an address, brackets around IPv4, and a list of no flags.
        let refused = |text: &str| answer(2, "", text);
        check(&pair, "-A -t [2001:db8::1]:80 -p -M 64x", "", &done,
            &refused("illegal ipv6 netmask specified\n"));
        check(&pair, "-A -t [192.0.2.9]:80", "",
            &refused("Zero port specified for non-persistent service\n"), &done);
        let crashed = Answer { status: None, ..answer(0, "", "") };
        check(&pair, "-A -t 192.0.2.10:80 -b ,", "", &crashed,
            &refused("invalid scheduler flag `,'\n"));
        check(&pair, "-C", "", &done, &done);
        // All counters are set to zero only where no service is named.
        check(&pair, "-Z -t 0.0.0.0:0", "", &done, &answer(255, "", "No such service\n"));
    }

    fn a_restore_with_a_wrong_line_changes_nothing(lab) {
        let pair = Pair::new(lab);
        let input = "-A -t 192.0.2.1:80\n\n# a comment\n-A -t 192.0.2.2:x\n-q\n-A -t 192.0.2.3:80 -h\n-h\n";
        let theirs = pair.theirs(&["-R"], input);
        assert_eq!(theirs.status, Some(255), "{theirs:?}");
        assert_eq!(pair.tables()[0].len(), 1, "ipvsadm stops half-way");
        let ours = pair.ours(&["-R"], input);
        assert_eq!(ours, answer(2, "", "\
line 4: illegal virtual server address[:port] specified
line 5: Try `tool -h' or 'tool --help' for more information.
line 6: invalid option `-h'
line 7: help has no place in a restore
"));
        assert!(pair.tables()[1].is_empty());
    }

    fn a_restore_goes_on_after_what_the_kernel_refuses_and_says_where(lab) {
        let pair = Pair::new(lab);
        let input = "-A -t 192.0.2.1:80\n-A -t 192.0.2.1:80\n-L -n -t 192.0.2.1:80\n\
                     -a -t 192.0.2.9:80 -r 10.0.0.1\n  lvsadm -A -t 192.0.2.2:80";
        let theirs = pair.theirs(&["-R"], &input.replace("lvsadm", "ipvsadm"));
        let ours = pair.ours(&["-R"], input);
        assert_eq!(theirs.status, Some(0), "it tells the last line's status");
        assert_eq!(ours.status, Some(255));
        assert_eq!(ours.stdout, theirs.stdout);
        assert_eq!(ours.stderr, "line 2: Service already exists\nline 4: Service not defined\n");
        let [theirs, ours] = pair.tables();
        assert_eq!(theirs, ours);
    }

    fn a_replacement_changes_only_what_differs(lab) {
        let pair = Pair::new(lab);
        let before = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n\
                      -a -t 192.0.2.1:80 -r 10.0.0.2:80 -m\n-A -t 192.0.2.2:80\n";
        let done = answer(0, "", "");
        assert_eq!(pair.ours(&["-R"], before), done);
        let after = "# a comment\n-C\n-A -t 192.0.2.1:80 -s wrr\n-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 5\n\
                     -A -f 5\n--set 0 0 77\n-a -t 192.0.2.1:80 -r 10.0.0.3:80\n";
        assert_eq!(pair.ours(&["-R", "--replace"], after), done);
        assert_eq!(pair.theirs(&["-R"], &after.replace("# a comment\n", "")), done);
        let [theirs, ours] = pair.tables();
        assert_eq!(theirs, ours);
        let timeouts = pair.ours(&["-L", "--timeout"], "").stdout;
        assert_eq!(timeouts, "Timeout (tcp tcpfin udp): 900 120 77\n");
        // What is wrong in itself is found before anything is changed.
        let wrong = "-A -t 192.0.2.7:80\n-A -t 192.0.2.7:80\n-L\n-a -t 192.0.2.8:80 -r 10.0.0.1\n";
        assert_eq!(pair.ours(&["-R", "--replace"], wrong), answer(255, "", "\
line 2: Service already exists
line 3: a listing has no place in a replacement
line 4: Service not defined
"));
        assert_eq!(pair.tables()[1], ours);
        // What only the kernel knows is told with its line.
        let unknown = "-A -t 192.0.2.1:80 -s wrr\n-A -t 192.0.2.9:80 -s nosuch\n";
        assert_eq!(pair.ours(&["-R", "--replace"], unknown),
            answer(255, "", "line 2: Scheduler or persistence engine not found\n"));
    }

    fn the_wrappers_save_and_restore(lab) {
        let host = lab.host("one");
        let [save, restore] = ["lvsadm-save", "lvsadm-restore"].map(lab::director::program);
        let table = "-A -t 192.0.2.1:80 -s wlc\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n";
        host.sh("ipvsadm -A -t 192.0.2.99:80");
        let _ = host.exec_with_input(&[&restore], &format!("# a comment\n{table}")).expect_success();
        assert_eq!(host.exec(&[&save, "-n"]).expect_success(), table);
        assert_eq!(host.exec(&[&save]).expect_success(), table.replace(":80", ":http"));
        assert_eq!(host.exec(&[&save, "-x"]).status.code(), Some(1));
        // A wrong line leaves the table as it is.
        let wrong = host.exec_with_input(&[&restore], "-A -t 192.0.2.2:80\n-A\n");
        assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
        assert_eq!(host.exec(&[&save, "-n"]).expect_success(), table);
    }

    fn a_watched_listing_is_drawn_again_with_rates(lab) {
        let host = lab.host("one");
        let lvsadm = lab::director::program("lvsadm");
        host.sh("ipvsadm -A -t 192.0.2.1:80");
        let drawn = host.sh(&format!("{lvsadm} -L -n --watch 0.1 | head -n 9"));
        let title = "IP Virtual Server version 1.2.1 (size=4096)";
        assert_eq!(drawn.matches(title).count(), 2, "{drawn}");
        assert_eq!(drawn.matches("     CPS    InPPS").count(), 2, "{drawn}");
        let documents = host.sh(&format!("{lvsadm} -L --watch 0.1 --json | head -n 3"));
        for line in documents.lines() {
            let document: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
            assert_eq!(document["services"][0]["address"], "192.0.2.1");
        }
    }
}
