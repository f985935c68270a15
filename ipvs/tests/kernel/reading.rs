//! Listings, long and short, of a table that stands still and of one that others change.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use ipvs::{Change, Client, Command, Kernel, OutlinedService, Service, ServiceKey};
use lab::kernel_test;

use crate::random;

fn mark(mark: u32) -> ServiceKey {
    ServiceKey::FwMark { mark, ipv6: false }
}

kernel_test! {
    fn the_outline_is_the_listing_in_short(lab) {
        let host = lab.host("one");
        host.inside(|| {
            let mut rng = Rng::with_seed(3);
            let mut kernel = Client::open().expect("the kernel has IPVS");
            let adds = |command: &Command| match command {
                Command::Change(change) => matches!(
                    change,
                    Change::AddService { .. } | Change::AddDestination { .. }
                ),
                _ => false,
            };
            let commands: Vec<_> = (0..2000)
                .map(|_| random::command(&mut rng))
                .filter(adds)
                .collect();
            kernel.execute(&commands).expect("commands can be sent");
            let listing = kernel.listing().expect("the table can be read");
            let destinations: usize = listing.iter().map(|one| one.destinations.len()).sum();
            assert!(listing.len() > 10 && destinations > 30, "{listing:?}");
            let expected: Vec<OutlinedService> = listing.iter().cloned().map(Into::into).collect();
            assert_eq!(kernel.outline().expect("an outline"), expected);
            for listed in &listing {
                let one = kernel.service(&listed.key).expect("it is there");
                assert_eq!(&one, listed);
            }
        });
    }

    /// The kernel resumes a listing by position, so that it can repeat what it has listed before.
    fn nothing_is_listed_twice_while_others_write(lab) {
        let host = lab.host("one");
        let add = |number| Change::AddService {
            key: mark(number),
            service: Service::new("rr"),
        };
        let stay: BTreeSet<_> = (1..200).map(mark).collect();
        host.inside(|| {
            let changes: Vec<_> = (1..200).map(add).collect();
            let mut kernel = Client::open().expect("the kernel has IPVS");
            for outcome in kernel.apply(&changes).expect("changes can be sent") {
                assert_eq!(outcome, Ok(()));
            }
        });
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| host.inside(|| {
                let mut kernel = Client::open().expect("the kernel has IPVS");
                let mut rounds = 0;
                while !done.load(Ordering::Relaxed) {
                    // They hash to where the others are.
                    let new: Vec<_> = (1000..1100).map(add).collect();
                    let old: Vec<_> = (1000..1100)
                        .map(|number| Change::RemoveService { key: mark(number) })
                        .collect();
                    kernel.apply(&new).expect("changes can be sent");
                    kernel.apply(&old).expect("changes can be sent");
                    rounds += 1;
                }
                rounds
            }));
            host.inside(|| {
                let mut kernel = Client::open().expect("the kernel has IPVS");
                for round in 0..30 {
                    let listing = kernel.listing().expect("the table can be read");
                    let keys: Vec<_> = listing.iter().map(|listed| listed.key).collect();
                    let set: BTreeSet<_> = keys.iter().copied().collect();
                    assert_eq!(set.len(), keys.len(), "round {round}: one is listed twice");
                    let outline = kernel.outline().expect("an outline");
                    let keys: Vec<_> = outline.iter().map(|listed| listed.key).collect();
                    let set: BTreeSet<_> = keys.iter().copied().collect();
                    assert_eq!(set.len(), keys.len(), "round {round}: one is outlined twice");
                }
            });
            done.store(true, Ordering::Relaxed);
            let rounds = writer.join().expect("the writer ends well");
            assert!(rounds > 3, "the table changed {rounds} times only");
        });
        let left = host.inside(|| Client::open().and_then(|mut kernel| kernel.table()));
        assert_eq!(left.expect("the table can be read").keys().copied().collect::<BTreeSet<_>>(), stay);
    }
}
