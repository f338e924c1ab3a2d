//! TLS towards issuers. Reading the system's certificates takes milliseconds: whoever starts many servers makes it once.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// Trusts no certificate: for issuers that are asked over plain HTTP.
pub fn trust_nobody() -> Arc<ClientConfig> {
    trusting(RootCertStore::empty())
}

/// Trusts the certificates of a file in PEM form.
pub fn trust_pem(pem: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    trusting(roots)
}

/// Trusts whom the system trusts. A system without any certificates trusts nobody, and says so.
pub fn trust_the_system() -> Arc<ClientConfig> {
    match builder().with_platform_verifier() {
        Ok(config) => Arc::new(config.with_no_client_auth()),
        Err(error) => {
            tracing::warn!(%error, "the system has no certificates; set SSL_CERT_FILE");
            trust_nobody()
        }
    }
}

fn trusting(roots: RootCertStore) -> Arc<ClientConfig> {
    Arc::new(builder().with_root_certificates(roots).with_no_client_auth())
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3")
}
