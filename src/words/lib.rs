//! What errors of the system mean, in words and without their numbers, for messages and logs.
//!
//! ```
//! let error = std::io::Error::from_raw_os_error(111);
//! assert_eq!(error.to_string(), "Connection refused (os error 111)");
//! assert_eq!(words::of(&error), "connection refused");
//! ```

use std::io;

/// How the standard library begins the number that it puts behind its words.
const NUMBER: &str = " (os error ";

/// What an error means, to stand behind a colon: "permission denied".
#[must_use]
pub fn of(error: &io::Error) -> String {
    let text = without_numbers(&error.to_string());
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

/// What the number of an error means, as strerror(3) says it: "Permission denied".
#[must_use]
pub fn of_number(errno: i32) -> String {
    without_numbers(&io::Error::from_raw_os_error(errno).to_string())
}

/// An error may quote others, each with a number.
fn without_numbers(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(NUMBER) {
        words.push_str(before);
        rest = match after.split_once(')') {
            Some((number, after)) if number.parse::<i32>().is_ok() => after,
            _ => {
                words.push_str(NUMBER);
                after
            }
        };
    }
    words.push_str(rest);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_without_its_number() {
        let refused = || io::Error::from_raw_os_error(111);
        let table = [
            (refused(), "connection refused"),
            (
                io::Error::other(format!("Cannot ask it: {}; gave up", refused())),
                "cannot ask it: Connection refused; gave up",
            ),
            (
                io::ErrorKind::UnexpectedEof.into(),
                "unexpected end of file",
            ),
            (io::Error::other("odd (os error x)"), "odd (os error x)"),
            (io::Error::other("odd (os error 1"), "odd (os error 1"),
            (io::Error::other(""), ""),
            (io::Error::other("Ärger"), "ärger"),
        ];
        for (error, words) in table {
            assert_eq!(of(&error), words);
        }
    }

    #[test]
    fn every_number_has_words_and_none_has_a_number_of_the_library() {
        for number in 1..=133 {
            let words = of_number(number);
            assert!(!words.is_empty() && !words.contains("os error"), "{words}");
            let error = io::Error::from_raw_os_error(number);
            assert!(of(&error).eq_ignore_ascii_case(&words), "{words}");
        }
        assert_eq!(of_number(13), "Permission denied");
    }
}
