//! A port that is open, refuses, resets or swallows connections, and can change between these while it lives.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::call::Peer;
use crate::config::{Scheme, StartError};
use crate::fault::{ConnectionFault, Endpoint, Gate, TlsFault};
use crate::host::Host;
use crate::record::{Party, Record, Recorder, Via};
use crate::service::{Role, serve};
use crate::syn;
use crate::tls::{Mishaps, OLD_SERVER_HELLO};
use crate::wire::{Obedient, Wire};

/// A stalled TLS handshake is given up after this long.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// Headers of a request have to be here by then.
const HEADERS: Duration = Duration::from_secs(60);

/// What is served on a port.
#[derive(Clone)]
pub(crate) enum Served {
    /// The endpoints of a host.
    Host(Weak<Host>, Role),
    /// Something else.
    Other(axum::Router),
}

/// A bound port and what is served there.
pub(crate) struct Listener {
    pub(crate) issuer: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) scheme: Scheme,
    pub(crate) served: Served,
    pub(crate) recorder: Option<Recorder>,
    /// Certificates for what can be wrong with TLS.
    pub(crate) mishaps: Option<Arc<Mishaps>>,
    /// No more connections then, and those that there are end after their answer.
    pub(crate) stopping: CancellationToken,
    /// What ends the connections that are open now, but not those to come.
    pub(crate) ending: Arc<Mutex<CancellationToken>>,
    socket: Socket,
    address: SocketAddr,
    hole: Option<syn::Blackhole>,
    /// Our own connections from a black hole's time, still in the queue.
    fillers: BTreeSet<u16>,
}

impl Listener {
    /// Binds; nothing is accepted yet.
    pub(crate) fn bind(
        address: SocketAddr,
        issuer: &str,
        endpoint: Endpoint,
        scheme: Scheme,
        recorder: Option<Recorder>,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address: address.to_string(), source };
        let socket = bound(address).map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        let address = local.as_socket().expect("an IP socket has an IP address");
        // Found out now, not by the first client, whether another process listens here.
        socket.listen(1024).map_err(failed)?;
        Ok(Self {
            issuer: issuer.to_owned(),
            endpoint,
            scheme,
            served: Served::Other(axum::Router::new()),
            recorder,
            mishaps: None,
            stopping: CancellationToken::new(),
            ending: Arc::default(),
            socket,
            address,
            hole: None,
            fillers: BTreeSet::new(),
        })
    }

    /// Digs a black hole before anybody knows the address: a client that came first would be let into the queue.
    pub(crate) async fn dig(&mut self) {
        let Ok(socket) = self.socket.try_clone() else { return };
        let address = self.address;
        let hole = move || syn::Blackhole::dig_at_a_new_port(&socket, address);
        self.hole = tokio::task::spawn_blocking(hole).await.ok();
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves until dropped, as the gate says.
    pub(crate) async fn serve(mut self, mut gate: watch::Receiver<Gate>) {
        let mut connections = JoinSet::new();
        loop {
            let now = *gate.borrow_and_update();
            if now != Gate::Blackhole
                && let Some(hole) = self.hole.take()
            {
                self.fill_up(hole);
            }
            let changed = gate.changed();
            let stopping = self.stopping.clone();
            let ended = match now {
                Gate::Open => tokio::select! {
                    () = self.open(&mut connections) => true,
                    () = stopping.cancelled() => {
                        while connections.join_next().await.is_some() {}
                        return;
                    }
                    changed = changed => changed.is_err(),
                },
                Gate::Refused => {
                    self.stop_listening();
                    let ended = tokio::select! {
                        changed = changed => changed.is_err(),
                        () = stopping.cancelled() => true,
                    };
                    let _ = self.socket.listen(1024);
                    ended
                }
                Gate::Blackhole => {
                    let dug = self.hole.take();
                    let hole = dug.unwrap_or_else(|| syn::Blackhole::dig(&self.socket, self.address));
                    let ended = tokio::select! {
                        () = hole.watch(|peer_port| self.contact(peer_port, Via::Syn)) => true,
                        changed = changed => changed.is_err(),
                        () = stopping.cancelled() => true,
                    };
                    self.fill_up(hole);
                    ended
                }
            };
            if ended {
                return;
            }
        }
    }

    /// Ends a black hole: the port is served from now on.
    fn fill_up(&mut self, hole: syn::Blackhole) {
        self.fillers.extend(hole.own_ports());
        drop(hole);
        let _ = self.socket.listen(1024);
    }

    /// The same port, bound and not listened on: connections are refused and nobody else gets it.
    fn stop_listening(&mut self) {
        let Ok(placeholder) = Socket::new(Domain::for_address(self.address), Type::STREAM, None) else {
            return;
        };
        let _ = placeholder.set_reuse_address(true);
        let _ = placeholder.set_reuse_port(true);
        // A port that the system chose is shared for a moment, so that nobody takes it in between; one that the user chose is
        // free for us only once the listening socket is closed.
        if placeholder.bind(&self.address.into()).is_ok() {
            self.socket = placeholder;
        } else {
            drop(std::mem::replace(&mut self.socket, placeholder));
            let _ = self.socket.bind(&self.address.into());
        }
    }

    fn contact(&self, peer_port: u16, via: Via) {
        if let Some(recorder) = &self.recorder {
            recorder(Record::Contact {
                issuer: self.issuer.clone(),
                endpoint: self.endpoint,
                port: self.address.port(),
                peer_port,
                via,
            });
        }
    }

    fn acceptor(&self) -> Option<TcpListener> {
        let socket = self.socket.try_clone().ok()?;
        socket.set_nonblocking(true).ok()?;
        TcpListener::from_std(socket.into()).ok()
    }

    async fn open(&mut self, connections: &mut JoinSet<()>) {
        let Some(acceptor) = self.acceptor() else { return std::future::pending().await };
        loop {
            match acceptor.accept().await {
                Ok((_, peer)) if self.fillers.remove(&peer.port()) => {}
                Ok((stream, peer)) => {
                    self.contact(peer.port(), Via::Accept);
                    connections.spawn(self.connection(stream, peer.port()));
                }
                // Out of file descriptors: others will end.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            while connections.try_join_next().is_some() {}
        }
    }

    /// What is to be done to the next connection.
    fn fault(&self) -> Option<ConnectionFault> {
        match &self.served {
            Served::Host(host, Role::Front) => host.upgrade()?.faults.connection(self.endpoint),
            Served::Host(..) | Served::Other(_) => None,
        }
    }

    fn connection(&self, stream: TcpStream, peer_port: u16) -> impl Future<Output = ()> + Send + use<> {
        let wire = Wire::of(&stream);
        let by_admin_port = matches!(self.served, Served::Host(_, Role::Admin));
        let peer = Peer { port: peer_port, requests: Arc::default(), wire, certificate: None, by_admin_port };
        let requests = peer.requests.clone();
        let served = self.served.clone();
        let scheme = self.scheme.clone();
        let recorder = self.recorder.clone();
        let mishaps = self.mishaps.clone();
        let fault = self.fault();
        let stopping = self.ending.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (issuer, endpoint) = (self.issuer.clone(), self.endpoint);
        async move {
            let _ = stream.set_nodelay(true);
            let ended = match (fault, scheme) {
                (Some(ConnectionFault::Reset), _) => {
                    peer.wire.end_with_reset();
                    return;
                }
                (Some(ConnectionFault::Silent), _)
                | (Some(ConnectionFault::Tls(TlsFault::StalledHandshake)), Scheme::Https(_)) => {
                    Ok(silent(stream).await)
                }
                (Some(ConnectionFault::Tls(TlsFault::Missing)), Scheme::Https(_)) => {
                    in_the_clear(stream, served, peer, stopping).await
                }
                (Some(ConnectionFault::Tls(TlsFault::OldVersion)), Scheme::Https(_)) => {
                    old_version(stream).await
                }
                (Some(ConnectionFault::Tls(fault)), Scheme::Https(usual)) => {
                    let config = mishaps.and_then(|m| m.server_config(fault)).unwrap_or(usual);
                    encrypted(stream, config, served, peer, stopping).await
                }
                (Some(ConnectionFault::Tls(_)) | None, Scheme::Http) => {
                    Ok(talk(stream, served, peer, stopping).await)
                }
                (None, Scheme::Https(config)) => encrypted(stream, config, served, peer, stopping).await,
            };
            if let Some(recorder) = recorder {
                let by = ended.unwrap_or_else(|NoTls { by, reason }| {
                    recorder(Record::TlsFailed { issuer: issuer.clone(), endpoint, peer_port, reason });
                    by
                });
                let requests = requests.load(Ordering::Relaxed);
                recorder(Record::Closed { issuer, endpoint, peer_port, by, requests });
            }
        }
    }
}

/// Takes nothing and says nothing until the other side goes.
async fn silent(stream: TcpStream) -> Party {
    loop {
        if stream.ready(tokio::io::Interest::ERROR | tokio::io::Interest::READABLE).await.is_err() {
            return Party::Peer;
        }
        // Looked at, not read: the end of the stream shows as nothing to peek at.
        let mut byte = [0; 1];
        match stream.peek(&mut byte).await {
            Ok(0) | Err(_) => return Party::Peer,
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// TLS was not agreed on.
struct NoTls {
    by: Party,
    reason: String,
}

/// Answers the first message of a handshake as a server that speaks TLS 1.0 only.
async fn old_version(mut stream: TcpStream) -> Result<Party, NoTls> {
    let mut hello = [0; 1024];
    if stream.read(&mut hello).await.is_ok_and(|n| n > 0) {
        let _ = stream.write_all(&OLD_SERVER_HELLO).await;
        // The alert that the client sends.
        let _ = tokio::time::timeout(HANDSHAKE, stream.read(&mut hello)).await;
    }
    Err(NoTls { by: Party::Peer, reason: "TLS 1.0 was offered, and nothing else".to_owned() })
}

/// The first byte of a TLS handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// Speaks plain HTTP where TLS is published.
async fn in_the_clear(
    stream: TcpStream,
    served: Served,
    peer: Peer,
    stopping: CancellationToken,
) -> Result<Party, NoTls> {
    let mut first = [0];
    let began_tls = stream.peek(&mut first).await.is_ok_and(|n| n == 1 && first[0] == HANDSHAKE_RECORD);
    let by = talk(stream, served, peer, stopping).await;
    if began_tls {
        return Err(NoTls { by, reason: "the client began TLS, and there is none".to_owned() });
    }
    Ok(by)
}

async fn encrypted(
    stream: TcpStream,
    config: Arc<rustls::ServerConfig>,
    served: Served,
    mut peer: Peer,
    stopping: CancellationToken,
) -> Result<Party, NoTls> {
    let wire = peer.wire.clone();
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    // Slow bytes and broken connections are below TLS.
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(Obedient::new(stream, wire))).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates();
            peer.certificate = certificates.and_then(|c| c.first()).map(|c| Arc::new(c.to_vec()));
            Ok(converse(stream, served, peer, stopping).await)
        }
        Ok(Err(error)) => Err(NoTls { by: Party::Peer, reason: error.to_string() }),
        Err(_) => Err(NoTls { by: Party::Us, reason: "the handshake was not finished".to_owned() }),
    }
}

async fn talk(stream: TcpStream, served: Served, peer: Peer, stopping: CancellationToken) -> Party {
    let wire = peer.wire.clone();
    converse(Obedient::new(stream, wire), served, peer, stopping).await
}

/// An answer was refused on purpose: the connection ends.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
struct Unanswered;

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    served: Served,
    peer: Peer,
    stopping: CancellationToken,
) -> Party {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (served, peer) = (served.clone(), peer.clone());
        async move {
            let request = request.map(Body::new);
            let response = match served {
                Served::Host(host, role) => match host.upgrade() {
                    Some(host) => serve(host, role, peer, request).await,
                    None => None,
                },
                Served::Other(router) => {
                    let answered: Result<_, Infallible> = tower::ServiceExt::oneshot(router, request).await;
                    answered.ok()
                }
            };
            response.ok_or(Unanswered)
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return Party::Peer,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
    Party::Us
}

fn bound(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A port whose last user is in TIME_WAIT is free; one that is listened on is not.
    socket.set_reuse_address(true)?;
    // See `stop_listening`; of a port that the user chose, two programs must not both have it.
    socket.set_reuse_port(address.port() == 0)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
