//! The farm for somebody who wants to try things: at a prompt, or with one command.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

use lab::farm::Settings;
use lab::{Family, Farm, Host, Lab, Mode, guest, programs};

const WELCOME: &str = "
A pair of directors (ha1, ha2), three web servers (rs1, rs2, rs3) and a client, in one kernel.
  ha1 caribe status           a command on a host; `ha1` alone opens a shell there
  client curl http://192.0.2.80/
  cut ha1, restore ha1        the cable to the service network
  logs are in /out; leave with `exit`
";

/// Leaves the operator at a prompt with the pair running.
pub(crate) fn prompt(lab: &Lab, _args: &[String]) -> u8 {
    let _farm = start(lab);
    say(WELCOME);
    // Job control needs a terminal that can be controlled; the console cannot.
    let script = "export PS1='lab# '; exec bash --norc -i </dev/tty0 >/dev/tty0 2>&1";
    let status = guest::command("setsid")
        .args(["--wait", "--ctty", "sh", "-c", script])
        .status();
    match status {
        Ok(_) => 0,
        Err(error) => {
            say(&format!("cannot open a shell: {error}"));
            1
        }
    }
}

/// Runs one command with the pair running; its status becomes ours.
pub(crate) fn run(lab: &Lab, args: &[String]) -> u8 {
    let _farm = start(lab);
    let Some((program, rest)) = args.split_first() else {
        return 2;
    };
    match guest::command(program).args(rest).status() {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
        Err(error) => {
            say(&format!("cannot run {program}: {error}"));
            127
        }
    }
}

/// The farm with its pair running, and a command for every host.
fn start(lab: &Lab) -> Farm {
    say("building the hosts and starting the pair ...");
    // Whoever starts one director by hand waits for the other no longer than this.
    let settings = Settings {
        initdead: "10s",
        ..Settings::default()
    };
    let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
    farm.start_pair();
    let mut hosts: Vec<&Host> = vec![&farm.ha1.host, &farm.ha2.host, &farm.client];
    hosts.extend(farm.servers.iter().map(|server| &server.host));
    for host in hosts {
        let enter = format!("nsenter --target {} --net --mount --uts --", host.pid());
        let prompt = format!("PS1='{}# '", host.name());
        command(
            host.name(),
            &format!("[ $# -gt 0 ] || exec {enter} env {prompt} bash --norc\nexec {enter} \"$@\""),
        );
    }
    command("cut", "exec ip link set $1-eth0 nomaster");
    command("restore", "exec ip link set $1-eth0 master service");
    for program in ["caribe", "lvsadm"] {
        let path = programs().join(program);
        command(program, &format!("exec {} \"$@\"", path.display()));
    }
    farm
}

/// Puts a shell script in everybody's path.
fn command(name: &str, script: &str) {
    let path = format!("/usr/local/bin/{name}");
    let written = fs::write(&path, format!("#!/bin/sh\n{script}\n"))
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
    if let Err(error) = written {
        say(&format!("cannot write {path}: {error}"));
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
