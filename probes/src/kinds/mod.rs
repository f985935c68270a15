//! The kinds of probes: one file each, and one line each in the table below.

pub mod agent;
pub mod constant;
pub mod dialogue;
pub mod dns;
pub mod exec;
pub mod expect;
#[cfg(test)]
mod finger;
pub mod http;
pub mod icmp;
pub mod ldap;
#[cfg(test)]
mod misbehaviour;
pub mod mysql;
#[cfg(feature = "pgsql")]
pub mod pgsql;
pub mod radius;
pub mod redis;
pub mod sip;
pub mod tcp;
pub mod udp;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::probing::Probing;
use crate::report::Answer;
use crate::spec::Service;
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// What each kind can do: ask once.
pub(crate) trait Ask: Sized {
    /// Whether it needs a port.
    const PORT: bool = true;

    /// Asks the target of `probing`, and judges the answer. All that may wait goes through
    /// `probing`, which ends it at the probe's timeout. Nothing may outlive the future: dropping it
    /// is how a probe is cancelled.
    fn ask(&self, probing: &mut Probing) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// A word that says more than the one in the table.
    fn word(&self) -> Option<&'static str> {
        None
    }

    /// The same for a server of `service`, if it says something of the service; such probes are not
    /// shared between services.
    fn of_service(&self, _service: &Service) -> Option<Self> {
        None
    }

    /// Every way in which it speaks with a server, for the test that has servers misbehave in them;
    /// none if no word of a server makes it better or worse. `tls` trusts that test's servers.
    #[cfg(test)]
    fn talks(tls: &Tls) -> Vec<Talk<Self>>;
}

/// Writes [`ProbeKind`] and everything that has an arm for each kind.
macro_rules! kinds {
    ($($(#[$cfg:meta])* $kind:ident($settings:ty) = $word:literal: $doc:literal,)+) => {
        /// What is asked and what counts as a good answer.
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum ProbeKind {
            $($(#[$cfg])*
            #[doc = $doc]
            $kind($settings),)+
        }

        #[cfg(test)]
        impl ProbeKind {
            /// Every way in which any kind speaks with a server.
            fn talks(tls: &Tls) -> Vec<Talk<Self>> {
                let mut talks = Vec::new();
                $($(#[$cfg])* talks.extend(
                    <$settings as Ask>::talks(tls).into_iter().map(|talk| talk.map(Self::$kind)),
                );)+
                talks
            }
        }

        impl ProbeKind {
            /// One word for tables and logs.
            #[must_use]
            pub fn word(&self) -> &'static str {
                match self {
                    $($(#[$cfg])* Self::$kind(settings) => <$settings as Ask>::word(settings).unwrap_or($word),)+
                }
            }

            /// Whether it needs a port.
            #[must_use]
            pub fn needs_port(&self) -> bool {
                match self {
                    $($(#[$cfg])* Self::$kind(_) => <$settings as Ask>::PORT,)+
                }
            }

            /// The same for a server of `service`; `None` if the service makes no difference.
            #[must_use]
            pub fn of_service(&self, service: &Service) -> Option<Self> {
                match self {
                    $($(#[$cfg])* Self::$kind(settings) => {
                        settings.of_service(service).map(Self::$kind)
                    })+
                }
            }

            /// Asks once. Each kind's future is boxed, so that a short dialogue does not take the
            /// room of the longest.
            pub(crate) async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
                match self {
                    $($(#[$cfg])* Self::$kind(settings) => {
                        Box::pin(settings.ask(probing)).await
                    })+
                }
            }
        }
    };
}

kinds! {
    Tcp(tcp::Tcp) = "tcp": "A connection is made.",
    Expect(expect::Expect) = "send/expect": "Bytes are sent, others expected.",
    Http(http::Http) = "http": "HTTP requests are made.",
    Ldap(ldap::Ldap) = "ldap": "LDAP is bound to, and an entry looked up.",
    Mysql(mysql::Mysql) = "mysql": "MySQL or MariaDB is logged in to, and a row asked for.",
    #[cfg(feature = "pgsql")]
    Pgsql(pgsql::Pgsql) = "pgsql": "PostgreSQL is logged in to, and a row asked for.",
    Radius(radius::Radius) = "radius": "RADIUS tells its status, or lets somebody in.",
    Sip(sip::Sip) = "sip": "SIP answers OPTIONS.",
    Redis(redis::Redis) = "redis": "Redis answers PING, or a command.",
    Udp(udp::Udp) = "udp": "A datagram is sent, another expected.",
    Dns(dns::Dns) = "dns": "A name is asked for.",
    Icmp(icmp::Icmp) = "icmp": "An echo request is sent.",
    Dialogue(dialogue::Dialogue) = "dialogue": "A protocol of lines is spoken to its end.",
    Exec(exec::Exec) = "exec": "A command is run.",
    Agent(agent::Agent) = "agent": "An agent of the server is asked.",
    Constant(constant::Constant) = "constant": "Nobody is asked.",
    #[cfg(test)]
    Finger(finger::Finger) = "finger": "Somebody is asked for.",
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
