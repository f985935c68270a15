//! The files that probes need for TLS: whether this host has them, and keeps secret what is one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use probes::Tls;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Fault, Faults};
use super::raw::At;
use super::schema::{Key, ROOT_VIRTUAL, probe as s, service};

/// Reports every file of a probe that cannot be used. What is no file name has been reported as such.
pub(super) fn check(document: &DeTable<'_>, faults: &mut Faults) {
    for table in tables(document, &ROOT_VIRTUAL) {
        check_probe(table, faults);
        for server in tables(table, &service::SERVERS) {
            check_probe(server, faults);
        }
    }
}

fn check_probe(owner: &DeTable<'_>, faults: &mut Faults) {
    let probe = table(owner, service::VIRTUAL_PROBE.name);
    let Some(tls) = probe.and_then(|probe| table(probe, s::TLS_KEY.name)) else {
        return;
    };
    if let Some(ca) = text(tls, &s::TLS_CA) {
        report(
            &ca,
            readable(&ca).and_then(|()| Tls::check_ca(&ca.value)),
            faults,
        );
    }
    let certificate = text(tls, &s::TLS_CERTIFICATE);
    let good = certificate.filter(|file| {
        let result = readable(file).and_then(|()| Tls::check_certificate(&file.value));
        let good = result.is_ok();
        report(file, result, faults);
        good
    });
    let Some(key) = text(tls, &s::TLS_PRIVATE_KEY) else {
        return;
    };
    let held = readable(&key).and_then(|()| match &good {
        Some(certificate) => Tls::check_identity(&certificate.value, &key.value),
        None => Ok(()),
    });
    report(&key, held, faults);
    if let Some(mode) = mode(&key.value).filter(|mode| mode & 0o007 != 0) {
        let text = format!(
            "everybody on this host has a right to the private key {}, whose mode is {mode:04o}",
            key.value
        );
        faults.add(Fault::new(&key.span, text).help(format!("chmod 0600 {}", key.value)));
    }
}

fn report(file: &At<String>, result: Result<(), String>, faults: &mut Faults) {
    if let Err(why) = result {
        faults.add(Fault::new(&file.span, why));
    }
}

/// That a file is one, so that reading it ends.
fn readable(file: &At<String>) -> Result<(), String> {
    let path = &file.value;
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(format!("{path} is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("there is no file {path} on this host"))
        }
        Err(error) => Err(format!("cannot read {path}: {error}")),
    }
}

fn mode(path: &str) -> Option<u32> {
    let metadata = fs::metadata(Path::new(path)).ok()?;
    metadata.is_file().then(|| metadata.mode() & 0o7777)
}

fn table<'t>(table: &'t DeTable<'t>, name: &str) -> Option<&'t DeTable<'t>> {
    table.get(name)?.get_ref().as_table()
}

/// The tables of an array of them.
fn tables<'t>(table: &'t DeTable<'t>, key: &Key) -> impl Iterator<Item = &'t DeTable<'t>> {
    let value = table.get(key.name).map(|value| value.get_ref());
    let array = value.and_then(DeValue::as_array);
    let items = array.into_iter().flat_map(|array| array.iter());
    items.filter_map(|item| item.get_ref().as_table())
}

fn text(table: &DeTable<'_>, key: &Key) -> Option<At<String>> {
    let value = table.get(key.name)?;
    let text = value.get_ref().as_str()?;
    (!text.is_empty()).then(|| At {
        value: text.to_owned(),
        span: value.span(),
    })
}
