//! The fake does what the kernel does.

use std::collections::BTreeMap;

use fastrand::Rng;
use ipvs::fake::Fake;
use ipvs::{
    Client, Command, Destination, DestinationKey, Kernel, Service, ServiceKey, SyncDaemon, Timeouts,
};
use lab::kernel_test;

use crate::random;

/// Commands of one seed, on a table that is empty at first.
const COMMANDS: usize = 1500;
/// Commands between two looks at the whole table.
const LOOK: usize = 25;

/// All that the kernel and the fake list, but counters and the order of services.
#[derive(Debug, Eq, PartialEq)]
struct State {
    services: BTreeMap<ServiceKey, (Service, Vec<(DestinationKey, Destination)>)>,
    timeouts: Timeouts,
    daemons: Vec<SyncDaemon>,
}

fn state(kernel: &mut impl Kernel) -> State {
    let listing = kernel.listing().expect("the table can be read");
    State {
        services: listing
            .into_iter()
            .map(|listed| {
                let destinations = listed.destinations.iter();
                let destinations = destinations
                    .map(|server| (server.key, server.destination))
                    .collect();
                (listed.key, (listed.service, destinations))
            })
            .collect(),
        timeouts: kernel.timeouts().expect("the timeouts can be read"),
        daemons: kernel.daemons().expect("the daemons can be listed"),
    }
}

fn errors(kernel: &mut impl Kernel, commands: &[Command]) -> Vec<i32> {
    let outcomes = kernel.execute(commands).expect("commands can be sent");
    outcomes
        .into_iter()
        .map(|outcome| outcome.err().map_or(0, |refusal| refusal.errno))
        .collect()
}

/// Runs random commands on both; returns how many the kernel carried out and how many it refused.
fn compare(seed: u64) -> [usize; 2] {
    let mut rng = Rng::with_seed(seed);
    let mut kernel = Client::open().expect("the kernel has IPVS");
    let mut fake = Fake {
        schedulers: random::SCHEDULERS.map(str::to_owned).into(),
        engines: ["sip".to_owned()].into(),
        interfaces: [("lo".to_owned(), 65_536), ("eth0".to_owned(), 1500)].into(),
        ..Fake::default()
    };
    let mut counts = [0, 0];
    for start in (0..COMMANDS).step_by(LOOK) {
        let commands: Vec<_> = (0..LOOK).map(|_| random::command(&mut rng)).collect();
        let theirs = errors(&mut kernel, &commands);
        let ours = errors(&mut fake, &commands);
        for (index, command) in commands.iter().enumerate() {
            assert_eq!(
                ours[index],
                theirs[index],
                "seed {seed}, command {}: {command:?}; fake and kernel in that order",
                start + index
            );
            counts[usize::from(theirs[index] != 0)] += 1;
        }
        let (mut ours, mut theirs) = (state(&mut fake), state(&mut kernel));
        // What differs is all that a person wants to see.
        for key in ours.services.clone().keys() {
            if ours.services.get(key) == theirs.services.get(key) {
                ours.services.remove(key);
                theirs.services.remove(key);
            }
        }
        assert_eq!(
            ours,
            theirs,
            "seed {seed}, after command {}; fake and kernel in that order",
            start + LOOK
        );
    }
    kernel
        .execute(&[Command::Flush])
        .expect("the table can be flushed");
    counts
}

kernel_test! {
    /// Thousands of random commands have the same results, error numbers and tables.
    fn the_fake_answers_as_the_kernel(lab) {
        let mut counts = [0, 0];
        for seed in 0..4 {
            // The daemons and timeouts of one seed are none of the next one's business.
            let host = lab.host(&format!("h{seed}"));
            host.ip(&[
                "link add eth0 type dummy".to_owned(),
                "link set eth0 up".to_owned(),
                "address add 192.0.2.1/24 dev eth0".to_owned(),
                "address add 2001:db8::1/64 dev eth0 nodad".to_owned(),
            ]);
            let [done, refused] = host.inside(|| compare(seed));
            counts[0] += done;
            counts[1] += refused;
        }
        println!("{} done, {} refused", counts[0], counts[1]);
        assert!(counts.iter().all(|count| *count > 500), "{counts:?} shows too little");
    }
}
