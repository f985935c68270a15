use std::io;
use std::rc::Rc;

use ipvs::{Error, SyncDaemon, SyncRole};

use super::{Failing, Stub, run, run_into};

#[test]
fn what_prevents_the_work_is_told_with_its_remedy_and_status() {
    for (error, status, remedy) in [
        ((|| Error::NoIpvs) as fn() -> Error, 2, "`modprobe ip_vs'"),
        (
            || Error::NotPermitted,
            2,
            "Permission denied (you must be root)",
        ),
    ] {
        for args in [&["-Ln"][..], &["-S"], &["-C"], &["-R"], &["-A", "-f", "1"]] {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let code = run_into(args, "", Err(error), &mut stdout, &mut stderr);
            let stderr = String::from_utf8(stderr).unwrap();
            assert_eq!((code, stdout.as_slice()), (status, &b""[..]), "{args:?}");
            assert!(
                stderr.starts_with("Can't initialize ipvs: ") && stderr.contains(remedy),
                "{stderr}"
            );
        }
    }
}

#[test]
fn a_failure_while_listing_and_one_while_changing_have_statuses_of_their_own() {
    let fault = || Error::Netlink {
        action: "list services",
        source: ipvs::netlink::Error::Timeout,
    };
    let (status, stdout, stderr) = run(&["-Ln"], "", &Stub::failing(fault()));
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with("cannot list services: "), "{stderr}");
    assert_eq!(run(&["-C"], "", &Stub::failing(fault())).0, 255);
}

#[test]
fn help_version_and_mistakes_need_no_kernel() {
    for (args, status) in [
        (&["-h"][..], 0),
        (&["--help", "-h"], 0),
        (&["-v"], 0),
        (&["--completions", "bash"], 0),
        (&["--completions", "tcsh"], 2),
        (&["-L", "-A"], 2),
        (&["-q"], 255),
        (&["-L", "-q"], 255),
    ] {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = run_into(args, "", Err(|| Error::NoIpvs), &mut stdout, &mut stderr);
        assert_eq!(code, status, "{args:?}");
        assert_eq!(stdout.is_empty(), status != 0, "{args:?}");
        assert_eq!(stderr.is_empty(), status == 0, "{args:?}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure_but_a_full_disk_is() {
    for (kind, status, words) in [
        (io::ErrorKind::BrokenPipe, 0, ""),
        (
            io::ErrorKind::StorageFull,
            1,
            "cannot write the output: no storage space\n",
        ),
    ] {
        for args in [&["-Ln"][..], &["-Ln", "--watch", "1"], &["-h"]] {
            let mut stderr = Vec::new();
            let stub = Stub::default();
            let code = run_into(args, "", Ok(&stub), &mut Failing(kind), &mut stderr);
            assert_eq!(
                (code, stderr.as_slice()),
                (status, words.as_bytes()),
                "{args:?}"
            );
        }
    }
}

#[test]
fn timeouts_and_daemons_are_set_and_listed() {
    let stub = Stub::default();
    assert_eq!(run(&["--set", "1", "0", "3"], "", &stub).0, 0);
    assert_eq!(
        run(&["-L", "--timeout"], "", &stub).1,
        "Timeout (tcp tcpfin udp): 1 120 3\n"
    );
    assert_eq!(
        run(&["-L", "--timeout", "--json"], "", &stub).1,
        "{\"tcp\":1,\"tcp_fin\":120,\"udp\":3}\n"
    );
    let mut daemon = SyncDaemon::new(SyncRole::Receiver, "eth0", 7);
    daemon.group = Some("ff02::5".parse().unwrap());
    daemon.port = std::num::NonZero::new(8848);
    stub.fake.borrow_mut().daemons = vec![daemon];
    assert_eq!(
        run(&["-L", "--daemon"], "", &stub).1,
        "backup sync daemon (mcast=eth0, syncid=7, group=ff02::5, port=8848)\n"
    );
    assert_eq!(
        run(&["-L", "--daemon", "--json"], "", &stub).1,
        "[{\"state\":\"backup\",\"interface\":\"eth0\",\"syncid\":7,\"maxlen\":null,\
         \"group\":\"ff02::5\",\"port\":8848,\"ttl\":null}]\n"
    );
    assert_eq!(run(&["--stop-daemon", "backup"], "", &stub).0, 0);
    assert_eq!(
        run(&["--stop-daemon", "backup"], "", &stub),
        (255, String::new(), "No daemon is running\n".to_owned())
    );
}

#[test]
fn connections_are_listed_in_columns_and_as_json() {
    let stub = Stub {
        connections: Rc::new(vec![
            "TCP 0A090901 0FA1 C0000250 0050 0A000115 1F90 ESTABLISHED     899".to_owned(),
            "UDP 0A090901 0FA1 C0000250 13C4 0A000115 13C4 UDP              65 sip a-call"
                .to_owned(),
        ]),
        ..Stub::default()
    };
    assert_eq!(
        run(&["-Lnc"], "", &stub).1,
        "\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 14:59  ESTABLISHED 10.9.9.1:4001      192.0.2.80:80      10.0.1.21:8080
UDP 01:05  UDP         10.9.9.1:4001      192.0.2.80:5060    10.0.1.21:5060
"
    );
    assert_eq!(
        run(&["-Lnc", "--persistent-conn"], "", &stub).1,
        "\
IPVS connection entries
pro expire state       source             virtual            destination        pe name          pe_data
TCP 14:59  ESTABLISHED 10.9.9.1:4001      192.0.2.80:80      10.0.1.21:8080
UDP 01:05  UDP         10.9.9.1:4001      192.0.2.80:5060    10.0.1.21:5060   sip                a-call
"
    );
    let json = run(&["-Lc", "--json"], "", &stub).1;
    let listed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(listed[0]["server"]["port"], 8080);
    assert_eq!(listed[1]["engine_data"], "a-call");
    assert_eq!(run(&["-Lc", "--json"], "", &Stub::default()).1, "[]\n");
}
