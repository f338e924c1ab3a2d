//! What a scenario says of its Flight SQL server.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{TlsTrouble, TlsVersion};
use crate::moment::Seconds;

/// The Flight SQL server. It takes the ways in that the sessions use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// It also serves callers without credentials.
    pub anonymous: bool,
    /// It has no TLS.
    pub plaintext: bool,
    /// Callers of a method wait for each other.
    pub rendezvous: Option<Rendezvous>,
    /// Ways to misbehave.
    pub fault: Vec<ServerFault>,
    /// What it answers to a Handshake.
    pub handshake: HandshakeAnswer,
    /// Something is wrong with the TLS of its listeners, but for sessions of the server `healthy`.
    pub tls: Option<TlsTrouble>,
    /// The only version of TLS that it speaks.
    pub tls_version: Option<TlsVersion>,
    /// Where it says that results are, but for sessions of the server `healthy`.
    pub location: Option<Location>,
    /// Headers of every answer; `{canary}` stands for a generated secret and must be in each.
    pub headers: BTreeMap<String, String>,
}

/// What a server answers to a Handshake with the right username and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HandshakeAnswer {
    /// The token in the header `authorization`, and in the payload besides.
    #[default]
    Header,
    /// The token in the trailer `authorization` only.
    Trailer,
    /// The token in the payload only.
    Payload,
    /// OK, and no token.
    WithoutToken,
    /// `UNIMPLEMENTED`.
    Unimplemented,
}

/// Where the endpoint of a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// `arrow-flight-reuse-connection://?`: where the question was asked.
    ReuseConnection,
    /// The very address that the client was told.
    OwnAddress,
    /// A Flight server on another host, with a certificate that the client trusts; it records what reaches it.
    OtherHost,
    /// The same, with the client's own address in the place of a user name.
    OwnAddressAsUser,
    /// A Flight server without TLS on another port of the same host; it records what reaches it.
    Plaintext,
}

/// Callers of a method wait for each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rendezvous {
    /// The gRPC method.
    pub rpc: FlightMethod,
    /// How many must be inside at once.
    pub parties: u32,
    /// How long they wait.
    pub wait: Seconds,
}

/// A gRPC method of Flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FlightMethod {
    /// `GetFlightInfo`.
    GetFlightInfo,
    /// `DoGet`.
    DoGet,
    /// `Handshake`.
    Handshake,
}

/// A way in which the Flight SQL server misbehaves on statement queries: exactly one of `code`, `breaks`, `delay`, `slow`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerFault {
    /// On which method; on any unless said.
    pub rpc: Option<FlightMethod>,
    /// The gRPC code.
    pub code: Option<Code>,
    /// At which moment of the answer.
    #[serde(default)]
    pub at: AnswerMoment,
    /// So many calls are answered well first.
    #[serde(default)]
    pub after: u32,
    /// So many calls are hit; all unless said.
    pub times: Option<u32>,
    /// The answer breaks off without a code.
    pub breaks: Option<Breaks>,
    /// The right answer comes so much later.
    pub delay: Option<Seconds>,
    /// So long before each message of the right answer.
    pub slow: Option<Seconds>,
    /// Only on calls of this session.
    pub session: Option<String>,
    /// Also on calls that are no statements, what a client asks at connect for instance.
    #[serde(default)]
    pub every_call: bool,
}

/// How an answer breaks off without a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Breaks {
    /// Nothing more comes, and the stream stays open.
    Silence,
    /// The stream is reset.
    Reset,
    /// The connection is closed.
    Disconnect,
}

/// A gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// 16.
    Unauthenticated,
    /// 7.
    PermissionDenied,
    /// 14.
    Unavailable,
    /// 13.
    Internal,
}

/// A moment of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerMoment {
    /// Instead of an answer.
    #[default]
    BeforeSchema,
    /// After the schema.
    AfterSchema,
    /// After the first batch of rows.
    MidStream,
}
