//! Connections that know which listener they came by, and that end at once when the server is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Who is on the other side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    pub(crate) listener: String,
    pub(crate) port: u16,
    /// The name in the certificate that TLS has verified.
    pub(crate) certificate: Option<String>,
}

/// With or without TLS.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection.
pub(crate) struct Connection {
    wire: Wire,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    pub(crate) fn new(wire: Wire, stopped: WaitForCancellationFutureOwned) -> Self {
        Self { wire, stopped: Box::pin(stopped) }
    }

    fn is_stopped(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        use std::future::Future as _;
        match self.stopped.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Poll::Ready(stopped) = self.is_stopped(context) {
            return Poll::Ready(stopped);
        }
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(Err(stopped)) = self.is_stopped(context) {
            return Poll::Ready(Err(stopped));
        }
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// The name in a client's certificate: a URI (SPIFFE), else a DNS name.
pub(crate) fn name_in(certificate: &rustls::pki_types::CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let name = certificate.valid_uri_names().next().or_else(|| certificate.valid_dns_names().next());
    name.map(str::to_owned)
}
