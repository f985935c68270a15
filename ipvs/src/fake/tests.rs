use super::Fake;
use crate::change::Change;
use crate::error::{Error, Reason};
use crate::kernel::Kernel;
use crate::model::{Destination, DestinationKey, Forwarding, Service, ServiceKey};

const WEB: ServiceKey = ServiceKey::FwMark {
    mark: 1,
    ipv6: false,
};

fn server(address: &str) -> DestinationKey {
    DestinationKey {
        address: address.parse().unwrap(),
        port: 80,
    }
}

fn add(address: &str, destination: Destination) -> Change {
    Change::AddDestination {
        service: WEB,
        key: server(address),
        destination,
    }
}

fn refusal(kernel: &mut Fake, change: Change) -> String {
    let outcome = kernel.apply(&[change]).unwrap().remove(0);
    outcome.map_or_else(|refusal| refusal.to_string(), |()| "done".to_owned())
}

/// Linux 6.1 refuses the same changes with the same errors.
#[test]
fn changes_are_refused_as_by_the_kernel_and_explained() {
    let mut kernel = Fake {
        schedulers: ["wlc".to_owned()].into(),
        ..Fake::default()
    };
    let nat = Destination::new(Forwarding::Masquerade, 1);
    let service = |name: &str| Service::new(name);
    let mut check = |change: Change, words: &str| assert_eq!(refusal(&mut kernel, change), words);

    check(
        Change::EditService {
            key: WEB,
            service: service("none"),
        },
        "cannot edit service fwmark 1: it does not exist",
    );
    check(
        Change::RemoveService { key: WEB },
        "cannot remove service fwmark 1: it does not exist",
    );
    check(
        add("10.0.1.21", nat),
        "cannot add destination 10.0.1.21:80 to fwmark 1: the service does not exist",
    );
    check(
        Change::AddService {
            key: WEB,
            service: service("nonsense"),
        },
        "cannot add service fwmark 1: the kernel has no scheduler \"nonsense\"",
    );
    check(
        Change::AddService {
            key: WEB,
            service: service("wlc"),
        },
        "done",
    );
    check(
        Change::AddService {
            key: WEB,
            service: service("wlc"),
        },
        "cannot add service fwmark 1: it exists already",
    );
    check(add("10.0.1.21", nat), "done");
    check(
        add("10.0.1.21", nat),
        "cannot add destination 10.0.1.21:80 to fwmark 1: it exists already",
    );
    check(
        add(
            "10.0.1.22",
            Destination {
                weight: u32::MAX,
                ..nat
            },
        ),
        "cannot add destination 10.0.1.22:80 to fwmark 1: weight or thresholds are out of range",
    );
    check(
        Change::EditDestination {
            service: WEB,
            key: server("10.0.1.22"),
            destination: nat,
        },
        "cannot edit destination 10.0.1.22:80 of fwmark 1: it does not exist",
    );
    check(
        Change::RemoveDestination {
            service: WEB,
            key: server("10.0.1.22"),
        },
        "cannot remove destination 10.0.1.22:80 from fwmark 1: it does not exist",
    );
    assert_eq!(kernel.done.len(), 2);
}

#[test]
fn a_family_that_differs_needs_a_tunnel() {
    let mut kernel = Fake::default();
    kernel
        .apply(&[Change::AddService {
            key: WEB,
            service: Service::new("wlc"),
        }])
        .unwrap();
    let outcomes = kernel
        .apply(&[
            add("2001:db8::1", Destination::new(Forwarding::Masquerade, 1)),
            add("2001:db8::1", Destination::new(Forwarding::Tunnel, 1)),
        ])
        .unwrap();
    assert!(matches!(&outcomes[0], Err(refusal) if matches!(refusal.reason, Reason::Invalid(_))));
    assert!(outcomes[1].is_ok());
}

#[test]
fn a_fault_prevents_one_call_and_changes_nothing() {
    let mut kernel = Fake {
        fault: Some(Error::NotPermitted),
        ..Fake::default()
    };
    let change = [Change::AddService {
        key: WEB,
        service: Service::new("wlc"),
    }];
    assert!(matches!(kernel.apply(&change), Err(Error::NotPermitted)));
    assert!(kernel.table().unwrap().is_empty());
    assert!(kernel.apply(&change).is_ok());
    assert_eq!(kernel.table().unwrap().len(), 1);
}
