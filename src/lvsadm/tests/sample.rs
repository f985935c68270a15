//! A table with one of each kind of service and server, and how it is listed.

use ipvs::{
    Destination, DestinationKey, Forwarding, Granularity, ListedDestination, ListedService,
    Persistence, Protocol, Service, ServiceFlags, ServiceKey, Stats,
};

pub(super) fn key(protocol: Protocol, address: &str, port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol,
        address: address.parse().unwrap(),
        port,
    }
}

pub(super) fn listed(
    key: ServiceKey,
    service: Service,
    servers: Vec<ListedDestination>,
) -> ListedService {
    ListedService {
        key,
        service,
        stats: Stats::default(),
        destinations: servers,
    }
}

pub(super) fn server(text: &str, forwarding: Forwarding, weight: u32) -> ListedDestination {
    ListedDestination {
        key: text.parse::<DestinationKey>().unwrap(),
        destination: Destination::new(forwarding, weight),
        active: 0,
        inactive: 0,
        persistent: 0,
        stats: Stats::default(),
    }
}

pub(super) fn flags(one_packet: bool, fallback: bool, port: bool, third: bool) -> ServiceFlags {
    ServiceFlags {
        one_packet,
        fallback,
        port,
        third,
    }
}

/// One of each kind, in no order.
pub(super) fn table() -> Vec<ListedService> {
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
pub(super) const LISTING: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
FWM  4294967295 rr (flag-1,flag-3) ops
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
