use std::net::Ipv4Addr;

use super::*;

fn vip(number: u32) -> Vip {
    let address = Ipv4Addr::from(0x0a00_0000 + number);
    Vip {
        address: format!("{address}/24").parse().unwrap(),
        interface: "eth0".to_owned(),
        label: None,
    }
}

fn vip6() -> Vip {
    Vip {
        address: "2001:db8::80/64".parse().unwrap(),
        interface: "eth0".to_owned(),
        label: None,
    }
}

const START: Time = Duration::from_secs(1000);

/// Runs as a thread would that is woken exactly when it asked to be; every frame with its time.
fn run(announcer: &mut Announcer, from: Time, until: Time) -> Vec<(Time, Notice)> {
    let mut now = from;
    let mut sent = Vec::new();
    loop {
        announcer.handle_timeout(now);
        while let Some(notice) = announcer.poll_output() {
            sent.push((now - START, notice));
        }
        match announcer.poll_timeout() {
            Some(due) if due.max(now) < until => {
                assert!(due > now, "asks to be woken for nothing at {now:?}");
                now = due;
            }
            _ => return sent,
        }
    }
}

fn times(sent: &[(Time, Notice)], form: Form) -> Vec<u64> {
    sent.iter()
        .filter(|(_, notice)| notice.form == form)
        .map(|(at, _)| at.as_millis() as u64)
        .collect()
}

#[test]
fn an_address_is_announced_at_once_then_less_and_less_then_every_minute() {
    let mut announcer = Announcer::default();
    announcer.announce(&vip(1), START);
    let sent = run(&mut announcer, START, START + Duration::from_secs(190));
    let expected = [0, 100, 500, 1_000, 5_000, 65_000, 125_000, 185_000];
    assert_eq!(times(&sent, Form::Request), expected);
    assert_eq!(times(&sent, Form::Reply), expected);
    assert_eq!(times(&sent, Form::Advertisement), [0; 0]);
}

#[test]
fn an_ipv6_address_is_announced_in_its_one_form() {
    let mut announcer = Announcer::default();
    announcer.announce(&vip6(), START);
    let sent = run(&mut announcer, START, START + Duration::from_secs(10));
    assert_eq!(
        times(&sent, Form::Advertisement),
        [0, 100, 500, 1_000, 5_000]
    );
    assert_eq!(sent.len(), 5);
}

#[test]
fn an_address_that_is_hastened_is_announced_once_more_and_then_as_usual() {
    let mut announcer = Announcer::default();
    announcer.hasten(&vip(1), START);
    assert_eq!(announcer.poll_timeout(), None, "nobody announces it");
    announcer.announce(&vip(1), START);
    announcer.hasten(&vip(1), START);
    run(&mut announcer, START, START + Duration::from_secs(30));
    announcer.hasten(&vip(1), START + Duration::from_secs(30));
    announcer.hasten(&vip(1), START + Duration::from_secs(30));
    let from = START + Duration::from_secs(30);
    let sent = run(&mut announcer, from, START + Duration::from_secs(100));
    assert_eq!(times(&sent, Form::Request), [30_000, 90_000]);
    assert_eq!(times(&sent, Form::Reply), [30_000, 90_000]);
    announcer.withdraw(&vip(1));
    assert_eq!(announcer.poll_timeout(), None);
}

#[test]
fn announcing_again_starts_the_schedule_anew() {
    let mut announcer = Announcer::default();
    announcer.announce(&vip(1), START);
    run(&mut announcer, START, START + Duration::from_secs(30));
    let again = START + Duration::from_secs(30);
    announcer.announce(&vip(1), again);
    let sent = run(&mut announcer, again, again + Duration::from_secs(6));
    assert_eq!(
        times(&sent, Form::Request),
        [30_000, 30_100, 30_500, 31_000, 35_000]
    );
}

#[test]
fn a_withdrawn_address_is_silent_even_in_the_middle_of_a_round() {
    let mut announcer = Announcer::default();
    for number in 0..100 {
        announcer.announce(&vip(number), START);
    }
    announcer.handle_timeout(START);
    for number in 0..100 {
        announcer.withdraw(&vip(number));
    }
    assert_eq!(announcer.poll_output(), None);
    assert_eq!(announcer.poll_timeout(), None);
    announcer.handle_timeout(START + Duration::from_secs(60));
    assert_eq!(announcer.poll_output(), None);
}

#[test]
fn a_thousand_addresses_leave_in_bounded_bursts_each_once_before_any_twice() {
    let mut announcer = Announcer::default();
    for number in 0..1000 {
        announcer.announce(&vip(number), START);
    }
    announcer.announce(&vip6(), START);
    let sent = run(&mut announcer, START, START + Duration::from_millis(100));
    assert_eq!(sent.len(), 2001);
    let heard: BTreeSet<_> = sent[..1001].iter().map(|(_, notice)| &notice.vip).collect();
    assert_eq!(heard.len(), 1001);
    assert_eq!(sent[1000].0, Duration::from_millis(15));
    assert_eq!(sent[2000].0, Duration::from_millis(31));
    let mut bursts = BTreeMap::<Time, usize>::new();
    for (at, _) in &sent {
        *bursts.entry(*at).or_default() += 1;
    }
    assert!(bursts.values().all(|size| *size <= BURST), "{bursts:?}");
}

#[test]
fn in_a_hurry_each_address_is_announced_once_and_the_rest_follows() {
    let mut announcer = Announcer::default();
    announcer.hurry(true);
    for number in 0..40 {
        announcer.announce(&vip(number), START);
    }
    announcer.announce(&vip6(), START);
    let mut sent = Vec::new();
    for _ in 0..2 {
        announcer.handle_timeout(START);
        sent.extend(std::iter::from_fn(|| announcer.poll_output()));
    }
    assert_eq!(sent.len(), 41);
    assert!(sent.iter().all(|notice| notice.form != Form::Reply));
    announcer.hurry(false);
    announcer.handle_timeout(START + WINDOW);
    let rest: Vec<Notice> = std::iter::from_fn(|| announcer.poll_output()).collect();
    assert_eq!(rest.len(), 40);
    assert!(rest.iter().all(|notice| notice.form == Form::Reply));
}

#[test]
fn a_newcomer_goes_before_the_repeats_of_others() {
    let mut announcer = Announcer::default();
    for number in 0..200 {
        announcer.announce(&vip(number), START);
    }
    run(&mut announcer, START, START + Duration::from_millis(50));
    let later = START + REPEATS[0];
    announcer.announce(&vip(777), later);
    announcer.handle_timeout(later);
    assert_eq!(
        announcer.poll_output(),
        Some(Notice {
            vip: vip(777),
            form: Form::Request
        })
    );
}

#[test]
fn a_refused_frame_leaves_first_in_the_next_burst() {
    let mut announcer = Announcer::default();
    for number in 0..3 {
        announcer.announce(&vip(number), START);
    }
    announcer.handle_timeout(START);
    let mut batch: Vec<_> = std::iter::from_fn(|| announcer.poll_output()).collect();
    assert_eq!(batch.len(), 6);
    for notice in batch.drain(2..).rev() {
        announcer.handle_refused(notice, START);
    }
    assert_eq!(announcer.poll_timeout(), Some(START + WINDOW));
    announcer.handle_timeout(START + WINDOW);
    assert_eq!(announcer.poll_output().unwrap().vip, vip(2));
}

#[test]
fn a_refused_frame_of_a_withdrawn_address_is_dropped() {
    let mut announcer = Announcer::default();
    announcer.announce(&vip(1), START);
    announcer.handle_timeout(START);
    let notice = announcer.poll_output().unwrap();
    announcer.withdraw(&vip(1));
    announcer.handle_refused(notice, START);
    assert_eq!(announcer.poll_output(), None);
    assert_eq!(announcer.poll_timeout(), None);
}

#[test]
fn a_thread_that_slept_for_an_hour_owes_one_round() {
    let mut announcer = Announcer::default();
    announcer.announce(&vip(1), START);
    run(&mut announcer, START, START + Duration::from_secs(6));
    let awake = START + Duration::from_secs(3600);
    let sent = run(&mut announcer, awake, awake + Duration::from_secs(59));
    assert_eq!(times(&sent, Form::Request), [3_600_000, 3_600_100]);
}

#[test]
fn calling_too_early_or_twice_does_nothing() {
    let mut announcer = Announcer::default();
    announcer.handle_timeout(START);
    assert_eq!(announcer.poll_timeout(), None);
    announcer.announce(&vip(1), START);
    run(&mut announcer, START, START + Duration::from_millis(1));
    let due = announcer.poll_timeout();
    for early in [0, 50, 99] {
        announcer.handle_timeout(START + Duration::from_millis(early));
        assert_eq!(announcer.poll_output(), None);
        assert_eq!(announcer.poll_timeout(), due);
    }
}
