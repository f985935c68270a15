//! An authority, and a certificate of it for a test's server.

use probes::Tls;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::process::Place;

/// Files in the folder of a test.
pub(crate) struct Certificate {
    pub(crate) ca: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificate {
    /// A certificate for the address of `place`.
    pub(crate) fn new(place: &Place) -> Self {
        let mut parameters = CertificateParams::default();
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "the authority of a test");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = parameters.self_signed(&key).unwrap();
        let issuer = Issuer::new(parameters, key);

        let address = place.address.ip().to_string();
        let parameters = CertificateParams::new([address]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        Self {
            ca: place.write("ca.pem", &authority.pem()),
            certificate: place.write("certificate.pem", &certificate.pem()),
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
