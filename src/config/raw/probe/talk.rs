//! Probes that speak in lines: the operator's own, and those of known protocols.

use probes::Tls;
use probes::kinds::dialogue::{Dialogue, Encryption, HELLO, Protocol};
use probes::kinds::expect::{Expect, Step};
use probes::pattern::{Pattern, Regex};
use probes::spec::{Login, ProbeKind, Secret};

use super::tls;
use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::{At, Field, Table};
use crate::config::raw::text::quote;
use crate::config::schema::{Key, probe as s};

pub(super) fn send_expect(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let encryption = encryption(table, faults);
    let limit = table.integer(&s::LIMIT, faults);
    let steps = match table.tables(&s::STEPS, faults) {
        Field::Absent => step(table, faults).map(|step| vec![step]),
        Field::Broken => None,
        Field::Given(steps) => {
            several(table, &steps, faults);
            let read: Vec<_> = steps
                .value
                .iter()
                .map(|table| step(table.as_ref()?, faults))
                .collect();
            read.into_iter().collect::<Option<Vec<_>>>()
        }
    };
    let steps = steps.filter(|steps| !steps.is_empty());
    Some(ProbeKind::Expect(Expect {
        encryption: encryption?,
        steps: steps?,
        limit: limit.or(usize::try_from(s::LIMIT.default_integer()).ok()?)?,
    }))
}

/// Steps take the place of the one that could stand beside them.
fn several(table: &Table<'_>, steps: &At<Vec<Option<Table<'_>>>>, faults: &mut Faults) {
    if steps.value.is_empty() {
        faults.add(Fault::new(&steps.span, "`steps` is empty").label("expected at least one"));
    }
    for key in [&s::SEND, &s::EXPECT, &s::MATCH] {
        if let Some(span) = table.key_span(key) {
            let text = format!("`{}` has no meaning beside `steps`", key.name);
            faults.add(
                Fault::new(&span, text)
                    .label("expected in a step")
                    .also(&steps.span, "the steps"),
            );
        }
    }
}

fn step(table: &Table<'_>, faults: &mut Faults) -> Option<Step> {
    let send = table.bytes(&s::SEND, faults);
    let way = table.word(&s::MATCH, faults, |word| {
        Some(match word {
            "contains" => Way::Contains,
            "prefix" => Way::Prefix,
            "exact" => Way::Exact,
            "regex" => Way::Regex,
            "any" => Way::Any,
            _ => return None,
        })
    });
    let expect = pattern(table, &way, faults);
    Some(Step {
        send: send.or(Vec::new())?,
        expect: expect?,
    })
}

/// How something is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Contains,
    Prefix,
    Exact,
    Regex,
    Any,
}

fn pattern(table: &Table<'_>, given: &Field<Way>, faults: &mut Faults) -> Option<Pattern> {
    let way = given.or(Way::Contains)?;
    if way == Way::Regex {
        let regex = table.text_as(&s::EXPECT, faults, regex);
        return missing(&regex, given, faults).map(Pattern::Regex);
    }
    let expect = table.bytes(&s::EXPECT, faults);
    match (way, &expect) {
        (_, Field::Broken) => None,
        (Way::Any, Field::Given(expect)) => {
            let fault = Fault::new(
                &expect.span,
                "`expect` has no meaning with `match = \"any\"`",
            );
            faults.add(match given.given() {
                Some(given) => fault.also(&given.span, "any byte will do"),
                None => fault,
            });
            None
        }
        (Way::Any, Field::Absent) | (Way::Contains, Field::Absent) => Some(Pattern::Any),
        (Way::Contains, Field::Given(expect)) => Some(Pattern::Contains(expect.value.clone())),
        (Way::Prefix, _) => missing(&expect, given, faults).map(Pattern::Prefix),
        (Way::Exact, _) => missing(&expect, given, faults).map(Pattern::Exact),
        (Way::Regex, _) => None,
    }
}

/// What is to be found in a way that the operator has chosen.
fn missing<T: Clone>(expect: &Field<T>, way: &Field<Way>, faults: &mut Faults) -> Option<T> {
    if let (Field::Absent, Some(way)) = (expect, way.given()) {
        faults.add(
            Fault::new(&way.span, "`match` has no meaning without `expect`")
                .label("nothing is looked for"),
        );
    }
    expect.value().cloned()
}

/// A regular expression.
pub(super) fn regex(text: &At<String>) -> Result<Regex, Fault> {
    Regex::new(&text.value).map_err(|error| {
        Fault::new(
            &text.span,
            format!("{} is no regular expression", quote(&text.value)),
        )
        .label(error.to_string())
    })
}

fn encryption(table: &Table<'_>, faults: &mut Faults) -> Option<Encryption> {
    let tls = tls::tls(table, faults);
    let asked = table.true_or_word(&s::STARTTLS, faults);
    match (asked, tls) {
        (Field::Absent, Field::Absent) => Some(Encryption::None),
        (Field::Absent, Field::Given(tls)) => Some(Encryption::AtOnce(tls.value)),
        (Field::Broken, _) | (_, Field::Broken) => None,
        (Field::Given(asked), tls) => {
            let Some(protocol) = asked.value.and_then(protocol) else {
                faults.add(
                    Fault::new(&asked.span, "`starttls` does not say by which protocol")
                        .label("expected \"smtp\", \"imap\", \"pop3\", \"ftp\" or \"nntp\" here"),
                );
                return None;
            };
            Some(Encryption::Asked(protocol, tls.or(Tls::default())?))
        }
    }
}

fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "smtp" => Protocol::Smtp,
        "imap" => Protocol::Imap,
        "pop3" => Protocol::Pop3,
        "ftp" => Protocol::Ftp,
        "nntp" => Protocol::Nntp,
        _ => return None,
    })
}

/// Writes the readers of known protocols.
macro_rules! protocols {
    ($($name:ident: $key:ident $protocol:ident $at_once:literal,)+) => {
        $(pub(super) fn $name(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
            dialogue(table, &s::$key, Protocol::$protocol, $at_once, faults)
        })+
    };
}

protocols! {
    smtp: SMTP Smtp false,
    submission: SUBMISSION Submission false,
    imap: IMAP Imap false,
    imaps: IMAPS Imap true,
    pop3: POP3 Pop3 false,
    pop3s: POP3S Pop3 true,
    ftp: FTP Ftp false,
    nntp: NNTP Nntp false,
}

fn dialogue(
    table: &Table<'_>,
    key: &Key,
    protocol: Protocol,
    at_once: bool,
    faults: &mut Faults,
) -> Option<ProbeKind> {
    let given = table.only_true(key, faults);
    let encryption = tls::begin(table, key, at_once, faults);
    let login = login(table, faults);
    let hello = table.text_as(&s::HELLO, faults, one_word);
    given.value()?;
    Some(ProbeKind::Dialogue(Dialogue {
        protocol,
        encryption: encryption?,
        login: login?,
        hello: hello.or(HELLO.to_owned())?,
    }))
}

/// Who logs in, if somebody does.
fn login(table: &Table<'_>, faults: &mut Faults) -> Option<Option<Login>> {
    let user = table.text_as(&s::USER, faults, one_line);
    let password = table.text_as(&s::PASSWORD, faults, one_line);
    match (user, password) {
        (Field::Broken, _) | (_, Field::Broken) => None,
        (Field::Absent, Field::Absent) => Some(None),
        (Field::Given(user), Field::Given(password)) => Some(Some(Login {
            user: user.value,
            password: Secret(password.value),
        })),
        (Field::Given(user), Field::Absent) => {
            let fault = Fault::new(&user.span, "a user is of no use without a password");
            faults.add(fault.help("set `password` too"));
            None
        }
        (Field::Absent, Field::Given(password)) => {
            let fault = Fault::new(&password.span, "a password is of no use without its user");
            faults.add(fault.help("set `user` too"));
            None
        }
    }
}

/// What ends up within a line of a protocol.
fn one_line(text: &At<String>) -> Result<String, Fault> {
    if text.value.is_empty() || text.value.contains(|c: char| c.is_control()) {
        return Err(Fault::new(&text.span, "this cannot be sent within a line")
            .label("expected text without line ends and other control characters"));
    }
    Ok(text.value.clone())
}

fn one_word(text: &At<String>) -> Result<String, Fault> {
    if text.value.is_empty() || !text.value.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Fault::new(
            &text.span,
            format!("{} is no host name", quote(&text.value)),
        )
        .label("expected the name that the probe shall call itself by"));
    }
    Ok(text.value.clone())
}
