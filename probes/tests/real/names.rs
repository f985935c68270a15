use probes::kinds::dns::{Dns, Name, Rcode, Record};
use probes::spec::ProbeKind;

use crate::process::Place;
use crate::trouble::{hangs_and_returns, is_told_right_in_trouble};
use crate::{is_down, is_up};

fn asking(name: &str, record: Record, answers: &[&str]) -> Dns {
    Dns {
        name: Name::new(name).unwrap(),
        record,
        rcode: Rcode::NoError,
        answers: answers.iter().map(|it| (*it).to_owned()).collect(),
        tcp: false,
    }
}

#[tokio::test]
async fn unbound_answers_over_udp_and_tcp() {
    let place = Place::new(5353);
    let settings = place.write(
        "unbound.conf",
        &format!(
            "server:
               directory: \".\"
               chroot: \"\"
               username: \"\"
               pidfile: \"\"
               use-syslog: no
               interface: {}@5353
               access-control: 127.0.0.0/8 allow
               do-ip6: no
               module-config: \"iterator\"
               local-zone: \"example.test.\" static
               local-data: \"www.example.test. 60 IN A 192.0.2.1\"
               local-data: \"www.example.test. 60 IN AAAA 2001:db8::1\"
               local-data: \"example.test. 60 IN MX 10 mail.example.test.\"
               local-data: 'example.test. 60 IN TXT \"hi there\"'
               local-zone: \"refused.test.\" refuse
             remote-control:
               control-enable: no
            ",
            place.address.ip()
        ),
    );
    let mut command = place.command("/usr/sbin/unbound");
    command.args(["-d", "-c", &settings]);
    let mut server = place.start_listening(&mut command);
    let address = server.address();
    let good = [
        asking("www.example.test", Record::A, &["192.0.2.1"]),
        asking("WWW.Example.Test.", Record::Aaaa, &["2001:DB8::1"]),
        asking("example.test", Record::Mx, &["10 mail.example.test."]),
        asking("example.test", Record::Txt, &["hi there"]),
        Dns {
            rcode: Rcode::NxDomain,
            ..asking("none.example.test", Record::A, &[])
        },
        Dns {
            rcode: Rcode::Refused,
            ..asking("www.refused.test", Record::A, &[])
        },
    ];
    for dns in good {
        for tcp in [false, true] {
            is_up(address, ProbeKind::Dns(Dns { tcp, ..dns.clone() })).await;
        }
    }
    let other = ProbeKind::Dns(asking("www.example.test", Record::A, &["192.0.2.2"]));
    is_down(address, other, r#"expected A 192.0.2.2, got "192.0.2.1""#).await;
    let none = ProbeKind::Dns(asking("none.example.test", Record::A, &[]));
    is_down(address, none, "expected noerror, got nxdomain").await;
    let www = asking("www.example.test", Record::A, &["192.0.2.1"]);
    let over_tcp = ProbeKind::Dns(Dns {
        tcp: true,
        ..www.clone()
    });
    is_told_right_in_trouble(&server, address, over_tcp).await;
    hangs_and_returns(&server, address, ProbeKind::Dns(www)).await;
    server.stop();
    let dns = ProbeKind::Dns(asking("www.example.test", Record::A, &[]));
    is_down(address, dns, "port unreachable").await;
}
