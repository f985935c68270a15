//! How a probe speaks TLS.

use probes::Tls;
use probes::kinds::dialogue::Begin;

use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::{At, Field, Table};
use crate::config::raw::text::quote;
use crate::config::schema::{Key, probe as s};

/// What stands under `tls`: absent, or how.
pub(super) fn tls(table: &Table<'_>, faults: &mut Faults) -> Field<Tls> {
    match table.true_or_table(&s::TLS_KEY, faults) {
        Field::Absent => Field::Absent,
        Field::Broken => Field::Broken,
        Field::Given(At { value: None, span }) => Field::Given(At {
            value: Tls::default(),
            span,
        }),
        Field::Given(At {
            value: Some(table),
            span,
        }) => match read(&table, faults) {
            Some(value) => Field::Given(At { value, span }),
            None => Field::Broken,
        },
    }
}

/// Whether and when TLS begins in the protocol that `key` chooses: with the connection or, by
/// `starttls`, when the probe asks for it.
pub(super) fn begin(
    table: &Table<'_>,
    key: &Key,
    at_once: bool,
    faults: &mut Faults,
) -> Option<Option<(Begin, Tls)>> {
    let tls = tls(table, faults);
    let asked = table.true_or_word(&s::STARTTLS, faults);
    match (at_once, asked, tls) {
        (_, Field::Broken, _) | (_, _, Field::Broken) => None,
        (true, _, tls) => Some(Some((Begin::AtOnce, tls.or(Tls::default())?))),
        (false, Field::Absent, Field::Absent) => Some(None),
        (false, Field::Absent, Field::Given(tls)) => Some(Some((Begin::AtOnce, tls.value))),
        (false, Field::Given(asked), tls) => {
            if let Some(word) = asked.value {
                let text = format!("`{}` tells the protocol already", key.name);
                faults.add(
                    Fault::new(&asked.span, text)
                        .label(format!("expected true, not {}", quote(word))),
                );
                return None;
            }
            Some(Some((Begin::Asked, tls.or(Tls::default())?)))
        }
    }
}

fn read(table: &Table<'_>, faults: &mut Faults) -> Option<Tls> {
    let name = table.text(&s::TLS_NAME, faults);
    let verify = table.bool(&s::TLS_VERIFY, faults);
    let ca = table.path(&s::TLS_CA, faults);
    let certificate = table.path(&s::TLS_CERTIFICATE, faults);
    let key = table.path(&s::TLS_PRIVATE_KEY, faults);
    let warn = table.duration(&s::TLS_WARN, faults);
    if let Some(name) = name.given()
        && !Tls::is_name(&name.value)
    {
        let shown = quote(&name.value);
        faults.add(
            Fault::new(&name.span, format!("{shown} is no name of a server"))
                .label("expected a name as in a certificate, or an IP address"),
        );
        return None;
    }
    if let (Some(false), Some(ca)) = (verify.value(), ca.given()) {
        let fault = Fault::new(&ca.span, "`ca` has no meaning with `verify = false`");
        faults.add(match verify.given() {
            Some(verify) => fault.also(&verify.span, "nothing is verified"),
            None => fault,
        });
        return None;
    }
    let identity = match (&certificate, &key) {
        (Field::Absent, Field::Absent) => None,
        (Field::Given(certificate), Field::Given(key)) => {
            Some((certificate.value.clone(), key.value.clone()))
        }
        (Field::Given(given), Field::Absent) => {
            let text = "a certificate is of no use without its key";
            faults.add(Fault::new(&given.span, text).help("set `private_key` too"));
            return None;
        }
        (Field::Absent, Field::Given(given)) => {
            let text = "a key is of no use without its certificate";
            faults.add(Fault::new(&given.span, text).help("set `certificate` too"));
            return None;
        }
        (Field::Broken, _) | (_, Field::Broken) => return None,
    };
    Some(Tls {
        name: name.optional()?,
        verify: verify.or(true)?,
        ca: ca.optional()?,
        identity,
        warn: warn.or(s::TLS_WARN.default_duration())?,
    })
}
