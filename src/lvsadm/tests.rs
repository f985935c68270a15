use std::ffi::OsString;
use std::io::{self, Write};

use ipvs::{
    Destination, DestinationKey, Error, Forwarding, Granularity, Info, ListedDestination,
    ListedService, Persistence, Protocol, Service, ServiceFlags, ServiceKey, Stats,
};

use super::run_with;

const INFO: Info = Info {
    version: (1, 2, 1),
    connection_table_size: 4096,
};

/// Status, standard output and standard error of a run.
fn run(args: &[&str], table: Result<Vec<ListedService>, Error>) -> (u8, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let args = args.iter().map(OsString::from);
    let status = run_with(args, &mut stdout, &mut stderr, || {
        table.map(|table| (INFO, table))
    });
    (
        status,
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn list(table: Vec<ListedService>) -> String {
    let (status, stdout, stderr) = run(&["-L", "-n"], Ok(table));
    assert_eq!((status, stderr.as_str()), (0, ""));
    stdout
}

fn key(protocol: Protocol, address: &str, port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol,
        address: address.parse().unwrap(),
        port,
    }
}

fn listed(key: ServiceKey, service: Service, servers: Vec<ListedDestination>) -> ListedService {
    ListedService {
        key,
        service,
        stats: Stats::default(),
        destinations: servers,
    }
}

fn server(text: &str, forwarding: Forwarding, weight: u32) -> ListedDestination {
    ListedDestination {
        key: text.parse::<DestinationKey>().unwrap(),
        destination: Destination::new(forwarding, weight),
        active: 0,
        inactive: 0,
        persistent: 0,
        stats: Stats::default(),
    }
}

fn flags(one_packet: bool, fallback: bool, port: bool, third: bool) -> ServiceFlags {
    ServiceFlags {
        one_packet,
        fallback,
        port,
        third,
    }
}

/// One of each kind, in no order.
fn table() -> Vec<ListedService> {
    use Forwarding::{Direct, Masquerade, Tunnel};
    use Protocol::{Sctp, Tcp, Udp};
    let persistent = |timeout, granularity| {
        Some(Persistence {
            timeout,
            granularity,
        })
    };
    let plain = Service::new;
    let fwmark = |mark, ipv6| ServiceKey::FwMark { mark, ipv6 };
    vec![
        listed(
            fwmark(1, true),
            Service {
                persistence: persistent(10, Granularity::host(true)),
                ..plain("wrr")
            },
            vec![server("[2001:db8:1::21]:0", Masquerade, 4)],
        ),
        listed(
            fwmark(1, false),
            Service {
                flags: flags(false, true, true, false),
                ..plain("mh")
            },
            vec![
                server("10.0.1.22:0", Direct, 1),
                server("10.0.1.21:0", Direct, 1),
            ],
        ),
        listed(
            key(Udp, "2001:db8::80", 53),
            plain("lc"),
            vec![
                server("10.0.1.23:53", Tunnel, 1),
                server("[2001:db8:1::21]:53", Masquerade, 1),
            ],
        ),
        listed(
            key(Tcp, "2001:db8::80", 80),
            Service {
                persistence: persistent(360, Granularity::Prefix(64)),
                ..plain("sh")
            },
            vec![
                server("[2001:db8:1::23]:80", Tunnel, 7),
                server(
                    "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
                    Masquerade,
                    1,
                ),
                server("[2001:db8:1::22]:80", Direct, 1),
            ],
        ),
        listed(
            key(Udp, "192.0.2.80", 53),
            Service {
                flags: flags(true, false, false, false),
                ..plain("rr")
            },
            vec![server("10.0.1.21:5353", Masquerade, 2_147_483_647)],
        ),
        listed(
            key(Udp, "192.0.2.80", 5060),
            Service {
                persistence: persistent(60, Granularity::host(false)),
                engine: Some("sip".to_owned()),
                ..plain("rr")
            },
            vec![],
        ),
        listed(key(Sctp, "192.0.2.80", 9), plain("sed"), vec![]),
        listed(
            key(Tcp, "10.0.0.5", 80),
            plain("wlc"),
            vec![
                server("203.0.113.9:81", Masquerade, 1),
                server("127.0.0.2:80", Direct, 1),
                server("127.0.0.1:80", Masquerade, 1),
            ],
        ),
        listed(
            key(Tcp, "192.0.2.80", 443),
            Service {
                persistence: persistent(300, Granularity::network(false, 24)),
                ..plain("wrr")
            },
            vec![
                server("10.0.1.22:443", Tunnel, 0),
                server("10.0.1.21:443", Direct, 1),
            ],
        ),
        listed(
            key(Tcp, "192.0.2.80", 80),
            plain("wlc"),
            vec![
                server("10.0.1.22:8080", Masquerade, 3),
                ListedDestination {
                    active: 7,
                    inactive: 12,
                    ..server("10.0.1.21:80", Masquerade, 1)
                },
            ],
        ),
        listed(
            fwmark(u32::MAX, false),
            Service {
                flags: flags(true, true, false, true),
                ..plain("rr")
            },
            vec![],
        ),
    ]
}

/// The form and order of ipvsadm 1.31; `|` stands where a line ends in blanks.
const LISTING: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
FWM  -1 rr (flag-1,flag-3) ops
TCP  192.0.2.80:80 wlc
  -> 10.0.1.21:80                 Masq    1      7          12        |
  -> 10.0.1.22:8080               Masq    3      0          0         |
TCP  192.0.2.80:443 wrr persistent 300 mask 255.255.255.0
  -> 10.0.1.21:443                Route   1      0          0         |
  -> 10.0.1.22:443                Tunnel  0      0          0         |
TCP  10.0.0.5:80 wlc
  -> 127.0.0.1:80                 Masq    1      0          0         |
  -> 127.0.0.2:80                 Route   1      0          0         |
  -> 203.0.113.9:81               Masq    1      0          0         |
UDP  192.0.2.80:53 rr ops
  -> 10.0.1.21:5353               Masq    2147483647 0          0         |
UDP  192.0.2.80:5060 rr persistent 60 pe sip
SCTP 192.0.2.80:9 sed
TCP  [2001:db8::80]:80 sh persistent 360 mask 64
  -> [2001:db8:1::22]:80          Route   1      0          0         |
  -> [2001:db8:1::23]:80          Tunnel  7      0          0         |
  -> [2001:db8:1111:2222:3333:4444:5555:6666]:65535 Masq    1      0          0         |
UDP  [2001:db8::80]:53 lc
  -> 10.0.1.23:53                 Tunnel  1      0          0         |
  -> [2001:db8:1::21]:53          Masq    1      0          0         |
FWM  1 mh (mh-fallback,mh-port)
  -> 10.0.1.21:0                  Route   1      0          0         |
  -> 10.0.1.22:0                  Route   1      0          0         |
FWM  1 IPv6 wrr persistent 10
  -> [2001:db8:1::21]:0           Masq    4      0          0         |
";

#[test]
fn the_listing_is_that_of_ipvsadm() {
    assert_eq!(list(table()), LISTING.replace('|', ""));
}

#[test]
fn an_empty_table_has_its_title() {
    let title: String = LISTING
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(list(vec![]), title);
}

#[test]
fn addresses_are_written_as_inet_ntop_does() {
    let first_line = |address| {
        let service = listed(key(Protocol::Tcp, address, 80), Service::new("rr"), vec![]);
        list(vec![service]).lines().nth(3).unwrap().to_owned()
    };
    for (address, text) in [
        ("::1.2.3.4", "::1.2.3.4"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("::5", "::5"),
        ("::1:0:0", "::1:0:0"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ] {
        assert_eq!(first_line(address), format!("TCP  [{text}]:80 rr"));
    }
}

#[test]
fn scheduler_flags_have_names_of_their_scheduler() {
    let first_line = |scheduler: &str, flags| {
        let key = ServiceKey::FwMark {
            mark: 8,
            ipv6: false,
        };
        let service = Service {
            flags,
            ..Service::new(scheduler)
        };
        list(vec![listed(key, service, vec![])])
            .lines()
            .nth(3)
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        first_line("sh", flags(false, true, true, true)),
        "FWM  8 sh (sh-fallback,sh-port)"
    );
    assert_eq!(
        first_line("sh", flags(false, false, false, true)),
        "FWM  8 sh ()"
    );
    assert_eq!(
        first_line("wlc", flags(false, false, true, false)),
        "FWM  8 wlc (flag-2)"
    );
}

#[test]
fn options_may_be_joined_and_spelled_out() {
    for args in [
        &["-Ln"][..],
        &["-nL"],
        &["-ln"],
        &["-l", "-n"],
        &["--list", "--numeric"],
        &["-n", "--list"],
    ] {
        assert_eq!(
            run(args, Ok(table())).1,
            LISTING.replace('|', ""),
            "{args:?}"
        );
    }
}

#[test]
fn what_is_not_available_is_said_with_status_2_before_the_kernel_is_asked() {
    for (args, words) in [
        (
            &["-A", "-t", "192.0.2.80:80"][..],
            "option `-A` is not available in this version",
        ),
        (
            &["-L", "-n", "--stats"],
            "option `--stats` is not available in this version",
        ),
        (&["-Lnc"], "option `-c` is not available in this version"),
        (
            &["-L"],
            "listing with names is not available in this version; add -n",
        ),
        (&["-n"], "a command is needed"),
        (&[], "a command is needed"),
        (&["-L", "-n", "x"], "unexpected argument `x`"),
        (&["-L", "-"], "unexpected argument `-`"),
        (&["-L", "--"], "unexpected argument `--`"),
        (&["-L", "-v"], "`-v` after another command: one at a time"),
    ] {
        let mut asked = false;
        let mut stderr = Vec::new();
        let status = run_with(
            args.iter().map(OsString::from),
            &mut io::sink(),
            &mut stderr,
            || {
                asked = true;
                Ok((INFO, vec![]))
            },
        );
        let expected = format!("lvsadm: {words}; `lvsadm -h` lists what is available\n");
        assert_eq!(
            (status, String::from_utf8(stderr).unwrap()),
            (2, expected),
            "{args:?}"
        );
        assert!(!asked, "{args:?}");
    }
}

#[test]
fn help_and_version_need_no_kernel() {
    let (status, stdout, stderr) = run(&["-h"], Err(Error::NoIpvs));
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.contains("lvsadm -L -n"));
    let (status, stdout, _) = run(&["--version"], Err(Error::NoIpvs));
    assert_eq!(
        (status, stdout),
        (0, format!("lvsadm {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn what_prevents_the_listing_is_told_in_a_sentence_with_its_remedy() {
    let refused = Error::Netlink {
        action: "list services",
        source: ipvs::netlink::Error::Timeout,
    };
    for (error, status, remedy) in [
        (Error::NoIpvs, 2, "`modprobe ip_vs`"),
        (Error::NotPermitted, 2, "CAP_NET_ADMIN"),
        (
            refused,
            255,
            "cannot list services: the kernel gave no answer",
        ),
    ] {
        let (code, stdout, stderr) = run(&["-Ln"], Err(error));
        assert_eq!((code, stdout.as_str()), (status, ""));
        assert!(
            stderr.contains(remedy) && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}

/// An output that fails as it is told to.
struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure_but_a_full_disk_is() {
    for (kind, status, words) in [
        (io::ErrorKind::BrokenPipe, 0, ""),
        (
            io::ErrorKind::StorageFull,
            1,
            "lvsadm: cannot write the output: no storage space\n",
        ),
    ] {
        let mut stderr = Vec::new();
        let args = [OsString::from("-Ln")];
        let code = run_with(args, &mut Failing(kind), &mut stderr, || {
            Ok((INFO, table()))
        });
        assert_eq!(
            (code, String::from_utf8(stderr).unwrap()),
            (status, words.to_owned())
        );
    }
}
