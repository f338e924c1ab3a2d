//! What an issuer tells of: every contact, request and end of a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::secret::Secret;

/// Called at the moment of the fact; the caller stamps the time.
pub type Recorder = Arc<dyn Fn(Record) + Send + Sync>;

/// One fact.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// A connection came, or was tried.
    Contact {
        /// The issuer's label.
        issuer: String,
        /// What is served on that port.
        endpoint: Endpoint,
        /// The port.
        port: u16,
        /// The other side's port.
        peer_port: u16,
        /// Accepted, or an attempt that was not answered.
        via: Via,
    },
    /// TLS was not agreed on.
    TlsFailed {
        /// The issuer's label.
        issuer: String,
        /// What is served on that port.
        endpoint: Endpoint,
        /// The other side's port.
        peer_port: u16,
        /// What went wrong.
        reason: String,
    },
    /// A request to anything but the token endpoint.
    Request {
        /// The issuer's label.
        issuer: String,
        /// What was asked for.
        endpoint: Endpoint,
        /// The HTTP method.
        method: String,
        /// Path and query as on the wire.
        path: String,
        /// The other side's port.
        peer_port: u16,
        /// Status of the answer; `None` if none is given.
        status: Option<u16>,
        /// The `Authorization` header.
        authorization: Option<Secret>,
        /// The faults that it met, by the names that they are set with.
        faults: Vec<String>,
    },
    /// A request to the token endpoint.
    Token(Box<TokenRequest>),
    /// A request met a fault. Told when it does: its own record comes with its answer, and may not come at all.
    Fault {
        /// The issuer's label.
        issuer: String,
        /// What was asked for.
        endpoint: Endpoint,
        /// The name that the fault is set with.
        fault: String,
        /// The other side's port.
        peer_port: u16,
    },
    /// A connection ended.
    Closed {
        /// The issuer's label.
        issuer: String,
        /// What is served on that port.
        endpoint: Endpoint,
        /// The other side's port.
        peer_port: u16,
        /// Who ended it.
        by: Party,
        /// How many requests it carried.
        requests: u32,
    },
    /// A request reached an origin that nobody configured.
    Elsewhere {
        /// Its label.
        issuer: String,
        /// The HTTP method.
        method: String,
        /// Path and query as on the wire.
        path: String,
        /// The `Authorization` header.
        authorization: Option<Secret>,
        /// The body.
        body: Secret,
    },
}

/// How a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// It was accepted.
    Accept,
    /// It was tried and not answered.
    Syn,
}

impl Via {
    /// Its word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Syn => "syn",
        }
    }
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The other side.
    Peer,
    /// The issuer.
    Us,
}

impl Party {
    /// Its word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Us => "us",
        }
    }
}

/// Credentials of a client as they arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Presented {
    /// The client id, decoded.
    pub client_id: String,
    /// The secret, decoded.
    pub secret: Secret,
    /// Encoded as RFC 6749 §2.3.1 asks.
    pub well_formed: bool,
}

/// A token that was issued.
#[derive(Debug, Clone, Serialize)]
pub struct IssuedToken {
    /// The token.
    pub token: Secret,
    /// To whom.
    pub client_id: String,
    /// Its `jti`.
    pub id: String,
    /// How long it lives.
    pub lifetime: Duration,
    /// End of its life, seconds since 1970.
    pub expires: u64,
    /// It was revoked since.
    pub revoked: bool,
}

/// A request to the token endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct TokenRequest {
    /// The issuer's label.
    pub issuer: String,
    /// The HTTP method.
    pub method: String,
    /// The path as on the wire.
    pub path: String,
    /// The query as on the wire.
    pub query: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// Credentials in the header.
    pub basic: Option<Presented>,
    /// Credentials in the body.
    pub post: Option<Presented>,
    /// Parameters of the body in order, secrets as `[redacted]`.
    pub params: Vec<(String, String)>,
    /// `grant_type`.
    pub grant_type: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `audience`.
    pub audience: Option<String>,
    /// Status of the answer; `None` if none is given.
    pub status: Option<u16>,
    /// Error code of the answer.
    pub error: Option<String>,
    /// The token that was issued.
    pub granted: Option<IssuedToken>,
    /// The faults that it met, by the names that they are set with.
    pub faults: Vec<String>,
    /// When the request was read.
    #[serde(skip)]
    pub arrived: Instant,
    /// The other side's port.
    pub peer_port: u16,
}
