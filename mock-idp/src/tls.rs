//! A throw-away certificate authority, for tests on loopback, and what can be wrong with its certificates.

use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::DistinguishedName;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};

use crate::fault::TlsFault;

/// A CA and a leaf for `127.0.0.1`, `::1` and `localhost`. Clients refuse a CA certificate as a server's.
pub struct ThrowAwayCa {
    ca: CertifiedIssuer<'static, KeyPair>,
    ca_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    leaf_pem: String,
    key_pem: String,
}

impl ThrowAwayCa {
    /// Makes both.
    pub fn new() -> Self {
        Self::for_names(&[])
    }

    /// Makes both, the leaf for these names, too.
    pub fn for_names(more: &[String]) -> Self {
        Self::named("throw-away CA of a test", more)
    }

    fn named(name: &str, more: &[String]) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let ca_key = KeyPair::generate().expect("the system has randomness");
        let ca = CertifiedIssuer::self_signed(params, ca_key).expect("the parameters are right");
        let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        names.extend(more.iter().filter(|n| !names.contains(n)).cloned().collect::<Vec<_>>());
        let key = KeyPair::generate().expect("the system has randomness");
        let leaf = leaf(names).signed_by(&key, &ca).expect("the parameters are right");
        let chain = vec![leaf.der().clone(), ca.der().clone()];
        let (leaf_pem, key_pem) = (leaf.pem() + &ca.pem(), key.serialize_pem());
        Self { ca_pem: ca.pem(), chain, key: key.serialize_der(), ca, leaf_pem, key_pem }
    }

    /// The CA's certificate, for clients to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The leaf and what signed it (PEM), for a server that is another program.
    pub fn leaf_pem(&self) -> &str {
        &self.leaf_pem
    }

    /// The leaf's private key (PEM).
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A server's TLS settings with these ALPN protocols.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<rustls::ServerConfig> {
        server_config(self.chain.clone(), self.key.clone(), alpn, Certificates::NotAsked)
    }

    /// The same, but clients are asked for a certificate, and may present any or none (RFC 8705).
    pub fn server_config_for_mtls(&self, alpn: &[&[u8]]) -> Arc<rustls::ServerConfig> {
        server_config(self.chain.clone(), self.key.clone(), alpn, Certificates::Asked)
    }

    /// The same, for one version of TLS only.
    pub fn server_config_of(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
        alpn: &[&[u8]],
    ) -> Arc<rustls::ServerConfig> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = built(self.chain.clone(), key, alpn, Certificates::NotAsked, &[version]);
        Arc::new(config.expect("the leaf was made for this key"))
    }

    /// A server whose certificate has something wrong with it; none if the fault is not about certificates.
    pub fn faulty(&self, fault: TlsFault, alpn: &[&[u8]]) -> Option<Arc<rustls::ServerConfig>> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let key = KeyPair::generate().expect("the system has randomness");
        let fine = "the parameters are right";
        let chain = match fault {
            TlsFault::SelfSigned => vec![leaf(names).self_signed(&key).expect(fine).der().clone()],
            TlsFault::Expired => {
                let mut params = leaf(names);
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2020, 2, 1);
                vec![params.signed_by(&key, &self.ca).expect(fine).der().clone(), self.ca.der().clone()]
            }
            TlsFault::WrongName => {
                let params = leaf(vec!["another-host.example".to_owned()]);
                vec![params.signed_by(&key, &self.ca).expect(fine).der().clone(), self.ca.der().clone()]
            }
            TlsFault::UnknownCa => {
                // Another name, or clients would say that the right CA signed badly.
                let stranger = Self::named("CA that nobody knows", &[]);
                vec![
                    leaf(names).signed_by(&key, &stranger.ca).expect(fine).der().clone(),
                    stranger.ca.der().clone(),
                ]
            }
            TlsFault::NotYetValid => {
                let mut params = leaf(names);
                params.not_before = rcgen::date_time_ymd(2120, 1, 1);
                params.not_after = rcgen::date_time_ymd(2121, 1, 1);
                vec![params.signed_by(&key, &self.ca).expect(fine).der().clone(), self.ca.der().clone()]
            }
            TlsFault::StalledHandshake | TlsFault::OldVersion | TlsFault::Missing => return None,
        };
        Some(server_config(chain, key.serialize_der(), alpn, Certificates::NotAsked))
    }
}

impl Default for ThrowAwayCa {
    fn default() -> Self {
        Self::new()
    }
}

fn leaf(names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("the names are right");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
    params
}

/// Whether clients are asked for their certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certificates {
    Asked,
    NotAsked,
}

/// TLS settings with a certificate chain and a PKCS#8 key.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    alpn: &[&[u8]],
    certificates: Certificates,
) -> Arc<rustls::ServerConfig> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
    let config = built(chain, key, alpn, certificates, rustls::DEFAULT_VERSIONS);
    Arc::new(config.expect("the leaf was just made for this key"))
}

/// TLS settings for a certificate of the operator's own; clients may present theirs (RFC 8705).
///
/// # Errors
/// If the key does not belong to the certificate.
pub fn from_parts(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &[&[u8]],
) -> Result<rustls::ServerConfig, rustls::Error> {
    built(chain, key, alpn, Certificates::Asked, rustls::DEFAULT_VERSIONS)
}

fn built(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &[&[u8]],
    certificates: Certificates,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("the provider has TLS 1.2 and 1.3");
    let builder = match certificates {
        Certificates::Asked => builder.with_client_cert_verifier(Arc::new(AnyClient(provider))),
        Certificates::NotAsked => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(config)
}

/// Asks for a client's certificate and takes any, or none: whose it is, is for the token endpoint to decide (RFC 8705).
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Servers with something wrong, made when they are first asked for.
pub(crate) struct Mishaps {
    ca: Arc<ThrowAwayCa>,
    made: Mutex<Vec<(TlsFault, Arc<rustls::ServerConfig>)>>,
}

impl Mishaps {
    pub(crate) fn new(ca: Arc<ThrowAwayCa>) -> Self {
        Self { ca, made: Mutex::default() }
    }

    pub(crate) fn server_config(&self, fault: TlsFault) -> Option<Arc<rustls::ServerConfig>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = made.iter().find(|(f, _)| *f == fault) {
            return Some(config.clone());
        }
        let config = self.ca.faulty(fault, &[b"h2", b"http/1.1"])?;
        made.push((fault, config.clone()));
        Some(config)
    }
}

/// A handshake record of TLS 1.0 with a ServerHello (RFC 2246 §7.4.1.3) that chooses version 3.1: no client of today takes
/// it. Its random is all zeros, its session id is empty, its cipher is TLS_RSA_WITH_AES_128_CBC_SHA.
pub const OLD_SERVER_HELLO: [u8; 47] = {
    let mut hello = [0; 47];
    let head = [0x16, 0x03, 0x01, 0x00, 0x2a, 0x02, 0x00, 0x00, 0x26, 0x03, 0x01];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    // After 32 bytes of random: session id length 0, cipher suite 00 2f, compression 0.
    hello[45] = 0x2f;
    hello
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_server_hello_has_the_lengths_that_it_says() {
        let length = usize::from(u16::from_be_bytes([OLD_SERVER_HELLO[3], OLD_SERVER_HELLO[4]]));
        assert_eq!(length, OLD_SERVER_HELLO.len() - 5);
        assert_eq!(usize::from(OLD_SERVER_HELLO[8]), OLD_SERVER_HELLO.len() - 9);
    }
}
