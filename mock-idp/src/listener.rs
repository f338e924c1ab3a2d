//! A port that is open, refuses, resets or swallows connections, and can change between these while it lives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Scheme, StartError};
use crate::fault::{Endpoint, Gate};
use crate::record::{Party, Record, Recorder, Via};
use crate::syn;

/// A stalled TLS handshake is given up after this long.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// Who is on the other side of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) port: u16,
    pub(crate) requests: Arc<AtomicU32>,
}

/// A bound port and what is served there.
pub(crate) struct Listener {
    pub(crate) issuer: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) scheme: Scheme,
    pub(crate) router: Router,
    pub(crate) recorder: Option<Recorder>,
    socket: Socket,
    address: SocketAddr,
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
            router: Router::new(),
            recorder,
            socket,
            address,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves until dropped, as the gate says.
    pub(crate) async fn serve(mut self, mut gate: watch::Receiver<Gate>) {
        let mut connections = JoinSet::new();
        loop {
            let now = *gate.borrow_and_update();
            let changed = gate.changed();
            let ended = match now {
                Gate::Open => tokio::select! {
                    () = self.open(&mut connections) => true,
                    changed = changed => changed.is_err(),
                },
                Gate::Reset => tokio::select! {
                    () = self.reset() => true,
                    changed = changed => changed.is_err(),
                },
                Gate::Refused => {
                    self.stop_listening();
                    let ended = changed.await.is_err();
                    let _ = self.socket.listen(1024);
                    ended
                }
                Gate::Blackhole => {
                    let hole = syn::Blackhole::dig(&self.socket, self.address);
                    let ended = tokio::select! {
                        () = hole.watch(|peer_port| self.contact(peer_port, Via::Syn)) => true,
                        changed = changed => changed.is_err(),
                    };
                    drop(hole);
                    let _ = self.socket.listen(1024);
                    ended
                }
            };
            if ended {
                return;
            }
        }
    }

    /// The same port, bound and not listened on: connections are refused and nobody else gets it.
    fn stop_listening(&mut self) {
        // The port is free for us only once the listening socket is closed.
        let placeholder = Socket::new(Domain::for_address(self.address), Type::STREAM, None);
        if let Ok(placeholder) = placeholder {
            drop(std::mem::replace(&mut self.socket, placeholder));
            let _ = self.socket.set_reuse_address(true);
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

    async fn open(&self, connections: &mut JoinSet<()>) {
        let Some(acceptor) = self.acceptor() else { return std::future::pending().await };
        loop {
            match acceptor.accept().await {
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

    async fn reset(&self) {
        let Some(acceptor) = self.acceptor() else { return std::future::pending().await };
        loop {
            if let Ok((stream, peer)) = acceptor.accept().await {
                self.contact(peer.port(), Via::Accept);
                // Linger of zero: closing sends RST.
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
        }
    }

    fn connection(&self, stream: TcpStream, peer_port: u16) -> impl Future<Output = ()> + Send + use<> {
        let peer = Peer { port: peer_port, requests: Arc::default() };
        let requests = peer.requests.clone();
        let router = self.router.clone().layer(Extension(peer));
        let scheme = self.scheme.clone();
        let recorder = self.recorder.clone();
        let (issuer, endpoint) = (self.issuer.clone(), self.endpoint);
        async move {
            let _ = stream.set_nodelay(true);
            let by = match scheme {
                Scheme::Http => talk(stream, router).await,
                Scheme::Https(config) => {
                    let acceptor = tokio_rustls::TlsAcceptor::from(config);
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => talk(stream, router).await,
                        Ok(Err(_)) => Party::Peer,
                        Err(_) => Party::Us,
                    }
                }
            };
            if let Some(recorder) = recorder {
                let requests = requests.load(Ordering::Relaxed);
                recorder(Record::Closed { issuer, endpoint, peer_port, by, requests });
            }
        }
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) -> Party {
    let builder = Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    Party::Peer
}

fn bound(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A port whose last user is in TIME_WAIT is free; one that is listened on is not.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
