//! What a server is like.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use crate::attribution::Attribution;
use crate::defect::Defect;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::issuer_tls;
use crate::record::Recorder;
use crate::rendezvous::Rendezvous;
use crate::secret::Secret;

/// One server.
#[derive(Clone)]
pub struct Config {
    /// One label a listener, each on a free port of 127.0.0.1: who comes there needs no other name.
    pub listeners: Vec<String>,
    /// TLS with ALPN `h2` in it, or plaintext.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// SQL engine and tables, shared by the servers of a process.
    pub engine: Engine,
    /// How callers authenticate.
    pub ways_in: WaysIn,
    /// Where endpoints say that their results are, `arrow-flight-reuse-connection://?` or `grpc+tls://host:port`; none
    /// means the connection that asked.
    pub locations: Vec<String>,
    /// Flow control; tiny windows make an upload crawl.
    pub http2: Http2,
    /// Ways to misbehave from the start.
    pub faults: Vec<Fault>,
    /// Callers that wait for each other.
    pub rendezvous: Option<Rendezvous>,
    /// TLS towards issuers, see [`crate::issuer_tls`].
    pub issuer_tls: Arc<rustls::ClientConfig>,
    /// Told of everything, at the moment when it happens.
    pub recorder: Recorder,
    /// Listeners whose TLS is another than that of the rest, by label.
    pub other_tls: BTreeMap<String, ListenerTls>,
}

/// The TLS of one listener.
#[derive(Debug, Clone)]
pub enum ListenerTls {
    /// With these settings.
    With(Arc<rustls::ServerConfig>),
    /// None, although clients may begin it.
    Missing,
    /// The first message is answered with these bytes, and nothing more is said.
    Answer(&'static [u8]),
}

impl Config {
    /// Plaintext, one listener `main`, no way in, issuers over plain HTTP only, nothing unusual.
    pub fn new(engine: Engine, recorder: Recorder) -> Self {
        Self {
            listeners: vec!["main".to_owned()],
            tls: None,
            engine,
            ways_in: WaysIn::default(),
            locations: Vec::new(),
            http2: Http2::default(),
            faults: Vec::new(),
            rendezvous: None,
            issuer_tls: issuer_tls::trust_nobody(),
            recorder,
            other_tls: BTreeMap::new(),
        }
    }
}

/// How callers authenticate.
#[derive(Debug, Clone, Default)]
pub struct WaysIn {
    /// Callers without any credentials are served.
    pub anonymous: bool,
    /// Username and password, by Handshake.
    pub basic: Vec<(String, Secret)>,
    /// Username and password are good in every call, too: arrow-go's `database/sql` driver sends them so.
    pub basic_in_calls: bool,
    /// Fixed bearer tokens.
    pub static_tokens: Vec<Secret>,
    /// Where a Handshake's token is put.
    pub handshake: HandshakeAnswer,
    /// A certificate that the TLS configuration has verified is a way in: its first URI or DNS name is the principal.
    pub certificates: bool,
    /// What is done about attribution headers.
    pub attribution: Attribution,
    /// Tokens of these issuers. An issuer may be there several times, for several audiences.
    pub oauth: Vec<TrustedIssuer>,
    /// A way to misjudge callers on purpose.
    pub defect: Option<Defect>,
}

/// Where a Handshake's token is put.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HandshakeAnswer {
    /// In the header `authorization`, and in a message besides: what most clients look for.
    #[default]
    Header,
    /// In the trailer `authorization` only.
    Trailer,
    /// In the message only.
    Payload,
}

/// Settings of HTTP/2.
#[derive(Debug, Clone, Copy)]
pub struct Http2 {
    /// Bytes that a client may send in one stream before it is told to go on.
    pub stream_window: u32,
    /// The same for all streams of a connection.
    pub connection_window: u32,
    /// Calls at once on a connection.
    pub max_streams: u32,
}

impl Default for Http2 {
    fn default() -> Self {
        Self { stream_window: 1 << 20, connection_window: 4 << 20, max_streams: 1024 }
    }
}

/// An issuer whose tokens are taken.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Where its discovery document is; may be on another host than the issuer.
    pub discovery_url: String,
    /// `aud` that its tokens must have.
    pub audience: String,
    /// Signature algorithms that are taken.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ.
    pub leeway: Duration,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for a free one")]
    Listen {
        /// Host and port.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}
