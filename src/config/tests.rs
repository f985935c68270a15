mod digests;
mod files;
mod kinds;
mod manual;
mod single;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::model::{Failback, MAX_DIRECTORS, MAX_GROUPS, Match};
use super::*;

/// A whole configuration, which the tests break in one place at a time.
const GOOD: &str = include_str!("../../tests/config/good.toml");

const EXAMPLES: [(&str, &str); 4] = [
    (
        "web-farm.toml",
        include_str!("../../examples/web-farm.toml"),
    ),
    ("nat.toml", include_str!("../../examples/nat.toml")),
    ("tunnel.toml", include_str!("../../examples/tunnel.toml")),
    ("ipv6.toml", include_str!("../../examples/ipv6.toml")),
];

/// Compares `found` with the recorded text, or records it where the environment has `UPDATE=1`.
fn compare(path: &str, found: &str) {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&full, found).unwrap();
    }
    let recorded = std::fs::read_to_string(&full).unwrap_or_default();
    assert!(
        recorded == found,
        "{path} differs from:\n{found}\nif this is better, run: UPDATE=1 cargo test --lib config::"
    );
}

fn check(text: &str) -> Result<Loaded, Report> {
    parse(text, "test.toml", &HostFacts::unchecked())
}

/// One line for each fault: where and what.
fn faults(text: &str) -> Vec<String> {
    let Err(report) = check(text) else {
        return Vec::new();
    };
    let line = |diagnostic: &Diagnostic| {
        format!(
            "{}:{}: {}",
            diagnostic.line.unwrap(),
            diagnostic.column.unwrap(),
            diagnostic.message
        )
    };
    report.diagnostics().iter().map(line).collect()
}

#[test]
fn a_broken_file_is_reported_as_recorded() {
    let text = include_str!("../../tests/config/broken.toml");
    let report = parse(text, "broken.toml", &HostFacts::unchecked()).unwrap_err();
    compare("tests/config/broken.stderr", &report.to_string());
}

#[test]
fn the_examples_hold() {
    for (name, text) in EXAMPLES {
        if let Err(report) = parse(text, name, &HostFacts::unchecked()) {
            panic!("{report}");
        }
    }
}

#[test]
fn a_good_file_becomes_the_model_that_it_describes() {
    let config = check(GOOD).unwrap().config;
    assert_eq!(config.cluster.name, "web");
    assert_eq!(config.heartbeat.keepalive, Duration::from_millis(200));
    assert_eq!(config.heartbeat.warntime, Duration::from_millis(500));
    assert_eq!(config.heartbeat.initdead, Duration::from_secs(5));
    assert_eq!(config.heartbeat.port, 539);
    assert_eq!(config.directors["ha2"].priority, 100);
    assert_eq!(config.directors["ha1"].paths.len(), 2);
    let group = &config.groups["web"];
    assert_eq!(
        group.failback,
        Failback::Auto {
            delay: Duration::from_secs(60)
        }
    );
    assert_eq!(group.vips[0].label.as_deref(), Some("eth0:1"));
    let www = &config.virtuals["www"];
    assert!(matches!(&www.matches, Match::Address { ports, .. } if ports == &[80]));
    assert_eq!(www.sorry, Some("10.0.1.99:80".parse().unwrap()));
    assert_eq!(www.servers[0].port, None);
    assert_eq!(www.servers[1].weight, 3);
    let probe = www.probe.as_ref().unwrap();
    assert_eq!((probe.fall, probe.rise), (2, 1));
    assert_eq!(config.control.socket, Path::new("/run/caribe/caribe.sock"));
}

#[test]
fn what_is_left_out_follows_what_is_given() {
    let text = GOOD.replace("deadtime = \"1s\"", "deadtime = 20");
    let heartbeat = check(&text).unwrap().config.heartbeat;
    assert_eq!(heartbeat.warntime, Duration::from_secs(10));
    assert_eq!(heartbeat.initdead, Duration::from_secs(20));

    let text = GOOD.replace("interval = \"6s\", timeout = \"2s\"", "interval = \"1s\"");
    let config = check(&text).unwrap().config;
    assert_eq!(
        config.virtuals["www"].probe.as_ref().unwrap().timeout,
        Duration::from_secs(1)
    );
}

#[test]
fn a_missing_file_is_named() {
    let report = load(
        Path::new("/nonexistent/caribe.toml"),
        &HostFacts::unchecked(),
    )
    .unwrap_err();
    let text = report.to_string();
    assert!(
        text.contains("cannot read /nonexistent/caribe.toml: no such file or directory"),
        "{text}"
    );
    assert!(!text.contains("os error"), "{text}");
}

#[test]
fn a_file_that_is_no_text_is_shown_where_it_stops_being_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caribe.toml");
    std::fs::write(&path, b"[cluster]\nname = \"\xff\xfe\"\n").unwrap();
    let report = load(&path, &HostFacts::unchecked()).unwrap_err();
    let first = &report.diagnostics()[0];
    assert_eq!((first.line, first.column), (Some(2), Some(9)), "{report}");
    assert_eq!(first.message, "the file is not UTF-8 text");
}

#[test]
fn a_file_beyond_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caribe.toml");
    File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
    let report = load(&path, &HostFacts::unchecked()).unwrap_err();
    assert!(
        report.to_string().contains("is larger than 16 MiB"),
        "{report}"
    );
}

#[test]
fn a_host_that_is_no_director_is_told_who_is() {
    let unnamed = "the directors are `ha1`, `ha2`; say which this host is with `--node NAME`";
    let cases: [(_, _, &[&str]); 3] = [
        (
            "ha3",
            true,
            &[
                "there is no director `ha3`, which `--node` asks for",
                "did you mean `--node ha1`? the directors are `ha1`, `ha2`",
            ],
        ),
        (
            "gateway.example.com",
            false,
            &["this host is named `gateway.example.com`, and there"],
        ),
        // What is nearest to a host's own name may be another host's.
        ("ha3", false, &[unnamed]),
    ];
    for (name, given, expected) in cases {
        let mut host = HostFacts::named(name);
        host.node_given = given;
        let text = parse(GOOD, "test.toml", &host).unwrap_err().to_string();
        for part in expected {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn keys_are_loaded_in_the_order_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.key"), folder.path().join("b.key"));
    let (first, second) = (keys::generate(&a).unwrap(), keys::generate(&b).unwrap());
    let list = format!("keys = [{a:?}, {b:?}]");
    let text = GOOD.replace("keys = [\"/etc/caribe/cluster.key\"]", &list);
    let host = HostFacts::named("ha2");
    let loaded = parse(&text, "test.toml", &host).unwrap();
    assert_eq!(loaded.node, "ha2");
    let ids: Vec<_> = loaded.keys.iter().map(Key::id).collect();
    assert_eq!(ids, [first.id(), second.id()]);

    std::fs::set_permissions(&a, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&b, "not a key\n").unwrap();
    let report = parse(&text, "test.toml", &host).unwrap_err();
    let messages: Vec<_> = report
        .diagnostics()
        .iter()
        .map(|d| d.message.as_str())
        .collect();
    assert!(
        messages[0].contains("has mode 0644; it must be for its owner alone"),
        "{report}"
    );
    assert!(messages[1].contains("holds no key"), "{report}");
    assert_eq!(messages.len(), 2);

    std::fs::set_permissions(&a, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::copy(&a, &b).unwrap();
    let report = parse(&text, "test.toml", &host).unwrap_err();
    assert_eq!(
        report.diagnostics()[0].message,
        "two key files hold the same key"
    );
}

#[test]
fn more_directors_groups_or_paths_than_a_heartbeat_holds_are_refused() {
    let director = |i: usize| {
        format!("[[director]]\nname = \"d{i}\"\npaths = [{{ udp = \"198.51.100.{i}\" }}]\n")
    };
    let group = |i: usize| {
        let vip = format!("{{ address = \"192.0.2.{i}/24\", interface = \"eth0\" }}");
        format!("[[group]]\nname = \"g{i}\"\nvips = [{vip}]\n")
    };
    let file = |directors: usize, groups: usize| {
        let directors: String = (1..=directors).map(director).collect();
        let groups: String = (1..=groups).map(group).collect();
        format!("[cluster]\nname = \"web\"\nkeys = [\"/k\"]\n{directors}{groups}")
    };
    assert_eq!(faults(&file(MAX_DIRECTORS, MAX_GROUPS)), [""; 0]);
    assert_eq!(faults(&file(9, 1)), ["4:1: there are 9 directors"]);
    assert_eq!(faults(&file(1, 41)), ["7:1: there are 41 groups"]);
    let paths: Vec<_> = (1..=17)
        .map(|i| format!("{{ udp = \"203.0.113.{i}\" }}"))
        .collect();
    let paths = format!("[{}]", paths.join(", "));
    let text = file(1, 1).replace("[{ udp = \"198.51.100.1\" }]", &paths);
    assert_eq!(faults(&text), ["6:9: there are 17 heartbeat paths"]);
}

#[test]
fn an_empty_file_is_told_what_a_configuration_has() {
    let missing = |section: &str| format!("1:1: section `{section}` is missing");
    let expected = ["[[director]]", "[[group]]", "[cluster]"].map(missing);
    assert_eq!(faults(""), expected);
    assert_eq!(faults("# nothing\r\n"), expected);
}

#[test]
fn a_report_is_also_data() {
    let report = check("[cluster]\nnaem = \"x\"\nkeys = []\n").unwrap_err();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json[0]["message"], "section `[[director]]` is missing");
    let typo = json
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["line"] == 2)
        .unwrap();
    assert_eq!(typo["file"], "test.toml");
    assert_eq!(typo["column"], 1);
    assert_eq!(typo["message"], "unknown key `naem` in `[cluster]`");
    assert_eq!(typo["help"], "did you mean `name`?");
}

#[test]
fn colours_are_for_terminals_only() {
    let report = check("x = 1").unwrap_err();
    assert!(!report.render(Style::Plain).contains('\x1b'));
    assert!(report.render(Style::Coloured).contains('\x1b'));
}

#[test]
fn what_the_file_says_cannot_steer_a_terminal() {
    let report = check("\"\\u001b[2Jx\" = 1\ny = \"\u{9b}2J\" 3").unwrap_err();
    let text = report.render(Style::Plain);
    assert!(
        !text.contains('\x1b') && !text.contains('\u{9b}'),
        "{text:?}"
    );
}

#[test]
fn places_far_apart_are_both_quoted() {
    let gap = "# filler\n".repeat(40);
    let text = GOOD.replace(
        "[[director]]\nname = \"ha2\"",
        &format!("{gap}[[director]]\nname = \"ha1\""),
    );
    let report = check(&text).unwrap_err();
    let text = report.to_string();
    assert!(
        text.contains("the second") && text.contains("the first"),
        "{text}"
    );
    assert!(!text.contains("filler"), "{text}");
    assert!(report.diagnostics()[0].related.is_some());
}

#[test]
fn a_thousand_faults_are_counted_and_a_hundred_shown() {
    let text: String = (0..1000).map(|i| format!("unknown{i} = 1\n")).collect();
    let report = check(&text).unwrap_err();
    assert_eq!(report.diagnostics().len(), 1003);
    let text = report.to_string();
    assert!(
        text.ends_with("1003 errors, of which the first 100 are shown\n"),
        "{text}"
    );
    assert_eq!(text.matches("error: ").count(), 100);
}

/// A file of `count` real servers behind a hundred services.
fn large(count: usize) -> String {
    let mut text = GOOD.split("[[virtual]]").next().unwrap().to_owned();
    for service in 0..100 {
        text.push_str(&format!(
            "[[virtual]]\nname = \"s{service}\"\ngroup = \"web\"\naddress = \"192.0.2.80\"\n\
             port = {}\nprobe = {{ tcp = true }}\n",
            1000 + service
        ));
        for server in 0..count / 100 {
            let (high, low) = (server / 250, server % 250 + 1);
            text.push_str(&format!(
                "[[virtual.server]]\naddress = \"10.{service}.{high}.{low}\"\nweight = 2\n"
            ));
        }
    }
    text
}

#[test]
fn ten_thousand_servers_are_read() {
    let text = large(10_000);
    let start = Instant::now();
    let config = check(&text).unwrap().config;
    println!("{} bytes in {:?}", text.len(), start.elapsed());
    let servers: usize = config
        .virtuals
        .values()
        .map(|service| service.servers.len())
        .sum();
    assert_eq!(servers, 10_000);
}

#[test]
fn a_large_file_of_another_kind_is_refused_without_delay() {
    let log = "Nov 20 09:00:00 ha1 kernel: [1.0] eth0: link is up, 1000 Mbps\n".repeat(20_000);
    let start = Instant::now();
    let report = check(&log).unwrap_err();
    println!(
        "{} faults, {} bytes in {:?}",
        report.diagnostics().len(),
        log.len(),
        start.elapsed()
    );
    assert!(report.diagnostics().len() >= 20_000);
    assert!(report.render(Style::Plain).len() < 100_000);
}

/// Must not panic, and must say something whenever it refuses.
fn survives(text: &str) {
    if let Err(report) = check(text) {
        assert!(!report.diagnostics().is_empty());
        assert!(!report.render(Style::Plain).is_empty());
    }
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,200}") {
        survives(&text);
    }

    #[test]
    fn any_toml_like_text_is_survived(
        words in proptest::collection::vec(
            prop_oneof![
                Just("["), Just("]"), Just("[["), Just("]]"), Just("{"), Just("}"), Just("="),
                Just("\n"), Just("\r\n"), Just("\""), Just("'"), Just(","), Just("."), Just("\""),
                Just("virtual"), Just("server"), Just("group"), Just("probe"), Just("name"),
                Just("vips"), Just("paths"), Just("cluster"), Just("director"), Just("keys"),
                Just("1"), Just("-1"), Just("1e400"), Just("true"), Just("\"é\""), Just("\"::1\""),
                Just("address"), Just("port"), Just(" "), Just("\t"), Just("#"), Just("\u{feff}"),
            ],
            0..60,
        )
    ) {
        survives(&words.concat());
    }

    #[test]
    fn a_good_file_with_a_piece_replaced_is_survived(
        start in 0..GOOD.len(),
        length in 0..40usize,
        piece in "\\PC{0,8}|\n|\"|\\[|\\]|=",
    ) {
        let end = (start + length).min(GOOD.len());
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes.splice(start..end, piece.into_bytes());
        survives(&String::from_utf8_lossy(&bytes));
    }
}
