//! What is counted, and what is taken for an answer.

use super::*;

fn timing(keepalive: u64, deadtime: u64) -> HeartbeatTiming {
    let ms = Duration::from_millis;
    HeartbeatTiming {
        keepalive: ms(keepalive),
        deadtime: ms(deadtime),
        warntime: ms(deadtime / 2),
        initdead: ms(deadtime),
        port: 539,
    }
}

#[test]
fn targets_are_asked_as_often_as_heartbeats_make_sense_of() {
    let cases = [
        (5, 15, 200, 3),
        (40, 120, 200, 3),
        (100, 300, 500, 3),
        (200, 1000, 1000, 3),
        (1000, 30_000, 1000, 30),
        (60_000, 3_600_000, 1000, 3600),
    ];
    for (keepalive, deadtime, every, count) in cases {
        let timing = timing(keepalive, deadtime);
        assert_eq!(period(timing), Duration::from_millis(every), "{keepalive}");
        assert_eq!(misses(timing), count, "{keepalive}, {deadtime}");
    }
}

#[test]
fn a_target_is_lost_after_some_misses_in_a_row_and_back_with_one_answer() {
    let mut tally = Tally::new(1, 3);
    let reach = |reached| Some(Reach { reached, of: 1 });
    assert_eq!(tally.reach(), None, "nothing is known");
    assert_eq!(tally.handle(0, true), Some(true));
    assert_eq!(tally.reach(), reach(1));
    for answered in [false, false, true, false, false] {
        assert_eq!(tally.handle(0, answered), None);
        assert_eq!(tally.reach(), reach(1));
    }
    assert_eq!(tally.handle(0, false), Some(false));
    assert_eq!(tally.reach(), reach(0));
    assert_eq!(tally.handle(0, false), None);
    assert_eq!(tally.handle(0, true), Some(true));
    assert_eq!(tally.reach(), reach(1));
}

#[test]
fn nothing_is_said_before_it_is_known_of_each_target() {
    let mut tally = Tally::new(2, 2);
    tally.handle(0, true);
    tally.handle(1, false);
    assert_eq!(tally.reach(), None);
    tally.handle(1, false);
    assert_eq!(tally.reach(), Some(Reach { reached: 1, of: 2 }));
    assert_eq!(tally.handle(7, true), None, "there is no such target");
}

#[test]
fn a_request_has_a_sum_of_nothing_and_its_reply_is_known() {
    let body = body(0x1122_3344_5566_7788, 77);
    let sent = request(false, &body);
    assert_eq!(checksum(&sent), 0, "RFC 1071: the sum over all is zero");

    let mut reply = vec![0; 20];
    reply[0] = 0x45;
    reply.extend(&sent);
    reply[20] = 0;
    assert!(is_reply(false, &reply, &body));
    // With options the header is longer.
    let mut options = vec![0; 24];
    options[0] = 0x46;
    options.extend(&reply[20..]);
    assert!(is_reply(false, &options, &body));

    let mut reply6 = request(true, &body);
    assert!(!is_reply(true, &reply6, &body), "the request itself");
    reply6[0] = 129;
    assert!(is_reply(true, &reply6, &body));
}

#[test]
fn nothing_else_is_taken_for_a_reply() {
    let body = body(1, 77);
    let mut reply = request(true, &body);
    reply[0] = 129;
    for (number, secret) in [(76, 1), (78, 1), (77, 2)] {
        assert!(!is_reply(true, &reply, &super::body(secret, number)));
    }
    for length in 0..reply.len() {
        assert!(!is_reply(true, &reply[..length], &body), "{length}");
        assert!(!is_reply(false, &reply[..length], &body), "{length}");
    }
}

#[test]
fn odd_and_even_lengths_have_their_sum() {
    // The example of RFC 1071, section 3.
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(checksum(&bytes), !0xddf2);
    assert_eq!(checksum(&[0x12]), !0x1200);
    assert_eq!(checksum(&[]), !0);
}
