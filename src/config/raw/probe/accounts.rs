//! Probes that log in: databases, directories, RADIUS and SIP.

use probes::Tls;
use probes::kinds::sip::{Sip, Transport};
use probes::kinds::{ldap, mysql, pgsql, radius, redis};
use probes::spec::{DatabaseLogin, Login, ProbeKind, Secret};

use super::{http, tls};
use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::{At, Field, Table};
use crate::config::raw::status;
use crate::config::raw::text::quote;
use crate::config::schema::{Key, probe as s};

pub(super) fn mysql(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let database = database(table, &s::MYSQL, faults)?;
    Some(ProbeKind::Mysql(mysql::Mysql {
        login: database.login,
        query: database.query,
        expect: database.expect,
        tls: database.tls,
    }))
}

pub(super) fn pgsql(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let database = database(table, &s::PGSQL, faults)?;
    Some(ProbeKind::Pgsql(pgsql::Pgsql {
        login: database.login,
        query: database.query,
        expect: database.expect,
        tls: database.tls,
    }))
}

pub(super) fn redis(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let chosen = table.only_true(&s::REDIS, faults);
    let tls = tls::tls(table, faults).optional();
    let user = Text::read(table, &s::USER, faults);
    let password = Text::read(table, &s::PASSWORD, faults);
    let query = Text::read(table, &s::QUERY, faults);
    let expect = Text::read(table, &s::EXPECT, faults);
    user.needs(&password, faults)?;
    expect.needs(&query, faults)?;
    chosen.value()?;
    let user = user.value?;
    let login = password.value?.map(|password| redis::Login {
        user,
        password: Secret(password),
    });
    let words = query.value?.unwrap_or_default();
    Some(ProbeKind::Redis(redis::Redis {
        login,
        command: words.split_whitespace().map(str::to_owned).collect(),
        expect: expect.value?,
        tls: tls?,
    }))
}

pub(super) fn ldap(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    directory(table, &s::LDAP, false, faults)
}

pub(super) fn ldaps(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    directory(table, &s::LDAPS, true, faults)
}

fn directory(
    table: &Table<'_>,
    key: &'static Key,
    at_once: bool,
    faults: &mut Faults,
) -> Option<ProbeKind> {
    let chosen = table.only_true(key, faults);
    let encryption = tls::begin(table, key, at_once, faults);
    let login = login(table, faults);
    let search = table.text(&s::SEARCH, faults);
    let expect = Text::read(table, &s::EXPECT, faults);
    expect.needs(&Text::of(&s::SEARCH, &search), faults)?;
    chosen.value()?;
    Some(ProbeKind::Ldap(ldap::Ldap {
        login: login?,
        search: search.optional()?,
        expect: expect.value?,
        encryption: encryption?,
    }))
}

pub(super) fn radius(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let chosen = table.only_true(&s::RADIUS, faults);
    let secret = Text::read(table, &s::SECRET, faults);
    let user = table.text(&s::USER, faults);
    let login = login(table, faults);
    if secret.is_absent()
        && let Some(place) = table.key_span(&s::RADIUS)
    {
        let fault = Fault::new(&place, "`radius` has no meaning without `secret`");
        faults.add(fault.help("set `secret` to what the server shares with this host"));
        return None;
    }
    let login = login?;
    if let (Some(login), Some(user)) = (&login, user.given())
        && !radius::fits(login)
    {
        let fault = Fault::new(&user.span, "RADIUS cannot carry this login");
        faults.add(fault.label("expected at most 253 bytes, and a password of at most 128"));
        return None;
    }
    chosen.value()?;
    Some(ProbeKind::Radius(radius::Radius {
        secret: Secret(secret.value??),
        login,
    }))
}

pub(super) fn sip(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let chosen = table.only_true(&s::SIP, faults);
    let tls = tls::tls(table, faults);
    let by = table.word(&s::TRANSPORT, faults, |word| match word {
        "udp" => Some(Transport::Udp),
        "tcp" => Some(Transport::Tcp),
        _ => None,
    });
    let host = table.text(&s::HOST, faults);
    let user = table.text(&s::USER, faults);
    let password = Text::read(table, &s::PASSWORD, faults);
    let otherwise = status::range(s::STATUS.default_text()).map(|range| vec![range]);
    let status = table.statuses(&s::STATUS, faults).optional();
    password.needs(&Text::of(&s::USER, &user), faults)?;
    let mut fits = true;
    for (given, what) in [(&host, "host name"), (&user, "user of SIP")] {
        // What would end it in a URI, or in a line (RFC 3261, section 19.1).
        let plain = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|it| it.is_ascii_graphic() && !b"<>\"@".contains(&it))
        };
        if let Some(given) = given.given().filter(|given| !plain(&given.value)) {
            let text = format!("{} is no {what}", quote(&given.value));
            faults.add(Fault::new(&given.span, text).label("expected a part of a SIP URI"));
            fits = false;
        }
    }
    let certified = matches!(&tls, Field::Given(tls) if tls.value.name.is_none());
    if let Some(host) = host.given().filter(|_| fits)
        && let Err(fault) = http::host_of_uri(host, certified)
    {
        faults.add(fault);
        fits = false;
    }
    let transport = match (tls, by) {
        (
            Field::Given(tls),
            Field::Given(At {
                value: Transport::Udp,
                span,
            }),
        ) => {
            let fault = Fault::new(&span, "TLS goes over TCP");
            faults.add(fault.also(&tls.span, "what asks for TLS"));
            return None;
        }
        (Field::Broken, _) | (_, Field::Broken) => return None,
        (Field::Given(tls), Field::Given(_) | Field::Absent) => Transport::Tls(tls.value),
        (Field::Absent, by) => by.or(Transport::Udp)?,
    };
    chosen.value().filter(|()| fits)?;
    Some(ProbeKind::Sip(Sip {
        transport,
        host: host.optional()?,
        user: user.optional()?,
        password: password.value?.map(Secret),
        status: status?.or(otherwise)?,
    }))
}

/// What probes of databases have in common.
struct Database {
    login: Option<DatabaseLogin>,
    query: Option<String>,
    expect: Option<String>,
    tls: Option<Tls>,
}

fn database(table: &Table<'_>, key: &'static Key, faults: &mut Faults) -> Option<Database> {
    let chosen = table.only_true(key, faults);
    let tls = tls::tls(table, faults).optional();
    let user = Text::read(table, &s::USER, faults);
    let password = Text::read_any(table, &s::PASSWORD, faults);
    let name = Text::read(table, &s::DATABASE, faults);
    let query = Text::read(table, &s::QUERY, faults);
    let expect = Text::read(table, &s::EXPECT, faults);
    for text in [&password, &name, &query] {
        text.needs(&user, faults)?;
    }
    expect.needs(&query, faults)?;
    chosen.value()?;
    let password = Secret(password.value?.unwrap_or_default());
    let name = name.value?;
    Some(Database {
        login: user.value?.map(|user| DatabaseLogin {
            user,
            password,
            database: name,
        }),
        query: query.value?,
        expect: expect.value?,
        tls: tls?,
    })
}

/// Who logs in, where it takes both: without a password, servers take a user for nobody.
fn login(table: &Table<'_>, faults: &mut Faults) -> Option<Option<Login>> {
    let user = Text::read(table, &s::USER, faults);
    let password = Text::read(table, &s::PASSWORD, faults);
    user.needs(&password, faults)?;
    password.needs(&user, faults)?;
    let (user, password) = (user.value?, password.value?);
    Some(user.zip(password).map(|(user, password)| Login {
        user,
        password: Secret(password),
    }))
}

/// A key's text.
struct Text {
    key: &'static Key,
    /// Where it stands.
    place: Option<std::ops::Range<usize>>,
    /// `None` when broken.
    value: Option<Option<String>>,
}

impl Text {
    /// A text that says something, in one piece.
    fn read(table: &Table<'_>, key: &'static Key, faults: &mut Faults) -> Self {
        let mut text = Self::read_any(table, key, faults);
        if let (Some(Some(value)), Some(place)) = (&text.value, &text.place)
            && value.trim().is_empty()
        {
            let fault = Fault::new(place, format!("`{}` is empty", key.name));
            faults.add(fault.help("leave the key out instead"));
            text.value = None;
        }
        text
    }

    /// The same, or an empty one.
    fn read_any(table: &Table<'_>, key: &'static Key, faults: &mut Faults) -> Self {
        let field = table.text(key, faults);
        let mut text = Self::of(key, &field);
        if let Some(given) = field.given().filter(|given| given.value.contains('\0')) {
            let text_of_fault = format!("`{}` cannot hold a zero byte", key.name);
            faults.add(Fault::new(&given.span, text_of_fault));
            text.value = None;
        }
        text
    }

    fn of(key: &'static Key, field: &Field<String>) -> Self {
        Self {
            key,
            place: field.given().map(|given| given.span.clone()),
            value: field.optional(),
        }
    }

    fn is_absent(&self) -> bool {
        matches!(self.value, Some(None))
    }

    /// Complains if this is there without the one that gives it a meaning.
    fn needs(&self, other: &Self, faults: &mut Faults) -> Option<()> {
        match &self.place {
            Some(place) if other.is_absent() => {
                let text = format!(
                    "`{}` has no meaning without `{}`",
                    self.key.name, other.key.name
                );
                let help = format!("set `{}` too", other.key.name);
                faults.add(Fault::new(place, text).help(help));
                None
            }
            Some(_) | None => Some(()),
        }
    }
}
