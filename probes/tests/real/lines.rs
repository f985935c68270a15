//! Protocols that speak in lines.

use probes::Tls;
use probes::kinds::dialogue::{Begin, Dialogue, Protocol};
use probes::spec::{Login, ProbeKind, Secret};

use crate::certificate::{Certificate, EXPIRED, NOT_TRUSTED, STRANGER};
use crate::process::Place;
use crate::trouble::is_told_right_in_trouble;
use crate::{is_down, is_up};

fn dialogue(protocol: Protocol, encryption: Option<(Begin, Tls)>) -> Dialogue {
    Dialogue {
        protocol,
        encryption,
        login: None,
        hello: "probe.example.test".to_owned(),
    }
}

fn login(dialogue: Dialogue, user: &str, password: &str) -> ProbeKind {
    ProbeKind::Dialogue(Dialogue {
        login: Some(Login {
            user: user.to_owned(),
            password: Secret(password.to_owned()),
        }),
        ..dialogue
    })
}

#[tokio::test]
async fn dovecot_speaks_imap_and_pop3() {
    let place = Place::new(1143);
    let files = Certificate::new(&place);
    let folder = place.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/').to_owned();
    let settings = place.write(
        "dovecot.conf",
        &format!(
            "base_dir = {folder}/run
             log_path = /dev/stderr
             protocols = imap pop3
             listen = {ip}
             ssl = yes
             ssl_cert = <{certificate}
             ssl_key = <{key}
             local_name expired.test {{
               ssl_cert = <{expired}
             }}
             local_name stranger.test {{
               ssl_cert = <{strangers}
             }}
             disable_plaintext_auth = no
             passdb {{
               driver = static
               args = password=right
             }}
             userdb {{
               driver = static
               args = uid=nobody gid=nogroup home={folder}/home
             }}
             mail_location = maildir:/tmp/%u-{pid}
             service imap-login {{
               chroot =
               inet_listener imap {{
                 port = 1143
               }}
               inet_listener imaps {{
                 port = 1993
               }}
             }}
             service pop3-login {{
               chroot =
               inet_listener pop3 {{
                 port = 1110
               }}
               inet_listener pop3s {{
                 port = 1995
               }}
             }}
             service anvil {{
               chroot =
             }}
            ",
            ip = place.address.ip(),
            certificate = files.certificate,
            expired = files.expired,
            strangers = files.strangers,
            key = files.key,
            pid = std::process::id(),
        ),
    );
    let mut command = place.command("/usr/sbin/dovecot");
    command.args(["-F", "-c", &settings]);
    let mut server = place.start_listening(&mut command);
    let at = |port| {
        let mut address = server.address();
        address.set_port(port);
        address
    };
    let ways = [
        (Protocol::Imap, at(1143), at(1993)),
        (Protocol::Pop3, at(1110), at(1995)),
    ];
    for (protocol, plain, tls) in ways {
        let asked = || Some((Begin::Asked, files.tls()));
        let at_once = || Some((Begin::AtOnce, files.tls()));
        is_up(plain, ProbeKind::Dialogue(dialogue(protocol, None))).await;
        is_up(plain, ProbeKind::Dialogue(dialogue(protocol, asked()))).await;
        is_up(tls, ProbeKind::Dialogue(dialogue(protocol, at_once()))).await;
        is_up(plain, login(dialogue(protocol, asked()), "me", "right")).await;
        is_up(tls, login(dialogue(protocol, at_once()), "me", "right")).await;
        let wrong = login(dialogue(protocol, None), "me", "wrong");
        is_down(plain, wrong, "uthentication failed").await;
        let stranger = Some((Begin::Asked, Tls::default()));
        let stranger = ProbeKind::Dialogue(dialogue(protocol, stranger));
        is_down(plain, stranger, NOT_TRUSTED).await;
        for (name, reason) in [
            ("expired.test", EXPIRED),
            ("stranger.test", "the certificate is not for stranger.test"),
        ] {
            let named = Tls {
                name: Some(name.to_owned()),
                ..files.tls()
            };
            let named = dialogue(protocol, Some((Begin::AtOnce, named)));
            is_down(tls, ProbeKind::Dialogue(named), reason).await;
        }
        for (address, encryption) in [(plain, asked()), (tls, at_once())] {
            let kind = login(dialogue(protocol, encryption), "me", "right");
            is_told_right_in_trouble(&server, address, kind).await;
        }
        let wrong_port = ProbeKind::Dialogue(dialogue(protocol, at_once()));
        is_down(plain, wrong_port, "expected TLS").await;
    }
    let address = server.address();
    server.stop();
    let imap = ProbeKind::Dialogue(dialogue(Protocol::Imap, None));
    is_down(address, imap, "connection refused").await;
}

#[tokio::test]
async fn exim_speaks_smtp() {
    let place = Place::owned_by(2525, "Debian-exim");
    let files = Certificate::new(&place);
    let folder = place.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/').to_owned();
    let settings = place.write(
        "exim.conf",
        &format!(
            "keep_environment =
exim_path = /usr/sbin/exim4
primary_hostname = mail.example.test
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
local_interfaces = {ip}
daemon_smtp_ports = 2525 : 2526 : 2527
pid_file_path = {folder}/exim.pid
tls_advertise_hosts = *
tls_certificate = ${{if ={{$received_port}}{{2526}}{{{expired}}}{{\
    ${{if ={{$received_port}}{{2527}}{{{strangers}}}{{{certificate}}}}}}}}}
tls_privatekey = {key}
acl_smtp_rcpt = acl_deny
host_lookup =
rfc1413_hosts =
begin acl
acl_deny:
  deny
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{{{eq{{$auth2}}{{me}}}}{{eq{{$auth3}}{{right}}}}}}}}
  server_set_id = $auth2
",
            ip = place.address.ip(),
            certificate = files.certificate,
            expired = files.expired,
            strangers = files.strangers,
            key = files.key,
        ),
    );
    let mut command = place.command("/usr/sbin/exim4");
    command.args(["-C", &settings, "-bdf"]);
    let mut server = place.start_listening(&mut command);
    let address = server.address();
    let asked = || Some((Begin::Asked, files.tls()));
    for protocol in [Protocol::Smtp, Protocol::Submission] {
        is_up(address, ProbeKind::Dialogue(dialogue(protocol, None))).await;
        is_up(address, ProbeKind::Dialogue(dialogue(protocol, asked()))).await;
        is_up(address, login(dialogue(protocol, asked()), "me", "right")).await;
        let wrong = login(dialogue(protocol, asked()), "me", "wrong");
        is_down(address, wrong, "expected 235, got 535").await;
    }
    let stranger = Some((Begin::Asked, Tls::default()));
    let stranger = ProbeKind::Dialogue(dialogue(Protocol::Smtp, stranger));
    is_down(address, stranger, NOT_TRUSTED).await;
    for (port, reason) in [(2526, EXPIRED), (2527, STRANGER)] {
        let mut address = address;
        address.set_port(port);
        let smtp = ProbeKind::Dialogue(dialogue(Protocol::Smtp, asked()));
        is_down(address, smtp, reason).await;
    }
    let submission = login(dialogue(Protocol::Submission, asked()), "me", "right");
    is_told_right_in_trouble(&server, address, submission).await;
    server.stop();
    let smtp = ProbeKind::Dialogue(dialogue(Protocol::Smtp, None));
    is_down(address, smtp, "connection refused").await;
}

#[tokio::test]
async fn vsftpd_speaks_ftp() {
    let place = Place::new(2121);
    std::fs::create_dir(place.path("ftp")).unwrap();
    let folder = place.path("ftp");
    let folder = folder.to_str().unwrap().to_owned();
    let settings = place.write(
        "vsftpd.conf",
        &format!(
            "listen=YES
listen_address={}
listen_port=2121
background=NO
anonymous_enable=YES
local_enable=NO
anon_root={folder}
secure_chroot_dir={folder}
xferlog_enable=NO
seccomp_sandbox=NO
",
            place.address.ip()
        ),
    );
    let mut command = place.command("/usr/sbin/vsftpd");
    command.arg(&settings);
    let mut server = place.start_listening(&mut command);
    let address = server.address();
    let ftp = || dialogue(Protocol::Ftp, None);
    is_up(address, ProbeKind::Dialogue(ftp())).await;
    is_up(address, login(ftp(), "anonymous", "me@example.test")).await;
    is_down(address, login(ftp(), "somebody", "x"), "expected 2").await;
    let anonymous = login(ftp(), "anonymous", "me@example.test");
    is_told_right_in_trouble(&server, address, anonymous).await;
    server.stop();
    is_down(address, ProbeKind::Dialogue(ftp()), "connection refused").await;
}
