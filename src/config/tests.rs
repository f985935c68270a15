mod manual;

use super::*;

/// Compares `found` with the recorded text, or records it where the environment has `UPDATE=1`.
fn compare(path: &str, found: &str) {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&full, found).unwrap();
    }
    let recorded = std::fs::read_to_string(&full).unwrap_or_default();
    assert!(
        recorded == found,
        "{path} differs from:\n{found}\nif this is better, run: UPDATE=1 cargo test config::"
    );
}

#[test]
fn a_broken_file_is_reported_as_recorded() {
    let text = include_str!("../../tests/config/broken.toml");
    let report = parse(text, "broken.toml", &HostFacts::unchecked()).unwrap_err();
    compare("tests/config/broken.stderr", &report.to_string());
}
