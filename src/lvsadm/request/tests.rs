use std::net::{IpAddr, Ipv4Addr};

use ipvs::{Change, Command, Forwarding, Granularity, Protocol};

use super::*;

/// Knows one host and one service.
struct Book;

impl Resolver for Book {
    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        (name == "www").then_some(Ipv4Addr::new(192, 0, 2, 80))
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        (name == "http" && protocol == Protocol::Tcp).then_some(80)
    }

    fn host(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn service(&self, _: u16, _: Protocol) -> Option<String> {
        None
    }
}

/// What a command line, its words separated by blanks, asks for.
fn read(line: &str) -> Result<Request, Mistake> {
    let args: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
    parse("lvsadm", &args, &Book)
}

/// What is to be told the kernel.
fn told(line: &str) -> Command {
    match read(line) {
        Ok(Request::Kernel(command)) => command,
        other => panic!("{line}: {other:?}"),
    }
}

fn listing(line: &str) -> Listing {
    match read(line) {
        Ok(Request::List(listing)) => listing,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn spellings_of_one_command_line_are_one() {
    let expected = told("-a -t 192.0.2.80:80 -r 10.0.0.1:80 -m -w 5");
    for line in [
        "-a -t192.0.2.80:80 -r=10.0.0.1:80 -mw5",
        "-a --tcp-service www:http --real-server 10.0.0.1:http --masquerading --weight +5",
        "--add-server --tcp-service=0xc0.0.0x250:80 --real-server=10.0.0.1 --weight=05 -m",
        "-amw5 -t [192.0.2.80]:80 -r 167772161:80",
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
    let expected = listing("-L -n --exact");
    for line in [
        "-Ln -X",
        "-lnX",
        "--list --numeric --exact",
        "-LnX --sort --sort",
    ] {
        assert_eq!(listing(line), expected, "{line}");
    }
}

#[test]
fn a_service_has_what_was_said_and_otherwise_the_defaults() {
    let service = |line: &str| match told(line) {
        Command::Change(Change::AddService { service, .. }) => service,
        other => panic!("{line}: {other:?}"),
    };
    let plain = service("-A -t www:80");
    assert_eq!(plain, ipvs::Service::new("wlc"));
    let persistent = |line: &str| {
        let persistence = service(line).persistence.unwrap();
        (persistence.timeout, persistence.granularity)
    };
    assert_eq!(persistent("-A -t www -p"), (360, Granularity::host(false)));
    assert_eq!(
        persistent("-A -t www -p7 -M 255.255.255.0"),
        (7, Granularity::Mask(Ipv4Addr::new(255, 255, 255, 0)))
    );
    assert_eq!(
        persistent("-A -t [::1]:80 -p -M 64"),
        (360, Granularity::Prefix(64))
    );
    // Before the address it is taken for an IPv4 mask, which an IPv6 address then sets aside.
    assert_eq!(
        persistent("-A -M 64 -t [::1]:80 -p"),
        (360, Granularity::Prefix(128))
    );
    assert_eq!(
        persistent("-A -f 1 -6 -p -M 48"),
        (360, Granularity::Prefix(48))
    );
    let hashed = service("-A -u www:53 -o -b sh-port,,sh-fallback -s sh --pe sip");
    assert!(
        hashed.flags.one_packet
            && hashed.flags.port
            && hashed.flags.fallback
            && !hashed.flags.third
    );
    assert_eq!(hashed.engine.as_deref(), Some("sip"));
}

#[test]
fn servers_that_packets_reach_unchanged_have_the_port_of_their_service() {
    let server = |line: &str| match told(line) {
        Command::Change(Change::AddDestination {
            key, destination, ..
        }) => (key.port, destination.forwarding),
        other => panic!("{line}: {other:?}"),
    };
    for (options, expected) in [
        ("-r 10.0.0.1:81", (80, Forwarding::Direct)),
        ("-r 10.0.0.1:81 -i", (80, Forwarding::Tunnel)),
        ("-r 10.0.0.1:81 -m", (81, Forwarding::Masquerade)),
        ("-r 10.0.0.1 -m", (80, Forwarding::Masquerade)),
        ("-r fd00::1 -i", (80, Forwarding::Tunnel)),
    ] {
        assert_eq!(
            server(&format!("-a -t www:80 {options}")),
            expected,
            "{options}"
        );
    }
    assert_eq!(server("-a -f 1 -r 10.0.0.1:81"), (81, Forwarding::Direct));
    // Nothing is known of the service yet.
    assert_eq!(
        server("-a -r 10.0.0.1 -t www:80 -m"),
        (0, Forwarding::Masquerade)
    );
}

#[test]
fn a_watched_table_shows_rates_unless_something_else_is_asked_for() {
    assert_eq!(listing("-L --watch 2").format, Format::Rates);
    assert_eq!(listing("-L --watch 0.5 --stats").format, Format::Stats);
    assert_eq!(listing("-L -c --watch 2").format, Format::Plain);
    assert_eq!(
        listing("-L --watch 1.5").watch,
        Some(Duration::from_millis(1500))
    );
    assert_eq!(listing("-L --stats --rate").format, Format::Stats);
    for seconds in ["0", "-1", "nan", "inf", "x", "100000"] {
        let mistake = read(&format!("-L --watch={seconds}")).unwrap_err();
        assert_eq!(
            mistake.to_string(),
            format!("invalid interval `{seconds}' specified")
        );
    }
}

#[test]
fn mistakes_are_told_as_ipvsadm_tells_them() {
    for (line, status, text) in [
        (
            "-n",
            255,
            "Try `lvsadm -h' or 'lvsadm --help' for more information.",
        ),
        (
            "-q",
            255,
            "Try `lvsadm -h' or 'lvsadm --help' for more information.",
        ),
        (
            "word",
            255,
            "Try `lvsadm -h' or 'lvsadm --help' for more information.",
        ),
        ("-L -q", 255, "-q: unknown option"),
        ("-L --nosuch=1", 255, "--nosuch=1: unknown option"),
        ("-Lnx", 255, "-Lnx: missing argument"),
        (
            "-L --exact=1",
            255,
            "--exact=1: option does not take an argument",
        ),
        ("-Ln=", 255, "-Ln=: option does not take an argument"),
        ("-L -C", 2, "invalid option `-C'"),
        ("-L -n -n", 2, "multiple 'numeric' options specified"),
        (
            "-a -t www:80 -u www:80",
            2,
            "multiple 'service-address' options specified",
        ),
        (
            "-a -g -m",
            2,
            "multiple 'forwarding-method' options specified",
        ),
        ("-C word", 2, "unexpected argument word"),
        ("-C -- -n", 2, "unexpected argument -n"),
        (
            "-A",
            2,
            "You need to supply the 'service-address' option for the 'add-service' command",
        ),
        (
            "-C -n",
            2,
            "Illegal 'numeric' option with the 'flush' command",
        ),
        (
            "-L --json -w 1",
            2,
            "Illegal 'weight' option with the 'list' command",
        ),
        (
            "-S --json",
            2,
            "Illegal 'json' option with the 'save' command",
        ),
        (
            "-L --replace",
            2,
            "Illegal 'replace' option with the 'list' command",
        ),
        (
            "-L -c -f 1",
            2,
            "The option 'service-address' conflicts with the 'connection' option in the 'list' command",
        ),
        ("-L -c --stats", 2, "options conflicts in the list command"),
        (
            "-A -t www",
            2,
            "Zero port specified for non-persistent service",
        ),
        (
            "-A -t www:80 -o",
            2,
            "One-Packet Scheduling is only for UDP virtual services",
        ),
        (
            "-A -t www:80 -b nosuch",
            2,
            "invalid scheduler flag `nosuch'",
        ),
        ("-A -t www:80 -b ,,", 2, "invalid scheduler flag `,,'"),
        (
            "-A -t www:80 -b mh-port",
            2,
            "incompatible scheduler flag `mh-port'",
        ),
        ("-A -b nosuch", 2, "invalid scheduler flag `nosuch'"),
        ("-A -6", 2, "-6 used before -f\n"),
        (
            "-A -f 4294967296",
            2,
            "invalid fwmark value `4294967296' specified",
        ),
        (
            "-A -t www:80 -p 2678401",
            2,
            "invalid timeout value `2678401' specified",
        ),
        (
            "-A -t www:80 -M 24x",
            2,
            "illegal virtual server persistent mask specified",
        ),
        ("-A -t [::1]:80 -M 129", 2, "illegal ipv6 netmask specified"),
        (
            "-a -f 1 -r fd00::1",
            2,
            "Different address family is allowed only for tunneling servers",
        ),
        (
            "-a -f 1 -r 10.0.0.1 --tun-csum",
            2,
            "Tunnel options conflict with forward method",
        ),
        (
            "-a -f 1 -r 10.0.0.1 -i --tun-type gue",
            2,
            "You need to supply the 'tun-port' option for the 'gue' tunnel type",
        ),
        (
            "-a -f 1 -r 10.0.0.1 -w 2147483648",
            2,
            "illegal weight specified",
        ),
        ("--set 1 2", 2, "--set option requires 3 timeout values"),
        (
            "--start-daemon both",
            2,
            "illegal start-daemon parameter specified",
        ),
        ("--stop-daemon both", 2, "illegal start_daemon specified"),
        (
            "--start-daemon master --mcast-group 10.0.0.1",
            2,
            "invalid IPv4 mcast-group `10.0.0.1'",
        ),
    ] {
        let mistake = read(line).unwrap_err();
        assert_eq!(
            (mistake.status(), mistake.to_string().as_str()),
            (status, text),
            "{line}"
        );
    }
}

#[test]
fn what_is_no_address_or_number_is_refused() {
    for address in [
        "80",
        ":80",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:nosuch",
        "256.0.0.1:80",
        "1.2.3.4.5:80",
        "0x100.1.1.1:80",
        "08.1.1.1:80",
        "[::1",
        "[::1]",
        "[::1]80",
        "[::1]:",
        "::g",
        "nosuch:80",
    ] {
        let mistake = read(&format!("-A -t {address}")).unwrap_err();
        assert_eq!(
            mistake.to_string(),
            "illegal virtual server address[:port] specified",
            "{address}"
        );
    }
    for weight in ["", "x", "1x", "--1", "0x1", "-1", "99999999999999999999"] {
        let mistake = read(&format!("-a -f 1 -r 10.0.0.1 -w={weight}")).unwrap_err();
        assert_eq!(
            mistake.to_string(),
            "illegal weight specified",
            "{weight:?}"
        );
    }
}
