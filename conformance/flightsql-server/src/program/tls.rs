//! The server's certificate: from files, or of a CA that lives as long as the server.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;

use super::{Args, ProgramError};

/// TLS as the arguments ask for it; nothing for plaintext.
pub fn server_config(args: &Args) -> Result<Option<Arc<rustls::ServerConfig>>, ProgramError> {
    if args.plaintext {
        return Ok(None);
    }
    let (chain, key, blame) = match (&args.cert, &args.key, &args.write_ca) {
        (Some(cert), Some(key), _) => (certificates(cert)?, private_key(key)?, key.as_path()),
        (_, _, Some(file)) => {
            let (chain, key) = throw_away(file, &args.host)?;
            (chain, key, file.as_path())
        }
        _ => {
            let choice = "--cert and --key, --write-ca, or --plaintext";
            return Err(ProgramError::Usage(format!("say how the server shows who it is: {choice}")));
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3");
    let builder = match &args.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(file)?);
            // A client without a certificate may have another way in.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable(file, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(blame, error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Some(Arc::new(config)))
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> ProgramError {
    ProgramError::File { path: path.to_owned(), reason: reason.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ProgramError> {
    let pem = std::fs::read(path).map_err(|error| unusable(path, error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(path, "there is no certificate in it; it must be PEM")),
        Err(error) => Err(unusable(path, error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ProgramError> {
    let pem = std::fs::read(path).map_err(|error| unusable(path, error))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable(path, "there is no private key in it; it must be PEM"))
}

/// A CA whose key is forgotten at once, and a certificate of it: rustls refuses a CA as a server.
fn throw_away(
    ca_file: &Path,
    hosts: &[String],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ProgramError> {
    let key = || KeyPair::generate().expect("the system has randomness");
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "flightsql-server throw-away CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca_key = key();
    let ca_pem = ca.self_signed(&ca_key).expect("the CA signs itself").pem();
    let names = ["localhost", "127.0.0.1", "::1"].into_iter().map(str::to_owned).chain(hosts.iter().cloned());
    let leaf = CertificateParams::new(names.collect::<Vec<_>>())
        .map_err(|error| ProgramError::Usage(format!("a --host is no name for a certificate: {error}")))?;
    let leaf_key = key();
    let certificate = leaf.signed_by(&leaf_key, &Issuer::new(ca, ca_key)).expect("the CA signs");
    std::fs::write(ca_file, ca_pem).map_err(|error| unusable(ca_file, error))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    Ok((vec![certificate.der().clone()], key))
}
