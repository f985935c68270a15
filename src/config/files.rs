//! The files that probes need for TLS, and the one with their passwords: whether this host has them,
//! and keeps secret what is secret. And whether it knows the users who run their commands.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use probes::Tls;
use probes::kinds::exec::Exec;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Fault, Faults, Span};
use super::raw::At;
use super::schema::{Key, ROOT_VIRTUAL, probe as s, service};

/// Reports every file of a probe that cannot be used. What is no file name has been reported as such.
pub(super) fn check(document: &DeTable<'_>, faults: &mut Faults) {
    let mut tried = Tried::default();
    for probe in probes(document) {
        if let Some(tls) = table(probe, &s::TLS_KEY) {
            tried.check(tls, faults);
        }
    }
}

/// Reports every user of a command whom this host does not know. They may be looked up over the
/// network, which a director that starts does not wait for: its probes find out.
pub(super) fn check_users(document: &DeTable<'_>, faults: &mut Faults) {
    let mut known = BTreeMap::new();
    let commands = probes(document).filter(|probe| probe.contains_key(s::EXEC.name));
    for user in commands.filter_map(|probe| text(probe, &s::USER)) {
        let looked_up = known.entry(user.value.clone());
        let looked_up = looked_up.or_insert_with(|| Exec::check_user(&user.value));
        if let Err(why) = looked_up {
            let fault = Fault::new(&user.span, why.clone());
            faults.add(fault.help(
                "create the user, name another, or leave `user` out; `getent passwd` shows whom this \
                 host knows",
            ));
        }
    }
}

/// Where the first secret of a configuration stands.
pub(super) fn secret(document: &DeTable<'_>) -> Option<Span> {
    probes(document).find_map(secret_of)
}

/// What is amiss if everybody on this host may read a configuration with that secret in it.
pub(super) fn shown_secret(path: &Path, text: &str, secret: &Span) -> Option<String> {
    let mode = mode(path).filter(|mode| mode & 0o004 != 0)?;
    let line = text.get(..secret.start)?.matches('\n').count() + 1;
    let path = path.display();
    Some(format!(
        "{path}:{line}: everybody on this host may read this secret, since the file has mode \
         {mode:04o}: chmod 0640 {path}"
    ))
}

/// Where a probe's secret stands.
fn secret_of(probe: &DeTable<'_>) -> Option<Span> {
    let keys = [&s::PASSWORD, &s::SECRET];
    keys.iter().find_map(|key| Some(text(probe, key)?.span))
}

/// Files that have been tried, with what came of it: many servers name the same.
#[derive(Default)]
struct Tried(BTreeMap<(&'static str, String), Result<(), String>>);

impl Tried {
    fn check(&mut self, tls: &DeTable<'_>, faults: &mut Faults) {
        if let Some(ca) = text(tls, &s::TLS_CA) {
            self.file(&s::TLS_CA, &ca, faults, Tls::check_ca);
        }
        let certificate = text(tls, &s::TLS_CERTIFICATE)
            .filter(|it| self.file(&s::TLS_CERTIFICATE, it, faults, Tls::check_certificate));
        let Some(key) = text(tls, &s::TLS_PRIVATE_KEY) else {
            return;
        };
        self.file(&s::TLS_PRIVATE_KEY, &key, faults, |path| {
            certificate.map_or(Ok(()), |it| Tls::check_identity(&it.value, path))
        });
        if let Some(mode) = mode(key.value.as_ref()).filter(|mode| mode & 0o007 != 0) {
            let text = format!(
                "everybody on this host has a right to the private key {}, whose mode is {mode:04o}",
                key.value
            );
            faults.add(Fault::new(&key.span, text).help(format!("chmod 0600 {}", key.value)));
        }
    }

    /// Reports what is wrong with a file; whether it is good.
    fn file(
        &mut self,
        key: &Key,
        file: &At<String>,
        faults: &mut Faults,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> bool {
        let tried = self.0.entry((key.name, file.value.clone()));
        let result =
            tried.or_insert_with(|| regular(&file.value).and_then(|()| check(&file.value)));
        if let Err(why) = result {
            faults.add(Fault::new(&file.span, why.clone()));
        }
        result.is_ok()
    }
}

/// That a file is one, so that reading it ends.
fn regular(path: &str) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(format!("{path} is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("there is no file {path} on this host"))
        }
        Err(error) => Err(format!("cannot read {path}: {}", words::of(&error))),
    }
}

fn mode(path: &Path) -> Option<u32> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_file().then(|| metadata.mode() & 0o7777)
}

/// The probes of all services and servers.
fn probes<'t>(document: &'t DeTable<'t>) -> impl Iterator<Item = &'t DeTable<'t>> {
    tables(document, &ROOT_VIRTUAL).flat_map(|service| {
        let servers = tables(service, &service::SERVERS);
        let of_servers = servers.filter_map(|server| table(server, &service::SERVER_PROBE));
        let own = table(service, &service::VIRTUAL_PROBE);
        own.into_iter().chain(of_servers)
    })
}

fn table<'t>(table: &'t DeTable<'t>, key: &Key) -> Option<&'t DeTable<'t>> {
    table.get(key.name)?.get_ref().as_table()
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
