//! Probes by HTTP.

use probes::Tls;
use probes::kinds::http::Http;
use probes::spec::ProbeKind;

use super::tls;
use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::Table;
use crate::config::raw::status;
use crate::config::raw::text::quote;
use crate::config::schema::{Key, probe as s};

pub(super) fn http(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    request(table, &s::HTTP, None, faults)
}

pub(super) fn https(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let tls = tls::tls(table, faults).or(Tls::default());
    let kind = request(table, &s::HTTPS, tls.clone(), faults);
    tls.and(kind)
}

fn request(
    table: &Table<'_>,
    key: &Key,
    tls: Option<Tls>,
    faults: &mut Faults,
) -> Option<ProbeKind> {
    let path = table.text(key, faults);
    let host = table.text(&s::HOST, faults);
    let otherwise = status::range(s::STATUS.default_text()).map(|range| vec![range]);
    let status = table.statuses(&s::STATUS, faults).optional();
    let path = path.given()?;
    // A request line ends at a space or a line's end (RFC 9112, section 3).
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
    if !path.value.starts_with('/') || !plain(&path.value) {
        faults.add(
            Fault::new(
                &path.span,
                format!("{} cannot be asked for", quote(&path.value)),
            )
            .label("expected a path that begins with `/`, other characters written as %20"),
        );
        return None;
    }
    if let Some(host) = host.given()
        && (host.value.is_empty() || !plain(&host.value))
    {
        faults.add(
            Fault::new(
                &host.span,
                format!("{} is no host name", quote(&host.value)),
            )
            .label("expected the name that the site is asked by"),
        );
        return None;
    }
    Some(ProbeKind::Http(Http {
        path: path.value.clone(),
        host: host.optional()?,
        status: status?.or(otherwise)?,
        tls,
    }))
}
