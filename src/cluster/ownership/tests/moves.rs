//! Groups that move on purpose: offers, operators and failback.

use super::*;

#[test]
fn a_group_goes_to_whom_it_was_offered_even_if_another_is_better() {
    let offer = |to: &str| Claim {
        offer: Some(to.to_owned()),
        ..claim(Role::Releasing, standing(200))
    };
    let third = claim(Role::Standby, standing(150));
    let to_us = offer("a");
    let peers = [view("b", &to_us), view("c", &third)];
    let by = "b".to_owned();
    let (verdict, _) = group(Role::Standby).judge(me("a"), &peers, NOW);
    assert_eq!(verdict, Verdict::Take(Taken::Offered { by }));

    let to_third = offer("c");
    let peers = [view("b", &to_third), view("c", &third)];
    let (verdict, at) = group(Role::Standby).judge(me("a"), &peers, NOW);
    assert_eq!((verdict, at), (Verdict::Keep, None), "it still forwards");

    // Somebody has claimed it since.
    let mut later = group(Role::Standby);
    later.seen = 4;
    let peers = [view("b", &to_us), view("c", &third)];
    assert_eq!(later.judge(me("a"), &peers, NOW).0, Verdict::Keep);
}

#[test]
fn what_is_offered_is_forwarded_for_until_it_has_been_claimed_for_a_moment() {
    let standby = claim(Role::Standby, standing(50));
    let claimed = Claim {
        epoch: 4,
        ..claim(Role::Active, standing(50))
    };
    let stale = claim(Role::Active, standing(50));
    let gone = |claim| View {
        alive: false,
        ..view("b", claim)
    };
    let offered = || {
        let mut group = group(Role::Active);
        let why = Left::Command { to: "b".to_owned() };
        group.leave(&why, Some("b".to_owned()), DEADTIME, NOW);
        group
    };
    let until = NOW + DEADTIME;
    let back = || (Verdict::Take(Taken::Unclaimed), None);
    let just_before = until - Duration::from_nanos(1);
    assert_eq!(
        offered().judge(me("a"), &[view("b", &standby)], just_before),
        (Verdict::Keep, Some(until))
    );
    assert_eq!(
        offered().judge(me("a"), &[view("b", &stale)], NOW),
        (Verdict::Keep, Some(until)),
        "an epoch that is not newer is no answer"
    );
    assert_eq!(
        offered().judge(me("a"), &[view("b", &standby)], until),
        back()
    );
    assert_eq!(offered().judge(me("a"), &[gone(&standby)], NOW), back());
    let stopping = Me {
        stopping: true,
        ..me("a")
    };
    assert_eq!(
        offered().judge(stopping, &[gone(&standby)], NOW),
        (Verdict::Remove, None)
    );

    let lingering = || {
        let mut group = offered();
        assert_eq!(
            group.judge(me("a"), &[view("b", &claimed)], NOW),
            (Verdict::Keep, Some(NOW + LINGER))
        );
        group
    };
    let over = NOW + LINGER;
    assert_eq!(
        lingering().judge(
            me("a"),
            &[view("b", &claimed)],
            over - Duration::from_nanos(1)
        ),
        (Verdict::Keep, Some(over))
    );
    for (peer, now) in [
        (view("b", &claimed), over),
        (gone(&claimed), NOW),
        (view("b", &standby), NOW),
    ] {
        assert_eq!(
            lingering().judge(me("a"), &[peer], now),
            (Verdict::Remove, None)
        );
    }
}

#[test]
fn who_stands_by_takes_nothing_and_gives_to_the_ready() {
    let fit = claim(Role::Standby, standing(50));
    let mut standby = group(Role::Standby);
    standby.standby = true;
    assert_eq!(
        standby.judge(me("a"), &[view("b", &fit)], NOW),
        (Verdict::Keep, None)
    );
    let mut active = group(Role::Active);
    active.standby = true;
    let to = "b".to_owned();
    assert_eq!(
        active.judge(me("a"), &[view("b", &fit)], NOW).0,
        Verdict::Offer(Left::Standby { to: to.clone() }, to)
    );
    let not_ready = claim(
        Role::Standby,
        Standing {
            ready: false,
            ..standing(50)
        },
    );
    assert_eq!(
        active.judge(me("a"), &[view("b", &not_ready)], NOW).0,
        Verdict::Keep
    );
}

#[test]
fn a_director_from_which_a_group_was_handed_over_does_not_get_it_back_by_itself() {
    let declines = claim(
        Role::Standby,
        Standing {
            declines: true,
            ..standing(150)
        },
    );
    let mut group = group(Role::Active);
    let late = NOW + Duration::from_secs(3600);
    assert_eq!(
        group.judge(me("a"), &[view("b", &declines)], NOW).0,
        Verdict::Keep
    );
    assert_eq!(
        group.judge(me("a"), &[view("b", &declines)], late).0,
        Verdict::Keep
    );
    group.fitness = Fitness::UNFIT;
    assert!(matches!(
        group.judge(me("a"), &[view("b", &declines)], late).0,
        Verdict::Offer(..)
    ));
}

#[test]
fn a_group_is_handed_over_only_for_a_reason_and_only_to_the_ready() {
    let base = standing(100);
    let left = |to: &str| Left::Unfit { to: to.to_owned() };
    let handed = |why: Left| Verdict::Offer(why, "b".to_owned());
    let cases = [
        ("equal", Fitness::FULL, base, true, Verdict::Keep),
        (
            "equal, we unfit",
            Fitness::UNFIT,
            base,
            true,
            handed(left("b")),
        ),
        (
            "not ready",
            Fitness::UNFIT,
            Standing {
                ready: false,
                ..standing(200)
            },
            true,
            Verdict::Keep,
        ),
        (
            "unfit too",
            Fitness::UNFIT,
            Standing {
                fitness: Fitness::UNFIT,
                ..standing(200)
            },
            true,
            Verdict::Keep,
        ),
        (
            "does not hear us",
            Fitness::UNFIT,
            base,
            false,
            Verdict::Keep,
        ),
    ];
    for (what, fitness, theirs, hears_us, expected) in cases {
        let claim = claim(Role::Standby, theirs);
        let peer = View {
            hears_us,
            ..view("b", &claim)
        };
        let mut group = group(Role::Active);
        group.fitness = fitness;
        assert_eq!(group.judge(me("a"), &[peer], NOW).0, expected, "{what}");
    }
}

#[test]
fn failback_waits_until_the_better_has_been_ready_for_the_delay() {
    let delay = Duration::from_secs(60);
    let ready = claim(Role::Standby, standing(150));
    let not_ready = claim(
        Role::Standby,
        Standing {
            ready: false,
            ..standing(150)
        },
    );
    let mut group = group(Role::Active);
    let mut judge = |claim: &Claim, now| group.judge(me("a"), &[view("b", claim)], now);
    assert_eq!(judge(&ready, NOW), (Verdict::Keep, Some(NOW + delay)));
    let later = NOW + delay / 2;
    assert_eq!(judge(&not_ready, later), (Verdict::Keep, None));
    assert_eq!(judge(&ready, later), (Verdict::Keep, Some(later + delay)));
    let to = "b".to_owned();
    let verdict = Verdict::Offer(Left::Failback { to: to.clone() }, to);
    assert_eq!(judge(&ready, later + delay), (verdict, None));

    let mut manual = self::group(Role::Active);
    manual.settings.failback = Failback::Manual;
    assert_eq!(
        manual.judge(me("a"), &[view("b", &ready)], NOW),
        (Verdict::Keep, None)
    );
}
