mod moves;

use super::*;
use crate::cluster::event::DeathCause;
use crate::cluster::heartbeat::Claim;
use crate::config::model::Failback;

const DEADTIME: Duration = Duration::from_millis(300);
const NOW: Time = Duration::from_secs(100);

fn me(name: &str) -> Me<'_> {
    Me {
        name,
        priority: 100,
        stopping: false,
        waiting: false,
        cut_off: false,
        start_ends: Time::ZERO,
        deadtime: DEADTIME,
        rules: Rules::default(),
    }
}

fn group(role: Role) -> Group {
    let failback = Failback::Auto {
        delay: Duration::from_secs(60),
    };
    let mut group = Group::new(
        GroupSettings {
            failback,
            preferred: false,
        },
        Duration::ZERO,
    );
    group.role = role;
    group.ready = true;
    group.epoch = 3;
    group.seen = 3;
    group
}

fn standing(priority: u16) -> Standing {
    Standing {
        fitness: Fitness::FULL,
        ready: true,
        preferred: false,
        priority,
        declines: false,
    }
}

fn claim(role: Role, standing: Standing) -> Claim {
    Claim {
        role,
        epoch: 3,
        standing,
        owner: None,
        offer: None,
        partial: false,
    }
}

fn view<'a>(name: &'a str, claim: &'a Claim) -> View<'a> {
    View {
        name,
        alive: true,
        death: None,
        stopping: false,
        hears_us: true,
        deaf_at: NOW + DEADTIME,
        claim: Some(claim),
    }
}

/// Every role of ours against every state of one peer.
#[test]
fn each_role_meets_each_state_of_a_peer() {
    #[derive(Clone, Copy, Debug)]
    enum Peer {
        Silent,
        Deaf,
        NotDeafYet,
        Hears,
    }
    use Peer::{Deaf, Hears, NotDeafYet, Silent};
    use Role::{Active, Releasing, Standby};
    let rival = || "b".to_owned();
    let leave = Verdict::Leave;
    let keep = || Verdict::Keep;
    let take = || Verdict::Take(Taken::Start);
    // Our role, the peer's, its state, then the verdict if it ranks lower, and if higher.
    let cases = [
        (Standby, Standby, Silent, take(), take()),
        (Standby, Standby, Deaf, take(), keep()),
        (Standby, Standby, NotDeafYet, take(), keep()),
        (Standby, Standby, Hears, take(), keep()),
        (Standby, Active, Silent, take(), take()),
        (Standby, Active, Deaf, keep(), keep()),
        (Standby, Active, NotDeafYet, keep(), keep()),
        (Standby, Active, Hears, keep(), keep()),
        (Standby, Releasing, Silent, take(), take()),
        (Standby, Releasing, Deaf, keep(), keep()),
        (Standby, Releasing, NotDeafYet, keep(), keep()),
        (Standby, Releasing, Hears, keep(), keep()),
        (Active, Standby, Silent, keep(), keep()),
        (Active, Standby, Deaf, keep(), keep()),
        (Active, Standby, NotDeafYet, keep(), keep()),
        (Active, Standby, Hears, keep(), keep()),
        (Active, Active, Silent, keep(), keep()),
        (
            Active,
            Active,
            Deaf,
            leave(Left::Deaf { rival: rival() }),
            leave(Left::Deaf { rival: rival() }),
        ),
        (Active, Active, NotDeafYet, keep(), keep()),
        (
            Active,
            Active,
            Hears,
            keep(),
            leave(Left::Conflict { rival: rival() }),
        ),
        (Active, Releasing, Silent, keep(), keep()),
        (Active, Releasing, Deaf, keep(), keep()),
        (Active, Releasing, NotDeafYet, keep(), keep()),
        (Active, Releasing, Hears, keep(), keep()),
        (Releasing, Standby, Silent, keep(), keep()),
        (Releasing, Standby, Deaf, keep(), keep()),
        (Releasing, Standby, NotDeafYet, keep(), keep()),
        (Releasing, Standby, Hears, keep(), keep()),
        (Releasing, Active, Silent, keep(), keep()),
        (Releasing, Active, Deaf, keep(), keep()),
        (Releasing, Active, NotDeafYet, keep(), keep()),
        (Releasing, Active, Hears, keep(), keep()),
        (Releasing, Releasing, Silent, keep(), keep()),
        (Releasing, Releasing, Deaf, keep(), keep()),
        (Releasing, Releasing, NotDeafYet, keep(), keep()),
        (Releasing, Releasing, Hears, keep(), keep()),
    ];
    for (mine, theirs, state, lower, higher) in cases {
        for (priority, expected) in [(50, lower), (150, higher)] {
            let claim = claim(theirs, standing(priority));
            let peer = View {
                alive: !matches!(state, Silent),
                death: matches!(state, Silent).then_some(DeathCause::Silence),
                hears_us: matches!(state, Hears),
                deaf_at: if matches!(state, Deaf) {
                    NOW
                } else {
                    NOW + DEADTIME
                },
                ..view("b", &claim)
            };
            let (verdict, _) = group(mine).judge(me("a"), &[peer], NOW);
            assert_eq!(
                verdict, expected,
                "{mine:?} and {theirs:?}, {state:?}, {priority}"
            );
        }
    }
}

#[test]
fn better_is_fit_then_ready_then_fitter_then_preferred_then_priority_then_name() {
    let base = standing(100);
    let better_first = [
        (
            Standing {
                priority: 1,
                ..base
            },
            Standing {
                fitness: Fitness::UNFIT,
                ..standing(9)
            },
        ),
        (
            Standing {
                fitness: Fitness(1),
                ..base
            },
            Standing {
                ready: false,
                ..base
            },
        ),
        (
            base,
            Standing {
                fitness: Fitness(999),
                preferred: true,
                ..base
            },
        ),
        (
            Standing {
                preferred: true,
                ..base
            },
            standing(200),
        ),
        (standing(101), base),
    ];
    for (better, worse) in better_first {
        assert!(better.rank("z") > worse.rank("a"), "{better:?} {worse:?}");
    }
    assert!(base.rank("a") > base.rank("b"));
}

#[test]
fn a_better_candidate_that_does_not_take_the_group_is_passed_over_after_deadtime() {
    let claim = claim(Role::Standby, standing(150));
    let peers = [view("b", &claim)];
    let mut group = group(Role::Standby);
    let until = NOW + DEADTIME;
    assert_eq!(
        group.judge(me("a"), &peers, NOW),
        (Verdict::Keep, Some(until))
    );
    let just_before = until - Duration::from_nanos(1);
    assert_eq!(
        group.judge(me("a"), &peers, just_before),
        (Verdict::Keep, Some(until))
    );
    assert_eq!(
        group.judge(me("a"), &peers, until),
        (Verdict::Take(Taken::Start), None)
    );
}

#[test]
fn the_unfit_takes_a_group_only_from_those_who_are_known_to_be_no_better() {
    let fit = claim(Role::Standby, standing(50));
    let unfit = Standing {
        fitness: Fitness::UNFIT,
        ..standing(50)
    };
    let unfit = claim(Role::Standby, unfit);
    let alive = |claim| view("b", claim);
    let dead = |death| View {
        alive: false,
        death: Some(death),
        ..view("b", &fit)
    };
    let unknown = View {
        alive: false,
        ..view("b", &fit)
    };
    let cases = [
        ("fit", alive(&fit), false),
        ("unfit", alive(&unfit), true),
        ("silent", dead(DeathCause::Silence), false),
        ("never heard", unknown, false),
        ("refused", dead(DeathCause::Refused), true),
        ("stopped", dead(DeathCause::Stopped), true),
    ];
    for (what, peer, takes) in cases {
        let mut group = group(Role::Standby);
        group.fitness = Fitness::UNFIT;
        let (verdict, _) = group.judge(me("a"), &[peer], NOW);
        assert_eq!(matches!(verdict, Verdict::Take(_)), takes, "{what}");
        assert_eq!(verdict == Verdict::Unfit, !takes, "{what}");
    }
}

#[test]
fn who_is_active_behind_a_third_is_left_alone() {
    let third = Claim {
        owner: Some("b".to_owned()),
        ..claim(Role::Standby, standing(50))
    };
    let lost = claim(Role::Active, standing(150));
    let silent = View {
        alive: false,
        death: Some(DeathCause::Silence),
        ..view("b", &lost)
    };
    let refused = View {
        death: Some(DeathCause::Refused),
        ..silent
    };
    let verdict = |b| {
        group(Role::Standby)
            .judge(me("a"), &[b, view("c", &third)], NOW)
            .0
    };
    assert_eq!(verdict(silent), Verdict::Keep);
    assert_eq!(verdict(refused), Verdict::Take(Taken::Start));

    // A third has heard of a claim before we do; or of its end after we do.
    let released = claim(Role::Standby, standing(50));
    let newer = Claim {
        epoch: 4,
        ..third.clone()
    };
    let verdict = |c| {
        group(Role::Standby)
            .judge(me("a"), &[view("b", &released), c], NOW)
            .0
    };
    assert_eq!(verdict(view("c", &newer)), Verdict::Keep);
    assert_eq!(verdict(view("c", &third)), Verdict::Take(Taken::Start));
}

#[test]
fn a_director_that_reaches_nothing_leaves_only_to_whom_it_cannot_hear() {
    let claim = claim(Role::Standby, standing(100));
    let alive = view("b", &claim);
    let dead = |cause| View {
        alive: false,
        death: Some(cause),
        ..alive
    };
    let silent = dead(DeathCause::Silence);
    let stopped = dead(DeathCause::Stopped);
    let refused = dead(DeathCause::Refused);
    let never = View {
        alive: false,
        claim: None,
        ..alive
    };
    let cut = Verdict::Leave(Left::CutOff);
    let keep = Verdict::Keep;
    let cases: [(&[View<'_>], bool, Fitness, &Verdict); 9] = [
        (&[silent], true, Fitness::UNFIT, &cut),
        (&[silent, stopped], true, Fitness::UNFIT, &cut),
        (&[silent, never], true, Fitness::UNFIT, &cut),
        // For want of a carrier alone, or by what is not yet told.
        (&[silent], false, Fitness::UNFIT, &keep),
        (&[silent], true, Fitness::FULL, &keep),
        // Nobody else can have taken over.
        (&[stopped], true, Fitness::UNFIT, &keep),
        (&[refused], true, Fitness::UNFIT, &keep),
        (&[never], true, Fitness::UNFIT, &keep),
        (&[], true, Fitness::UNFIT, &keep),
    ];
    for (peers, cut_off, fitness, expected) in cases {
        let mut group = group(Role::Active);
        group.fitness = fitness;
        let me = Me { cut_off, ..me("a") };
        let (verdict, _) = group.judge(me, peers, NOW);
        assert_eq!(verdict, *expected, "{peers:?}, {cut_off}, {fitness:?}");
    }
}

#[test]
fn who_left_because_it_was_cut_off_comes_back_when_it_reaches_something() {
    let claim = claim(Role::Standby, standing(100));
    let silent = View {
        alive: false,
        death: Some(DeathCause::Silence),
        ..view("b", &claim)
    };
    let mut group = group(Role::Standby);
    group.last_owner = Some("a".to_owned());
    group.settled = true;
    group.fitness = Fitness::UNFIT;
    let cut_off = Me {
        cut_off: true,
        ..me("a")
    };
    assert_eq!(group.judge(cut_off, &[silent], NOW).0, Verdict::Unfit);
    // Whichever is told first.
    group.fitness = Fitness(500);
    let take = Verdict::Take(Taken::Unclaimed);
    assert_eq!(group.judge(cut_off, &[silent], NOW).0, take);
    group.take(&Taken::Unclaimed, Rules::default(), NOW);
    assert_eq!(group.judge(cut_off, &[silent], NOW).0, Verdict::Keep);
    assert_eq!(group.judge(me("a"), &[silent], NOW).0, Verdict::Keep);
}

#[test]
fn why_nobody_has_a_group_is_told_in_words() {
    let fit = claim(Role::Standby, standing(50));
    let better = claim(Role::Standby, standing(150));
    let unready = claim(
        Role::Standby,
        Standing {
            ready: false,
            ..standing(50)
        },
    );
    let told = Claim {
        owner: Some("c".to_owned()),
        ..fit.clone()
    };
    let silent = |name| View {
        alive: false,
        death: Some(DeathCause::Silence),
        ..view(name, &fit)
    };
    type Change = fn(&mut Group);
    let nothing: Change = |_| ();
    let unfit: Change = |group| group.fitness = Fitness::UNFIT;
    let starting = Me {
        start_ends: NOW + Duration::from_millis(4_200),
        ..me("a")
    };
    let stopping = Me {
        stopping: true,
        ..me("a")
    };
    let waiting = Me {
        waiting: true,
        ..me("a")
    };
    let stands_by: Change = |group| group.standby = true;
    let removed: Change = |group| group.removed = true;
    let b = view("b", &fit);
    let cases: [(Me<'_>, Change, &[View<'_>], &str); 10] = [
        (me("a"), removed, &[b], "removed from the configuration"),
        (
            me("a"),
            stands_by,
            &[b],
            "this director is told to stand by",
        ),
        (stopping, nothing, &[b], "this director is stopping"),
        (waiting, nothing, &[b], "waiting to hear the others"),
        (
            me("a"),
            nothing,
            &[view("b", &told), silent("c")],
            "b says that c has it, which is not heard here",
        ),
        (
            starting,
            nothing,
            &[view("b", &unready)],
            "waiting for b to be ready, at most 5s",
        ),
        (
            starting,
            |group| group.ready = false,
            &[view("b", &unready)],
            "waiting for a, b to be ready, at most 5s",
        ),
        (
            me("a"),
            unfit,
            &[silent("b"), silent("c")],
            "this director is unfit; b, c, not heard here, may be fit and have it",
        ),
        (
            me("a"),
            unfit,
            &[b],
            "this director is unfit, and whoever is fit has not taken it yet",
        ),
        (
            me("a"),
            nothing,
            &[view("b", &better)],
            "b ranks higher and has not taken it yet",
        ),
    ];
    for (me, change, peers, expected) in cases {
        let mut group = group(Role::Standby);
        change(&mut group);
        let _ = group.judge(me, peers, NOW);
        let text = group.vacancy.as_ref().map(|vacancy| vacancy.text(NOW));
        assert_eq!(text.as_deref(), Some(expected));
        // Once somebody has it, there is nothing to tell.
        let active = claim(Role::Active, standing(150));
        let _ = group.judge(me, &[view("b", &active)], NOW);
        assert_eq!(group.owner.as_deref(), Some("b"));
    }
}
