//! What is said of the files that probes need for TLS.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, KeyPair};

use super::GOOD;
use crate::config::{HostFacts, keys, load, parse};

#[test]
fn the_files_of_tls_are_tried_on_the_host_that_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str, mode: u32| {
        std::fs::write(path(name), text).unwrap();
        std::fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
    };
    keys::generate(path("cluster.key").as_ref()).unwrap();
    let own = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["probe.example".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&own).unwrap().pem();
    write("good.pem", &certificate, 0o644);
    write("own.key", &own.serialize_pem(), 0o640);
    write("shown.key", &own.serialize_pem(), 0o644);
    let other = KeyPair::generate().unwrap().serialize_pem();
    write("other.key", &other, 0o600);
    write("empty.pem", "", 0o644);
    std::fs::create_dir(path("folder.pem")).unwrap();

    let said = |tls: &str, host: &HostFacts| {
        let tls = tls.replace('<', &format!("\"{}/", folder.path().display()));
        let probe = format!(
            "probe = {{ https = \"/\", tls = {{ {} }} }}",
            tls.replace('>', "\"")
        );
        let text = GOOD
            .replace("/etc/caribe/cluster.key", &path("cluster.key"))
            .replace(
                "probe = { http = \"/\", interval = \"6s\", timeout = \"2s\" }",
                &probe,
            );
        let report = parse(&text, "test.toml", host).err();
        let diagnostics = report.iter().flat_map(|report| report.diagnostics());
        let line = text.lines().position(|line| *line == probe).unwrap() + 1;
        let said: Vec<String> = diagnostics
            .map(|fault| {
                assert_eq!(fault.line, Some(line), "{}", fault.message);
                fault.message.replace(&path(""), "")
            })
            .collect();
        said.join("; ")
    };
    let table = [
        ("ca = <good.pem>", ""),
        ("certificate = <good.pem>, private_key = <own.key>", ""),
        ("ca = <no.pem>", "there is no file no.pem on this host"),
        ("ca = <folder.pem>", "folder.pem is not a regular file"),
        ("ca = <empty.pem>", "no certificate in empty.pem"),
        ("ca = <own.key>", "no certificate in own.key"),
        (
            "certificate = <empty.pem>, private_key = <own.key>",
            "no certificate in empty.pem",
        ),
        (
            "certificate = <good.pem>, private_key = <no.key>",
            "there is no file no.key on this host",
        ),
        (
            "certificate = <good.pem>, private_key = <other.key>",
            "the key in other.key is not that of the certificate in good.pem",
        ),
        (
            "certificate = <good.pem>, private_key = <shown.key>",
            "everybody on this host has a right to the private key shown.key, whose mode is 0644",
        ),
    ];
    for (tls, expected) in table {
        assert_eq!(said(tls, &HostFacts::named("ha1")), expected, "{tls}");
        assert_eq!(said(tls, &HostFacts::unchecked()), "", "{tls}");
    }
}

#[test]
fn who_runs_a_command_is_looked_up_where_that_may_take_long() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("cluster.key");
    keys::generate(&key).unwrap();
    let said = |user: &str, host: HostFacts| {
        let probe = format!("exec = [\"true\"], user = \"{user}\"");
        let text = GOOD
            .replace("/etc/caribe/cluster.key", key.to_str().unwrap())
            .replacen("http = \"/\"", &probe, 1);
        let line = text.lines().position(|it| it.contains(&probe)).unwrap() + 1;
        let report = parse(&text, "test.toml", &host).err();
        let diagnostics = report.iter().flat_map(|report| report.diagnostics());
        let said: Vec<String> = diagnostics
            .map(|fault| {
                assert_eq!(fault.line, Some(line), "{}", fault.message);
                fault.message.clone()
            })
            .collect();
        said.join("; ")
    };
    let here = || HostFacts::named("ha1").with_users();
    for known in ["root", "0", "nobody"] {
        assert_eq!(said(known, here()), "", "{known}");
    }
    let stranger = "this host has no user \"nobody-like-this\"";
    assert_eq!(said("nobody-like-this", here()), stranger);
    for host in [HostFacts::named("ha1"), HostFacts::unchecked().with_users()] {
        assert_eq!(said("nobody-like-this", host), "");
    }
}

#[test]
fn who_may_read_a_password_is_told_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("cluster.key");
    keys::generate(&key).unwrap();
    let file = folder.path().join("caribe.toml");
    let good = GOOD.replace("/etc/caribe/cluster.key", key.to_str().unwrap());
    let secret = good.replacen("http = \"/\"", "redis = true, password = \"x\"", 1);
    let line = secret.lines().position(|it| it.contains("redis")).unwrap() + 1;
    let host = HostFacts::named("ha1");
    for (text, mode, warned) in [
        (&good, 0o644, false),
        (&secret, 0o640, false),
        (&secret, 0o644, true),
    ] {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let place = format!("{}:{line}: everybody on this host may", file.display());
        let warnings = load(&file, &host).unwrap().warnings;
        let found = warnings.iter().any(|warning| warning.starts_with(&place));
        assert_eq!(found, warned, "{warnings:?}");
        assert_eq!(
            load(&file, &HostFacts::unchecked()).unwrap().warnings,
            [""; 0]
        );
    }
}
