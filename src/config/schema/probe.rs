//! The section about probes. What may stand with what is in the table of ways, `raw/probe.rs`.

mod accounts;

use probes::kinds::dns::{Rcode, Record};

pub(in super::super) use self::accounts::{
    DATABASE, LDAP, LDAPS, MYSQL, PGSQL, QUERY, RADIUS, REDIS, SEARCH, SECRET, SIP,
};
use super::{HOUR, Key, Kind, Otherwise, Section, ms, secs};

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
        &EVERY,
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

pub(in super::super) const TCP: Key = Key {
    name: "tcp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A connection is made; nothing is sent.",
};

pub(in super::super) const SEND: Key = Key {
    name: "send",
    kind: Kind::Text,
    otherwise: Otherwise::Is("nothing is sent"),
    doc: "A connection is made and this text sent.",
};

pub(in super::super) const EXPECT: Key = Key {
    name: "expect",
    kind: Kind::Text,
    otherwise: Otherwise::Is("any byte will do"),
    doc: "This text must occur in what the server says.",
};

pub(in super::super) const HTTP: Key = Key {
    name: "http",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "A request for this path is made over HTTP. It begins with a slash. A redirection is an \
          answer like any other, and not followed.",
};

pub(in super::super) const HTTPS: Key = Key {
    name: "https",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "The same over TLS. The server's certificate must be for host, or for its address.",
};

pub(in super::super) const HOST: Key = Key {
    name: "host",
    kind: Kind::Text,
    otherwise: Otherwise::Is("the server's address"),
    doc: "The Host header.",
};

pub(in super::super) const STATUS: Key = Key {
    name: "status",
    kind: Kind::Status,
    otherwise: Otherwise::Text("200-299"),
    doc: "The status codes that are good.",
};

pub(in super::super) const UDP: Key = Key {
    name: "udp",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "A datagram with this text is sent over UDP, and one that has expect in it must come back.",
};

pub(in super::super) const REPLY: Key = Key {
    name: "reply",
    kind: Kind::Bool,
    otherwise: Otherwise::Is("true"),
    doc: "Whether a datagram must come back. With false only the word that nobody listens on the \
          port is a failure, which a firewall may keep back; a probe then takes all of timeout.",
};

pub(in super::super) const MATCH: Key = Key {
    name: "match",
    kind: Kind::Words(&["contains", "prefix", "exact", "regex", "any"]),
    otherwise: Otherwise::Text("contains"),
    doc: "How expect is looked for in what the server has said so far: anywhere, at its \
          beginning, as all of it, as a regular expression anywhere, or not at all, so that \
          any byte will do.",
};

pub(in super::super) const LIMIT: Key = Key {
    name: "limit",
    kind: Kind::Integer(1, 16 << 20),
    otherwise: Otherwise::Integer(65536),
    doc: "Bytes that the server may send in all.",
};

pub(in super::super) const STEPS: Key = Key {
    name: "steps",
    kind: Kind::Tables(&STEP),
    otherwise: Otherwise::Is("the one step that send and expect make"),
    doc: "Several things that are sent and expected one after the other, each a table, in \
          place of send, expect and match.",
};

pub(in super::super) const METHOD: Key = Key {
    name: "method",
    kind: Kind::Text,
    otherwise: Otherwise::Is("GET, or POST with a body"),
    doc: "The method of the request.",
};

pub(in super::super) const HEADERS: Key = Key {
    name: "headers",
    kind: Kind::List(&Kind::Text),
    otherwise: Otherwise::Is("none"),
    doc: "Further headers of the request, each a string such as \"Accept: text/html\". One of \
          the same name replaces what is sent otherwise.",
};

pub(in super::super) const BODY: Key = Key {
    name: "body",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "The body of the request.",
};

pub(in super::super) const CONTAINS: Key = Key {
    name: "contains",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "This text must occur in the first 64 KiB of the response's body.",
};

pub(in super::super) const CONTAINS_NOT: Key = Key {
    name: "contains_not",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "This text must not occur there.",
};

pub(in super::super) const REGEX: Key = Key {
    name: "regex",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "This regular expression must match there.",
};

pub(in super::super) const REGEX_NOT: Key = Key {
    name: "regex_not",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "This regular expression must not match there.",
};

pub(in super::super) const DIGEST: Key = Key {
    name: "digest",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "The SHA-256 digest that the response's body must have, in hexadecimal digits. The \
          body may be 64 KiB long.",
};

pub(in super::super) const VERSION: Key = Key {
    name: "version",
    kind: Kind::Words(&["1.0", "1.1"]),
    otherwise: Otherwise::Text("1.1"),
    doc: "The version of HTTP.",
};

pub(in super::super) const ALSO: Key = Key {
    name: "also",
    kind: Kind::Tables(&REQUEST),
    otherwise: Otherwise::Is("none"),
    doc: "Further requests, each a table. They are made one after the other, each over a \
          connection of its own, and must all be answered well.",
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

pub(in super::super) const PATH: Key = Key {
    name: "path",
    kind: Kind::Text,
    otherwise: Otherwise::Required,
    doc: "The path that is asked for. It begins with a slash.",
};

pub(in super::super) const DNS: Key = Key {
    name: "dns",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "A DNS server is asked for the records of this name. An IP address stands for the \
          name that its PTR records have.",
};

pub(in super::super) const RECORD: Key = Key {
    name: "record",
    kind: Kind::Words(Record::WORDS),
    otherwise: Otherwise::Is("A, or PTR of an address"),
    doc: "The type of the records.",
};

pub(in super::super) const RCODE: Key = Key {
    name: "rcode",
    kind: Kind::Words(Rcode::WORDS),
    otherwise: Otherwise::Text("noerror"),
    doc: "What the server must say of the question.",
};

pub(in super::super) const ANSWERS: Key = Key {
    name: "answers",
    kind: Kind::List(&Kind::Text),
    otherwise: Otherwise::Is("any record will do, but with noerror there must be one"),
    doc: "What must be among the records, each as zone files write it, such as \"192.0.2.1\" \
          or \"10 mail.example.com\".",
};

pub(in super::super) const TRANSPORT: Key = Key {
    name: "transport",
    kind: Kind::Words(&["udp", "tcp"]),
    otherwise: Otherwise::Text("udp"),
    doc: "Over what the server is asked.",
};

pub(in super::super) const ICMP: Key = Key {
    name: "icmp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An echo request is sent (ping), and must be answered.",
};

pub(in super::super) const SMTP: Key = Key {
    name: "smtp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A mail server must greet, and take EHLO or HELO, and QUIT.",
};

pub(in super::super) const SUBMISSION: Key = Key {
    name: "submission",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The same, of a mail server that takes mail from those who send it.",
};

pub(in super::super) const IMAP: Key = Key {
    name: "imap",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An IMAP server must greet and take LOGOUT.",
};

pub(in super::super) const IMAPS: Key = Key {
    name: "imaps",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The same over TLS from the start.",
};

pub(in super::super) const POP3: Key = Key {
    name: "pop3",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A POP3 server must greet and take QUIT.",
};

pub(in super::super) const POP3S: Key = Key {
    name: "pop3s",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The same over TLS from the start.",
};

pub(in super::super) const FTP: Key = Key {
    name: "ftp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An FTP server must greet and take QUIT.",
};

pub(in super::super) const NNTP: Key = Key {
    name: "nntp",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A news server must greet and take QUIT.",
};

pub(in super::super) const HELLO: Key = Key {
    name: "hello",
    kind: Kind::Text,
    otherwise: Otherwise::Is("the address literal [127.0.0.1]"),
    doc: "What the probe calls itself towards a mail server.",
};

pub(in super::super) const USER: Key = Key {
    name: "user",
    kind: Kind::Text,
    otherwise: Otherwise::Is("nobody logs in; with exec, who runs caribe"),
    doc: "Who logs in; with exec, who runs the command.",
};

pub(in super::super) const PASSWORD: Key = Key {
    name: "password",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "Their password. The file is then nobody else's to read.",
};

pub(in super::super) const STARTTLS: Key = Key {
    name: "starttls",
    kind: Kind::TrueOrWords(&["smtp", "imap", "pop3", "ftp", "nntp"]),
    otherwise: Otherwise::Is("none"),
    doc: "The conversation is encrypted once the client has asked for it, as the protocol \
          says. Where the protocol is not known otherwise, the word tells it; what is sent and \
          expected comes after that.",
};

pub(in super::super) const EXEC: Key = Key {
    name: "exec",
    kind: Kind::List(&Kind::Text),
    otherwise: Otherwise::Is("none"),
    doc: "This command is run, with its arguments; no shell is. It has a process group of its \
          own, which is killed when timeout is over. Status 0 is up; of the output the first 4 \
          KiB are kept for the reason. In it, {address} and {port} stand for those of the \
          server, {service}, {virtual_address} and {virtual_port} for those of the virtual. \
          Its environment has PATH, ADDRESS and PORT.",
};

pub(in super::super) const ENVIRONMENT: Key = Key {
    name: "environment",
    kind: Kind::List(&Kind::Text),
    otherwise: Otherwise::Is("none"),
    doc: "Further variables of the command's environment, each a string such as \
          \"NAME=value\".",
};

pub(in super::super) const DYNAMIC_WEIGHT: Key = Key {
    name: "dynamic_weight",
    kind: Kind::Bool,
    otherwise: Otherwise::Is("false"),
    doc: "With true a status of 2 to 255 is up, and the server's weight is the status less 2.",
};

pub(in super::super) const AGENT: Key = Key {
    name: "agent",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An agent on the server says in a line, as HAProxy's do, what share of its weight the \
          server can take, or that it is up, ready, draining, in maintenance, down, failed or \
          stopped.",
};

pub(in super::super) const ON: Key = Key {
    name: "on",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The server is up; nobody is asked.",
};

pub(in super::super) const OFF: Key = Key {
    name: "off",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The server is down; nobody is asked.",
};

pub(in super::super) const EVERY: Key = Key {
    name: "every",
    kind: Kind::Integer(1, 1_000_000),
    otherwise: Otherwise::Integer(1),
    doc: "Of so many probes of a server that is well, one is made in full; the others only \
          connect.",
};

pub(in super::super) const TLS_KEY: Key = Key {
    name: "tls",
    kind: Kind::TrueOrTable(&TLS),
    otherwise: Otherwise::Is("as the key that chooses says"),
    doc: "The conversation is encrypted from its start, and the server's certificate verified; a \
          table says how.",
};

pub(in super::super) const TLS: Section = Section {
    header: "probe.tls",
    doc: "How TLS is spoken with a server. Without any of it, the certificate must be from an \
          authority that this system trusts.",
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

pub(in super::super) const TLS_NAME: Key = Key {
    name: "name",
    kind: Kind::Text,
    otherwise: Otherwise::Is("host if there is one, else the server's address"),
    doc: "What the server is called: it is told so (SNI), and its certificate must be for it.",
};

pub(in super::super) const TLS_VERIFY: Key = Key {
    name: "verify",
    kind: Kind::Bool,
    otherwise: Otherwise::Is("true"),
    doc: "Whether the certificate must be good. With false any will do, and ca has no meaning.",
};

pub(in super::super) const TLS_CA: Key = Key {
    name: "ca",
    kind: Kind::Path,
    otherwise: Otherwise::Is("those that the system trusts"),
    doc: "A PEM file with the authorities that are trusted, in place of the system's. It is read \
          anew every minute.",
};

pub(in super::super) const TLS_CERTIFICATE: Key = Key {
    name: "certificate",
    kind: Kind::Path,
    otherwise: Otherwise::Is("none"),
    doc: "A PEM file with the probe's own certificate, and those between it and an authority, for \
          servers that want one.",
};

pub(in super::super) const TLS_PRIVATE_KEY: Key = Key {
    name: "private_key",
    kind: Kind::Path,
    otherwise: Otherwise::Is("none"),
    doc: "A PEM file with the key of certificate.",
};

pub(in super::super) const TLS_WARN: Key = Key {
    name: "warn",
    kind: Kind::Duration(secs(0), secs(10 * 366 * 24 * 3600)),
    otherwise: Otherwise::Duration(secs(14 * 24 * 3600)),
    doc: "A certificate that expires in less than this is told in the status. Expired, it is a \
          failure.",
};

pub(in super::super) const PROBE_ADDRESS: Key = Key {
    name: "address",
    kind: Kind::Address,
    otherwise: Otherwise::Is("the server's"),
    doc: "The address to probe, if it is another than the server's.",
};

pub(in super::super) const PROBE_PORT: Key = Key {
    name: "port",
    kind: Kind::Integer(1, 65535),
    otherwise: Otherwise::Is("the server's"),
    doc: "The port to probe. Required when neither the virtual nor the server has one, which is so \
          with fwmark. A virtual with several ports has each server probed on each of them unless \
          this is given.",
};

pub(in super::super) const BIND: Key = Key {
    name: "bind",
    kind: Kind::Bind,
    otherwise: Otherwise::Is("as the host's routes say"),
    doc: "From where the probe comes.",
};

pub(in super::super) const MARK: Key = Key {
    name: "mark",
    kind: Kind::Integer(1, u32::MAX as u64),
    otherwise: Otherwise::Is("none"),
    doc: "The firewall mark of the probe's packets, for rules and routes.",
};

pub(in super::super) const INTERVAL: Key = Key {
    name: "interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Duration(secs(6)),
    doc: "Time from one probe's start to the next one's.",
};

pub(in super::super) const FAST_INTERVAL: Key = Key {
    name: "fast_interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Is("as interval"),
    doc: "The same while failures or successes are being counted: after the first failure of a \
          server that is up, and the first success of one that is down. Must not be above interval.",
};

pub(in super::super) const DOWN_INTERVAL: Key = Key {
    name: "down_interval",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Is("as interval"),
    doc: "The same while the server is down and fails.",
};

pub(in super::super) const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration(ms(1), HOUR),
    otherwise: Otherwise::Duration(secs(2)),
    doc: "Time for a whole probe. Must not be above interval; when it is not given and interval is \
          shorter than its default, it is interval.",
};

pub(in super::super) const FALL: Key = Key {
    name: "fall",
    kind: Kind::Integer(1, 1000),
    otherwise: Otherwise::Integer(2),
    doc: "Failures in a row that turn a server down.",
};

pub(in super::super) const RISE: Key = Key {
    name: "rise",
    kind: Kind::Integer(1, 1000),
    otherwise: Otherwise::Integer(1),
    doc: "Successes in a row that turn it up again.",
};
