//! TLS under a Flight connection as defects do it: tonic's own looks at every certificate and never goes on without TLS.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use crate::behaviour::{Behaviour, Defect};
use crate::failure::Failure;
use crate::tls;

/// Whether a behaviour needs this.
pub(crate) fn is_needed(behaviour: Behaviour) -> bool {
    matches!(
        behaviour.defect,
        Some(
            Defect::TrustsAnyCertificate
                | Defect::FallsBackToPlaintext
                | Defect::Tls13Only
                | Defect::Tls12Only
        )
    )
}

/// A way to agree on TLS.
#[derive(Clone)]
pub(crate) struct Lax {
    tls: TlsConnector,
    behaviour: Behaviour,
}

impl Lax {
    pub(crate) fn new(ca: Option<&[u8]>, behaviour: Behaviour) -> Result<Self, Failure> {
        let mut config = tls::config(ca, behaviour)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), behaviour })
    }

    /// A channel; the endpoint's scheme is `http`, or tonic would ask for its own TLS.
    pub(crate) fn channel(&self, endpoint: &Endpoint) -> Channel {
        let lax = self.clone();
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: tonic::transport::Uri| {
            let lax = lax.clone();
            async move { lax.connect(uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default()).await }
        }))
    }

    async fn connect(&self, host: &str, port: u16) -> std::io::Result<TokioIo<Wire>> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        let stream = TcpStream::connect((host, port)).await?;
        match self.tls.connect(name, stream).await {
            Ok(stream) => Ok(TokioIo::new(Wire::Tls(Box::new(stream)))),
            Err(_) if self.behaviour.has(Defect::FallsBackToPlaintext) => {
                Ok(TokioIo::new(Wire::Plain(TcpStream::connect((host, port)).await?)))
            }
            Err(error) => Err(error),
        }
    }
}

enum Wire {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
