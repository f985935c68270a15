//! Probes by HTTP.

use std::net::Ipv6Addr;

use probes::Tls;
use probes::kinds::http::{Content, Digest, Http, Request, Version};
use probes::spec::ProbeKind;

use super::{talk, tls};
use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::{At, Field, Table};
use crate::config::raw::status;
use crate::config::raw::text::quote;
use crate::config::schema::{Key, probe as s};

pub(super) fn http(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    kind(table, &s::HTTP, None, faults)
}

pub(super) fn https(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let tls = tls::tls(table, faults).or(Tls::default());
    let kind = kind(table, &s::HTTPS, tls.clone(), faults);
    tls.and(kind)
}

fn kind(table: &Table<'_>, path: &Key, tls: Option<Tls>, faults: &mut Faults) -> Option<ProbeKind> {
    let version = table.word(&s::VERSION, faults, |word| match word {
        "1.0" => Some(Version::Http10),
        "1.1" => Some(Version::Http11),
        _ => None,
    });
    // A name of TLS's own takes the place of the host's.
    let certified = tls.as_ref().is_some_and(|tls| tls.name.is_none());
    let mut requests = vec![request(table, path, certified, faults)];
    match table.tables(&s::ALSO, faults) {
        Field::Absent => {}
        Field::Broken => return None,
        Field::Given(tables) => requests.extend(tables.value.iter().map(|table| {
            let table = table.as_ref()?;
            request(table, &s::PATH, certified, faults)
        })),
    }
    Some(ProbeKind::Http(Http {
        tls,
        version: version.or(Version::Http11)?,
        requests: requests.into_iter().collect::<Option<Vec<_>>>()?,
    }))
}

fn request(table: &Table<'_>, path: &Key, certified: bool, faults: &mut Faults) -> Option<Request> {
    let path = table.text_as(path, faults, read_path);
    let method = table.text_as(&s::METHOD, faults, |text| {
        token(&text.value)
            .then(|| text.value.clone())
            .ok_or_else(|| {
                Fault::new(&text.span, format!("{} is no method", quote(&text.value)))
                    .label("expected a word such as GET, HEAD or POST")
            })
    });
    let host = table.text_as(&s::HOST, faults, |text| read_host(text, certified));
    let headers = headers(table, faults);
    let body = table.bytes(&s::BODY, faults);
    let otherwise = status::range(s::STATUS.default_text()).map(|range| vec![range]);
    let status = table.statuses(&s::STATUS, faults).optional();
    let content = content(table, faults);
    let body = body.or(Vec::new())?;
    let usual = if body.is_empty() { "GET" } else { "POST" };
    Some(Request {
        method: method.or(usual.to_owned())?,
        path: path.value()?.clone(),
        host: host.optional()?,
        headers: headers?,
        body,
        status: status?.or(otherwise)?,
        content: content?,
    })
}

/// A request line ends at a space or a line's end (RFC 9112, section 3).
fn plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic())
}

/// A token (RFC 9110, section 5.6.2).
fn token(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(good)
}

fn read_path(text: &At<String>) -> Result<String, Fault> {
    if text.value.starts_with('/') && plain(&text.value) {
        return Ok(text.value.clone());
    }
    Err(Fault::new(
        &text.span,
        format!("{} cannot be asked for", quote(&text.value)),
    )
    .label("expected a path that begins with `/`, other characters written as %20"))
}

fn read_host(text: &At<String>, certified: bool) -> Result<String, Fault> {
    if text.value.is_empty() || !plain(&text.value) {
        let shown = quote(&text.value);
        return Err(Fault::new(&text.span, format!("{shown} is no host name"))
            .label("expected the name that the site is asked by"));
    }
    host_of_uri(text, certified)
}

/// A host as URIs have it, perhaps with a port; one that a certificate shall be for can be in one.
pub(super) fn host_of_uri(text: &At<String>, certified: bool) -> Result<String, Fault> {
    let shown = quote(&text.value);
    let fault = Fault::new(&text.span, format!("{shown} is no host name"));
    if text.value.parse::<Ipv6Addr>().is_ok() {
        return Err(fault
            .label("an IPv6 address stands in brackets here")
            .help(format!("write \"[{}]\"", text.value)));
    }
    if certified && !Tls::is_host(&text.value) {
        return Err(fault
            .label("no certificate can be for it")
            .help("set `name` in `tls` to what the certificate is for"));
    }
    Ok(text.value.clone())
}

fn headers(table: &Table<'_>, faults: &mut Faults) -> Option<Vec<(String, String)>> {
    let given = table.texts(&s::HEADERS, faults).or(Vec::new())?;
    let read: Vec<_> = given.iter().map(|text| header(text, faults)).collect();
    read.into_iter().collect()
}

fn header(text: &At<String>, faults: &mut Faults) -> Option<(String, String)> {
    let fault = Fault::new(&text.span, format!("{} is no header", quote(&text.value)));
    let good = |value: &str| value.chars().all(|c| c == '\t' || !c.is_control());
    match text.value.split_once(':') {
        Some((name, _)) if name.eq_ignore_ascii_case("host") => {
            faults.add(fault.label("it has a key of its own: `host`"));
            None
        }
        Some((name, _)) if name.eq_ignore_ascii_case("content-length") => {
            faults.add(fault.label("the length is known"));
            None
        }
        Some((name, value)) if token(name) && good(value) => {
            Some((name.to_owned(), value.trim().to_owned()))
        }
        _ => {
            faults.add(fault.label("expected a name, `:` and a value on one line"));
            None
        }
    }
}

fn content(table: &Table<'_>, faults: &mut Faults) -> Option<Vec<Content>> {
    let contains = table.bytes(&s::CONTAINS, faults);
    let contains_not = table.bytes(&s::CONTAINS_NOT, faults);
    let regex = table.text_as(&s::REGEX, faults, talk::regex);
    let regex_not = table.text_as(&s::REGEX_NOT, faults, talk::regex);
    let digest = table.text_as(&s::DIGEST, faults, read_digest);
    let wanted = [
        contains.optional()?.map(Content::Contains),
        contains_not.optional()?.map(Content::Lacks),
        regex.optional()?.map(Content::Matches),
        regex_not.optional()?.map(Content::Differs),
        digest.optional()?.map(Content::Digest),
    ];
    Some(wanted.into_iter().flatten().collect())
}

fn read_digest(text: &At<String>) -> Result<Digest, Fault> {
    let sha256 = hexadecimal(&text.value).map(Digest::Sha256);
    let digest = sha256.or_else(|| hexadecimal(&text.value).map(Digest::Md5));
    digest.ok_or_else(|| {
        let shown = quote(&text.value);
        Fault::new(&text.span, format!("{shown} is no SHA-256 or MD5 digest"))
            .label("expected hexadecimal digits, 64 as sha256sum prints them or 32 as md5sum does")
    })
}

/// So many bytes, of two hexadecimal digits each.
fn hexadecimal<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * LENGTH || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
