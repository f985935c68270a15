//! When a certificate expires: the one thing that is read of its text.

use std::time::Duration;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT Version`, which is there in all but the oldest.
const VERSION: u8 = 0xa0;

const DAY: u64 = 24 * 3600;

/// The end of a certificate's validity, since 1970; `None` if it cannot be read, or is before that.
///
/// `Certificate`, `TBSCertificate` and `Validity` of RFC 5280, section 4.1, as far as the way there.
pub(super) fn not_after(der: &[u8]) -> Option<Duration> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut tbs, _) = element(certificate, SEQUENCE)?;
    if tbs.first() == Some(&VERSION) {
        tbs = element(tbs, VERSION)?.1;
    }
    // Serial number, signature, issuer.
    for _ in 0..3 {
        tbs = any_element(tbs)?.2;
    }
    let (validity, _) = element(tbs, SEQUENCE)?;
    let (_, _, after) = any_element(validity)?;
    let (tag, text, _) = any_element(after)?;
    time(tag, text)
}

/// The day on which a moment since 1970 falls, in UTC: 2031-05-06.
pub(super) fn date(moment: Duration) -> String {
    let days = i64::try_from(moment.as_secs() / DAY).unwrap_or(i64::MAX / 4);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The content of an element of the expected type, and what follows it.
fn element(der: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = any_element(der)?;
    (tag == expected).then_some((content, rest))
}

/// Type, content, and what follows (X.690, section 8.1).
fn any_element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        let length = bytes
            .iter()
            .fold(0, |length: usize, byte| length << 8 | usize::from(*byte));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ`, of the years 1950 to 2049, or `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5).
fn time(tag: u8, text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |at: usize, length: usize| text.get(at..at + length)?.parse::<u64>().ok();
    let (year, rest) = match tag {
        UTC_TIME => {
            let year = number(0, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, 2)
        }
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    if text.len() != rest + 10 {
        return None;
    }
    let (month, day) = (number(rest, 2)?, number(rest + 2, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = number(rest + 4, 2)? * 3600 + number(rest + 6, 2)? * 60 + number(rest + 8, 2)?;
    let days = u64::try_from(days(i64::try_from(year).ok()?, month, day)).ok()?;
    Some(Duration::from_secs(days * DAY + seconds))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of one.
fn days(year: i64, month: u64, day: u64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = i64::try_from((month + 9) % 12).unwrap_or_default();
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::try_from(day).unwrap_or_default() - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + day_of_year - 719_468
}

/// The year, month and day that are so many days after 1970-01-01.
fn civil(days_since_1970: i64) -> (i64, u64, u64) {
    // Near enough to begin with, and never too late.
    let mut year = 1970 + days_since_1970 / 366;
    while days(year + 1, 1, 1) <= days_since_1970 {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| days(year, *month, 1) <= days_since_1970)
        .unwrap_or(1);
    let day = days_since_1970 - days(year, month, 1) + 1;
    (year, month, u64::try_from(day).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_both_kinds_are_read() {
        let table: [(u8, &str, Option<u64>); 12] = [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "991231235959Z", Some(946_684_799)),
            (UTC_TIME, "000229120000Z", Some(951_825_600)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "500101000000Z", None),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "70010100000aZ", None),
            (UTC_TIME, "700101000000+0100", None),
            (0x13, "700101000000Z", None),
        ];
        for (tag, text, expected) in table {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(time(tag, text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_real_certificate_is_found() {
        let mut parameters = rcgen::CertificateParams::new(["example.com".to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        for (year, month, day, expected) in [
            (2031, 5, 6, "2031-05-06"),
            (2051, 12, 31, "2051-12-31"),
            (2000, 2, 29, "2000-02-29"),
        ] {
            parameters.not_after = rcgen::date_time_ymd(year, month, day);
            let certificate = parameters.self_signed(&key).unwrap();
            assert_eq!(date(not_after(certificate.der()).unwrap()), expected);
        }
    }

    proptest! {
        #[test]
        fn a_day_is_the_one_it_was_made_from(day in 0_i64..3_000_000) {
            let (year, month, of_month) = civil(day);
            prop_assert_eq!(days(year, month, of_month), day);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&of_month));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            not_after(&bytes);
        }

        #[test]
        fn no_broken_certificate_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let key = rcgen::KeyPair::generate().unwrap();
            let parameters = rcgen::CertificateParams::new(["example.com".to_owned()]).unwrap();
            let mut der = parameters.self_signed(&key).unwrap().der().to_vec();
            let at = at.index(der.len());
            der[at] = byte;
            not_after(&der);
            not_after(&der[..at]);
        }
    }
}
