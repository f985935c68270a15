//! TLS towards servers: what is trusted, and what is wrong with a certificate, in words.

mod certificate;
mod trust;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connects::Connection;
use crate::failure::{Failure, Stage};
use crate::probing::Probing;

pub(crate) use self::trust::Trust;

/// How a server proves who it is, and the probe too.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Tls {
    /// What the server is called: asked for (SNI, RFC 6066) and looked for in its certificate.
    pub name: Option<String>,
    /// Whether the certificate must be good. If not, any certificate will do, but the server must
    /// have its key.
    pub verify: bool,
    /// A PEM file with the authorities that are trusted; `None` for the system's.
    pub ca: Option<String>,
    /// PEM files with the probe's own certificate and key.
    pub identity: Option<(String, String)>,
    /// The kind warns when the certificate expires in less than this.
    pub warn: Duration,
}

impl Tls {
    /// Reads a file as [`ca`](Self::ca) is read.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn check_ca(path: &str) -> Result<(), String> {
        trust::own_roots(path)
            .map(drop)
            .map_err(Failure::into_words)
    }

    /// Reads a file as the certificate of [`identity`](Self::identity) is read.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn check_certificate(path: &str) -> Result<(), String> {
        trust::certificates(path)
            .map(drop)
            .map_err(Failure::into_words)
    }

    /// Reads both files of an [`identity`](Self::identity), of which the first is good.
    ///
    /// # Errors
    ///
    /// What is wrong with the key, in words, or that it is not that of the certificate.
    pub fn check_identity(certificate: &str, key: &str) -> Result<(), String> {
        let tls = Self {
            verify: false,
            identity: Some((certificate.to_owned(), key.to_owned())),
            ..Self::default()
        };
        Trust::default()
            .config(&tls)
            .map(drop)
            .map_err(Failure::into_words)
    }

    /// Whether a certificate could be for this name.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        ServerName::try_from(name).is_ok()
    }

    /// Whether a certificate could be for this host, as a URI has it.
    #[must_use]
    pub fn is_host(host: &str) -> bool {
        Self::is_name(name_of(host))
    }
}

impl Default for Tls {
    /// Verified by the system's authorities, with a warning 14 days before expiry.
    fn default() -> Self {
        Self {
            name: None,
            verify: true,
            ca: None,
            identity: None,
            warn: Duration::from_secs(14 * 24 * 3600),
        }
    }
}

/// What the host of a URI is called (RFC 3986, section 3.2): without the port that may follow, and the
/// brackets of an address.
pub(crate) fn name_of(host: &str) -> &str {
    if host.parse::<IpAddr>().is_ok() {
        return host;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_matches(['[', ']'])
}

/// Agrees on TLS over a connection.
pub(crate) async fn agree(
    probing: &mut Probing,
    stream: Connection,
    tls: &Tls,
    name: Option<&str>,
) -> Result<TlsStream<Connection>, Failure> {
    let config = probing.shared().trust().config(tls)?;
    let name = tls.name.as_deref().or(name);
    let server = match name {
        Some(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| Failure::NotRun(format!("{name:?} is no name of a server")))?,
        None => ServerName::from(probing.address().ip()),
    };
    let shown = name.map_or_else(|| probing.address().ip().to_string(), str::to_owned);
    let handshake = TlsConnector::from(config).connect(server, stream);
    let stream = probing
        .during(Stage::Agreeing, handshake)
        .await?
        .map_err(|error| no_agreement(&error, &shown))?;
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first);
    if let Some(warning) = certificate.and_then(|it| expiry_warning(it, tls, SystemTime::now())) {
        probing.warn(warning);
    }
    Ok(stream)
}

fn expiry_warning(certificate: &CertificateDer<'_>, tls: &Tls, now: SystemTime) -> Option<String> {
    let end = certificate::not_after(certificate)?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let left = end.checked_sub(now);
    if left.is_some_and(|left| left >= tls.warn) {
        return None;
    }
    let date = certificate::date(end);
    Some(if left.is_some() {
        format!("the certificate expires on {date}")
    } else {
        format!("the certificate expired on {date}")
    })
}

/// What went wrong in a conversation that may have TLS.
pub(crate) fn failure(error: &io::Error, stage: Stage) -> Failure {
    match inner(error) {
        Some(inner) => Failure::Tls(describe(inner, "its name")),
        None => Failure::io(error, stage),
    }
}

/// What went wrong in a handshake with a server that should be called `name`.
fn no_agreement(error: &io::Error, name: &str) -> Failure {
    match inner(error) {
        Some(inner) => Failure::Tls(describe(inner, name)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::Tls("expected TLS, but the server closed the connection".to_owned())
        }
        None => Failure::io(error, Stage::Agreeing),
    }
}

fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn describe(error: &Error, name: &str) -> String {
    match error {
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the certificate is not for {name}")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet".to_owned()
            }
            CertificateError::UnknownIssuer => {
                "the certificate is from an authority that is not trusted here".to_owned()
            }
            CertificateError::Revoked => "the certificate is revoked".to_owned(),
            CertificateError::BadSignature => "the certificate has a wrong signature".to_owned(),
            CertificateError::BadEncoding => "the certificate cannot be read".to_owned(),
            CertificateError::UnhandledCriticalExtension => {
                "the certificate has a critical extension that is not known here".to_owned()
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "the certificate is not one for servers".to_owned()
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                "the certificate is signed in a way that is not supported here".to_owned()
            }
            other => match words_in(other).as_str() {
                // As `openssl req -x509` makes them.
                "ca used as end entity" => {
                    "the certificate is an authority's, not one for a server".to_owned()
                }
                words => format!("the certificate is not accepted: {words}"),
            },
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "expected TLS, got something else".to_owned()
        }
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            "expected TLS, got something else, or a broken handshake".to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a certificate of the probe".to_owned()
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the server refused the handshake: no TLS parameters in common".to_owned()
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "the server refused the handshake: no TLS version in common".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("the server does not know the name {name}")
        }
        Error::AlertReceived(alert) => {
            format!("the server refused the handshake: {}", words_in(alert))
        }
        Error::PeerIncompatible(_) => {
            "no TLS version or parameters in common with the server".to_owned()
        }
        other => format!("TLS failed: {other}"),
    }
}

/// The words of which the innermost name of an error is made, for errors that have no others:
/// "ca used as end entity" of `Other(OtherError(CaUsedAsEndEntity))`.
fn words_in(error: &impl fmt::Debug) -> String {
    let text = format!("{error:?}");
    let mut names = text.split(|c: char| !c.is_ascii_alphanumeric());
    let name = names.rfind(|name| !name.is_empty()).unwrap_or_default();
    let (mut words, mut before) = (String::new(), ' ');
    for c in name.chars() {
        // An abbreviation stays together.
        let begins = c.is_ascii_uppercase() && !before.is_ascii_uppercase();
        if begins && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
        before = c;
    }
    words
}

#[cfg(test)]
mod tests;
