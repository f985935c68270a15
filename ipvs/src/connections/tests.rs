use proptest::prelude::*;

use super::{EngineData, parse};

/// Lines as Linux 6.1 wrote them.
#[test]
fn lines_of_both_families_are_read() {
    let line = "TCP C6336407 9C40 C0000250 0050 0A000115 1F90 ESTABLISHED     897";
    let connection = parse(line).unwrap();
    assert_eq!(
        connection.to_string(),
        "TCP 198.51.100.7:40000 to 192.0.2.80:80 at 10.0.1.21:8080, ESTABLISHED"
    );
    assert_eq!((connection.expires, connection.persistence), (897, None));

    let line = "UDP 2001:0db8:0000:0000:0000:0000:0000:0007 9C40 \
                2001:0db8:0000:0000:0000:0000:0000:0080 13C4 0A000115 13C4 UDP             299 \
                sip 0f1e2d3c@198.51.100.7";
    let connection = parse(line).unwrap();
    assert_eq!(
        connection.to_string(),
        "UDP [2001:db8::7]:40000 to [2001:db8::80]:5060 at 10.0.1.21:5060, UDP"
    );
    let data = EngineData {
        engine: "sip".to_owned(),
        data: "0f1e2d3c@198.51.100.7".to_owned(),
    };
    assert_eq!(connection.persistence, Some(data));
}

#[test]
fn a_line_that_is_cut_off_is_an_error_that_shows_it() {
    let line = "TCP C6336407 9C40 C0000250 0050 0A000115 1F90 ESTABLISHED     897";
    for end in [0, 3, 12, 20, 45, 60] {
        let error = parse(&line[..end]).unwrap_err();
        assert!(error.to_string().contains(&line[..end]), "{error}");
    }
    assert!(parse("TCP C6336407 9C40 C0000250 0050 0A0115 1F90 NONE 8").is_err());
}

proptest! {
    #[test]
    fn random_lines_never_panic_the_reader(line in "[ -~]{0,120}|([0-9A-F:]{1,9} ){0,11}") {
        let _ = parse(&line);
    }
}
