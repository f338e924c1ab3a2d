//! A server as a value: started on free ports, changed while it runs, stopped when dropped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Http2, StartError};
use crate::connection::{Connection, Peer, Wire, name_in};
use crate::fault::{Fault, Faults};
use crate::gate::{Gate, Shared};
use crate::query::Sql;
use crate::record::Record;
use crate::rendezvous::Meeting;
use crate::ways_in::Door;
use crate::wire::{self, ConnectionControl};

/// A stalled TLS handshake is given up after this long.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// So long calls under way may go on when the server is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// A running server. Dropping it closes its ports and ends its connections, streams in flight included.
pub struct FlightSqlServer {
    ports: BTreeMap<String, u16>,
    shared: Arc<Shared>,
    control: ConnectionControl,
    tasks: JoinSet<()>,
}

impl FlightSqlServer {
    /// Starts a server on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// A port that cannot be listened on.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_at(config, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts a server whose first listener has this address; the others get free ports.
    ///
    /// # Errors
    /// A port that cannot be listened on.
    pub async fn start_at(config: Config, address: SocketAddr) -> Result<Self, StartError> {
        let faults = Faults::default();
        faults.replace(config.faults);
        let shared = Arc::new(Shared {
            door: Door::new(config.ways_in, &http_client(&config.issuer_tls)),
            faults,
            meeting: config.rendezvous.map(Meeting::new),
            recorder: config.recorder.clone(),
            next: AtomicU64::new(1),
        });
        let gate = Gate { shared: shared.clone(), sql: Arc::new(Sql::new(config.engine, config.locations)) };
        let control = ConnectionControl { go_away: CancellationToken::new(), end: CancellationToken::new() };
        let mut tasks = JoinSet::new();
        let mut ports = BTreeMap::new();
        for (nth, label) in config.listeners.into_iter().enumerate() {
            let at = if nth == 0 { address } else { SocketAddr::new(address.ip(), 0) };
            let failed = |source| StartError::Listen { address: at.to_string(), source };
            let listener = TcpListener::bind(at).await.map_err(failed)?;
            ports.insert(label.clone(), listener.local_addr().map_err(failed)?.port());
            let accepting = Accepting {
                label,
                tls: config.tls.clone(),
                gate: gate.clone(),
                http2: config.http2,
                control: control.clone(),
            };
            tasks.spawn(accepting.accept(listener));
        }
        Ok(Self { ports, shared, control, tasks })
    }

    /// The port of a listener.
    pub fn port(&self, label: &str) -> Option<u16> {
        self.ports.get(label).copied()
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.faults.replace(faults);
    }

    /// Every bearer token seen until now answers UNAUTHENTICATED from now on.
    pub fn refuse_tokens_issued_so_far(&self) {
        self.shared.door.refuse_seen();
    }

    /// Stops and waits until every port is closed.
    pub async fn shutdown(mut self) {
        self.control.end.cancel();
        self.tasks.shutdown().await;
    }

    /// Takes no more calls, lets those under way go on for ten seconds, and stops.
    pub async fn drain(mut self) {
        self.control.go_away.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, ended).await;
        self.shutdown().await;
    }
}

impl Drop for FlightSqlServer {
    fn drop(&mut self) {
        self.control.end.cancel();
    }
}

struct Accepting {
    label: String,
    tls: Option<Arc<rustls::ServerConfig>>,
    gate: Gate,
    http2: Http2,
    control: ConnectionControl,
}

impl Accepting {
    async fn accept(self, listener: TcpListener) {
        let accepting = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = accepting.control.go_away.cancelled() => break,
            };
            match accepted {
                Ok((stream, address)) => {
                    let peer =
                        Peer { listener: accepting.label.clone(), port: address.port(), certificate: None };
                    accepting
                        .record(Record::Contact { listener: peer.listener.clone(), peer_port: peer.port });
                    connections.spawn(accepting.clone().serve(stream, peer));
                }
                // Out of file descriptors: others will end.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    fn record(&self, record: Record) {
        (self.gate.shared.recorder)(record);
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, mut peer: Peer) {
        let _ = stream.set_nodelay(true);
        let wire = match &self.tls {
            None => Wire::Plain(stream),
            Some(config) => {
                let acceptor = tokio_rustls::TlsAcceptor::from(config.clone());
                let agreed = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => Ok(stream),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("the TLS handshake was not finished".to_owned()),
                };
                match agreed {
                    Ok(stream) => {
                        let certificates = stream.get_ref().1.peer_certificates();
                        peer.certificate = certificates.and_then(<[_]>::first).and_then(name_in);
                        Wire::Tls(Box::new(stream))
                    }
                    Err(reason) => {
                        let (listener, peer_port) = (peer.listener, peer.port);
                        self.record(Record::TlsFailed { listener, peer_port, reason });
                        return;
                    }
                }
            }
        };
        // Each connection can be ended alone, and all of them together.
        let control = ConnectionControl {
            go_away: self.control.go_away.child_token(),
            end: self.control.end.child_token(),
        };
        let connection = Connection::new(wire, control.end.clone().cancelled_owned());
        wire::serve(connection, peer, control, self.gate.clone(), self.http2).await;
    }
}

/// For the issuers' documents.
fn http_client(tls: &rustls::ClientConfig) -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("the settings are right")
}
