//! The rules of ARCHITECTURE.md that a machine can check.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The houses of `src`, each of which may import those before it.
const HOUSES: [&str; 8] = [
    "config", "cluster", "vip", "health", "lvs", "director", "control", "cli",
];
/// Beside them: needs none of them.
const LVSADM: &str = "lvsadm";
/// For everybody.
const SHARED: &str = "clock";

/// Where decisions are made: folders and files without a clock, socket, thread, lock or random
/// number inside. Their tests are free.
const PURE: [&str; 13] = [
    "src/cluster",
    "src/director/events",
    "src/director/events.rs",
    "src/director/fitness.rs",
    "src/lvs/desired.rs",
    "src/lvs/forwarding.rs",
    "src/lvs/sync.rs",
    "src/vip/announcer.rs",
    "src/vip/duties.rs",
    "src/vip/prober.rs",
    "probes/src/schedule",
    "ipvs/src/plan.rs",
    "ipvs/src/plan",
];

/// Words that a pure module has no use for.
const IMPURE: &[&str] = &[
    // Clocks
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "clock_gettime",
    // Sockets, files and the rest of the system
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "socket2",
    "neli",
    "rustix",
    "libc",
    "hyper",
    "fs",
    "env",
    "process",
    // Tasks, threads, and what they share
    "thread",
    "thread_local",
    "tokio",
    "async",
    "await",
    "mpsc",
    "watch",
    "oneshot",
    "Mutex",
    "RwLock",
    "Condvar",
    "OnceLock",
    "LazyLock",
    "AtomicBool",
    "AtomicU64",
    "AtomicUsize",
    // Random numbers, and maps whose order is one
    "fastrand",
    "rand",
    "SystemRandom",
    "SecureRandom",
    "RandomState",
    "HashMap",
    "HashSet",
    // What is told goes out as an output
    "tracing",
    "println",
    "eprintln",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files at or below a path, in order.
fn rust_files(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(at)
        .unwrap_or_else(|error| panic!("{}: {error}", at.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries
        .iter()
        .filter(|path| path.is_dir() || path.extension().is_some_and(|ext| ext == "rs"))
        .flat_map(|path| rust_files(path))
        .collect()
}

/// The words and signs of a Rust text, without comments and what stands in quotes.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if let Some(length) = character(rest) {
            length
        } else if first.is_alphabetic() || first == '_' {
            let length = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            found.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Length of `r"..."`, `r#"..."#` or `br"..."`, if the text begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = text.len() - after.len() + hashes + 1;
    let at = text[begin..].find(&end)?;
    Some(begin + at + end.len())
}

/// Length of a literal that begins with `quote`.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Length of `'x'` or `'\n'`, if the text begins with one; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let mut chars = inner.chars();
    match (chars.next()?, chars.next()?) {
        ('\\', _) => Some(quoted(text, '\'')),
        (one, '\'') => Some(2 + one.len_utf8()),
        _ => None,
    }
}

/// What a file names of its own crate: the first word after each `crate::`, and after as many
/// `super::` as lead there from a module `depth` levels below the root.
fn named(text: &str, depth: usize) -> BTreeSet<String> {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut found = BTreeSet::new();
    for at in 0..tokens.len() {
        let mut next = match word(at) {
            "crate" => at + 1,
            "super" if at == 0 || word(at - 1) != "::" => {
                let mut last = at;
                while word(last + 1) == "::" && word(last + 2) == "super" {
                    last += 2;
                }
                if (last - at) / 2 + 1 < depth {
                    continue;
                }
                last + 1
            }
            _ => continue,
        };
        if word(next) != "::" {
            continue;
        }
        next += 1;
        if word(next) != "{" {
            found.insert(word(next).to_owned());
            continue;
        }
        let mut level = 0;
        loop {
            match word(next) {
                "{" => level += 1,
                "}" => level -= 1,
                "" => break,
                name if level == 1 && ["{", ","].contains(&word(next - 1)) => {
                    found.insert(name.to_owned());
                }
                _ => {}
            }
            if level == 0 {
                break;
            }
            next += 1;
        }
    }
    found
}

/// How many modules deep a file of a crate is: 1 for `src/vip/mod.rs`, 2 for `src/vip/table.rs`.
fn depth(file: &Path, src: &Path) -> usize {
    let below = file.strip_prefix(src).unwrap();
    let folder = below.file_name().is_some_and(|name| name == "mod.rs");
    below.components().count() - usize::from(folder)
}

/// The text before the tests that a file ends with.
fn without_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod tests {")
        .map_or(text, |(code, _)| code)
}

fn impure(text: &str) -> BTreeSet<String> {
    let tokens = tokens(without_tests(text));
    let word = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut found: BTreeSet<String> = tokens
        .iter()
        .filter(|token| IMPURE.contains(&token.as_str()))
        .cloned()
        .collect();
    for at in 0..tokens.len() {
        if word(at) == "clock"
            && word(at + 1) == "::"
            && !["Time", "micros"].contains(&word(at + 2))
        {
            found.insert(format!("clock::{}", word(at + 2)));
        }
    }
    found
}

#[test]
fn nothing_imports_upwards() {
    let src = root().join("src");
    for (place, house) in HOUSES.iter().enumerate() {
        let known = &HOUSES[..=place];
        for file in rust_files(&src.join(house)) {
            let text = fs::read_to_string(&file).unwrap();
            for name in named(&text, depth(&file, &src)) {
                assert!(
                    name == SHARED || known.contains(&name.as_str()),
                    "{}: {house} may import {known:?} and {SHARED}, not {name}",
                    file.display()
                );
            }
        }
    }
    for file in rust_files(&src.join(LVSADM)) {
        let text = fs::read_to_string(&file).unwrap();
        let others = named(&text, depth(&file, &src));
        let others: Vec<_> = others.iter().filter(|name| *name != LVSADM).collect();
        assert!(
            others.is_empty(),
            "{}: {LVSADM} needs the crate ipvs alone, not {others:?}",
            file.display()
        );
    }
}

#[test]
fn every_module_of_the_library_has_its_place_in_the_order() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let tokens = tokens(&text);
    let modules: BTreeSet<&str> = tokens
        .windows(2)
        .filter(|pair| pair[0] == "mod")
        .map(|pair| pair[1].as_str())
        .collect();
    let known: BTreeSet<&str> = HOUSES.into_iter().chain([LVSADM, SHARED]).collect();
    assert_eq!(modules, known);
}

#[test]
fn the_crates_below_know_neither_each_other_nor_the_director() {
    for (name, others) in [
        ("ipvs", ["caribe", "probes", "lab"]),
        ("probes", ["caribe", "ipvs", "lab"]),
        ("src/words", ["caribe", "ipvs", "probes"]),
    ] {
        let text = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        // Its tests may need a kernel.
        let text = text.split("[dev-dependencies]").next().unwrap();
        let depended: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|word| others.contains(word))
            .collect();
        assert!(depended.is_empty(), "{name} depends on {depended:?}");
    }
}

#[test]
fn decisions_name_no_clock_socket_thread_lock_or_random_number() {
    let is_test = |file: &Path| {
        let below = file.strip_prefix(root()).unwrap();
        below.iter().any(|part| {
            [
                "tests.rs",
                "tests",
                "sim.rs",
                "sim",
                "simulation.rs",
                "simulation",
            ]
            .contains(&part.to_str().unwrap())
        })
    };
    for place in PURE {
        let files = rust_files(&root().join(place));
        assert!(!files.is_empty(), "{place} is empty");
        for file in files.iter().filter(|file| !is_test(file)) {
            let text = fs::read_to_string(file).unwrap();
            let found = impure(&text);
            assert!(found.is_empty(), "{} names {found:?}", file.display());
        }
    }
}

#[test]
fn every_path_that_the_code_map_names_exists() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let tops = [
        "src/",
        "ipvs/",
        "probes/",
        "tests/",
        "examples/",
        "man/",
        ".ci/",
    ];
    let mut named = 0;
    for quoted in map.split('`').skip(1).step_by(2) {
        if tops.iter().any(|top| quoted.starts_with(top)) && !quoted.contains(' ') {
            assert!(root().join(quoted).exists(), "no `{quoted}` here");
            named += 1;
        }
    }
    assert!(named > 40, "only {named} paths are named");
}

#[test]
fn the_code_map_names_every_module_that_is_no_test() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut missing = Vec::new();
    for top in ["src", "ipvs/src", "probes/src", "tests/lab/src"] {
        for file in rust_files(&root().join(top)) {
            let below = file.strip_prefix(root()).unwrap().to_str().unwrap();
            let test = top != "tests/lab/src" && below.contains("/tests/")
                || below.ends_with("/tests.rs")
                || below.contains("/sim.rs")
                || below.contains("/sim/")
                || below.ends_with("/simulation.rs")
                || below.contains("/simulation/");
            // A line for a module stands for those in it.
            let listed = file
                .ancestors()
                .map(|path| path.with_extension("rs"))
                .filter_map(|path| path.strip_prefix(root()).ok().map(Path::to_owned))
                .any(|path| map.contains(&format!("`{}`", path.display())));
            if !test && !listed {
                missing.push(below.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "no line for {missing:?}");
}

#[test]
fn the_rules_see_what_breaks_them() {
    let names =
        |text: &str, depth: usize| -> Vec<String> { named(text, depth).into_iter().collect() };
    assert_eq!(names("use crate::director::Snapshot;", 1), ["director"]);
    assert_eq!(
        names("use crate::{self as c, cli::{Exit, run}, clock};", 2),
        ["cli", "clock", "self"]
    );
    assert_eq!(names("let a = crate::lvs::Owned::nothing();", 2), ["lvs"]);
    assert_eq!(names("use super::super::control::Error;", 2), ["control"]);
    assert_eq!(names("use super::table::Link;", 2), [""; 0]);
    assert_eq!(names("pub(in super::super) const A: u8 = 1;", 3), [""; 0]);
    assert_eq!(
        names(
            "//! [`Snapshot`](crate::director::Snapshot)\nlet s = \"crate::cli\";",
            1
        ),
        [""; 0]
    );

    let words = |text: &str| -> Vec<String> { impure(text).into_iter().collect() };
    assert_eq!(words("use std::time::{Duration, Instant};"), ["Instant"]);
    assert_eq!(words("let now = crate::clock::now();"), ["clock::now"]);
    assert_eq!(words("use crate::clock::Time;"), [""; 0]);
    assert_eq!(
        words("// An Instant\nlet a = \"tokio \\\" Mutex\";"),
        [""; 0]
    );
    assert_eq!(
        words("let a = ('\"', r#\"tokio \" x\"#); thread::yield_now()"),
        ["thread"]
    );
    assert_eq!(
        words("fn a<'a>(b: &'a str) -> HashMap<u8, u8>"),
        ["HashMap"]
    );
    assert_eq!(
        words("fn a() {}\n#[cfg(test)]\nmod tests {\nuse std::fs;\n}"),
        [""; 0]
    );
}
