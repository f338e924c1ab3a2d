//! HTTP to an issuer: no proxies, no redirects, no kept connections, bounded bodies.

use std::sync::Arc;

use reqwest::{Client, Response, redirect::Policy};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};

use crate::failure::{Class, Failure};

/// A client that trusts the given PEM certificates only.
pub(crate) fn client(ca: Option<&[u8]>) -> Result<Client, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.unwrap_or_default()) {
        let wrong =
            |error: String| Failure::configuration(format!("`tls.ca` has no usable certificate: {error}"));
        roots
            .add(certificate.map_err(|error| wrong(error.to_string()))?)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if ca.is_some() && roots.is_empty() {
        return Err(Failure::configuration("`tls.ca` has no certificate in PEM form"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(Policy::none())
        // A token a minute needs no kept connection, and an idle one that died costs a failure.
        .pool_max_idle_per_host(0)
        .http1_only()
        .user_agent(concat!("reference-client/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::configuration(format!("cannot set up HTTP: {}", text(&error))))
}

/// The body, however long it is and however long that takes; for the defect `endless-answers`, which keeps none of it.
pub(crate) async fn without_end(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {
        // Whoever reads slowly is sent little: the defect shall not cost what it would cost in earnest.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The body, as long as it is at most `limit` bytes.
pub(crate) async fn body(
    mut response: Response,
    limit: usize,
    class: Class,
    what: &str,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(bytes),
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= limit => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                return Err(Failure::new(
                    class,
                    format!("{what}: the answer is larger than {} KiB", limit / 1024),
                ));
            }
            Err(error) => {
                return Err(Failure::new(
                    class,
                    format!("{what}: the answer broke off: {}", text(&error.without_url())),
                ));
            }
        }
    }
}

/// An exchange that got no answer.
pub(crate) fn no_answer(error: reqwest::Error, class: Class, what: &str) -> Failure {
    Failure::new(class, format!("{what}: {}", text(&error.without_url())))
}

/// The error with its causes: reqwest's own text says little.
fn text(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
