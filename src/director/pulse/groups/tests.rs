//! Phases of groups, moved on by what the kernel has.

use std::time::Duration;

use super::*;

const UNTIL: Time = Duration::from_secs(10);
const NOW: Time = Duration::from_secs(1);

fn vip(last: u8) -> Vip {
    Vip {
        address: format!("192.0.2.{last}/24").parse().unwrap(),
        interface: "eth0".to_owned(),
        label: None,
    }
}

/// `web` has two VIPs and watches a link, `mail` has one.
fn groups() -> Groups {
    let group = |vips: Vec<Vip>, links: &[&str]| Group {
        vips,
        links: links.iter().map(|&link| link.to_owned()).collect(),
        phase: Phase::Down,
        patience: Duration::from_millis(300),
        arrived: 0,
        ready: false,
        services: Services::default(),
        amiss: Vec::new(),
    };
    Groups {
        groups: BTreeMap::from([
            ("mail".to_owned(), group(vec![vip(25)], &[])),
            ("web".to_owned(), group(vec![vip(80), vip(81)], &["eth0"])),
        ]),
        adopted_until: UNTIL,
    }
}

fn advance(groups: &mut Groups, whereabouts: impl Fn(&Vip) -> Whereabouts) -> Vec<Arrived> {
    groups.advance(whereabouts, |_| false, NOW)
}

const AWAY: Whereabouts = Whereabouts {
    here: false,
    present: false,
    failed: false,
};
const HERE: Whereabouts = Whereabouts {
    here: true,
    present: true,
    failed: false,
};
const FAILED: Whereabouts = Whereabouts {
    failed: true,
    ..AWAY
};

#[test]
fn a_group_is_here_once_its_last_vip_is_or_cannot_be() {
    let mut groups = groups();
    groups.raise("web");
    assert_eq!(groups.vips("web"), [vip(80), vip(81)]);
    let one = |wanted: &Vip| if *wanted == vip(80) { HERE } else { AWAY };
    assert_eq!(advance(&mut groups, one), []);
    let other = |wanted: &Vip| if *wanted == vip(80) { HERE } else { FAILED };
    let here = Arrived::Here("web".to_owned());
    assert_eq!(advance(&mut groups, other), [here]);
    assert_eq!(advance(&mut groups, other), []);
}

#[test]
fn a_vip_that_leaves_while_others_come_is_waited_for_again() {
    let mut groups = groups();
    groups.raise("web");
    let only = |last: u8| move |wanted: &Vip| if *wanted == vip(last) { HERE } else { AWAY };
    assert_eq!(advance(&mut groups, only(80)), []);
    assert_eq!(advance(&mut groups, only(81)), []);
    let here = Arrived::Here("web".to_owned());
    assert_eq!(advance(&mut groups, |_| HERE), [here]);
}

#[test]
fn a_vip_that_is_here_otherwise_than_wanted_is_neither_here_nor_gone() {
    let otherwise = |_: &Vip| Whereabouts { here: true, ..AWAY };
    let mut groups = groups();
    groups.raise("mail");
    assert_eq!(advance(&mut groups, otherwise), []);
    groups.release("mail");
    assert_eq!(advance(&mut groups, otherwise), []);
    let gone = Arrived::Gone("mail".to_owned());
    assert_eq!(advance(&mut groups, |_| AWAY), [gone]);
}

#[test]
fn a_quiet_group_stays_as_it_is() {
    let mut groups = groups();
    groups.raise("web");
    groups.quiet("web");
    assert_eq!(advance(&mut groups, |_| HERE), []);
    assert_eq!(advance(&mut groups, |_| AWAY), []);
}

#[test]
fn adopted_vips_wait_for_an_owner_but_not_for_ever() {
    let foreign = Arrived::Foreign("mail".to_owned());
    for (owned, now, arrived) in [
        (false, NOW, None),
        (true, NOW, Some(&foreign)),
        (false, UNTIL, Some(&foreign)),
    ] {
        let mut groups = groups();
        let adopted = groups.adopt(|wanted| *wanted == vip(25));
        let mail = ("mail".to_owned(), BTreeSet::from([vip(25)]));
        assert_eq!(adopted, BTreeMap::from([mail]));
        assert_eq!(groups.poll_timeout(), Some(UNTIL));
        let found = groups.advance(|_| HERE, |name| owned && name == "mail", now);
        assert_eq!(found.first(), arrived, "owned: {owned}, at {now:?}");
        assert_eq!(groups.is_adopting(), arrived.is_none());
    }
    assert_eq!(groups().poll_timeout(), None);
}

#[test]
fn a_group_that_nobody_configured_has_nothing() {
    let mut groups = groups();
    groups.raise("db");
    assert_eq!(groups.vips("db"), []);
    assert!(!groups.balances());
    assert_eq!(groups.patience("db"), Duration::ZERO);
    groups.set_ready("db", true, Services::default());
    assert_eq!(advance(&mut groups, |_| HERE), []);
}

#[test]
fn what_is_amiss_is_news_once() {
    let mut groups = groups();
    groups.set_ready("web", true, Services::default());
    let news = |assessed: &[Assessed]| -> Vec<(String, bool, bool)> {
        let each = |it: &Assessed| (it.group.clone(), it.ready, it.news);
        assessed.iter().map(each).collect()
    };
    let mail = ("mail".to_owned(), false, false);
    let first = groups.assess(None, |_| false);
    assert_eq!(news(&first), [mail.clone(), ("web".to_owned(), true, true)]);
    assert_eq!(groups.amiss()["web"], ["eth0 has no carrier"]);
    let second = groups.assess(None, |_| false);
    assert_eq!(news(&second), [mail, ("web".to_owned(), true, false)]);
}

#[test]
fn whoever_cannot_work_on_the_table_is_unfit_for_what_needs_it() {
    let mut groups = groups();
    let services = |of| Services {
        of,
        refused: 0,
        broken: true,
    };
    groups.set_ready("web", false, services(2));
    groups.set_ready("mail", false, services(0));
    let fit = |it: &Assessed| it.assessment.fitness.is_fit();
    let assessed = groups.assess(None, |_| true);
    assert_eq!(assessed.iter().map(fit).collect::<Vec<_>>(), [true, false]);
    assert_eq!(groups.amiss()["web"], ["cannot work on the IPVS table"]);
    groups.set_ready("web", true, Services::default());
    assert!(groups.assess(None, |_| true).iter().all(fit));
}

#[test]
fn a_director_balances_from_its_first_group_until_it_leaves_its_last() {
    let mut groups = groups();
    assert!(!groups.balances());
    groups.raise("web");
    assert!(groups.balances(), "before any address is here");
    let _ = advance(&mut groups, |_| HERE);
    groups.raise("mail");
    groups.quiet("web");
    assert!(groups.balances());
    groups.release("web");
    assert!(groups.balances(), "for mail");
    groups.quiet("mail");
    assert!(groups.balances(), "what still comes is forwarded");
    groups.release("mail");
    assert!(!groups.balances(), "before its addresses have gone");
    let _ = advance(&mut groups, |_| AWAY);
    assert!(!groups.balances());

    let _ = groups.adopt(|wanted| *wanted == vip(25));
    assert!(groups.balances(), "as the run before did");
    let _ = groups.advance(|_| HERE, |_| true, NOW);
    assert!(!groups.balances());
}
