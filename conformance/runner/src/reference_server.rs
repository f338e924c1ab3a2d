//! The reference server as a server under test: what `flightcheck run reference-server` starts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flightsql_server as flight;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::cli::ReferenceServerArgs;
use crate::operator::OperatorError;
use crate::output;

/// Serves until it is asked to stop; prints its address to stdout.
///
/// # Errors
/// If it cannot start.
pub async fn serve(args: &ReferenceServerArgs) -> Result<(), OperatorError> {
    let mut config = flight::Config::new(flight::Engine::demo(), Arc::new(|_| {}));
    config.tls = Some(tls(&args.cert, &args.key)?);
    let trusted = std::env::var_os("SSL_CERT_FILE");
    config.issuer_tls = flight::issuer_tls::trust_file_or_the_system(trusted.as_deref().map(Path::new));
    config.ways_in = flight::WaysIn {
        oauth: vec![flight::TrustedIssuer {
            issuer: args.issuer.clone(),
            discovery_url: format!("{}/.well-known/openid-configuration", args.issuer.trim_end_matches('/')),
            audience: args.audience.clone(),
            algorithms: vec![flight::Algorithm::RS256, flight::Algorithm::ES256],
            leeway: Duration::ZERO,
        }],
        defect: args.defect,
        ..flight::WaysIn::default()
    };
    let ours = |error: &dyn std::fmt::Display| OperatorError::Ours(error.to_string());
    let address = SocketAddr::from(([127, 0, 0, 1], args.port));
    let server = flight::FlightSqlServer::start_at(config, address).await.map_err(|e| ours(&e))?;
    let port = server.port("main").expect("the listener was asked for");
    // Before anybody is told that it is there, and may send one.
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(|e| ours(&e))?;
    output::data(&format!("grpc+tls://127.0.0.1:{port}\n"));
    terminate.recv().await;
    server.shutdown().await;
    Ok(())
}

fn tls(cert: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, OperatorError> {
    let unusable = |e: &dyn std::fmt::Display| OperatorError::Ours(format!("no certificate: {e}"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).map_err(|e| unusable(&e))?.collect();
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable(&e))?;
    let config = mock_idp::tls::from_parts(chain.map_err(|e| unusable(&e))?, key, &[b"h2"]);
    config.map(Arc::new).map_err(|e| unusable(&e))
}
