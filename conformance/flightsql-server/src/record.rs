//! What a server tells of: contacts, calls, ends.

use std::sync::Arc;

use serde::Serialize;

use crate::secret::Secret;

/// Called at the moment of the fact; the caller stamps the time.
pub type Recorder = Arc<dyn Fn(Record) + Send + Sync>;

/// One fact.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// A connection was accepted.
    Contact {
        /// The listener's label.
        listener: String,
        /// The other side's port.
        peer_port: u16,
    },
    /// TLS was not agreed on.
    TlsFailed {
        /// The listener's label.
        listener: String,
        /// The other side's port.
        peer_port: u16,
        /// What went wrong.
        reason: String,
    },
    /// The head of a call was judged; its body has not run yet.
    Rpc(Box<Rpc>),
    /// A call ended. One for each [`Record::Rpc`].
    StreamEnd(StreamEnd),
    /// A call met a fault. Told when it does: the call's end may be long after.
    Fault {
        /// Number of the call.
        rpc: u64,
        /// The listener's label.
        listener: String,
        /// The gRPC method.
        method: String,
        /// `status`, `silence`, `delay`, `slow`, `stall`, `reset`, `disconnect`, `go-away`, `headers`, `no-token` or
        /// `wrong-token`.
        fault: &'static str,
    },
    /// So many callers were inside at once.
    Rendezvous {
        /// The gRPC method.
        method: String,
        /// How many.
        parties: usize,
    },
}

/// The head of a call.
#[derive(Debug, Clone, Serialize)]
pub struct Rpc {
    /// Its number.
    pub id: u64,
    /// The listener's label.
    pub listener: String,
    /// The other side's port.
    pub peer_port: u16,
    /// `GetFlightInfo`, `DoGet`, `Handshake` and so on.
    pub method: String,
    /// `StatementQuery`, `GetTables`, `CreatePreparedStatement` and so on.
    pub command: Option<String>,
    /// The SQL.
    pub sql: Option<String>,
    /// Every value of `authorization`, in order.
    pub authorization: Vec<Presented>,
    /// Attribution headers with all their values.
    pub attribution: Vec<(String, Vec<String>)>,
    /// Every value of `cookie`.
    pub cookies: Vec<Secret>,
    /// All headers with all their values, but for `authorization` and `cookie`, which are above.
    pub headers: Vec<(String, Vec<String>)>,
    /// Whom the caller is taken to be.
    pub principal: Option<String>,
    /// The code with which the head was refused.
    pub refused: Option<String>,
    /// Milliseconds until the `exp` of a JWT, also of a refused one.
    pub remaining_ms: Option<i64>,
}

/// One value of `authorization`.
#[derive(Debug, Clone, Serialize)]
pub struct Presented {
    /// The scheme as sent.
    pub scheme: String,
    /// What follows it.
    pub credential: Secret,
    /// What it is worth.
    pub state: TokenState,
}

/// What a credential is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenState {
    /// A token of a trusted issuer.
    Valid,
    /// A token of a trusted issuer past its life.
    Expired,
    /// A token that was seen before it was decided to take none of those any more.
    Refused,
    /// A token of somebody else, for somebody else, or with a bad signature.
    Unknown,
    /// No token at all.
    Malformed,
    /// The static token.
    StaticValid,
    /// The token that a Handshake gave.
    SessionValid,
    /// Username and password in a Handshake, right.
    BasicValid,
    /// Username and password, wrong or not in a Handshake.
    BasicInvalid,
}

/// The end of a call.
#[derive(Debug, Clone, Serialize)]
pub struct StreamEnd {
    /// Number of the call.
    pub rpc: u64,
    /// The listener's label.
    pub listener: String,
    /// The gRPC method.
    pub method: String,
    /// The Flight SQL command.
    pub command: Option<String>,
    /// The SQL.
    pub sql: Option<String>,
    /// Rows that were handed over, or put by the client.
    pub rows: u64,
    /// Bytes that were handed over, or put by the client.
    pub bytes: u64,
    /// The gRPC code, for instance `OK`.
    pub code: String,
    /// The peer was gone before the end.
    pub aborted_by_peer: bool,
}

/// A gRPC code as the specification writes it.
pub(crate) fn code_name(code: tonic::Code) -> String {
    use tonic::Code as C;
    let name = match code {
        C::Ok => "OK",
        C::Cancelled => "CANCELLED",
        C::Unknown => "UNKNOWN",
        C::InvalidArgument => "INVALID_ARGUMENT",
        C::DeadlineExceeded => "DEADLINE_EXCEEDED",
        C::NotFound => "NOT_FOUND",
        C::AlreadyExists => "ALREADY_EXISTS",
        C::PermissionDenied => "PERMISSION_DENIED",
        C::ResourceExhausted => "RESOURCE_EXHAUSTED",
        C::FailedPrecondition => "FAILED_PRECONDITION",
        C::Aborted => "ABORTED",
        C::OutOfRange => "OUT_OF_RANGE",
        C::Unimplemented => "UNIMPLEMENTED",
        C::Internal => "INTERNAL",
        C::Unavailable => "UNAVAILABLE",
        C::DataLoss => "DATA_LOSS",
        C::Unauthenticated => "UNAUTHENTICATED",
    };
    name.to_owned()
}
