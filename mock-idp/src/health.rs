//! `mock-idp healthcheck`: for containers that have no curl.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::run::Failure;

const LIMIT: Duration = Duration::from_secs(3);

/// Asks a mock whether it is well.
pub fn check(url: Option<&str>, port: u16) -> Result<(), Failure> {
    let url = url.map_or_else(|| format!("http://127.0.0.1:{port}/healthz"), str::to_owned);
    let answer = ask(&url).or_else(|error| {
        // Nobody said whether it speaks TLS.
        let secure = url.replacen("http:", "https:", 1);
        if secure == url { Err(error) } else { ask(&secure).map_err(|_| error) }
    });
    match answer {
        Ok(status) if status.contains(" 200 ") => Ok(()),
        Ok(status) => Err(Failure::plain(format!("{url} answered `{}`", status.trim()))),
        Err(error) => Err(Failure::plain(format!("{url} does not answer: {error}"))),
    }
}

/// The status line.
fn ask(url: &str) -> Result<String, Box<dyn std::error::Error>> {
    let url = url::Url::parse(url)?;
    let host = url.host_str().ok_or("there is no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().ok_or("there is no port")?;
    let address = (host.as_str(), port).to_socket_addrs()?.next().ok_or("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let request = format!("GET {} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n", url.path());
    let mut first = [0; 64];
    let read = if url.scheme() == "https" {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        let mut connection = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(host)?)?;
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        tls.write_all(request.as_bytes())?;
        tls.read(&mut first)?
    } else {
        stream.write_all(request.as_bytes())?;
        stream.read(&mut first)?
    };
    let text = String::from_utf8_lossy(&first[..read]).into_owned();
    text.lines()
        .next()
        .filter(|l| l.starts_with("HTTP/"))
        .map(str::to_owned)
        .ok_or_else(|| "that is no HTTP".into())
}

/// Health is asked for, not identity: nothing secret is sent.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
