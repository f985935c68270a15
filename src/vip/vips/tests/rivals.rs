//! Other hosts that answer for VIPs.

use super::super::super::answers::Answer;
use super::*;

const PATIENCE: Duration = Duration::from_millis(300);
const STRANGER: Mac = [2, 0, 0, 0, 9, 9];

fn says(vip: &Vip, mac: Mac) -> Answer {
    Answer {
        address: vip.address.addr(),
        mac,
        index: None,
    }
}

fn hear(fake: &Fake, answers: impl IntoIterator<Item = Answer>) {
    fake.0.borrow_mut().answers.extend(answers);
}

fn refused(vip: &Vip) -> Output {
    Output::Refused {
        vip: vip.clone(),
        mac: STRANGER,
    }
}

fn contested(vip: &Vip, mac: Mac, director: Option<&str>) -> Output {
    Output::Contested {
        vip: vip.clone(),
        mac,
        director: director.map(str::to_owned),
    }
}

/// Whoever answers each question for these, until a time.
fn run_against(
    fake: &Fake,
    vips: &mut Vips<Fake>,
    answers: &[Answer],
    from: Time,
    until: Time,
) -> Vec<Output> {
    let mut outputs = Vec::new();
    let mut now = from;
    while now < until {
        let before = fake.0.borrow().asked.len();
        outputs.extend(run(vips, now, now + Duration::from_millis(10)));
        now += Duration::from_millis(10);
        if fake.0.borrow().asked.len() > before {
            hear(fake, answers.iter().copied());
        }
    }
    outputs
}

#[test]
fn what_nobody_answers_for_is_asked_for_and_then_put() {
    let (fake, mut vips) = open(&pair());
    let [v4, v6] = pair();
    vips.claim(&pair(), PATIENCE, START);
    assert_eq!(run(&mut vips, START, START + PATIENCE), []);
    assert!(!vips.is_settled() && pair().iter().all(|vip| vips.is_asking(vip)));
    assert_eq!(fake.0.borrow().asked.len(), 6, "three times each");
    assert!(fake.0.borrow().sent.is_empty(), "and not announced");
    let end = START + PATIENCE * 2;
    let outputs = run(&mut vips, START + PATIENCE, end);
    assert_eq!(outputs, [put(&v4, false), put(&v6, false)]);
    assert!(vips.is_settled() && vips.is_present(&v4));
}

#[test]
fn what_a_stranger_answers_for_is_refused_and_put_once_it_has_left() {
    let (fake, mut vips) = open(&pair());
    let [v4, v6] = pair();
    vips.claim(&pair(), PATIENCE, START);
    let later = START + Duration::from_secs(30);
    let claims = [says(&v4, STRANGER), says(&v4, STRANGER)];
    let outputs = run_against(&fake, &mut vips, &claims, START, later);
    assert_eq!(outputs, [refused(&v4), put(&v6, false)], "the other is put");
    assert!(!vips.is_here(&v4) && vips.is_settled());
    let problem = vips.problem(&v4).unwrap().to_string();
    assert_eq!(
        problem,
        "192.0.2.80 is not put on eth0: 02:00:00:00:09:09 answers for it there, which is no director's"
    );
    assert_eq!(vips.counts().claimed, 1);

    let end = later + Duration::from_secs(10);
    let outputs = run(&mut vips, later, end);
    assert_eq!(outputs, [Output::Yielded(v4.clone()), put(&v4, false)]);
    assert_eq!(vips.problem(&v4), None);

    vips.take(&pair(), end);
    run(&mut vips, end, soon(end));
    assert_eq!(vips.poll_timeout(), None, "nothing is asked any more");
}

#[test]
fn a_refused_vip_of_a_group_that_is_left_is_forgotten() {
    let (fake, mut vips) = open(&pair());
    let [v4, _] = pair();
    vips.claim(std::slice::from_ref(&v4), PATIENCE, START);
    let end = START + PATIENCE;
    run_against(&fake, &mut vips, &[says(&v4, STRANGER)], START, end);
    assert!(vips.problem(&v4).is_some());
    vips.take(std::slice::from_ref(&v4), end);
    assert_eq!(vips.problem(&v4), None);
    let gone = Output::Taken(Place::of(&v4));
    assert_eq!(run(&mut vips, end, end + Duration::from_secs(20)), [gone]);

    // So is one that a reload removes.
    vips.claim(std::slice::from_ref(&v4), PATIENCE, end);
    vips.configure(&BTreeSet::new(), &BTreeSet::new(), end);
    run(&mut vips, end, end + Duration::from_secs(20));
    assert!(!vips.is_here(&v4));
}

#[test]
fn a_takeover_waits_for_no_answer_and_stands_against_whoever_answers() {
    for (mac, director) in [(STRANGER, None), ([2, 0, 0, 0, 9, 1], Some("ha1"))] {
        let (fake, mut vips) = open(&pair());
        let [v4, v6] = pair();
        vips.know(BTreeMap::from([("ha1".to_owned(), Vec::new())]));
        vips.locate("ha1".to_owned(), vec![[2, 0, 0, 0, 9, 1]]);
        vips.put(&pair(), START);
        vips.handle_timeout(START);
        vips.handle_timeout(START);
        assert!(pair().iter().all(|vip| vips.is_present(vip)));
        assert_eq!(fake.0.borrow().sent.len(), 3);
        assert!(fake.0.borrow().asked.is_empty());

        let end = START + Duration::from_secs(25);
        let claims = [says(&v6, mac)];
        let mut outputs = run_against(&fake, &mut vips, &claims, START, end);
        outputs.retain(|output| !matches!(output, Output::Put { .. }));
        assert_eq!(outputs, [contested(&v6, mac, director)]);
        assert!(vips.is_present(&v4) && vips.is_present(&v6), "it stays");
        let sent = fake.0.borrow().sent.len();
        let usual = 5 * 3;
        assert_eq!(sent - usual, 2, "every ten seconds; the first comes sooner");
        assert_eq!(vips.counts().defended, 3);
    }
}

#[test]
fn what_a_stranger_had_before_is_put_at_once_and_taken_away_if_it_still_answers() {
    let (fake, mut vips) = open(&pair());
    let [v4, v6] = pair();
    vips.try_put(&pair(), PATIENCE, START);
    vips.handle_timeout(START);
    assert!(vips.is_present(&v4) && vips.is_present(&v6), "at once");
    let end = START + Duration::from_secs(1);
    let outputs = run_against(&fake, &mut vips, &[says(&v4, STRANGER)], START, end);
    let gone = Output::Taken(Place::of(&v4));
    assert!(outputs.ends_with(&[refused(&v4), gone]), "{outputs:?}");
    assert!(vips.is_refused(&v4) && !vips.is_here(&v4));
    assert!(vips.is_present(&v6) && !vips.is_refused(&v6));
    let outputs = run(&mut vips, end, end + Duration::from_secs(10));
    assert_eq!(outputs, [Output::Yielded(v4.clone()), put(&v4, false)]);
}

fn foreseen(vip: &Vip) -> Output {
    Output::Foreseen {
        vip: vip.clone(),
        mac: STRANGER,
    }
}

#[test]
fn what_a_stranger_has_is_known_before_the_owner_dies_and_is_refused_then() {
    let (fake, mut vips) = open(&pair());
    let [v4, v6] = pair();
    let owner = [2, 0, 0, 0, 9, 1];
    vips.know(BTreeMap::from([("ha1".to_owned(), Vec::new())]));
    vips.locate("ha1".to_owned(), vec![owner]);
    vips.watch(&pair(), START);
    let end = START + Duration::from_secs(200);
    let answers = [says(&v4, owner), says(&v6, owner), says(&v4, STRANGER)];
    let outputs = run_against(&fake, &mut vips, &answers, START, end);
    assert_eq!(outputs, [foreseen(&v4)], "told once");
    assert!(!vips.is_here(&v4) && vips.is_settled() && !vips.is_refused(&v4));
    assert_eq!(
        vips.problem(&v4).unwrap().to_string(),
        "192.0.2.80 would not be put on eth0: 02:00:00:00:09:09 answers for it there, which is no director's"
    );
    let asked = fake.0.borrow().asked.len();
    assert!(
        (20..30).contains(&asked),
        "{asked}: often while it is there"
    );

    vips.try_put(&pair(), PATIENCE, end);
    vips.handle_timeout(end);
    assert!(!vips.is_here(&v4) && vips.is_present(&v6), "at once");
    let mut outputs = vec![];
    outputs.extend(std::iter::from_fn(|| vips.poll_output()));
    assert_eq!(outputs, [refused(&v4), put(&v6, false)]);
    assert_eq!(vips.counts().claimed, 1);
    let outputs = run(&mut vips, end, end + Duration::from_secs(10));
    assert_eq!(outputs, [Output::Yielded(v4.clone()), put(&v4, false)]);
}

#[test]
fn what_is_heard_while_the_owner_is_late_counts() {
    let (fake, mut vips) = open(&pair());
    let [v4, v6] = pair();
    vips.watch(&pair(), START);
    let mut now = START + Duration::from_secs(30);
    assert_eq!(run(&mut vips, START, now), []);
    let before = fake.0.borrow().asked.len();
    vips.watch(&pair(), now);
    vips.handle_timeout(now);
    assert_eq!(fake.0.borrow().asked.len(), before + 2, "at once");
    hear(&fake, [says(&v4, STRANGER)]);
    now += Duration::from_millis(3);
    vips.watch(&pair(), now);
    vips.try_put(&pair(), PATIENCE, now);
    vips.handle_timeout(now);
    assert_eq!(fake.0.borrow().asked.len(), before + 2, "in bounds");
    assert!(!vips.is_here(&v4) && vips.is_present(&v6));
    assert!(vips.is_refused(&v4));
}

#[test]
fn whoever_was_taken_for_a_stranger_and_is_a_director_is_cleared() {
    let (fake, mut vips) = open(&pair());
    let [v4, _] = pair();
    vips.know(BTreeMap::from([("ha1".to_owned(), Vec::new())]));
    vips.watch(&pair(), START);
    let end = START + Duration::from_secs(1);
    let outputs = run_against(&fake, &mut vips, &[says(&v4, STRANGER)], START, end);
    assert_eq!(outputs, [foreseen(&v4)]);
    vips.locate("ha1".to_owned(), vec![STRANGER]);
    let end = end + Duration::from_secs(30);
    let outputs = run_against(&fake, &mut vips, &[says(&v4, STRANGER)], START, end);
    assert_eq!(outputs, [Output::Yielded(v4.clone())]);
    assert_eq!(vips.problem(&v4), None);
    vips.put(&pair(), end);
    vips.handle_timeout(end);
    assert!(vips.is_present(&v4));
}

#[test]
fn what_is_passed_on_is_the_clusters_whoever_was_seen_to_have_it() {
    let (fake, mut vips) = open(&pair());
    let [v4, _] = pair();
    vips.watch(&pair(), START);
    let end = START + Duration::from_secs(1);
    run_against(&fake, &mut vips, &[says(&v4, STRANGER)], START, end);
    vips.put(&pair(), end);
    let later = end + Duration::from_secs(1);
    let outputs = run_against(&fake, &mut vips, &[says(&v4, STRANGER)], end, later);
    assert!(vips.is_present(&v4));
    assert!(
        outputs.contains(&contested(&v4, STRANGER, None)),
        "{outputs:?}"
    );
}

#[test]
fn what_is_watched_in_vain_is_no_reason_to_wait() {
    let (fake, mut vips) = open(&pair());
    vips.watch(&pair(), START);
    let end = START + Duration::from_secs(300);
    assert_eq!(run(&mut vips, START, end), []);
    assert_eq!(fake.0.borrow().asked.len(), 2 * (3 + 4), "once a minute");
    vips.try_put(&pair(), PATIENCE, end);
    vips.handle_timeout(end);
    assert!(pair().iter().all(|vip| vips.is_present(vip)));
    // One that no director has held lately is asked for all the same.
    let (_, mut vips) = open(&pair());
    vips.watch(&pair(), START);
    run(&mut vips, START, end);
    vips.claim(&pair(), PATIENCE, end);
    assert_eq!(run(&mut vips, end, end + PATIENCE / 2), []);
    assert_eq!(run(&mut vips, end, end + PATIENCE * 2).len(), 2);
    vips.watch(&pair(), end + PATIENCE * 2);
    assert!(vips.is_settled(), "what is here is not watched");
}

#[test]
fn a_director_is_known_by_its_neighbour_entry_too() {
    let (fake, mut vips) = open(&pair());
    let [v4, _] = pair();
    let index = vips.link_index("eth0").unwrap();
    let address = "192.0.2.11".parse().unwrap();
    let ha1 = [2, 0, 0, 0, 9, 1];
    vips.know(BTreeMap::from([("ha1".to_owned(), vec![address])]));
    fake.0.borrow_mut().neighbours.insert((index, address), ha1);
    vips.claim(std::slice::from_ref(&v4), PATIENCE, START);
    let claims = [says(&v4, ha1)];
    let end = START + Duration::from_millis(100);
    let outputs = run_against(&fake, &mut vips, &claims, START, end);
    let expected = [contested(&v4, ha1, Some("ha1")), put(&v4, false)];
    assert_eq!(outputs, expected, "without waiting any longer");
}

#[test]
fn our_own_word_and_other_networks_do_not_count() {
    let (fake, mut vips) = open(&pair());
    let [v4, v6] = pair();
    let own: Vec<Mac> = ["eth0", "eth1"].map(|it| vips.mac(it).unwrap()).into();
    let elsewhere = Answer {
        index: vips.link_index("eth1"),
        ..says(&v4, STRANGER)
    };
    vips.claim(&pair(), PATIENCE, START);
    let other = vip("192.0.2.99/24", "eth0");
    let claims = [
        says(&v4, own[0]),
        says(&v6, own[0]),
        says(&other, STRANGER),
        elsewhere,
    ];
    let end = START + Duration::from_secs(1);
    let outputs = run_against(&fake, &mut vips, &claims, START, end);
    assert_eq!(outputs, [put(&v4, false), put(&v6, false)]);
}

#[test]
fn what_was_said_before_anybody_asked_does_not_count() {
    let (fake, mut vips) = open(&pair());
    let [v4, _] = pair();
    hear(&fake, [says(&v4, STRANGER)]);
    vips.claim(std::slice::from_ref(&v4), PATIENCE, START);
    let outputs = run(&mut vips, START, START + PATIENCE * 2);
    assert_eq!(outputs, [put(&v4, false)]);
}

#[test]
fn a_vip_whose_link_is_missing_or_down_is_asked_for_when_it_is_up() {
    let (fake, mut vips) = open(&pair());
    let [v4, _] = pair();
    fake.0.borrow_mut().remove_link("eth0");
    run(&mut vips, START, soon(START));
    vips.claim(std::slice::from_ref(&v4), PATIENCE, START);
    let outputs = run(&mut vips, START, START + Duration::from_secs(5));
    assert!(
        matches!(&outputs[..], [Output::Failed(Problem::NoInterface(_)), ..]),
        "{outputs:?}"
    );

    let now = START + Duration::from_secs(5);
    fake.0.borrow_mut().add_link("eth0");
    fake.0.borrow_mut().set_flags("eth0", 0x1003);
    let outputs = run(&mut vips, now, now + Duration::from_secs(3));
    assert!(
        outputs.contains(&put(&v4, false)),
        "without carrier: {outputs:?}"
    );
    assert!(fake.0.borrow().asked.is_empty());

    let now = now + Duration::from_secs(3);
    fake.0.borrow_mut().set_flags("eth0", UP);
    let claims = [says(&v4, STRANGER)];
    let end = now + Duration::from_secs(1);
    let outputs = run_against(&fake, &mut vips, &claims, now, end);
    assert!(outputs.contains(&refused(&v4)), "{outputs:?}");
    assert!(!vips.is_here(&v4), "and taken back");
}

#[test]
fn an_interface_that_goes_while_it_is_asked_proves_nothing() {
    let (fake, mut vips) = open(&pair());
    let [v4, _] = pair();
    vips.claim(std::slice::from_ref(&v4), PATIENCE, START);
    let mut now = START + PATIENCE;
    run_against(&fake, &mut vips, &[says(&v4, STRANGER)], START, now);
    assert!(vips.problem(&v4).is_some());
    fake.0.borrow_mut().remove_link("eth0");
    let gone = now + Duration::from_secs(60);
    assert_eq!(
        run(&mut vips, now, gone)
            .iter()
            .filter(|output| !matches!(output, Output::Link { .. }))
            .count(),
        0
    );
    fake.0.borrow_mut().add_link("eth0");
    now = gone + Duration::from_secs(10);
    let outputs = run(&mut vips, gone, now);
    assert!(outputs.contains(&put(&v4, false)), "{outputs:?}");
}

#[test]
fn one_that_is_here_already_and_one_that_nobody_shall_be_asked_about_are_put_at_once() {
    let (fake, mut vips) = open(&pair());
    let [v4, v6] = pair();
    fake.0.borrow_mut().add_foreign("eth0", "192.0.2.80/24", 0);
    run(&mut vips, START, soon(START));
    let now = soon(START);
    vips.claim(std::slice::from_ref(&v4), PATIENCE, now);
    vips.claim(std::slice::from_ref(&v6), Duration::ZERO, now);
    let outputs = run(&mut vips, now, now + Duration::from_millis(5));
    assert_eq!(outputs, [put(&v4, true), put(&v6, false)]);
}

#[test]
fn a_thousand_vips_are_asked_for_in_bursts_and_those_of_a_stranger_refused() {
    let many: Vec<Vip> = (0..1000)
        .map(|n| vip(&format!("10.0.{}.{}/16", n / 250, n % 250 + 1), "eth0"))
        .collect();
    let (fake, mut vips) = open(&many);
    vips.claim(&many, PATIENCE, START);
    let claims: Vec<Answer> = many
        .iter()
        .take(500)
        .map(|vip| says(vip, STRANGER))
        .collect();
    let end = START + Duration::from_secs(2);
    let outputs = run_against(&fake, &mut vips, &claims, START, end);
    let count = |wanted: fn(&Output) -> bool| outputs.iter().filter(|it| wanted(it)).count();
    assert_eq!(count(|it| matches!(it, Output::Refused { .. })), 500);
    assert_eq!(count(|it| matches!(it, Output::Put { .. })), 500);
    assert_eq!(fake.0.borrow().addresses.len(), 500);
}

#[test]
fn who_is_asked_tells_us_alone_if_we_have_an_address_of_our_own() {
    let (fake, mut vips) = open(&pair());
    let [_, v6] = pair();
    let asked_from = || {
        let asked = std::mem::take(&mut fake.0.borrow_mut().asked);
        asked
            .iter()
            .map(|it| it.frame[22..38].to_vec())
            .collect::<Vec<_>>()
    };
    vips.watch(std::slice::from_ref(&v6), START);
    run(&mut vips, START, START + Duration::from_secs(1));
    let asked = asked_from();
    assert!(!asked.is_empty() && asked.iter().all(|from| *from == [0; 16]));

    let own: std::net::Ipv6Addr = "fe80::11".parse().unwrap();
    fake.0
        .borrow_mut()
        .add_foreign(&v6.interface, "fe80::11/64", 0);
    let later = START + Duration::from_secs(10);
    vips.watch(std::slice::from_ref(&v6), later);
    run(&mut vips, later, later + Duration::from_secs(1));
    let asked = asked_from();
    assert!(!asked.is_empty() && asked.iter().all(|from| *from == own.octets()));
}
