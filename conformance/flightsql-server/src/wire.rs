//! HTTP/2 under the calls: connections that a call can break, streams that it can reset, headers that it can add. What
//! gRPC has no words for happens here.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::Service as _;

use crate::config::Http2;
use crate::connection::{Connection, Peer};
use crate::gate::Gate;

/// Tokens with many groups make long headers.
const HEADER_LIMIT: u32 = 256 * 1024;
/// So much of an answer waits for a slow reader.
const SEND_BUFFER: usize = 1 << 20;

/// How a stream ends against the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// RST_STREAM.
    Reset,
    /// The whole connection is gone.
    Disconnect,
}

/// What a call may do to its stream and connection.
#[derive(Clone)]
pub(crate) struct Control {
    connection: ConnectionControl,
    call: Arc<Mutex<Call>>,
}

#[derive(Default)]
struct Call {
    cut: Option<Cut>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What may be done to a connection.
#[derive(Clone)]
pub(crate) struct ConnectionControl {
    /// GOAWAY: calls under way go on, new ones need a new connection.
    pub(crate) go_away: CancellationToken,
    /// The end.
    pub(crate) end: CancellationToken,
}

impl Control {
    /// From here on nothing more is sent; the stream ends like this once what was sent before is out.
    pub(crate) fn cut(&self, cut: Cut) {
        self.call().cut = Some(cut);
    }

    /// Adds a header to the head of the answer. What cannot be a header is left out.
    pub(crate) fn add_header(&self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.call().headers.push((name, value));
        }
    }

    pub(crate) fn go_away(&self) {
        self.connection.go_away.cancel();
    }

    fn call(&self) -> std::sync::MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the stream is to end now.
    fn is_cut(&self) -> bool {
        let cut = self.call().cut;
        if cut == Some(Cut::Disconnect) {
            self.connection.end.cancel();
        }
        cut.is_some()
    }
}

/// Serves one connection until it ends, or is ended.
pub(crate) async fn serve(
    connection: Connection,
    peer: Peer,
    control: ConnectionControl,
    gate: Gate,
    http2: Http2,
) {
    let service = FlightServiceServer::new(gate)
        .max_decoding_message_size(64 * 1024 * 1024)
        .max_encoding_message_size(64 * 1024 * 1024);
    let service = Wired { service, peer, connection: control.clone() };
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_LIMIT)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(http2.max_streams)
        .initial_stream_window_size(http2.stream_window)
        .initial_connection_window_size(http2.connection_window);
    let serving = builder.serve_connection(TokioIo::new(connection), service);
    let mut serving = std::pin::pin!(serving);
    let mut going = false;
    loop {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = control.go_away.cancelled(), if !going => {
                going = true;
                serving.as_mut().graceful_shutdown();
            }
            () = control.end.cancelled() => return,
        }
    }
}

/// The service with what is known of the connection.
struct Wired {
    service: FlightServiceServer<Gate>,
    peer: Peer,
    connection: ConnectionControl,
}

impl hyper::service::Service<Request<Incoming>> for Wired {
    type Response = Response<Guarded>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let control = Control { connection: self.connection.clone(), call: Arc::default() };
        request.extensions_mut().insert(self.peer.clone());
        request.extensions_mut().insert(control.clone());
        let answer = self.service.clone().call(request);
        Box::pin(async move {
            let mut response = answer.await.unwrap_or_else(|never| match never {});
            if control.is_cut() && response.headers().contains_key("grpc-status") {
                return Err(on_purpose());
            }
            let headers = std::mem::take(&mut control.call().headers);
            for (name, value) in headers {
                response.headers_mut().append(name, value);
            }
            Ok(response.map(|inner| Guarded { inner, control }))
        })
    }
}

fn on_purpose() -> std::io::Error {
    std::io::Error::other("cut on purpose")
}

/// An answer's body that ends when its call says so.
pub(crate) struct Guarded {
    inner: tonic::body::Body,
    control: Control,
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(frame) => {
                Poll::Ready(frame.map(|frame| frame.map_err(|status: Status| status.into())))
            }
            // What was handed over before is sent first: only then nothing more is ready.
            Poll::Pending if self.control.is_cut() => Poll::Ready(Some(Err(on_purpose().into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
