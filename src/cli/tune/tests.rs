use std::time::Duration;

use super::advice::Figures;
use super::*;

#[test]
fn advice_is_shown_with_the_figures_that_it_follows_from() {
    let choice = |keepalive, deadtime| Choice {
        keepalive: Duration::from_millis(keepalive),
        deadtime: Duration::from_millis(deadtime),
    };
    let advice = Advice {
        peers: vec![Figures {
            name: "ha2".to_owned(),
            watched: Duration::from_secs(273_600),
            heard: 2_736_000,
            lost: 12,
            lost_in_a_row: 1,
            latest_by: Duration::from_micros(3100),
            late_by: Duration::from_micros(7040),
            allowed_lost: 2,
        }],
        left_out: vec!["ha3 has not been heard yet".to_owned()],
        late_by: Duration::from_micros(7040),
        lost: 2,
        now: choice(100, 300),
        enough: choice(100, 310),
        recommended: choice(10, 40),
    };
    let snapshot = advice::tests::snapshot(Vec::new());
    let shown = render(&snapshot, &advice, "1/year", &Screen::default());
    assert_eq!(
        shown,
        "\
What ha1 has heard, for a rate of false alarms of at most 1/year:

DIRECTOR  WATCHED    HEARD  LOST  IN A ROW  LATEST BY  ALLOWED LATE BY  ALLOWED LOST
ha2       3d 4h    2736000    12         1      3.1ms              7ms             2
left out: ha3 has not been heard yet

                            KEEPALIVE  DEADTIME
now                             100ms     300ms
enough with this keepalive      100ms     310ms
recommended                      10ms      40ms

Deadtime is the keepalives that may be lost, and one, and by how much the next heartbeat
may be late: (2 + 1) x 10ms + 7ms or more.
The deadtime of now is too short for that: expect false alarms.
What has not happened yet is guessed from what has. Ask every director, after days with the
load of bad ones, and take the longest.
"
    );
}
