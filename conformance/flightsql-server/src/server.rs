//! A server as a value: started on free ports, changed while it runs, stopped when dropped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Http2, ListenerTls, StartError};
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
            locations: Mutex::default(),
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
                tls: match config.other_tls.get(&label) {
                    Some(other) => Some(other.clone()),
                    None => config.tls.clone().map(ListenerTls::With),
                },
                label,
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

    /// From now on endpoints in answers to calls at this listener say that results are at these places, and nowhere else.
    pub fn set_locations(&self, listener: &str, locations: Vec<String>) {
        let mut all = self.shared.locations.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(listener.to_owned(), locations);
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
    tls: Option<ListenerTls>,
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
        let wire = match self.agree(stream, &mut peer).await {
            Ok(wire) => wire,
            Err(reason) => {
                let (listener, peer_port) = (peer.listener, peer.port);
                self.record(Record::TlsFailed { listener, peer_port, reason });
                return;
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

impl Accepting {
    /// Agrees on TLS, or says why not.
    async fn agree(&self, stream: TcpStream, peer: &mut Peer) -> Result<Wire, String> {
        let config = match &self.tls {
            None => return Ok(Wire::Plain(stream)),
            Some(ListenerTls::Missing) => {
                let mut first = [0];
                return match stream.peek(&mut first).await {
                    Ok(1) if first[0] == HANDSHAKE_RECORD => {
                        Err("the client began TLS, and there is none".to_owned())
                    }
                    _ => Ok(Wire::Plain(stream)),
                };
            }
            Some(ListenerTls::Answer(bytes)) => return Err(answered(stream, bytes).await),
            Some(ListenerTls::With(config)) => config.clone(),
        };
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                peer.certificate = certificates.and_then(<[_]>::first).and_then(name_in);
                Ok(Wire::Tls(Box::new(stream)))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the TLS handshake was not finished".to_owned()),
        }
    }
}

/// The first byte of a TLS handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// Answers the first message with these bytes, and waits for what the client makes of them.
async fn answered(mut stream: TcpStream, bytes: &[u8]) -> String {
    let mut hello = [0; 1024];
    if stream.read(&mut hello).await.is_ok_and(|n| n > 0) {
        let _ = stream.write_all(bytes).await;
        // The alert that the client sends.
        let _ = tokio::time::timeout(HANDSHAKE, stream.read(&mut hello)).await;
    }
    "the handshake was answered with fixed bytes".to_owned()
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
