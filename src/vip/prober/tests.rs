use super::*;

const START: Time = Duration::from_secs(9);
const PATIENCE: Duration = Duration::from_millis(300);
const STRANGER: Mac = [2, 0, 0, 0, 0, 9];

fn vip(number: usize) -> Vip {
    Vip {
        address: format!("10.0.{}.{}/16", number / 250, number % 250 + 1)
            .parse()
            .unwrap(),
        interface: "eth0".to_owned(),
        label: None,
    }
}

fn stranger() -> Claimant {
    Claimant {
        mac: STRANGER,
        director: None,
    }
}

fn director() -> Claimant {
    Claimant {
        mac: [2, 0, 0, 0, 0, 2],
        director: Some("ha2".to_owned()),
    }
}

fn heard(prober: &mut Prober, who: Claimant, now: Time) {
    prober.handle_answer(vip(0).address.addr(), who, now);
}

/// What is ordered and when, up to a time.
fn run(prober: &mut Prober, from: Time, until: Time) -> Vec<(Time, Order)> {
    let mut now = from;
    let mut orders = Vec::new();
    loop {
        prober.handle_timeout(now);
        orders.extend(std::iter::from_fn(|| prober.poll_output()).map(|order| (now, order)));
        match prober.poll_timeout() {
            Some(due) if due.max(now) <= until => now = due.max(now + Duration::from_micros(1)),
            _ => return orders,
        }
    }
}

fn times(orders: &[(Time, Order)], wanted: &Order) -> Vec<Duration> {
    let at = |(at, order): &(Time, Order)| (order == wanted).then(|| *at - START);
    orders.iter().filter_map(at).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_vip_that_nobody_answers_for_is_put_after_a_round_of_questions() {
    let mut prober = Prober::default();
    prober.claim(&vip(0), PATIENCE, START);
    assert!(prober.is_open(&vip(0)));
    let orders = run(&mut prober, START, START + PATIENCE);
    assert_eq!(
        times(&orders, &Order::Ask(vip(0))),
        [ms(0), ms(100), ms(200)]
    );
    assert_eq!(times(&orders, &Order::Put(vip(0))), [PATIENCE]);
    assert_eq!(orders.len(), 4);
    assert!(!prober.is_open(&vip(0)));
}

#[test]
fn a_vip_that_a_stranger_answers_for_is_refused_until_a_whole_round_is_in_vain() {
    let mut prober = Prober::default();
    prober.claim(&vip(0), PATIENCE, START);
    run(&mut prober, START, START + ms(5));
    heard(&mut prober, stranger(), START + ms(5));
    heard(&mut prober, stranger(), START + ms(6));
    assert_eq!(
        prober.poll_output(),
        Some(Order::Refuse(vip(0), stranger()))
    );
    assert_eq!(prober.poll_output(), None, "told once");

    // It answers the first question of each round, and then no more.
    let mut now = START + ms(6);
    for _ in 0..3 {
        now += RETRY;
        let orders = run(&mut prober, now, now);
        assert_eq!(orders, [(now, Order::Ask(vip(0)))]);
        heard(&mut prober, stranger(), now);
        assert_eq!(prober.poll_output(), None);
    }
    now += RETRY;
    let orders = run(&mut prober, now, now + PATIENCE);
    let asked = times(&orders, &Order::Ask(vip(0)));
    assert_eq!(asked.len(), 3);
    let last: Vec<&Order> = orders.iter().skip(3).map(|(_, order)| order).collect();
    assert_eq!(last, [&Order::Yielded(vip(0)), &Order::Put(vip(0))]);
    assert_eq!(orders[4].0, now + PATIENCE);
}

#[test]
fn a_director_that_answers_is_no_stranger() {
    let mut prober = Prober::default();
    prober.claim(&vip(0), PATIENCE, START);
    run(&mut prober, START, START);
    heard(&mut prober, director(), START);
    let expected = [Order::Put(vip(0)), Order::Contest(vip(0), director())];
    let orders: Vec<Order> = std::iter::from_fn(|| prober.poll_output()).collect();
    assert_eq!(orders, expected, "at once");

    // Nor one that is found out to be a director later.
    let mut prober = Prober::default();
    prober.claim(&vip(0), PATIENCE, START);
    let unmasked = Claimant {
        mac: STRANGER,
        ..director()
    };
    heard(&mut prober, stranger(), START);
    heard(&mut prober, unmasked.clone(), START + ms(1));
    let orders: Vec<Order> = std::iter::from_fn(|| prober.poll_output()).collect();
    let expected = [Order::Put(vip(0)), Order::Contest(vip(0), unmasked)];
    assert!(orders.ends_with(&expected), "{orders:?}");
}

#[test]
fn what_a_director_and_a_stranger_answer_for_is_the_strangers() {
    for stranger_first in [false, true] {
        let mut prober = Prober::default();
        prober.claim(&vip(0), PATIENCE, START);
        run(&mut prober, START, START);
        let mut answers = [director(), stranger()];
        if stranger_first {
            answers.reverse();
        }
        for n in 0..4 {
            for who in &answers {
                heard(&mut prober, who.clone(), START + ms(n));
            }
        }
        let orders: Vec<Order> = std::iter::from_fn(|| prober.poll_output()).collect();
        let refused = Order::Refuse(vip(0), stranger());
        assert_eq!(orders.last(), Some(&refused), "{orders:?}");
        assert_eq!(orders.len(), if stranger_first { 1 } else { 3 });
    }

    // Who has not answered in the whole round is not waited for, and the director is a rival still.
    let mut prober = Prober::default();
    prober.claim(&vip(0), PATIENCE, START);
    run(&mut prober, START, START);
    heard(&mut prober, director(), START);
    let orders = run(&mut prober, START, START + ms(400));
    assert!(times(&orders, &Order::Yielded(vip(0))).is_empty());
    assert!(!prober.is_open(&vip(0)));
    heard(&mut prober, stranger(), START + ms(400));
    let contest = Order::Contest(vip(0), stranger());
    assert_eq!(prober.poll_output(), Some(contest), "it is held");
}

#[test]
fn whoever_claims_what_is_held_is_told_of_once_and_announced_against_now_and_then() {
    for who in [stranger(), director()] {
        let mut prober = Prober::default();
        prober.hold(&vip(0), START);
        prober.ask(&vip(0), START);
        let orders = run(&mut prober, START, START + ms(300));
        let asked = [ms(20), ms(120), ms(220)];
        assert_eq!(times(&orders, &Order::Ask(vip(0))), asked, "beside");
        assert_eq!(orders.len(), 3, "nothing waits for it");

        let (mut contests, mut defences) = (0, Vec::new());
        for n in 0..30 {
            let now = START + ms(300) + Duration::from_secs(n);
            heard(&mut prober, who.clone(), now);
            for (at, order) in run(&mut prober, now, now) {
                match order {
                    Order::Contest(..) => contests += 1,
                    Order::Defend(_) => defences.push(at),
                    Order::Ask(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(contests, 1);
        assert_eq!(defences.len(), 3);
        assert!(defences.windows(2).all(|pair| pair[1] - pair[0] >= DEFENCE));
    }
}

#[test]
fn a_rival_is_asked_for_often_until_it_has_yielded() {
    let mut prober = Prober::default();
    prober.hold(&vip(0), START);
    prober.ask(&vip(0), START);
    let quiet = run(&mut prober, START, START + REFRESH * 2);
    assert_eq!(times(&quiet, &Order::Ask(vip(0))).len(), 4, "once a minute");
    let now = START + REFRESH * 2;
    heard(&mut prober, stranger(), now);
    let orders = run(&mut prober, now, now + REFRESH * 3);
    let yielded = times(&orders, &Order::Yielded(vip(0)));
    assert_eq!(yielded.len(), 1, "{orders:?}");
    let before =
        |(at, order): &&(Time, Order)| *at - START < yielded[0] && matches!(order, Order::Ask(_));
    assert!(orders.iter().filter(before).count() >= 3);
    heard(&mut prober, stranger(), now + REFRESH * 4);
    assert!(
        run(&mut prober, now + REFRESH * 4, now + REFRESH * 4)
            .iter()
            .any(|(_, order)| matches!(order, Order::Contest(..))),
        "told anew"
    );
}

#[test]
fn a_flood_of_claimants_is_told_of_in_bounds() {
    let mut prober = Prober::default();
    prober.hold(&vip(0), START);
    for n in 0..=255 {
        let mac = [2, 0, 0, 0, 1, n];
        let who = Claimant {
            mac,
            director: None,
        };
        heard(&mut prober, who, START);
    }
    let orders: Vec<Order> = std::iter::from_fn(|| prober.poll_output()).collect();
    assert_eq!(orders.len(), RIVALS + 1, "and one defence");
}

#[test]
fn what_cannot_be_asked_is_put_and_asked_once_it_can() {
    let mut prober = Prober::default();
    prober.claim(&vip(0), PATIENCE, START);
    assert_eq!(run(&mut prober, START, START).len(), 1);
    prober.handle_unasked(&vip(0), START);
    let orders = run(&mut prober, START, START + REFRESH * 2);
    assert_eq!(orders, [(START, Order::Put(vip(0)))]);
    assert!(!prober.is_open(&vip(0)), "nobody is asked");

    // The link has come: whose it is decides itself now.
    let now = START + REFRESH * 2;
    prober.ask(&vip(0), now);
    let orders = run(&mut prober, now, now + ms(20));
    assert_eq!(orders, [(now + ms(20), Order::Ask(vip(0)))]);
    heard(&mut prober, stranger(), now + ms(21));
    assert_eq!(
        prober.poll_output(),
        Some(Order::Refuse(vip(0), stranger()))
    );

    // While a stranger has it, a link that is down proves nothing.
    let mut now = now + ms(21);
    for _ in 0..10 {
        now += RETRY;
        assert_eq!(run(&mut prober, now, now), [(now, Order::Ask(vip(0)))]);
        prober.handle_unasked(&vip(0), now);
        assert_eq!(prober.poll_output(), None);
    }
}

#[test]
fn what_is_taken_over_while_a_stranger_has_it_is_contested_instead() {
    let mut prober = Prober::default();
    prober.claim(&vip(0), PATIENCE, START);
    heard(&mut prober, stranger(), START);
    prober.hold(&vip(0), START);
    heard(&mut prober, stranger(), START);
    let orders: Vec<Order> = std::iter::from_fn(|| prober.poll_output()).collect();
    let expected = [
        Order::Refuse(vip(0), stranger()),
        Order::Yielded(vip(0)),
        Order::Contest(vip(0), stranger()),
        Order::Defend(vip(0)),
    ];
    assert_eq!(orders, expected);
}

#[test]
fn a_stranger_that_leaves_what_is_watched_is_forgotten() {
    let mut prober = Prober::default();
    prober.foresee(&vip(0), START);
    heard(&mut prober, director(), START);
    let orders = run(&mut prober, START, START + REFRESH);
    assert_eq!(times(&orders, &Order::Ask(vip(0))).len(), 3);
    assert_eq!(orders.len(), 3, "a director is expected");
    let now = START + REFRESH;
    heard(&mut prober, stranger(), now);
    let orders = run(&mut prober, now, now + REFRESH);
    assert_eq!(orders[0].1, Order::Foresee(vip(0), stranger()));
    assert_eq!(times(&orders, &Order::Yielded(vip(0))).len(), 1);
    assert!(prober.doubt(&vip(0), PATIENCE, now + REFRESH), "it is gone");

    // A claim refuses at once what a stranger is known to have, and asks for it as ever.
    let mut prober = Prober::default();
    prober.foresee(&vip(0), START);
    heard(&mut prober, stranger(), START);
    run(&mut prober, START, START + ms(5));
    let now = START + ms(500);
    prober.claim(&vip(0), PATIENCE, now);
    assert!(!prober.is_open(&vip(0)));
    assert!(!prober.doubt(&vip(0), PATIENCE, now));
    let orders = run(&mut prober, now, now + RETRY + PATIENCE);
    assert_eq!(orders[0].1, Order::Refuse(vip(0), stranger()));
    assert_eq!(times(&orders, &Order::Ask(vip(0))).len(), 3);
    assert_eq!(times(&orders, &Order::Put(vip(0))).len(), 1);
}

#[test]
fn questions_for_many_leave_in_bursts_and_all_are_put() {
    let mut prober = Prober::default();
    for number in 0..1000 {
        prober.claim(&vip(number), PATIENCE, START);
    }
    let orders = run(&mut prober, START, START + Duration::from_secs(2));
    let mut bursts: BTreeMap<Time, usize> = BTreeMap::new();
    for (at, order) in &orders {
        if matches!(order, Order::Ask(_)) {
            *bursts.entry(*at).or_default() += 1;
        }
    }
    assert_eq!(bursts.values().sum::<usize>(), 3000);
    assert!(bursts.values().all(|size| *size <= BURST));
    let mut pairs = bursts.keys().zip(bursts.keys().skip(1));
    assert!(pairs.all(|(one, next)| *next - *one >= WINDOW));
    let put = orders
        .iter()
        .filter(|(_, order)| matches!(order, Order::Put(_)));
    assert_eq!(put.count(), 1000);
}

#[test]
fn answers_for_what_is_not_asked_for_mean_nothing() {
    let mut prober = Prober::default();
    heard(&mut prober, stranger(), START);
    assert_eq!(prober.poll_timeout(), None);
    prober.claim(&vip(0), PATIENCE, START);
    prober.handle_timeout(START);
    prober.handle_answer(vip(1).address.addr(), stranger(), START);
    heard(&mut prober, stranger(), START);
    prober.stop(&vip(0));
    heard(&mut prober, stranger(), START);
    assert_eq!(prober.poll_output(), None);
    assert_eq!(prober.poll_timeout(), None);
    assert!(prober.is_empty());
}

#[test]
fn spurious_calls_do_nothing() {
    let mut prober = Prober::default();
    prober.handle_timeout(START);
    prober.stop(&vip(0));
    prober.ask(&vip(0), START);
    prober.handle_unasked(&vip(0), START);
    assert_eq!(prober.poll_output(), None);
    prober.claim(&vip(0), PATIENCE, START);
    prober.handle_timeout(START);
    for _ in 0..10 {
        prober.handle_timeout(START);
        prober.claim(&vip(0), PATIENCE, START);
    }
    assert_eq!(prober.poll_output(), Some(Order::Ask(vip(0))));
    assert_eq!(prober.poll_output(), None);
}
