//! What the shells offer after words of an lvsadm command line, each by its own script.
#![expect(clippy::expect_used, reason = "how a test fails")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Lines whose last word is being typed, and what may become of it.
const OFFERS: &[(&str, &str)] = &[
    ("lvsadm --add", "--add-service --add-server"),
    ("lvsadm -A -s w", "wrr wlc"),
    ("lvsadm -A --n", "--netmask"),
    ("lvsadm -Ln --s", "--stats --sort --sctp-service --syncid"),
    ("lvsadm -a --tun-type g", "gue gre"),
    ("lvsadm --start-daemon ma", "master"),
    ("lvsadm --start-daemon ", "master backup"),
    (
        "lvsadm --start-daemon master --mcast-i",
        "--mcast-interface",
    ),
    ("lvsadm -A -b sh-p", "sh-port"),
    ("lvsadm --stop-daemon master --mcast", ""),
    ("lvsadm --completions ", "bash zsh fish"),
];

/// Types the line into an interactive zsh, and has what it offers written to a file.
const ZSH: &str = r#"
zmodload zsh/zpty || exit 9
zpty shell zsh -f -i
zpty -w shell "fpath=($1 \$fpath); PROMPT=; autoload -Uz compinit; compinit -u -d $1/dump"
zpty -w shell "compadd() {
    if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] { builtin compadd \"\$@\"; return }
    local -a found; builtin compadd -A found \"\$@\"
    print -rl -- \$found >>$1/offered; builtin compadd \"\$@\"
}"
zpty -w shell "finish() { print -n d''one }; zle -N finish; bindkey '^X' finish"
zpty -n -w shell "$2"$'\t\x18'
zpty -r shell text '*done*'
zpty -d shell
"#;

/// The script that lvsadm prints for a shell.
fn script(shell: &str) -> String {
    run(
        Path::new(env!("CARGO_BIN_EXE_lvsadm")),
        &["--completions", shell],
    )
}

/// The output of a program that must succeed; `cargo lab install` installs those that are missing.
fn run<A: AsRef<OsStr>>(program: &Path, args: &[A]) -> String {
    let output = Command::new(program).args(args).output();
    let missing = format!(
        "cannot run {}; `cargo lab install` installs what is missing",
        program.display()
    );
    let output = output.expect(&missing);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {output:?}", program.display());
    text
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split_ascii_whitespace().collect()
}

#[test]
fn bash_offers_what_may_follow() {
    let script = script("bash");
    for (line, offers) in OFFERS {
        // The word after a blank is empty yet.
        let typed = line
            .strip_suffix(' ')
            .map_or_else(|| (*line).to_owned(), |line| format!("{line} ''"));
        let asking = format!(
            "{script}\nCOMP_WORDS=({typed})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}}-1))\n_lvsadm\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        );
        let offered = run(Path::new("bash"), &["-c", &asking]);
        assert_eq!(words(&offered), words(offers), "{line}");
    }
}

#[test]
fn fish_offers_what_may_follow() {
    let script = script("fish");
    for (line, offers) in OFFERS {
        let asking = format!("{script}\ncomplete -C '{line}'\n");
        let offered = run(Path::new("fish"), &["--no-config", "-c", &asking]);
        // A word, and after a tab what it means.
        let offered: String = offered
            .lines()
            .filter_map(|line| line.split('\t').next())
            .flat_map(|word| [word, "\n"])
            .collect();
        assert_eq!(words(&offered), words(offers), "{line}");
    }
}

#[test]
fn zsh_offers_what_may_follow() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("_lvsadm"), script("zsh")).expect("it can be written to");
    let driver = folder.path().join("driver");
    fs::write(&driver, ZSH).expect("it can be written to");
    let answers = folder.path().join("offered");
    for (line, offers) in OFFERS {
        fs::write(&answers, "").expect("it can be written to");
        // It must not wait for ever for what it never offers.
        let arguments = [
            "60".as_ref(),
            "zsh".as_ref(),
            "-f".as_ref(),
            driver.as_os_str(),
            folder.path().as_os_str(),
            line.as_ref(),
        ];
        run(Path::new("timeout"), &arguments);
        let offered = fs::read_to_string(&answers).expect("it can be read");
        assert_eq!(words(&offered), words(offers), "{line}");
    }
}
