//! What prevents all work, told apart.

use std::fs;

use ipvs::{
    Change, Client, Command, Error, Kernel, Service, ServiceKey, SyncDaemon, SyncRole, Timeouts,
};
use lab::kernel_test;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

const MODPROBE: &str = "/proc/sys/kernel/modprobe";

fn add() -> Change {
    Change::AddService {
        key: ServiceKey::FwMark {
            mark: 1,
            ipv6: false,
        },
        service: Service::new("rr"),
    }
}

/// Takes all rights from the calling thread.
fn give_up_rights() {
    let nothing = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, nothing).expect("rights can be given up");
}

fn said(kernel: &mut Client, command: Command) -> String {
    let outcome = kernel.command(command);
    outcome.map_or_else(|error| error.to_string(), |()| "done".to_owned())
}

kernel_test! {
    fn a_missing_right_is_told_by_every_call(lab) {
        lab.host("one").inside(|| {
            // The number of the family is no secret.
            give_up_rights();
            let mut kernel = Client::open().expect("the kernel has IPVS");
            assert!(matches!(kernel.listing(), Err(Error::NotPermitted)));
            assert!(matches!(kernel.outline(), Err(Error::NotPermitted)));
            assert!(matches!(kernel.info(), Err(Error::NotPermitted)));
            assert!(matches!(kernel.timeouts(), Err(Error::NotPermitted)));
            assert!(matches!(kernel.daemons(), Err(Error::NotPermitted)));
            assert!(matches!(kernel.apply(&[add()]), Err(Error::NotPermitted)));
            assert!(matches!(kernel.command(Command::Flush), Err(Error::NotPermitted)));
            let raw = kernel.execute(&[add().into()]).expect("it can be sent");
            assert_eq!(raw[0].as_ref().map_err(|error| error.errno), Err(1));
        });
    }

    /// A module that is gone is loaded again, and its absence told where that is impossible.
    fn a_module_that_goes_comes_back_or_is_missed(lab) {
        let host = lab.host("one");
        let remove = || {
            let _ = host.sh("ipvsadm -C; modprobe -r ip_vs_rr ip_vs_wlc; modprobe -r ip_vs");
        };
        host.inside(|| {
            let mut kernel = Client::open().expect("the kernel has IPVS");
            remove();
            assert!(kernel.listing().expect("it is loaded again").is_empty());
            remove();
            assert_eq!(kernel.apply(&[add()]).expect("it is loaded again"), [Ok(())]);
            remove();
            assert!(kernel.info().is_ok());

            let loader = fs::read_to_string(MODPROBE).expect("the loader's name");
            fs::write(MODPROBE, "/bin/false").expect("it can be set");
            remove();
            assert!(matches!(kernel.listing(), Err(Error::NoIpvs)));
            assert!(matches!(kernel.apply(&[add()]), Err(Error::NoIpvs)));
            assert!(matches!(Client::open(), Err(Error::NoIpvs)));
            assert!(matches!(ipvs::connections::connections(), Err(Error::NoIpvs)));
            fs::write(MODPROBE, loader).expect("it can be set");
            assert!(kernel.listing().is_ok());
        });
    }

    fn refusals_name_their_object_and_what_they_mean(lab) {
        let host = lab.host("one");
        host.ip(&["link set lo up".to_owned()]);
        host.inside(|| {
            let mut kernel = Client::open().expect("the kernel has IPVS");
            let start = |interface| {
                Command::StartDaemon(SyncDaemon::new(SyncRole::Receiver, interface, 1))
            };
            let long = Timeouts { tcp: u32::MAX, ..Timeouts::default() };
            let missing = ServiceKey::FwMark { mark: 7, ipv6: true };
            for (command, words) in [
                (start("eth7"), "cannot start the sync receiver on eth7: there is no interface \"eth7\""),
                (start("lo"), "done"),
                (start("lo"), "cannot start the sync receiver on lo: one runs already"),
                (Command::StopDaemon(SyncRole::Sender), "cannot stop the sync sender: none runs"),
                (Command::StopDaemon(SyncRole::Receiver), "done"),
                (Command::SetTimeouts(long), "cannot set the timeouts to 4294967295 0 0: one is out of the kernel's range"),
                (Command::Zero(Some(missing)), "cannot zero the counters of fwmark 7 IPv6: the service does not exist"),
                (add().into(), "done"),
                (add().into(), "cannot add service fwmark 1: it exists already"),
                (Command::Zero(None), "done"),
                (Command::Flush, "done"),
            ] {
                assert_eq!(said(&mut kernel, command), words);
            }
            assert!(matches!(kernel.service(&missing), Err(Error::NoService(key)) if key == missing));
        });
    }
}
