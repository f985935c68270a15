//! The Debian packages that the lab needs, and how a machine gets them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::guest::MODULE_FOLDER;

/// A package, a file that proves that it is there, and why it is needed.
struct Need {
    package: &'static str,
    proof: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        package: "user-mode-linux",
        proof: "/usr/bin/linux.uml",
        why: "the kernel with IPVS",
    },
    Need {
        package: "user-mode-linux",
        proof: MODULE_FOLDER,
        why: "its modules",
    },
    Need {
        package: "kmod",
        proof: "/sbin/modprobe",
        why: "loads its modules",
    },
    Need {
        package: "iproute2",
        proof: "/sbin/ip",
        why: "hosts, cables and addresses",
    },
    Need {
        package: "util-linux",
        proof: "/usr/bin/nsenter",
        why: "commands on a host",
    },
    Need {
        package: "procps",
        proof: "/sbin/sysctl",
        why: "settings of a host",
    },
    Need {
        package: "nginx-light",
        proof: "/usr/sbin/nginx",
        why: "the real servers",
    },
    Need {
        package: "ipvsadm",
        proof: "/sbin/ipvsadm",
        why: "defines what lvsadm prints",
    },
    Need {
        package: "keepalived",
        proof: "/usr/sbin/keepalived",
        why: "the peer to beat",
    },
    Need {
        package: "curl",
        proof: "/usr/bin/curl",
        why: "requests by hand",
    },
    Need {
        package: "iputils-ping",
        proof: "/usr/bin/ping",
        why: "who reaches whom",
    },
    Need {
        package: "tcpdump",
        proof: "/usr/bin/tcpdump",
        why: "what is on the wire",
    },
    Need {
        package: "zsh",
        proof: "/usr/bin/zsh",
        why: "tries its completions of lvsadm",
    },
    Need {
        package: "fish",
        proof: "/usr/bin/fish",
        why: "tries its completions of lvsadm",
    },
    Need {
        package: "mandoc",
        proof: "/usr/bin/mandoc",
        why: "checks the manual pages",
    },
    Need {
        package: "ca-certificates",
        proof: "/etc/ssl/certs/ca-certificates.crt",
        why: "authorities that probes trust",
    },
    Need {
        package: "unbound",
        proof: "/usr/sbin/unbound",
        why: "probed by tests",
    },
    Need {
        package: "dovecot-imapd",
        proof: "/usr/lib/dovecot/imap",
        why: "probed by tests",
    },
    Need {
        package: "dovecot-pop3d",
        proof: "/usr/lib/dovecot/pop3",
        why: "probed by tests",
    },
    Need {
        package: "exim4-daemon-light",
        proof: "/usr/sbin/exim4",
        why: "probed by tests",
    },
    Need {
        package: "vsftpd",
        proof: "/usr/sbin/vsftpd",
        why: "probed by tests",
    },
    Need {
        package: "mariadb-server",
        proof: "/usr/sbin/mariadbd",
        why: "probed by tests",
    },
    Need {
        package: "postgresql",
        proof: "/usr/lib/postgresql",
        why: "probed by tests",
    },
    Need {
        package: "redis-server",
        proof: "/usr/bin/redis-server",
        why: "probed by tests",
    },
    Need {
        package: "slapd",
        proof: "/usr/sbin/slapd",
        why: "probed by tests",
    },
    Need {
        package: "freeradius",
        proof: "/usr/sbin/freeradius",
        why: "probed by tests",
    },
    Need {
        package: "kamailio",
        proof: "/usr/sbin/kamailio",
        why: "probed by tests",
    },
    Need {
        package: "kamailio-tls-modules",
        proof: "/etc/kamailio/tls.cfg",
        why: "probed by tests",
    },
    Need {
        package: "leafnode",
        proof: "/usr/sbin/leafnode",
        why: "probed by tests",
    },
    Need {
        package: "haproxy",
        proof: "/usr/sbin/haproxy",
        why: "asks agents as probes do",
    },
];

/// Keeps packages from starting their services while they are installed, as invoke-rc.d(8) tells.
/// A policy that the machine has already is left alone. Services that come enabled are disabled.
const INSTALL: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@" > /dev/null
if command -v systemctl > /dev/null; then
    for package in "$@"; do
        case $package in
            nginx-light) systemctl --quiet disable nginx ;;
            mariadb-server) systemctl --quiet disable mariadb ;;
            dovecot-imapd | dovecot-pop3d) systemctl --quiet disable dovecot ;;
            exim4-daemon-light) systemctl --quiet disable exim4 ;;
            unbound | vsftpd) systemctl --quiet disable $package ;;
            leafnode) systemctl --quiet disable leafnode.socket ;;
            keepalived | ipvsadm | postgresql | redis-server | slapd | freeradius | kamailio | haproxy)
                systemctl --quiet disable $package ;;
        esac
    done
fi
"#;

/// Installs what is missing; says in one line what that is.
///
/// # Errors
///
/// A sentence for the operator: what is needed and why, when there is no apt-get or it fails.
pub fn install_missing() -> Result<(), String> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !present(need.proof)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !present("/usr/bin/apt-get") {
        let reasons: Vec<String> = missing
            .iter()
            .map(|need| format!("{} ({})", need.package, need.why))
            .collect();
        return Err(format!(
            "the lab needs these packages of Debian, and there is no apt-get here to install them: {}",
            reasons.join(", ")
        ));
    }
    note(&format!("installing with apt-get: {}", names.join(" ")));
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("sh")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("sh");
        sudo
    };
    let status = command
        .args(["-c", INSTALL, "install"])
        .args(&names)
        .stdin(Stdio::null())
        .status()
        .map_err(|e| format!("cannot run {}: {e}", command.get_program().display()))?;
    if !status.success() {
        return Err(format!(
            "apt-get could not install {} ({status}); run `apt-get install {}` by hand to see why",
            names.join(" "),
            names.join(" ")
        ));
    }
    match missing.iter().find(|need| !present(need.proof)) {
        Some(need) => Err(format!("package {} has no {}", need.package, need.proof)),
        None => Ok(()),
    }
}

/// The first package that is missing, as a sentence with the one command that mends it.
#[must_use]
pub fn complaint() -> Option<String> {
    let need = NEEDS.iter().find(|need| !present(need.proof))?;
    Some(format!(
        "no {} here ({}: {}); run `cargo lab install`",
        need.proof, need.package, need.why
    ))
}

fn present(path: &str) -> bool {
    // Debian has merged /bin and /sbin into /usr; other systems may not have.
    let path = Path::new(path);
    path.exists()
        || Path::new("/usr")
            .join(path.strip_prefix("/").unwrap_or(path))
            .exists()
}

#[expect(
    clippy::print_stderr,
    reason = "progress for a person, on a command line"
)]
fn note(text: &str) {
    eprintln!("lab: {text}");
}
