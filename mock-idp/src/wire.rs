//! The bytes of a connection: slowed down, or ended without manners, when a fault asks for it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A handle to a connection, for whoever answers a request on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Bytes a second; 0 is as fast as they go.
    rate: AtomicU64,
    /// The socket, to make its end a reset.
    socket: Option<socket2::Socket>,
    broken: AtomicBool,
}

impl Wire {
    /// A handle to this connection.
    pub(crate) fn of(stream: &tokio::net::TcpStream) -> Self {
        let socket = socket2::SockRef::from(stream).try_clone().ok();
        Self(Arc::new(State { rate: AtomicU64::new(0), socket, broken: AtomicBool::new(false) }))
    }

    /// From now on so many bytes a second go out, headers and all.
    pub(crate) fn slow_down(&self, bytes_per_second: u64) {
        self.0.rate.store(bytes_per_second.max(1), Ordering::Relaxed);
    }

    /// The next write fails: the connection ends in the middle of what it says.
    pub(crate) fn break_off(&self) {
        self.0.broken.store(true, Ordering::Relaxed);
    }

    /// The connection ends with RST instead of FIN.
    pub(crate) fn end_with_reset(&self) {
        if let Some(socket) = &self.0.socket {
            // A linger of zero throws unsent bytes away and sends RST on close.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

/// A stream that obeys its [`Wire`].
pub(crate) struct Obedient<S> {
    stream: S,
    wire: Wire,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Obedient<S> {
    pub(crate) fn new(stream: S, wire: Wire) -> Self {
        Self { stream, wire, pause: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Obedient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Obedient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.wire.0.broken.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let rate = self.wire.0.rate.load(Ordering::Relaxed);
        if rate == 0 {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        // A tenth of a second's worth at a time, at least a byte.
        let chunk = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1).min(buf.len());
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &buf[..chunk]))?;
        let pause = Duration::from_secs_f64(written as f64 / rate as f64);
        self.pause = Some(Box::pin(sleep_until(Instant::now() + pause)));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
