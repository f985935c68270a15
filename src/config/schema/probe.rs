//! The section about probes, and those within it. What may stand with what is in the table of ways, `raw/probe.rs`.

mod accounts;
mod basic;
mod dns;
mod http;
mod place;
mod talk;
mod tls;

pub(in super::super) use self::accounts::{
    DATABASE, LDAP, LDAPS, MYSQL, PASSWORD, PGSQL, QUERY, RADIUS, REDIS, SEARCH, SECRET, SIP, USER,
};
pub(in super::super) use self::basic::{
    AGENT, DYNAMIC_WEIGHT, ENVIRONMENT, EXEC, ICMP, OFF, ON, REPLY, TCP, UDP,
};
pub(in super::super) use self::dns::{ANSWERS, DNS, RCODE, RECORD, TRANSPORT};
pub(in super::super) use self::http::{
    ALSO, BODY, CONTAINS, CONTAINS_NOT, DIGEST, HEADERS, HOST, HTTP, HTTPS, METHOD, PATH, REGEX,
    REGEX_NOT, STATUS, VERSION,
};
pub(in super::super) use self::place::{
    BIND, CONNECTS, DOWN_INTERVAL, FALL, FAST_INTERVAL, INTERVAL, MARK, PROBE_ADDRESS, PROBE_PORT,
    RISE, TIMEOUT,
};
pub(in super::super) use self::talk::{
    EXPECT, FTP, HELLO, IMAP, IMAPS, LIMIT, MATCH, NNTP, POP3, POP3S, SEND, SMTP, STEPS, SUBMISSION,
};
pub(in super::super) use self::tls::{
    STARTTLS, TLS_CA, TLS_CERTIFICATE, TLS_KEY, TLS_NAME, TLS_PRIVATE_KEY, TLS_VERIFY, TLS_WARN,
};
use super::Section;

pub(in super::super) const PROBE: Section = Section {
    header: "probe",
    doc: "A table of a virtual or of a server. What it asks is chosen by the key that is present: \
          exactly one of tcp, send or expect or steps, http, https, udp, dns, icmp, smtp, submission, \
          imap, imaps, pop3, pop3s, ftp, nntp, mysql, pgsql, redis, ldap, ldaps, radius, sip, exec, \
          agent, on, off. In what is sent and expected, \
          \\n, \\r, \\t, \\\\, \\0 and \\xNN stand for bytes, besides what TOML makes of a string.",
    keys: &[
        &TCP,
        &SEND,
        &EXPECT,
        &MATCH,
        &STEPS,
        &LIMIT,
        &HTTP,
        &HTTPS,
        &METHOD,
        &HOST,
        &HEADERS,
        &BODY,
        &VERSION,
        &STATUS,
        &CONTAINS,
        &CONTAINS_NOT,
        &REGEX,
        &REGEX_NOT,
        &DIGEST,
        &ALSO,
        &UDP,
        &REPLY,
        &DNS,
        &RECORD,
        &RCODE,
        &ANSWERS,
        &TRANSPORT,
        &ICMP,
        &SMTP,
        &SUBMISSION,
        &IMAP,
        &IMAPS,
        &POP3,
        &POP3S,
        &FTP,
        &NNTP,
        &HELLO,
        &MYSQL,
        &PGSQL,
        &REDIS,
        &LDAP,
        &LDAPS,
        &RADIUS,
        &SIP,
        &USER,
        &PASSWORD,
        &DATABASE,
        &QUERY,
        &SEARCH,
        &SECRET,
        &EXEC,
        &ENVIRONMENT,
        &DYNAMIC_WEIGHT,
        &AGENT,
        &ON,
        &OFF,
        &CONNECTS,
        &TLS_KEY,
        &STARTTLS,
        &PROBE_ADDRESS,
        &PROBE_PORT,
        &BIND,
        &MARK,
        &INTERVAL,
        &FAST_INTERVAL,
        &DOWN_INTERVAL,
        &TIMEOUT,
        &FALL,
        &RISE,
    ],
    later: &[],
};

pub(in super::super) const STEP: Section = Section {
    header: "probe.steps",
    doc: "One step of a conversation. What came before it and was not expected is passed over when it \
          sends something.",
    keys: &[&SEND, &EXPECT, &MATCH],
    later: &[],
};

pub(in super::super) const REQUEST: Section = Section {
    header: "probe.also",
    doc: "One more request of a probe by http or https.",
    keys: &[
        &PATH,
        &METHOD,
        &HOST,
        &HEADERS,
        &BODY,
        &STATUS,
        &CONTAINS,
        &CONTAINS_NOT,
        &REGEX,
        &REGEX_NOT,
        &DIGEST,
    ],
    later: &[],
};

pub(in super::super) const TLS: Section = Section {
    header: "probe.tls",
    doc: "How TLS is spoken with a server. Without any of it, the certificate must be from an \
          authority that this system trusts. The files that it names are tried when the \
          configuration is read.",
    keys: &[
        &TLS_NAME,
        &TLS_VERIFY,
        &TLS_CA,
        &TLS_CERTIFICATE,
        &TLS_PRIVATE_KEY,
        &TLS_WARN,
    ],
    later: &[],
};
