//! Keys of probes that log in, above all to databases, directories, RADIUS and SIP.

use crate::config::schema::{Key, Kind, Otherwise};

pub(in crate::config) const MYSQL: Key = Key {
    name: "mysql",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A server of MySQL or MariaDB must greet and answer a login; without user it may deny it. \
          With tls the probe asks for TLS after the greeting.",
};

pub(in crate::config) const PGSQL: Key = Key {
    name: "pgsql",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A PostgreSQL server must begin a session; without user it may ask for a password, or deny \
          the login. With tls the probe asks for TLS first.",
};

pub(in crate::config) const REDIS: Key = Key {
    name: "redis",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A Redis server must answer PING, or the command in query with something that is no error. \
          Without password, that it wants one is an answer too.",
};

pub(in crate::config) const LDAP: Key = Key {
    name: "ldap",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An LDAP server must answer a bind, anonymous or with user, which is then a distinguished \
          name. An anonymous one it may deny.",
};

pub(in crate::config) const LDAPS: Key = Key {
    name: "ldaps",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "The same over TLS from the start.",
};

pub(in crate::config) const RADIUS: Key = Key {
    name: "radius",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "A RADIUS server must accept the login of user; without user it must answer Status-Server.",
};

pub(in crate::config) const SIP: Key = Key {
    name: "sip",
    kind: Kind::True,
    otherwise: Otherwise::Is("none"),
    doc: "An OPTIONS request is sent, to user at host, and its response must have a good status. \
          With password the probe proves who it is, if asked. With tls it goes over TCP with TLS.",
};

pub(in crate::config) const DATABASE: Key = Key {
    name: "database",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none; with pgsql the one that is called as user"),
    doc: "The database to use.",
};

pub(in crate::config) const QUERY: Key = Key {
    name: "query",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "What is asked once logged in: a statement that must give a row, or a command that Redis \
          must answer with something. One row is enough; the less it costs the server, the better.",
};

pub(in crate::config) const SEARCH: Key = Key {
    name: "search",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "The distinguished name of an entry that must be there. An empty one is the server's own.",
};

pub(in crate::config) const SECRET: Key = Key {
    name: "secret",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "What the RADIUS server shares with this host. It is always needed: a server does not \
          answer strangers.",
};

pub(in crate::config) const USER: Key = Key {
    name: "user",
    kind: Kind::Text,
    otherwise: Otherwise::Is("nobody logs in; with exec, who runs caribe"),
    doc: "Who logs in; with exec, who runs the command, by name or number, with all their groups. \
          Such users may come from LDAP or sssd (nsswitch.conf(5)); check looks them up.",
};

pub(in crate::config) const PASSWORD: Key = Key {
    name: "password",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "Their password. The file is then nobody else's to read: one that everybody on the host may \
          read is told at the start and by check.",
};
