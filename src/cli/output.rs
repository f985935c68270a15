//! Standard output and standard error, for a reader that may go away.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::Exit;
use crate::config;

/// Prints `text` on standard output.
///
/// # Errors
///
/// How to end when it cannot be written: quietly and well if the reader has seen enough (`| head`),
/// as failed, and said so, if for instance the disk is full.
pub fn print(text: &str) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(()),
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Err(Exit::Done),
        Err(err) => {
            complain(&format_args!(
                "cannot write to standard output: {}",
                words::of(&err)
            ));
            Err(Exit::Failed)
        }
    }
}

/// Prints `caribe: MESSAGE` on standard error.
pub fn complain(message: &dyn Display) {
    print_error(&format!("caribe: {message}\n"));
}

/// Prints `text` on standard error. If that cannot be written there is nobody to tell.
pub fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Shows what is wrong with a configuration on standard error.
pub fn print_report(report: &config::Report) {
    let colour = wants_colour(&io::stderr());
    let style = if colour {
        config::Style::Coloured
    } else {
        config::Style::Plain
    };
    print_error(&report.render(style));
}

/// What is known of the terminal that standard output goes to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Screen {
    /// Columns and rows; `None` if it is no terminal: then nothing is cut.
    pub size: Option<(usize, usize)>,
    /// Whether to use colours.
    pub colour: bool,
}

impl Screen {
    /// Looks at standard output.
    #[must_use]
    pub fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self::default();
        }
        // A serial console does not know its size and says 0 x 0.
        let size = rustix::termios::tcgetwinsize(&stdout)
            .ok()
            .map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)))
            .filter(|(columns, rows)| *columns > 0 && *rows > 0);
        Self {
            size,
            colour: wants_colour(&stdout),
        }
    }
}

/// Colours are for terminals, unless `NO_COLOR` is set and not empty (no-color.org) or the terminal
/// is a `dumb` one.
#[must_use]
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty())
        || std::env::var_os("TERM").is_some_and(|it| it == "dumb");
    stream.is_terminal() && !refused
}
