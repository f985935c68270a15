//! Text for people: durations, widths, lines that fit, and colours.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a piece of text means, and so how it looks on a terminal with colours.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Style {
    #[default]
    Plain,
    Title,
    Dim,
    Good,
    Warning,
    Bad,
}

impl Style {
    /// SGR parameters (ECMA-48, 8.3.117).
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Title => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "1;31",
        }
    }

    pub(super) fn paint(self, text: &str, colour: bool) -> String {
        match self.code() {
            "" => text.to_owned(),
            _ if !colour || text.is_empty() => text.to_owned(),
            code => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// `80ms`, `12s`, `3m 4s`, `2h`, `3d 4h`: the two largest units, the second only if it counts.
pub(super) fn duration(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{}ms", duration.as_millis());
    }
    let largest = UNITS
        .iter()
        .position(|(size, _)| seconds >= *size)
        .unwrap_or(UNITS.len() - 1);
    let (size, unit) = UNITS[largest];
    let first = format!("{}{unit}", seconds / size);
    match UNITS.get(largest + 1) {
        Some((next, next_unit)) if seconds % size >= *next => {
            format!("{first} {}{next_unit}", seconds % size / next)
        }
        _ => first,
    }
}

/// `text` with everything replaced that could do more to a terminal than show itself: part of what
/// is shown comes from real servers and peers.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if is_harmless(c) { c } else { '\u{fffd}' })
        .collect()
}

/// The same for each line of a text.
pub(super) fn harmless_lines(text: &str) -> String {
    text.lines().map(|line| harmless(line) + "\n").collect()
}

fn is_harmless(c: char) -> bool {
    // Controls, and what turns the direction of writing (Unicode, UAX #9, 2).
    let turns = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// Columns that `text` takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text`, or as much of it as fits into `columns` with an ellipsis.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        kept.push(c);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// `text` in lines of at most `columns`; longer words stay whole.
pub(super) fn wrap(text: &str, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else {
        return vec![text.to_owned()];
    };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_two_largest_units() {
        let table = [
            (0, "0ms"),
            (80, "80ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (184_000, "3m 4s"),
            (3_600_000, "1h"),
            (3_659_000, "1h"),
            (3_660_000, "1h 1m"),
            (86_399_000, "23h 59m"),
            (273_600_000, "3d 4h"),
            (86_400_000 * 400, "400d"),
        ];
        for (millis, expected) in table {
            assert_eq!(
                duration(Duration::from_millis(millis)),
                expected,
                "{millis} ms"
            );
        }
    }

    #[test]
    fn cutting_counts_columns_and_not_bytes() {
        assert_eq!(cut("refusé", 6), "refusé");
        assert_eq!(cut("refusée", 6), "refus…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("any", 0), "");
    }

    #[test]
    fn wrapped_lines_fit_and_lose_no_word() {
        let text = "one two three four five six seven";
        let lines = wrap(text, Some(12));
        assert!(lines.iter().all(|line| width(line) <= 12), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrap(text, None), [text]);
    }

    #[test]
    fn a_server_cannot_write_to_the_terminal() {
        assert_eq!(
            harmless("HTTP \x1b[2J\u{9b}1m\r\n\u{202e}ok"),
            "HTTP �[2J�1m���ok"
        );
    }

    #[test]
    fn colours_are_left_out_when_not_wanted() {
        assert_eq!(Style::Bad.paint("down", false), "down");
        assert_eq!(Style::Bad.paint("down", true), "\x1b[1;31mdown\x1b[0m");
        assert_eq!(Style::Plain.paint("up", true), "up");
    }
}
