//! Configurations of TLS, made once for all probes that want the same.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::time::Instant;

use super::Tls;
use crate::Failure;

/// Files are read anew after this, so that renewed ones are noticed.
const FRESH: Duration = Duration::from_secs(60);
/// The system's authorities are many, and change with the system's updates.
const SYSTEM_FRESH: Duration = Duration::from_secs(3600);

/// What is trusted, by what settings.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    configs: BTreeMap<Files, (Instant, Arc<ClientConfig>)>,
    system: Option<(Instant, Arc<RootCertStore>)>,
}

/// What of the settings a configuration is made of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Files {
    verify: bool,
    ca: Option<String>,
    identity: Option<(String, String)>,
}

impl Trust {
    /// The configuration for some settings. Files that this host cannot read are not the server's
    /// fault.
    pub(crate) fn config(&self, tls: &Tls) -> Result<Arc<ClientConfig>, Failure> {
        let files = Files {
            verify: tls.verify,
            ca: tls.ca.clone(),
            identity: tls.identity.clone(),
        };
        let now = Instant::now();
        // Nothing panics while it is held; if something did, what is there is still whole.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, config)) = made.configs.get(&files)
            && now.duration_since(*at) < FRESH
        {
            return Ok(Arc::clone(config));
        }
        made.configs
            .retain(|_, (at, _)| now.duration_since(*at) < 2 * FRESH);
        let config = Arc::new(made.make(&files, now)?);
        made.configs.insert(files, (now, Arc::clone(&config)));
        Ok(config)
    }
}

impl Made {
    fn make(&mut self, files: &Files, now: Instant) -> Result<ClientConfig, Failure> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| not_run(&error))?;
        let builder = if files.verify {
            let roots = match &files.ca {
                Some(path) => Arc::new(own_roots(path)?),
                None => self.system_roots(now)?,
            };
            builder.with_root_certificates(roots)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        };
        let mut config = match &files.identity {
            Some((certificate, key_file)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_slice(&read(key_file)?).map_err(|error| {
                    Failure::NotRun(format!("no private key in {key_file}: {error}"))
                })?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| match error {
                        Error::InconsistentKeys(_) => Failure::NotRun(format!(
                            "the key in {key_file} is not that of the certificate in {certificate}"
                        )),
                        error => not_run(&error),
                    })?
            }
            None => builder.with_no_client_auth(),
        };
        // A session that is taken up again shows no certificate, so that one which has expired in
        // between would go unseen.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn system_roots(&mut self, now: Instant) -> Result<Arc<RootCertStore>, Failure> {
        if let Some((at, roots)) = &self.system {
            let fresh = if roots.is_empty() {
                FRESH
            } else {
                SYSTEM_FRESH
            };
            if now.duration_since(*at) < fresh {
                return trusted(roots);
            }
        }
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        let (_, roots) = self.system.insert((now, Arc::new(roots)));
        trusted(roots)
    }
}

/// Where nobody is trusted no server's certificate is good, which is not the servers' fault.
fn trusted(roots: &Arc<RootCertStore>) -> Result<Arc<RootCertStore>, Failure> {
    if roots.is_empty() {
        return Err(Failure::NotRun(
            "this system trusts no certificate authority (of Debian, install ca-certificates)"
                .to_owned(),
        ));
    }
    Ok(Arc::clone(roots))
}

pub(super) fn own_roots(path: &str) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| Failure::NotRun(format!("{path} is no authority: {error}")))?;
    }
    Ok(roots)
}

pub(super) fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Failure::NotRun(format!("no certificate in {path}"))),
        Err(error) => Err(Failure::NotRun(format!(
            "the certificates in {path} cannot be read: {error}"
        ))),
    }
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        let words = words::of(&error);
        Failure::NotRun(format!("{path} cannot be read: {words}"))
    })
}

fn not_run(error: &Error) -> Failure {
    Failure::NotRun(format!("TLS cannot be set up: {error}"))
}

/// Takes any certificate, but has the server prove that it has the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_this_system_trusts_nobody_is_not_the_servers_fault() {
        let now = Instant::now();
        let mut made = Made {
            system: Some((now, Arc::new(RootCertStore::empty()))),
            ..Made::default()
        };
        let files = |verify| Files {
            verify,
            ca: None,
            identity: None,
        };
        let failure = made.make(&files(true), now).unwrap_err();
        assert!(!failure.concerns_server(), "{failure}");
        made.make(&files(false), now).unwrap();
    }
}
