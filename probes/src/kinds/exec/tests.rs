use std::time::Duration;

use super::*;
use crate::spec::ProbeKind;
use crate::testing::{ask, ask_briefly, good};

fn exec(argv: &[&str]) -> Exec {
    Exec {
        argv: argv.iter().map(|text| (*text).to_owned()).collect(),
        environment: Vec::new(),
        user: None,
        dynamic_weight: false,
    }
}

fn shell(script: &str) -> Exec {
    exec(&["sh", "-c", script])
}

async fn run_it(exec: Exec) -> Result<Answer, Failure> {
    ask("192.0.2.1:80".parse().unwrap(), ProbeKind::Exec(exec)).await
}

async fn reason(exec: Exec) -> String {
    run_it(exec).await.unwrap_err().to_string()
}

#[tokio::test]
async fn the_exit_status_decides_and_the_output_is_the_reason() {
    assert_eq!(run_it(shell("exit 0")).await, good());
    assert_eq!(run_it(shell("echo much; exit 0")).await, good());
    let failing = shell("echo one; echo two >&2; exit 3");
    assert_eq!(reason(failing).await, "exit status: 3: one; two");
    assert_eq!(reason(shell("exit 1")).await, "exit status: 1");
    assert_eq!(reason(shell("kill -9 $$")).await, "signal: 9 (SIGKILL)");
}

#[tokio::test]
async fn a_status_is_a_weight_when_that_is_asked_for() {
    let table = [
        (0, Ok(None)),
        (1, Err("exit status: 1")),
        (2, Ok(Some(Weight::Exactly(0)))),
        (102, Ok(Some(Weight::Exactly(100)))),
        (255, Ok(Some(Weight::Exactly(253)))),
    ];
    for (status, expected) in table {
        let exec = Exec {
            dynamic_weight: true,
            ..shell(&format!("exit {status}"))
        };
        let result = run_it(exec).await.map(|answer| answer.weight);
        let result = result.map_err(|failure| failure.to_string());
        assert_eq!(result, expected.map_err(str::to_owned), "{status}");
    }
}

#[tokio::test]
async fn the_command_knows_whom_it_is_about() {
    let script = r#"test "$1 $2 $ADDRESS $PORT $MORE" = "192.0.2.1 80 192.0.2.1 80 www:80""#;
    let exec = Exec {
        environment: vec![("MORE".to_owned(), "{service}:{virtual_port}".to_owned())],
        ..exec(&["sh", "-c", script, "sh", "{address}", "{port}"])
    };
    let service = Service {
        name: "www".to_owned(),
        address: Some("192.0.2.80".parse().unwrap()),
        port: Some(80),
    };
    assert_eq!(run_it(exec.of_service(&service).unwrap()).await, good());
    assert_eq!(
        shell("true {address}").of_service(&service),
        None,
        "it can be shared"
    );
    let mark = Service {
        name: "www".to_owned(),
        address: None,
        port: None,
    };
    let told = shell("{service}-{virtual_address}").of_service(&mark);
    assert_eq!(told.unwrap(), shell("www-"));
}

#[tokio::test]
async fn nothing_else_of_the_environment_is_passed_on() {
    let script = "env | grep -v -e ^PATH= -e ^ADDRESS= -e ^PORT= -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= && exit 1; exit 0";
    assert_eq!(run_it(shell(script)).await, good());
}

#[tokio::test]
async fn the_whole_group_is_killed_at_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!(
        "echo waiting; sleep 1000 & echo $! > {0}.new; echo $$ >> {0}.new; mv {0}.new {0}; wait",
        file.display()
    );
    let failure = ask_briefly(
        "192.0.2.1:80".parse().unwrap(),
        ProbeKind::Exec(shell(&script)),
    );
    let text = failure.await.unwrap_err().to_string();
    assert_eq!(text, "timed out after 1s while the command ran: waiting");
    for pid in std::fs::read_to_string(&file).unwrap().lines() {
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        while !gone() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn output_without_end_is_cut_off() {
    let text = reason(shell("yes | head -c 1000000; exit 1")).await;
    assert!(text.starts_with("exit status: 1: y; y; "), "{text}");
    assert!(text.len() < 3 * OUTPUT, "{}", text.len());
}

#[tokio::test]
async fn a_command_that_leaves_something_running_has_ended_all_the_same() {
    let address = "192.0.2.1:80".parse().unwrap();
    for left in ["sleep 3", "yes"] {
        let kind = ProbeKind::Exec(shell(&format!("{left} & exit 0")));
        assert_eq!(ask_briefly(address, kind).await, good(), "{left}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_not_the_servers_fault() {
    let failure = run_it(exec(&["/none/such"])).await.unwrap_err();
    assert!(!failure.concerns_server());
    assert_eq!(
        failure.to_string(),
        "the probe could not run: /none/such: no such file or directory"
    );
    let stranger = Exec {
        user: Some("nobody-like-this".to_owned()),
        ..shell("true")
    };
    let failure = run_it(stranger).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        r#"the probe could not run: this host has no user "nobody-like-this""#
    );
}

/// What `id` says of somebody.
fn id(arguments: &[&str]) -> String {
    let output = std::process::Command::new("id").args(arguments).output();
    String::from_utf8(output.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_user_runs_it_with_all_their_groups() {
    // Whoever has some besides their own, if this host has anybody such.
    let groups = std::fs::read_to_string("/etc/group").unwrap();
    let members = groups.lines().filter_map(|line| line.rsplit(':').next());
    let members = members
        .flat_map(|line| line.split(','))
        .filter(|it| !it.is_empty());
    for name in members.chain(["nobody"]) {
        let uid = id(&["-u", name]);
        for user in [name, &uid] {
            // The kernel has the groups of a process in order.
            let groups = id(&["-G", name]);
            let mut groups: Vec<u32> = groups.split(' ').map(|it| it.parse().unwrap()).collect();
            groups.sort_unstable();
            let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
            let expected = format!("{name} {} ", groups.join(" "));
            let whole = r#"$(id -un) $(id -G | tr ' ' '\n' | sort -n | tr '\n' ' ')"#;
            let exec = Exec {
                user: Some(user.to_owned()),
                ..shell(&format!(
                    r#"test "{whole}" = "{expected}" || {{ id; exit 1; }}"#
                ))
            };
            match run_it(exec).await {
                Ok(_) => assert_eq!(id(&["-u"]), "0"),
                // Only root may become somebody else.
                Err(failure) => {
                    assert!(!failure.concerns_server(), "{user}: {failure}");
                    assert_ne!(id(&["-u"]), "0", "{user}: {failure}");
                }
            }
        }
    }
}

#[tokio::test]
async fn whoever_runs_this_may_run_it_as_themselves() {
    let exec = Exec {
        user: Some(id(&["-un"])),
        ..shell("exit 0")
    };
    assert_eq!(run_it(exec).await, good());
}

#[test]
fn placeholders_that_stand_for_nothing_are_found() {
    let table = [
        (
            "{address}:{port} {service} {virtual_address} {virtual_port}",
            None,
        ),
        ("{adress}", Some("{adress}")),
        ("a {address} {x}", Some("{x}")),
        ("awk '{print $1}' ${HOME} {}", None),
        ("{open", None),
    ];
    for (text, expected) in table {
        assert_eq!(Exec::unknown_placeholder(text), expected, "{text}");
    }
}
