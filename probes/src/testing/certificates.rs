//! Certificates for tests: good, for somebody else, expired, of an authority that nobody knows.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::Tls;

/// An authority, whose own certificate is in a file as operators have it.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    folder: tempfile::TempDir,
}

/// A certificate with its key.
pub(crate) struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        let name = format!("authority {:x}", fastrand::u64(..));
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            der: certificate.der().clone(),
            issuer: Issuer::new(parameters, key),
            folder,
        }
    }

    /// TLS by which this authority alone is trusted.
    pub(crate) fn tls(&self) -> Tls {
        Tls {
            ca: Some(self.path("ca.pem")),
            ..Tls::default()
        }
    }

    /// As [`tls`](Self::tls), with a certificate of the probe's own.
    pub(crate) fn tls_with_identity(&self) -> Tls {
        let identity = self.issue(&["probe.example"], 2099);
        let write = |name: &str, text: String| {
            std::fs::write(self.folder.path().join(name), text).unwrap();
            self.path(name)
        };
        Tls {
            identity: Some((
                write("probe.pem", identity.certificate.pem()),
                write("probe.key", identity.key.serialize_pem()),
            )),
            ..self.tls()
        }
    }

    /// A certificate for some names or addresses, which expires at the beginning of a year.
    pub(crate) fn issue(&self, names: &[&str], expires: i32) -> Identity {
        self.issue_as(IsCa::NoCa, names, expires)
    }

    /// One for loopback that is an authority's own.
    pub(crate) fn issue_authority(&self) -> Identity {
        let is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.issue_as(is_ca, &["127.0.0.1"], 2099)
    }

    fn issue_as(&self, is_ca: IsCa, names: &[&str], expires: i32) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.is_ca = is_ca;
        parameters.not_before = date_time_ymd(2001, 1, 1);
        parameters.not_after = date_time_ymd(expires, 1, 1);
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate, key }
    }

    /// One that a server on loopback may show.
    pub(crate) fn good(&self) -> Identity {
        self.issue(&["127.0.0.1", "::1", "localhost"], 2099)
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }
}

impl Identity {
    /// Accepts TLS as a server that is this.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = builder().with_no_client_auth();
        self.with(config)
    }

    /// The same, and only from clients that have a certificate of `authority`.
    pub(crate) fn demanding_acceptor(&self, authority: &Authority) -> TlsAcceptor {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let config = builder().with_client_cert_verifier(verifier.build().unwrap());
        self.with(config)
    }

    fn with(
        &self,
        config: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    ) -> TlsAcceptor {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let chain = vec![self.certificate.der().clone()];
        let config = config.with_single_cert(chain, key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Runs `serve` for each connection that agrees on TLS.
    pub(crate) async fn serve<F, S>(&self, serve: S) -> super::Server
    where
        S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let acceptor = self.acceptor();
        super::Server::new(move |stream| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            }
        })
        .await
    }
}

fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}
