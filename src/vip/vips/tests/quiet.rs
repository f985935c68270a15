//! VIPs that are here and answered for by nobody.

use super::*;

/// Two VIPs on one interface, and one on another; all put.
fn quietable() -> [Vip; 3] {
    [
        vip("192.0.2.80/24", "eth0"),
        vip("192.0.2.81/24", "eth0"),
        vip("2001:db8::80/64", "eth1"),
    ]
}

#[test]
fn a_quiet_vip_is_delivered_throughout_and_answered_by_nobody() {
    let all = quietable();
    let (fake, mut vips) = open(&all);
    vips.put(&all, START);
    run(&mut vips, START, soon(START));
    fake.0.borrow_mut().sent.clear();
    fake.0.borrow().story.borrow_mut().clear();
    vips.quiet(&all, soon(START));
    let outputs = run(&mut vips, soon(START), START + Duration::from_secs(90));
    // The first addresses of their network come last, in case others of it leave too.
    let quieted = [&all[2], &all[0], &all[1]].map(|vip| Output::Quieted(vip.clone()));
    assert_eq!(outputs, quieted);
    for vip in &all {
        assert!(vips.is_quiet(vip) && !vips.is_present(vip) && !vips.is_here(vip));
    }
    let world = fake.0.borrow();
    assert_eq!(world.sent, [], "nothing is announced");
    assert_eq!(
        *world.story.borrow(),
        [
            "deliver 2001:db8::80",
            "deliver 192.0.2.80",
            "deliver 192.0.2.81",
            "arp_ignore of eth0 is 1",
            "remove 2001:db8::80",
            "remove 192.0.2.80",
            "remove 192.0.2.81",
        ]
    );
    assert!(all.iter().all(|vip| world.delivers(vip.address.addr())));
    assert!(!world.answers("eth0", "192.0.2.80"));
    assert!(vips.is_settled());
}

#[test]
fn the_last_quiet_vip_of_an_interface_restores_arp_ignore() {
    let all = quietable();
    for (before, while_quiet) in [(0, 1), (1, 1), (2, 2), (3, 3), (8, 8), (5, 1)] {
        let (fake, mut vips) = open(&all);
        let set = |value| {
            let world = fake.0.borrow();
            world
                .arp_ignore
                .borrow_mut()
                .insert("eth0".to_owned(), value);
        };
        set(before);
        vips.put(&all, START);
        vips.quiet(&all[..1], START);
        run(&mut vips, START, soon(START));
        vips.quiet(&all[1..2], soon(START));
        let mut now = soon(START) * 2;
        run(&mut vips, soon(START), now);
        assert_eq!(fake.0.borrow().arp_ignore_of("eth0"), while_quiet);
        vips.take(&all[..1], now);
        run(&mut vips, now, soon(now));
        assert_eq!(fake.0.borrow().arp_ignore_of("eth0"), while_quiet);
        now = soon(now);
        vips.put(&all[1..2], now);
        run(&mut vips, now, soon(now));
        let world = fake.0.borrow();
        assert_eq!(world.arp_ignore_of("eth0"), before);
        assert!(world.routes.is_empty());
        assert!(vips.is_present(&all[1]) && !vips.is_here(&all[0]));
        let story = world.story.borrow();
        assert!(
            !story.contains(&"192.0.2.81 is dropped".to_owned()),
            "{story:?}"
        );
    }
}

#[test]
fn what_somebody_sets_while_a_vip_is_quiet_stays() {
    let all = quietable();
    let (fake, mut vips) = open(&all);
    vips.quiet(&all[..1], START);
    run(&mut vips, START, soon(START));
    let operators = BTreeMap::from([("eth0".to_owned(), 2)]);
    fake.0.borrow_mut().arp_ignore.replace(operators);
    vips.take(&all[..1], soon(START));
    run(&mut vips, soon(START), soon(START) * 2);
    assert_eq!(fake.0.borrow().arp_ignore_of("eth0"), 2);
}

#[test]
fn a_vip_that_cannot_be_made_quiet_keeps_its_address() {
    let all = quietable();
    let (fake, mut vips) = open(&all);
    vips.put(&all, START);
    run(&mut vips, START, soon(START));
    fake.0.borrow_mut().sysctls_read_only = true;
    vips.quiet(&all, soon(START));
    run(&mut vips, soon(START), START + RETRY / 2);
    let problem = vips.problem(&all[0]).unwrap().to_string();
    let start = "cannot quiet 192.0.2.80 on eth0: sysctl net.ipv4.conf.eth0.arp_ignore: ";
    assert!(problem.starts_with(start), "{problem}");
    assert!(vips.is_here(&all[0]) && !vips.is_quiet(&all[0]));
    assert!(vips.is_quiet(&all[2]), "others are unharmed");
    fake.0.borrow_mut().sysctls_read_only = false;
    run(&mut vips, START + RETRY / 2, START + RETRY * 3);
    assert!(all.iter().all(|vip| vips.is_quiet(vip)));
    assert!(!fake.0.borrow().answers("eth0", "192.0.2.80"));
}

#[test]
fn a_start_after_a_crash_removes_quiet_routes_and_restores_arp_ignore() {
    let all = quietable();
    let (fake, mut vips) = open(&all);
    vips.put(&all, START);
    run(&mut vips, START, soon(START));
    vips.quiet(&all, soon(START));
    run(&mut vips, soon(START), soon(START) * 2);
    drop(vips);

    let now = START * 2;
    let mut vips = reopen(&fake, &all[1..]);
    assert_eq!(fake.0.borrow().routes.len(), 3, "opening touches nothing");
    vips.remove_stale(&BTreeSet::new(), now);
    run(&mut vips, now, soon(now));
    let world = fake.0.borrow();
    assert!(world.routes.is_empty() && world.addresses.is_empty());
    assert_eq!(world.arp_ignore_of("eth0"), 0);
}

#[test]
fn an_interface_made_anew_is_silenced_too() {
    let all = quietable();
    let (fake, mut vips) = open(&all);
    vips.quiet(&all, START);
    run(&mut vips, START, soon(START));
    fake.0.borrow_mut().remove_link("eth0");
    run(&mut vips, soon(START), START + RETRY);
    fake.0.borrow().arp_ignore.borrow_mut().clear();
    fake.0.borrow_mut().add_link("eth0");
    run(&mut vips, START + RETRY, START + RETRY * 3);
    assert!(all.iter().all(|vip| vips.is_quiet(vip)));
    assert_eq!(fake.0.borrow().routes.len(), 3);
    assert!(!fake.0.borrow().answers("eth0", "192.0.2.80"));
    vips.take(&all, START + RETRY * 3);
    run(&mut vips, START + RETRY * 3, START + RETRY * 5);
    assert!(fake.0.borrow().routes.is_empty());
    assert_eq!(fake.0.borrow().arp_ignore_of("eth0"), 0);
}
