use super::{DestinationKey, ServiceKey};
use crate::model::{Destination, Entry, Forwarding, Service, Table};

#[test]
fn keys_are_read_as_they_are_written() {
    for text in [
        "TCP 192.0.2.80:80",
        "UDP [2001:db8::80]:53",
        "SCTP 192.0.2.80:0",
        "fwmark 4294967295",
        "fwmark 1 IPv6",
    ] {
        assert_eq!(text.parse::<ServiceKey>().unwrap().to_string(), text);
    }
    for text in ["10.0.1.21:80", "[2001:db8::21]:0"] {
        assert_eq!(text.parse::<DestinationKey>().unwrap().to_string(), text);
    }
    assert_eq!(
        "tcp 192.0.2.80:80".parse::<ServiceKey>(),
        "TCP 192.0.2.80:80".parse()
    );
}

#[test]
fn what_names_nothing_is_refused_with_an_example() {
    for text in [
        "",
        "tcp",
        "tcp 192.0.2.80",
        "tcp 192.0.2.80:80 80",
        "icmp 192.0.2.80:80",
        "fwmark -1",
        "fwmark 1 IPv4",
        "fwmark 1 IPv6 2",
    ] {
        assert!(text.parse::<ServiceKey>().is_err(), "{text}");
    }
    let error = "10.0.1.21"
        .parse::<DestinationKey>()
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("\"10.0.1.21\" names nothing; "),
        "{error}"
    );
}

#[test]
fn a_table_goes_through_json() {
    let server = "10.0.1.21:80".parse().unwrap();
    let entry = Entry {
        service: Service::new("wlc"),
        destinations: [(server, Destination::new(Forwarding::Direct, 1))].into(),
    };
    let table = Table::from([("TCP 192.0.2.80:80".parse().unwrap(), entry)]);
    let text = serde_json::to_string(&table).unwrap();
    assert!(
        text.starts_with(r#"{"TCP 192.0.2.80:80":{"service":{"scheduler":"wlc""#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
}
