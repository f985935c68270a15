use super::*;

const START: Time = Duration::from_secs(10);

fn watching(up: bool) -> Carriers {
    let mut carriers = Carriers::default();
    carriers.watch(&BTreeSet::from(["eth0".to_owned()]), |_| up);
    carriers
}

#[test]
fn the_state_found_first_counts_at_once() {
    assert_eq!(watching(true).is_up("eth0"), Some(true));
    assert_eq!(watching(false).is_up("eth0"), Some(false));
    assert_eq!(watching(true).is_up("eth1"), None);
}

#[test]
fn a_loss_counts_once_it_has_lasted() {
    let mut carriers = watching(true);
    carriers.handle_link("eth0", false, START);
    assert_eq!(carriers.poll_timeout(), Some(START + LOSS));
    carriers.handle_timeout(START + LOSS - Duration::from_nanos(1));
    assert_eq!(carriers.is_up("eth0"), Some(true));
    carriers.handle_timeout(START + LOSS);
    assert_eq!(carriers.is_up("eth0"), Some(false));
    assert_eq!(carriers.poll_output(), Some(("eth0".to_owned(), false)));
    assert_eq!(carriers.poll_output(), None);
    assert_eq!(carriers.poll_timeout(), None);
}

#[test]
fn a_blink_is_not_seen() {
    let mut carriers = watching(true);
    carriers.handle_link("eth0", false, START);
    carriers.handle_link("eth0", true, START + LOSS / 2);
    carriers.handle_timeout(START + LOSS * 2);
    assert_eq!(carriers.is_up("eth0"), Some(true));
    assert_eq!(carriers.poll_output(), None);
}

#[test]
fn repeated_news_of_a_loss_does_not_put_it_off() {
    let mut carriers = watching(true);
    carriers.handle_link("eth0", false, START);
    carriers.handle_link("eth0", false, START + LOSS / 2);
    assert_eq!(carriers.poll_timeout(), Some(START + LOSS));
}

#[test]
fn a_flapping_port_counts_as_down_until_it_has_been_up_for_long_enough() {
    let mut carriers = watching(false);
    let mut now = START;
    for _ in 0..5 {
        carriers.handle_link("eth0", true, now);
        now += RETURN - Duration::from_millis(1);
        carriers.handle_timeout(now);
        carriers.handle_link("eth0", false, now);
    }
    assert_eq!(carriers.poll_output(), None);
    carriers.handle_link("eth0", true, now);
    carriers.handle_timeout(now + RETURN);
    assert_eq!(carriers.poll_output(), Some(("eth0".to_owned(), true)));
}

#[test]
fn watching_other_interfaces_keeps_the_state_of_those_that_stay() {
    let mut carriers = watching(true);
    carriers.handle_link("eth0", false, START);
    carriers.watch(
        &BTreeSet::from(["eth0".to_owned(), "eth1".to_owned()]),
        |_| true,
    );
    carriers.handle_timeout(START + LOSS);
    assert_eq!(carriers.is_up("eth0"), Some(false));
    assert_eq!(carriers.is_up("eth1"), Some(true));
    carriers.watch(&BTreeSet::new(), |_| true);
    assert_eq!(carriers.is_up("eth0"), None);
}
