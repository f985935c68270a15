//! Durations as operators write them: `"200ms"`, `"6s"`, `"5m"`, `"1h"`.

use std::time::Duration;

/// Reads a number with a unit.
///
/// The number may have a fraction (`"1.5s"`). `None` when it is no duration at all, or longer
/// than the type can hold.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim_start() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    from_seconds(number.parse::<f64>().ok()? * scale)
}

/// A number of seconds, to the nanosecond's nearest; `None` when negative or out of range.
pub(super) fn from_seconds(seconds: f64) -> Option<Duration> {
    let exact = Duration::try_from_secs_f64(seconds).ok()?;
    // What a person writes has no more than microseconds; the rest is the binary fraction's noise.
    let micros = u64::try_from((exact + Duration::from_nanos(500)).as_micros()).ok()?;
    Some(Duration::from_micros(micros))
}

/// Writes a duration in the greatest unit that leaves a whole number.
pub fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 if duration.is_zero() => "0s".to_owned(),
        0 => format!("{}us", duration.as_micros()),
        _ if !duration.as_micros().is_multiple_of(1000) => {
            format!("{}ms", duration.as_secs_f64() * 1000.0)
        }
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_fractions_are_read() {
        for (text, millis) in [
            ("200ms", 200),
            ("6s", 6000),
            ("1.5s", 1500),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(from_seconds(0.1), Some(Duration::from_millis(100)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "6",
            "s",
            "6 x",
            "1.2.3s",
            "-1s",
            "1e3s",
            "99999999999999999999h",
            "6S",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["0s", "5ms", "200ms", "1500ms", "6s", "90s", "5m", "744h"] {
            let duration = parse(text).unwrap();
            assert_eq!(parse(&show(duration)), Some(duration));
        }
    }
}
