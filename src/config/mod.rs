//! From the text of a configuration file to a model that cannot be invalid.
//!
//! Text is parsed with the place of every value (`toml`), read by the kinds that the schema gives
//! its keys (`raw`), and checked for contradictions into the model (`check`). Each step goes on
//! after a fault, so that a report holds everything that is wrong with a file, and nothing that
//! only follows from something else.

mod check;
mod diagnostic;
mod digest;
mod duration;
mod files;
pub mod keys;
pub mod model;
mod own_servers;
mod raw;
mod schema;
mod suggest;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

pub use diagnostic::{Diagnostic, Related, Report, Style};
pub use duration::{parse as parse_duration, show as show_duration};
pub use keys::{Key, KeyId, KeyRing};
pub use model::Config;
pub use own_servers::keeps_the_vip;

use diagnostic::{Fault, Faults, Span};
use raw::At;

/// A configuration file is never longer than this many bytes.
pub const MAX_FILE: u64 = 16 << 20;

/// The host that a configuration is checked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostFacts {
    node: String,
    node_given: bool,
    checks: bool,
    looks_users_up: bool,
}

impl HostFacts {
    /// This host, by the name that the kernel has for it (uname(2)).
    #[must_use]
    pub fn this_host() -> Self {
        let name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Self {
            node: name,
            node_given: false,
            checks: true,
            looks_users_up: false,
        }
    }

    /// This host, as the director that `--node` names.
    #[must_use]
    pub fn named(node: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            node_given: true,
            checks: true,
            looks_users_up: false,
        }
    }

    /// The same, whose users are looked up too, which may take long.
    #[must_use]
    pub fn with_users(self) -> Self {
        Self {
            looks_users_up: self.checks,
            ..self
        }
    }

    /// No host: neither is a director of its name asked for, nor are key files read.
    #[must_use]
    pub fn unchecked() -> Self {
        Self {
            node: String::new(),
            node_given: false,
            checks: false,
            looks_users_up: false,
        }
    }

    /// The director that this host is; empty when unchecked.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }
}

/// A configuration that holds, on the host that it was checked for.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked settings.
    pub config: Arc<Config>,
    /// The director that this host is; empty when the host was not checked.
    pub node: String,
    /// The cluster's keys; empty when the host was not checked.
    pub keys: KeyRing,
    /// What is no mistake, but better otherwise; with its place.
    pub warnings: Vec<String>,
}

/// Reads and checks a configuration file, and the key files that it names.
///
/// # Errors
///
/// Everything that is wrong, in one report.
pub fn load(path: &Path, host: &HostFacts) -> Result<Loaded, Report> {
    let name = path.display().to_string();
    let bytes = read(path).map_err(|error| {
        Report::of_file(
            &name,
            format!("cannot read {name}: {}", words::of(&error)),
            None,
        )
    })?;
    if bytes.len() as u64 > MAX_FILE {
        let text = format!("{name} is larger than {} MiB", MAX_FILE >> 20);
        return Err(Report::of_file(&name, text, None));
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            let (mut loaded, secret) = examine(&text, &name, host)?;
            if let Some(secret) = secret.filter(|_| host.checks) {
                let warning = files::shown_secret(path, &text, &secret);
                loaded.warnings.extend(warning);
            }
            Ok(loaded)
        }
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let fault = Fault::new(&(at..at), "the file is not UTF-8 text")
                .label("the first byte that is none");
            Err(Report::of_faults(&name, &text, vec![fault]))
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks the text of a configuration file; `filename` is what the report calls it.
///
/// # Errors
///
/// Everything that is wrong, in one report.
pub fn parse(text: &str, filename: &str, host: &HostFacts) -> Result<Loaded, Report> {
    examine(text, filename, host).map(|(loaded, _)| loaded)
}

/// The same, and the place of a secret if there is one.
fn examine(text: &str, filename: &str, host: &HostFacts) -> Result<(Loaded, Option<Span>), Report> {
    let mut faults = Faults::default();
    let (document, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    for error in errors {
        let (fault, rest_is_readable) = syntax_fault(text, &error);
        faults.add_syntax(text, fault, rest_is_readable);
    }
    let file = raw::read(document.get_ref(), &mut faults);
    let config = check::check(&file, host, &mut faults);
    let paths = file
        .cluster
        .keys
        .value()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let keys = if host.checks {
        files::check(document.get_ref(), &mut faults);
        if host.looks_users_up {
            files::check_users(document.get_ref(), &mut faults);
        }
        load_keys(paths, &mut faults)
    } else {
        KeyRing::default()
    };
    match config {
        Some(config) if faults.is_empty() => {
            let loaded = Loaded {
                config: Arc::new(config),
                node: host.node.clone(),
                keys,
                warnings: Vec::new(),
            };
            Ok((loaded, files::secret(document.get_ref())))
        }
        _ => Err(Report::of_faults(filename, text, faults.into_list())),
    }
}

/// A fault in the file's TOML, and whether it leaves the rest of the file readable.
fn syntax_fault(text: &str, error: &toml::de::Error) -> (Fault, bool) {
    let span = error.span().unwrap_or(0..0);
    let (message, expected) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, Some(expected)),
        None => (error.message(), None),
    };
    // What the parser says of a bare word depends on how the word begins: `nat` might become `nan`.
    let bare = [
        "string values must be",
        "invalid boolean",
        "invalid float",
        "invalid time",
        "invalid date",
    ];
    if bare.iter().any(|start| message.starts_with(start)) {
        let word = bare_word(text, &span);
        let fault = match text.get(word.clone()).unwrap_or("") {
            "" => Fault::new(&word, "the value is missing"),
            value => Fault::new(&word, "a string must be quoted")
                .help(format!("write \"{}\"", value.escape_debug())),
        };
        return (fault, true);
    }
    let fault = match text.get(span.clone()) {
        Some(key) if message == "duplicate key" => {
            Fault::new(&span, format!("{} is given twice", raw::quote(key)))
                .label("not for the first time")
        }
        _ => Fault::new(&span, message),
    };
    match expected {
        Some("nothing") | None => (fault, false),
        Some(expected) => (fault.label(format!("expected {expected}")), false),
    }
}

/// The whole of the word that a span is in.
fn bare_word(text: &str, span: &Span) -> Span {
    let ends = |c: char| c.is_whitespace() || "=,[]{}#\"'".contains(c);
    let (Some(before), Some(after)) = (text.get(..span.start), text.get(span.end..)) else {
        return span.clone();
    };
    let start = before.char_indices().rev().find(|(_, c)| ends(*c));
    let start = start.map_or(0, |(at, c)| at + c.len_utf8());
    start..span.end + after.find(ends).unwrap_or(after.len())
}

fn load_keys(paths: &[At<String>], faults: &mut Faults) -> KeyRing {
    let mut ring: Vec<(Key, &At<String>)> = Vec::new();
    for at in paths {
        match keys::load(Path::new(&at.value)) {
            Ok(key) => {
                let twin = ring
                    .iter()
                    .find(|(other, first)| other.id() == key.id() && first.value != at.value);
                if let Some((_, first)) = twin {
                    faults.add(
                        Fault::new(&at.span, "two key files hold the same key")
                            .label("the second")
                            .also(&first.span, "the first"),
                    );
                }
                ring.push((key, at));
            }
            Err(error) => {
                let fault = Fault::new(&at.span, error.to_string());
                faults.add(match error.help() {
                    Some(help) => fault.help(help),
                    None => fault,
                });
            }
        }
    }
    KeyRing::new(ring.into_iter().map(|(key, _)| key).collect())
}

#[cfg(test)]
mod tests;
