//! Real servers fail and return under load, in every way to forward.

use std::time::Instant;

use lab::{Family, Farm, Lab, Mode, SOON, kernel_test, until};

/// One of three servers is killed and started again while a client asks; it leaves, and returns,
/// and nothing is lost but what the dead server got before it left.
fn a_server_fails_and_returns(lab: &Lab, mode: Mode, family: Family) {
    let mut farm = Farm::new(lab, mode, family);
    farm.start_pair();
    let load = farm.client.load(farm.vip);
    let served_by = |from: Instant, servers: usize, answers: usize| {
        let report = load.since(from);
        report.servers.len() == servers && report.servers.values().sum::<usize>() >= answers
    };
    let start = Instant::now();
    until("all servers answer", SOON, || served_by(start, 3, 60));

    let address = farm.servers[1].address.clone();
    farm.servers[1].kill();
    for director in [&farm.ha1, &farm.ha2] {
        farm.wait_health(director, &address, "down");
    }
    let gone = Instant::now();
    until("two servers answer", SOON, || served_by(gone, 2, 100));
    let report = load.since(gone);
    assert_eq!(report.lost, 0, "lost after the server had left: {report:?}");
    assert!(!report.servers.contains_key("rs2"), "{report:?}");

    farm.servers[1].start();
    for director in [&farm.ha1, &farm.ha2] {
        farm.wait_health(director, &address, "up");
    }
    let back = Instant::now();
    until("all servers answer again", SOON, || served_by(back, 3, 60));
    assert_eq!(
        load.since(back).lost,
        0,
        "lost after the server had returned"
    );

    // And all of it through the other director.
    farm.ha1.stop();
    farm.ha2.wait_active("web", SOON);
    let moved = Instant::now();
    until("all servers answer through ha2", SOON, || {
        served_by(moved, 3, 60)
    });
}

kernel_test! {
    fn in_direct_routing(lab) {
        a_server_fails_and_returns(lab, Mode::Direct, Family::V4);
    }

    fn in_direct_routing_over_ipv6(lab) {
        a_server_fails_and_returns(lab, Mode::Direct, Family::V6);
    }

    fn behind_nat(lab) {
        a_server_fails_and_returns(lab, Mode::Nat, Family::V4);
    }

    fn through_a_tunnel(lab) {
        a_server_fails_and_returns(lab, Mode::Tunnel, Family::V4);
    }

    fn a_server_that_is_quiesced_stays_in_the_table_without_weight(lab) {
        let settings = lab::farm::Settings {
            more: "on_failure = \"quiesce\"\nsorry = \"192.0.2.100:80\"\n".to_owned(),
            ..lab::farm::Settings::default()
        };
        let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
        farm.start_pair();
        farm.servers[0].kill();
        let row = format!("-> {}:80 ", farm.servers[0].address);
        until("rs1 has no weight", SOON, || {
            let table = farm.ha1.table();
            let line = table.lines().find(|line| line.contains(&row)).unwrap_or_default();
            line.split_whitespace().nth(3) == Some("0")
        });
    }
}
