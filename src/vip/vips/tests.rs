mod quiet;
mod rivals;
mod storm;

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::io::Errno;

use super::super::announcer::REPEATS;
use super::super::duties::RETRY;
use super::super::table::{Event, MARK, SECONDARY};
use super::fake::{Fake, UP};
use super::*;

const START: Time = Duration::from_secs(100);

fn vip(address: &str, interface: &str) -> Vip {
    Vip {
        address: address.parse().unwrap(),
        interface: interface.to_owned(),
        label: None,
    }
}

fn pair() -> [Vip; 2] {
    [vip("192.0.2.80/24", "eth0"), vip("2001:db8::80/64", "eth1")]
}

/// A host with two interfaces, and VIPs for it that nobody has asked for yet.
fn open(vips: &[Vip]) -> (Fake, Vips<Fake>) {
    let fake = Fake::default();
    fake.0.borrow_mut().add_link("eth0");
    fake.0.borrow_mut().add_link("eth1");
    let opened = reopen(&fake, vips);
    (fake, opened)
}

fn reopen(fake: &Fake, vips: &[Vip]) -> Vips<Fake> {
    let set = vips.iter().cloned().collect();
    let links = BTreeSet::from(["eth0".to_owned()]);
    Vips::new(fake.clone(), &set, &links, START).unwrap()
}

/// Turns as a thread would take them, from one time to another; what came out.
fn run(vips: &mut Vips<Fake>, from: Time, until: Time) -> Vec<Output> {
    let mut now = from;
    let mut outputs = Vec::new();
    loop {
        vips.handle_timeout(now);
        outputs.extend(std::iter::from_fn(|| vips.poll_output()));
        match vips.poll_timeout() {
            Some(due) if due.max(now) < until => now = due.max(now + Duration::from_micros(1)),
            _ => return outputs,
        }
    }
}

fn soon(now: Time) -> Time {
    now + Duration::from_millis(50)
}

fn put(vip: &Vip, found: bool) -> Output {
    Output::Put {
        vip: vip.clone(),
        found,
    }
}

fn texts<const N: usize>(addresses: [&str; N]) -> BTreeSet<String> {
    addresses.map(str::to_owned).into()
}

#[test]
fn opening_touches_nothing() {
    let (fake, mut vips) = open(&pair());
    assert_eq!(run(&mut vips, START, soon(START)), []);
    assert!(fake.0.borrow().batches.is_empty());
    assert!(vips.is_settled());
}

#[test]
fn a_vip_is_put_and_announced_in_one_turn_and_taken_in_one() {
    let (fake, mut vips) = open(&pair());
    vips.put(&pair(), START);
    assert!(vips.poll_timeout().is_some_and(|due| due <= START));
    vips.handle_timeout(START);
    assert_eq!(fake.0.borrow().on("eth0"), texts(["192.0.2.80/24"]));
    assert_eq!(fake.0.borrow().on("eth1"), texts(["2001:db8::80/64"]));
    assert_eq!(fake.0.borrow().sent.len(), 2, "both forms of ARP");
    assert!(vips.is_announcing());
    // The kernel tells when it delivers an IPv6 address.
    vips.handle_readable(START);
    vips.handle_timeout(START);
    assert_eq!(vips.counts().announced, 3);
    assert!(!vips.is_announcing());
    assert_eq!(vips.poll_output(), Some(put(&pair()[0], false)));
    assert_eq!(vips.poll_output(), Some(put(&pair()[1], false)));
    assert!(pair().iter().all(|vip| vips.is_present(vip)));

    vips.take(&pair(), soon(START));
    assert!(
        pair()
            .iter()
            .all(|vip| !vips.is_present(vip) && vips.is_here(vip))
    );
    vips.handle_timeout(soon(START));
    for vip in pair() {
        let taken = Output::Taken(Place::of(&vip));
        assert!(vips.outputs.contains(&taken), "{taken:?}");
    }
    assert_eq!(vips.outputs.len(), 2);
    assert!(fake.0.borrow().addresses.is_empty());
    assert_eq!(vips.poll_timeout(), None);
}

#[test]
fn an_ipv6_vip_of_which_the_kernel_does_not_tell_is_announced_all_the_same() {
    let (fake, mut vips) = open(&pair());
    let [_, v6] = pair();
    vips.put(std::slice::from_ref(&v6), START);
    vips.handle_timeout(START);
    fake.0.borrow_mut().events.clear();
    let just_before = START + Duration::from_millis(49);
    run(&mut vips, START, just_before);
    assert_eq!(fake.0.borrow().sent.len(), 0);
    run(&mut vips, just_before, START + Duration::from_millis(60));
    assert_eq!(fake.0.borrow().sent.len(), 1);

    // What leaves before is not announced at all.
    vips.take(std::slice::from_ref(&v6), soon(soon(START)));
    vips.handle_timeout(soon(soon(START)));
    vips.put(std::slice::from_ref(&v6), soon(soon(START)));
    vips.handle_timeout(soon(soon(START)));
    vips.take(std::slice::from_ref(&v6), soon(soon(START)));
    run(&mut vips, soon(soon(START)), START + Duration::from_secs(1));
    assert_eq!(fake.0.borrow().sent.len(), 1);
}

#[test]
fn putting_twice_does_nothing_more() {
    let (fake, mut vips) = open(&pair());
    vips.put(&pair(), START);
    run(&mut vips, START, soon(START));
    vips.put(&pair(), soon(START));
    assert_eq!(run(&mut vips, soon(START), soon(soon(START))), []);
    assert_eq!(fake.0.borrow().batches, [2]);
}

#[test]
fn a_thousand_vips_are_put_in_bounded_turns() {
    let many: Vec<Vip> = (0..1000)
        .map(|n| vip(&format!("10.0.{}.{}/16", n / 250, n % 250 + 1), "eth0"))
        .collect();
    let (fake, mut vips) = open(&many);
    vips.put(&many, START);
    let outputs = run(&mut vips, START, soon(START));
    assert_eq!(outputs.len(), 1000);
    let world = fake.0.borrow();
    assert_eq!(world.addresses.len(), 1000);
    assert!(world.batches.iter().all(|size| *size <= CHUNK));
    assert_eq!(world.batches.len(), 1000_usize.div_ceil(CHUNK));
}

#[test]
fn what_an_earlier_run_left_is_removed_and_what_is_kept_stays() {
    let (fake, _) = open(&[]);
    {
        let mut world = fake.0.borrow_mut();
        world.add_foreign("eth0", "192.0.2.80/24", MARK);
        world.add_foreign("eth0", "192.0.2.99/24", MARK);
        world.add_foreign("eth1", "2001:db8::80/64", 0);
        world.add_foreign("eth0", "192.0.2.11/24", 0);
    }
    let mut vips = reopen(&fake, &pair());
    assert_eq!(vips.found().len(), 3);
    vips.remove_stale(&BTreeSet::from([pair()[0].clone()]), START);
    run(&mut vips, START, soon(START));
    assert_eq!(
        fake.0.borrow().on("eth0"),
        texts(["192.0.2.80/24", "192.0.2.11/24"])
    );
    assert_eq!(fake.0.borrow().on("eth1"), texts([]));
    assert_eq!(fake.0.borrow().sent, [], "nobody has decided about it yet");

    vips.put(&pair()[..1], soon(START));
    let outputs = run(&mut vips, soon(START), soon(soon(START)));
    assert!(outputs.contains(&put(&pair()[0], true)));
    assert_eq!(fake.0.borrow().sent.len(), 2, "an adopted VIP is announced");
}

#[test]
fn a_vip_there_with_another_prefix_length_is_replaced() {
    for (old, new, interface) in [
        ("192.0.2.80/32", "192.0.2.80/24", "eth0"),
        ("2001:db8::80/128", "2001:db8::80/64", "eth1"),
    ] {
        let new = vip(new, interface);
        let (fake, mut vips) = open(std::slice::from_ref(&new));
        fake.0.borrow_mut().add_foreign(interface, old, 0);
        vips.put(std::slice::from_ref(&new), START);
        run(&mut vips, START, soon(START));
        assert_eq!(
            fake.0.borrow().on(interface),
            texts([new.address.to_string().as_str()])
        );
    }
}

#[test]
fn a_primary_leaves_after_all_its_secondaries_have() {
    let many: Vec<Vip> = (1..=3 * CHUNK)
        .map(|n| vip(&format!("192.0.2.{n}/24"), "eth0"))
        .collect();
    let (fake, mut vips) = open(&many);
    vips.put(&many, START);
    run(&mut vips, START, soon(START));
    {
        let mut world = fake.0.borrow_mut();
        let mut events = Vec::new();
        for found in world.addresses.values_mut().skip(1) {
            found.flags = SECONDARY;
            events.push(Event::Address(found.clone()));
        }
        world.events.extend(events);
    }
    vips.take(&many, soon(START));
    let outputs = run(&mut vips, soon(START), soon(soon(START)));
    assert_eq!(outputs.len(), many.len());
    assert_eq!(outputs.last(), Some(&Output::Taken(Place::of(&many[0]))));
    let world = fake.0.borrow();
    assert!(world.addresses.is_empty());
}

#[test]
fn a_vip_that_somebody_removes_is_put_back_but_not_in_a_race() {
    let (fake, mut vips) = open(&pair());
    vips.put(&pair(), START);
    run(&mut vips, START, soon(START));
    let mut now = START + Duration::from_secs(60);
    fake.0.borrow_mut().remove_foreign("eth0", "192.0.2.80/24");
    assert_eq!(
        run(&mut vips, now, soon(now)),
        [Output::Lost(pair()[0].clone()), put(&pair()[0], false)]
    );
    // Removed again at once: somebody insists, so the next attempt waits.
    now = soon(now);
    fake.0.borrow_mut().remove_foreign("eth0", "192.0.2.80/24");
    assert_eq!(
        run(&mut vips, now, soon(now)),
        [Output::Lost(pair()[0].clone())]
    );
    assert!(!vips.is_present(&pair()[0]));
    assert_eq!(run(&mut vips, now, now + RETRY), [put(&pair()[0], false)]);
    assert_eq!(vips.counts().lost, 2);
}

#[test]
fn lost_events_lead_to_a_fresh_list() {
    let (fake, mut vips) = open(&pair());
    vips.put(&pair(), START);
    run(&mut vips, START, soon(START));
    let now = START + Duration::from_secs(60);
    fake.0.borrow_mut().remove_foreign("eth0", "192.0.2.80/24");
    fake.0.borrow_mut().remove_link("eth1");
    fake.0.borrow_mut().overrun = true;
    let outputs = run(&mut vips, now, soon(now));
    assert!(outputs.contains(&Output::Lost(pair()[0].clone())));
    assert!(outputs.contains(&Output::Lost(pair()[1].clone())));
    assert!(outputs.contains(&put(&pair()[0], false)));
    assert_eq!(vips.counts().resyncs, 1);
}

#[test]
fn a_missing_interface_is_named_once_and_waited_for() {
    let wanted = vip("192.0.2.80/24", "eth9");
    let (fake, mut vips) = open(std::slice::from_ref(&wanted));
    vips.put(std::slice::from_ref(&wanted), START);
    let now = START + Duration::from_secs(10);
    assert_eq!(
        run(&mut vips, START, now),
        [Output::Failed(Problem::NoInterface(Place::of(&wanted)))]
    );
    assert_eq!(
        vips.problem(&wanted).unwrap().to_string(),
        "cannot add 192.0.2.80 to eth9: there is no such interface"
    );
    fake.0.borrow_mut().add_link("eth9");
    assert_eq!(run(&mut vips, now, soon(now)), [put(&wanted, false)]);
    assert_eq!(vips.problem(&wanted), None);
    assert!(fake.0.borrow().promoted.borrow().contains("eth9"));
}

#[test]
fn refusals_are_told_in_words_and_tried_again() {
    for (index, errno, words) in [
        (
            0,
            Errno::PERM,
            "cannot add 192.0.2.80 to eth0: needs CAP_NET_ADMIN",
        ),
        (
            1,
            Errno::ACCESS,
            "cannot add 2001:db8::80 to eth1: IPv6 is disabled there (sysctl \
             net.ipv6.conf.eth1.disable_ipv6)",
        ),
        (
            1,
            Errno::OPNOTSUPP,
            "cannot add 2001:db8::80 to eth1: the kernel has no IPv6 (modprobe ipv6)",
        ),
        (
            0,
            Errno::NOBUFS,
            "cannot add 192.0.2.80 to eth0: no buffer space available",
        ),
    ] {
        let wanted = pair()[index].clone();
        let address = wanted.address.addr();
        let (fake, mut vips) = open(&pair());
        fake.0.borrow_mut().refuses.insert(address, errno);
        vips.put(&pair(), START);
        run(&mut vips, START, soon(START));
        assert_eq!(vips.problem(&wanted).unwrap().to_string(), words);
        assert!(vips.is_present(&pair()[1 - index]), "others are unharmed");
        fake.0.borrow_mut().refuses.clear();
        run(&mut vips, START + RETRY, soon(START + RETRY));
        assert!(vips.is_present(&wanted));
    }
}

#[test]
fn an_address_that_cannot_be_removed_is_told_and_tried_again() {
    let (fake, mut vips) = open(&pair());
    vips.put(&pair(), START);
    run(&mut vips, START, soon(START));
    let address = pair()[0].address.addr();
    fake.0.borrow_mut().refuses.insert(address, Errno::PERM);
    vips.take(&pair(), soon(START));
    run(&mut vips, soon(START), soon(soon(START)));
    assert_eq!(
        vips.problem(&pair()[0]).unwrap().to_string(),
        "cannot remove 192.0.2.80 from eth0: needs CAP_NET_ADMIN"
    );
    assert!(vips.is_here(&pair()[0]));
    fake.0.borrow_mut().refuses.clear();
    run(&mut vips, soon(START), START + RETRY * 2);
    assert!(!vips.is_here(&pair()[0]));
    assert!(vips.is_settled());
}

#[test]
fn a_link_that_returns_or_changes_its_address_announces_anew() {
    let (fake, mut vips) = open(&pair());
    vips.put(&pair()[..1], START);
    run(&mut vips, START, START + Duration::from_secs(10));
    let now = START + Duration::from_secs(10);
    fake.0.borrow_mut().sent.clear();
    fake.0.borrow_mut().set_mac("eth0", 7);
    run(&mut vips, now, soon(now));
    let sent = std::mem::take(&mut fake.0.borrow_mut().sent);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].frame[6..12], [2, 0, 0, 0, 1, 7]);

    fake.0.borrow_mut().set_flags("eth0", UP & !0x1_0040);
    let outputs = run(&mut vips, soon(now), now + Duration::from_secs(1));
    assert_eq!(
        outputs,
        [Output::Link {
            interface: "eth0".to_owned(),
            up: false
        }]
    );
    assert!(!vips.is_up("eth0"));
    assert_eq!(
        fake.0.borrow().sent.len(),
        0,
        "nothing is sent into a dead cable"
    );
    let now = now + Duration::from_secs(1);
    fake.0.borrow_mut().set_flags("eth0", UP);
    run(&mut vips, now, now + REPEATS[0] / 2);
    assert_eq!(fake.0.borrow().sent.len(), 2);
}

#[test]
fn frames_without_room_leave_later_and_none_is_lost() {
    let (fake, mut vips) = open(&pair());
    fake.0.borrow_mut().room = Some(1);
    vips.put(&pair(), START);
    vips.handle_timeout(START);
    assert_eq!(fake.0.borrow().sent.len(), 1);
    assert!(vips.poll_timeout().is_some_and(|due| due > START));
    fake.0.borrow_mut().room = None;
    run(&mut vips, START, soon(START));
    assert_eq!(fake.0.borrow().sent.len(), 3);
    assert_eq!(vips.counts().refused, 1);
}

#[test]
fn announcing_again_is_for_vips_that_are_here() {
    let (fake, mut vips) = open(&pair());
    vips.put(&pair()[..1], START);
    run(&mut vips, START, START + Duration::from_secs(10));
    fake.0.borrow_mut().sent.clear();
    let now = START + Duration::from_secs(10);
    vips.announce(&pair(), now);
    run(&mut vips, now, soon(now));
    assert_eq!(fake.0.borrow().sent.len(), 2);
}

#[test]
fn a_reload_takes_vips_that_are_gone_from_the_configuration() {
    let (fake, mut vips) = open(&pair());
    vips.put(&pair(), START);
    run(&mut vips, START, soon(START));
    let now = soon(START);
    vips.configure(&BTreeSet::from([pair()[1].clone()]), &BTreeSet::new(), now);
    assert_eq!(
        run(&mut vips, now, soon(now)),
        [Output::Taken(Place::of(&pair()[0]))]
    );
    assert_eq!(fake.0.borrow().addresses.len(), 1);
    assert!(vips.is_present(&pair()[1]));
}
