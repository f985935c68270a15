//! An authority, and certificates of it for a test's server.

use probes::Tls;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::process::Place;

/// Files in the folder of a test.
pub(crate) struct Certificate {
    pub(crate) ca: String,
    pub(crate) certificate: String,
    /// Another that the same key has, and that is too old.
    pub(crate) expired: String,
    /// Another that the same key has, for somebody else.
    pub(crate) strangers: String,
    pub(crate) key: String,
}

impl Certificate {
    /// Certificates for the address of `place`.
    pub(crate) fn new(place: &Place) -> Self {
        let mut parameters = CertificateParams::default();
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "the authority of a test");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = parameters.self_signed(&key).unwrap();
        let issuer = Issuer::new(parameters, key);

        let address = place.address.ip().to_string();
        let key = KeyPair::generate().unwrap();
        let issue = |name: &str, until: i32| {
            let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
            parameters.not_before = date_time_ymd(2001, 1, 1);
            parameters.not_after = date_time_ymd(until, 1, 1);
            parameters.signed_by(&key, &issuer).unwrap().pem()
        };
        Self {
            ca: place.write("ca.pem", &authority.pem()),
            certificate: place.write("certificate.pem", &issue(&address, 2099)),
            expired: place.write("expired.pem", &issue(&address, 2002)),
            strangers: place.write("strangers.pem", &issue("stranger.example", 2099)),
            key: place.write_privately("key.pem", &key.serialize_pem()),
        }
    }

    /// TLS by which the authority is trusted.
    pub(crate) fn tls(&self) -> Tls {
        Tls {
            ca: Some(self.ca.clone()),
            ..Tls::default()
        }
    }
}

/// What a probe says of a server whose authority it does not know.
pub(crate) const NOT_TRUSTED: &str =
    "the certificate is from an authority that is not trusted here";
/// Of one whose certificate is too old.
pub(crate) const EXPIRED: &str = "the certificate has expired";
/// Of one whose certificate is for somebody else.
pub(crate) const STRANGER: &str = "the certificate is not for 127.";
