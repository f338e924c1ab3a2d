//! What servers, runner and subject recorded: the only thing that a verdict is made from.
//!
//! No event holds a secret or a whole token: texts are redacted by whoever records them, and say that they were.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::vocabulary::Vocabulary;

/// One fact and when it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Position in the trace, from 0.
    pub seq: u64,
    /// Microseconds since the permutation's world was up.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// Every kind of fact: a closed list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
#[expect(clippy::large_enum_variant, reason = "the largest is the one that there are most of")]
pub enum Fact {
    /// The runner sent a step's calls to the subject.
    #[serde(rename = "step.begin")]
    StepBegin(StepBegin),
    /// The last reply of a step came, or its time was up, or the subject was gone.
    #[serde(rename = "step.end")]
    StepEnd(StepEnd),
    /// The runner changed the world.
    #[serde(rename = "world.change")]
    WorldChange(WorldChange),
    /// A connection reached a listener of an issuer (or tried to, for a black hole).
    #[serde(rename = "issuer.contact")]
    IssuerContact(IssuerContact),
    /// A discovery request.
    #[serde(rename = "issuer.discovery")]
    IssuerDiscovery(IssuerRequest),
    /// A request for the key set.
    #[serde(rename = "issuer.jwks")]
    IssuerJwks(IssuerRequest),
    /// A request to an address of the issuer that is no endpoint.
    #[serde(rename = "issuer.other")]
    IssuerOther(IssuerRequest),
    /// A token request.
    #[serde(rename = "issuer.token")]
    IssuerToken(IssuerToken),
    /// A request met a fault of the scenario, whatever comes of it.
    #[serde(rename = "issuer.fault")]
    IssuerFault(IssuerTrouble),
    /// A request to the protected HTTP endpoint.
    #[serde(rename = "resource.request")]
    ResourceRequest(ResourceRequest),
    /// A connection to an issuer ended.
    #[serde(rename = "issuer.closed")]
    IssuerClosed(IssuerClosed),
    /// A request reached an origin that nobody configured.
    #[serde(rename = "elsewhere.request")]
    ElsewhereRequest(ElsewhereRequest),
    /// A connection reached the Flight SQL server.
    #[serde(rename = "server.contact")]
    ServerContact(ServerContact),
    /// The head of a call was judged by the Flight SQL server.
    #[serde(rename = "server.rpc")]
    ServerRpc(ServerRpc),
    /// A call met a fault of the scenario, whatever comes of it.
    #[serde(rename = "server.fault")]
    ServerFault(ServerTrouble),
    /// So many callers were inside the server at once.
    #[serde(rename = "server.rendezvous")]
    ServerRendezvous(ServerRendezvous),
    /// A call ended.
    #[serde(rename = "server.stream-end")]
    ServerStreamEnd(ServerStreamEnd),
    /// A line of the subject's log.
    #[serde(rename = "subject.stderr")]
    SubjectStderr(SubjectText),
    /// Something on the subject's stdout that is no reply to an open call.
    #[serde(rename = "subject.noise")]
    SubjectNoise(SubjectText),
    /// The subject's process ended.
    #[serde(rename = "subject.exit")]
    SubjectExit(SubjectExit),
    /// Processes of the subject outlived it.
    #[serde(rename = "subject.leftover")]
    SubjectLeftover(SubjectLeftover),
    /// A server under test answered a call of the runner.
    #[serde(rename = "probe.answer")]
    ProbeAnswer(ProbeAnswer),
    /// The machine did not run us for a while.
    #[serde(rename = "host.stall")]
    HostStall(HostStall),
}

/// Data of `step.begin`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepBegin {
    /// The step's id.
    pub step: String,
    /// What was asked for: `query`, `health`, `tables`, `columns`, `sql-info`.
    pub op: String,
    /// The session that it was asked of.
    pub session: String,
    /// How many calls at once.
    pub calls: u32,
}

/// Data of `step.end`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepEnd {
    /// The step's id.
    pub step: String,
    /// The session that it was asked of.
    pub session: String,
    /// A reply held a secret or a token.
    pub leak: bool,
    /// One for each call.
    pub replies: Vec<Reply>,
}

/// What the subject said to one call. It is never believed alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// The text in the call's SQL that names it.
    pub marker: String,
    /// What came back.
    pub said: Said,
    /// The error text, redacted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// Rows that the subject says it got.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows: Option<u64>,
    /// Microseconds from the step's begin to the reply, or to giving up.
    pub took_us: u64,
    /// Which secrets it held, and in which form.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub leaks: Vec<String>,
}

/// The form of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// `ok`.
    Ok,
    /// `error`.
    Error,
    /// Nothing until the step's time was up.
    Nothing,
    /// The subject was gone.
    Gone,
}

/// Data of `world.change`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorldChange {
    /// The step that asked for it.
    pub step: String,
    /// What was set.
    pub set: Value,
}

/// Data of `issuer.contact`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerContact {
    /// The issuer's name in the scenario.
    pub issuer: String,
    /// Whose issuer it is, if only one session uses it.
    pub session: Option<String>,
    /// What is served there: `discovery`, `token`, `jwks`, or `any` on a shared listener.
    pub endpoint: String,
    /// `accept`, or `syn` for an attempt that was not answered.
    pub via: String,
    /// `none` before TLS or without it; `failed` in a second event of the same connection if TLS was not agreed on.
    pub tls: String,
    /// Why TLS was not agreed on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Data of `issuer.discovery`, `issuer.jwks` and `issuer.other`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerRequest {
    /// The issuer's name in the scenario.
    pub issuer: String,
    /// Whose issuer it is, if only one session uses it.
    pub session: Option<String>,
    /// The HTTP method.
    pub method: String,
    /// Path and query as they were on the wire, redacted.
    pub path: String,
    /// The path is exactly the one that the specification derives from the issuer.
    pub expected_path: bool,
    /// The status of the answer; absent when none was given.
    pub status: Option<u16>,
    /// An `Authorization` header came with it, or the URL held a secret.
    #[serde(default)]
    pub credential: bool,
    /// It met a fault of the scenario.
    #[serde(default)]
    pub faulted: bool,
}

/// Data of `issuer.token`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerToken {
    /// The issuer's name in the scenario.
    pub issuer: String,
    /// The session whose client id was presented, or whose issuer it is.
    pub session: Option<String>,
    /// The HTTP method.
    pub method: String,
    /// Path and query as they were on the wire, redacted.
    pub path: String,
    /// The path or query held a secret.
    pub secret_in_url: bool,
    /// The media type of the body is `application/x-www-form-urlencoded`.
    pub form: bool,
    /// `grant_type` as sent.
    pub grant_type: Option<String>,
    /// `scope` as sent.
    pub scope: Option<String>,
    /// `audience` as sent.
    pub audience: Option<String>,
    /// The scope is the configured one (none configured, none sent).
    pub scope_as_configured: bool,
    /// The audience is the configured one (none configured, none sent).
    pub audience_as_configured: bool,
    /// How the client authenticated: `none`, `basic`, `post` or `basic+post`.
    pub client_auth: String,
    /// How many ways of client authentication the request used.
    pub client_auth_methods: u32,
    /// Client id and secret arrived exactly as configured.
    pub credentials_match: bool,
    /// Names of the body's parameters, in order.
    pub params: Vec<String>,
    /// Some parameter was present and empty.
    pub empty_param: bool,
    /// The status of the answer; absent when none was given.
    pub status: Option<u16>,
    /// The error code of the answer.
    pub error: Option<String>,
    /// The label of the token that was issued.
    pub token: Option<String>,
    /// Its lifetime in seconds.
    pub lifetime_s: Option<u64>,
    /// It met a fault of the scenario.
    #[serde(default)]
    pub faulted: bool,
}

/// Data of `issuer.fault`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerTrouble {
    /// The issuer's name in the scenario.
    pub issuer: String,
    /// Whose issuer it is, if only one session uses it.
    pub session: Option<String>,
    /// What was asked for: `discovery`, `token`, `jwks` or `other`.
    pub endpoint: String,
    /// The mock issuer's name of the fault.
    pub fault: String,
}

/// Data of `issuer.closed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerClosed {
    /// The issuer's name in the scenario.
    pub issuer: String,
    /// What was served there.
    pub endpoint: String,
    /// `peer` or `us`.
    pub by: String,
    /// Requests that the connection carried.
    pub requests: u32,
}

/// Data of `elsewhere.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ElsewhereRequest {
    /// The HTTP method.
    pub method: String,
    /// Path and query, redacted.
    pub path: String,
    /// Header, body or URL held a secret or a token of a session.
    pub credential: bool,
    /// `http`, or `flight` at a server that the endpoint of a result named.
    pub protocol: String,
}

/// Data of `resource.request`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ResourceRequest {
    /// The session whose port it was.
    pub session: String,
    /// The HTTP method.
    pub method: String,
    /// Path and query, redacted.
    pub path: String,
    /// The marker in its body.
    pub marker: Option<String>,
    /// How many values the `authorization` header had.
    pub authorization_values: u32,
    /// The scheme of the first value as sent; `none` without a value.
    pub scheme: String,
    /// `valid`, `expired`, `refused`, `unknown` or `none`.
    pub token_state: String,
    /// The label of the token, if an issuer of this world issued it.
    pub token: Option<String>,
    /// The token belongs to another session.
    pub foreign: bool,
    /// Milliseconds that the token still had, negative past its expiry.
    pub remaining_ms: Option<i64>,
    /// The status of the answer.
    pub status: u16,
}

/// Data of `server.contact`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerContact {
    /// The session whose port it was.
    pub session: String,
    /// `accepted` before TLS, `plaintext` without it; `failed` in a second event of the same connection if TLS was not
    /// agreed on.
    pub tls: String,
    /// Why TLS was not agreed on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Data of `server.rpc`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServerRpc {
    /// Number of the call, for its `server.stream-end`.
    pub rpc: u64,
    /// The session whose port it was.
    pub session: String,
    /// The gRPC method: `GetFlightInfo`, `DoGet`, `Handshake` and so on.
    pub method: String,
    /// The Flight SQL command: `StatementQuery`, `GetTables` and so on.
    pub command: Option<String>,
    /// The marker in its SQL.
    pub marker: Option<String>,
    /// The user that the marker names.
    pub marker_user: Option<String>,
    /// How many values the `authorization` header had.
    pub authorization_values: u32,
    /// The schemes of those values as sent, joined with `+`; `none` without a value.
    pub scheme: String,
    /// `valid`, `expired`, `refused`, `unknown`, `malformed`, `static`, `session`, `basic`, `empty` or `none`.
    pub token_state: String,
    /// The label of the token, if an issuer of this world issued it.
    pub token: Option<String>,
    /// The credential belongs to another session or another server.
    pub foreign: bool,
    /// Milliseconds that the token still had, negative past its expiry.
    pub remaining_ms: Option<i64>,
    /// There was a user header.
    pub has_user: bool,
    /// `x-user-id`, percent-decoded.
    pub user: Option<String>,
    /// How many values `x-user-id` had.
    pub user_values: u32,
    /// `x-user-email`, percent-decoded.
    pub user_email: Option<String>,
    /// `x-user-name`, percent-decoded.
    pub user_name: Option<String>,
    /// `x-org-id`.
    pub org: Option<String>,
    /// `x-client-type`.
    pub client_type: Option<String>,
    /// Number of attribution headers that name a person or an organisation.
    pub attribution_headers: u32,
    /// Whom the server took the caller to be.
    pub principal: Option<String>,
    /// The gRPC code with which the head was refused.
    pub refused: Option<String>,
    /// The credential, or that there is none, is of the session's own method.
    pub as_chosen: bool,
    /// The first value of the custom header `x-flightcheck`.
    pub custom: Option<String>,
    /// How many values `x-flightcheck` had.
    pub custom_values: u32,
    /// Whom its SQL is for: `somebody`, `nobody`, or `unknown` without a marker.
    pub meant_for: String,
    /// The e-mail address of the user that the marker names.
    pub marker_email: Option<String>,
    /// The name of the user that the marker names.
    pub marker_name: Option<String>,
    /// How many values `x-client-type` had.
    pub client_type_values: u32,
    /// The most values that one attribution header had.
    pub most_values: u32,
    /// How many headers held the user's own token or cookie.
    pub forwarded_headers: u32,
}

/// Data of `server.fault`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerTrouble {
    /// Number of the call.
    pub rpc: u64,
    /// The session whose port it was.
    pub session: String,
    /// The gRPC method.
    pub method: String,
    /// The reference server's word for the fault.
    pub fault: String,
}

/// Data of `server.rendezvous`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerRendezvous {
    /// The gRPC method.
    pub method: String,
    /// How many met.
    pub parties: u32,
}

/// Data of `server.stream-end`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServerStreamEnd {
    /// Number of the call.
    pub rpc: u64,
    /// The session whose port it was.
    pub session: String,
    /// The gRPC method.
    pub method: String,
    /// The Flight SQL command.
    pub command: Option<String>,
    /// The marker in its SQL.
    pub marker: Option<String>,
    /// Rows that were sent.
    pub rows: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// The gRPC code at the end.
    pub code: String,
    /// The peer reset the stream.
    pub aborted: bool,
}

/// Data of `subject.stderr` and `subject.noise`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectText {
    /// The line, redacted and cut.
    pub text: String,
    /// Why it is noise: `not-json`, `not-an-object`, `unknown-id`, `second-reply`, `too-long`; `log` on stderr.
    pub reason: String,
    /// It held a secret or a token.
    pub leak: bool,
    /// Which secrets it held, and in which form.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub leaks: Vec<String>,
    /// The first user of a step whom it names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
}

/// Data of `subject.exit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectExit {
    /// The exit code.
    pub code: Option<i32>,
    /// The signal that ended it, from the raw wait status.
    pub signal: Option<i32>,
    /// It ended after we closed its stdin.
    pub asked: bool,
    /// We had to end it.
    pub ended_by_us: bool,
    /// Asked, in time, code 0, no signal.
    pub clean: bool,
}

/// Data of `subject.leftover`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectLeftover {
    /// How many processes of its group were still there.
    pub processes: u32,
}

/// Data of `probe.answer`: the runner is the client, so it is what really came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeAnswer {
    /// The step that made the call.
    pub step: String,
    /// The name of the call.
    pub marker: String,
    /// What was sent, in words.
    pub sent: String,
    /// The gRPC method that answered last.
    pub method: String,
    /// The gRPC code that the server sent; `CONNECTION` if it sent none.
    pub code: String,
    /// The error text, redacted.
    pub message: Option<String>,
    /// Rows that were received.
    pub rows: u64,
    /// Milliseconds until then.
    pub took_ms: u64,
}

/// Data of `host.stall`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostStall {
    /// Milliseconds without a heartbeat.
    pub gap_ms: u64,
}

impl Fact {
    /// The kind's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::StepBegin(_) => "step.begin",
            Self::StepEnd(_) => "step.end",
            Self::WorldChange(_) => "world.change",
            Self::IssuerContact(_) => "issuer.contact",
            Self::IssuerDiscovery(_) => "issuer.discovery",
            Self::IssuerJwks(_) => "issuer.jwks",
            Self::IssuerOther(_) => "issuer.other",
            Self::IssuerToken(_) => "issuer.token",
            Self::IssuerFault(_) => "issuer.fault",
            Self::ResourceRequest(_) => "resource.request",
            Self::IssuerClosed(_) => "issuer.closed",
            Self::ElsewhereRequest(_) => "elsewhere.request",
            Self::ServerContact(_) => "server.contact",
            Self::ServerRpc(_) => "server.rpc",
            Self::ServerFault(_) => "server.fault",
            Self::ServerRendezvous(_) => "server.rendezvous",
            Self::ServerStreamEnd(_) => "server.stream-end",
            Self::SubjectStderr(_) => "subject.stderr",
            Self::SubjectNoise(_) => "subject.noise",
            Self::SubjectExit(_) => "subject.exit",
            Self::SubjectLeftover(_) => "subject.leftover",
            Self::ProbeAnswer(_) => "probe.answer",
            Self::HostStall(_) => "host.stall",
        }
    }

    /// The fields as data, for clauses.
    pub fn fields(&self) -> Value {
        serde_json::to_value(self).expect("a fact is plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_round_trips_through_json() {
        let event = Event { seq: 3, at_us: 17, fact: Fact::HostStall(HostStall { gap_ms: 300 }) };
        let text = serde_json::to_string(&event).expect("plain data");
        assert_eq!(text, r#"{"seq":3,"at_us":17,"kind":"host.stall","gap_ms":300}"#);
        assert_eq!(serde_json::from_str::<Event>(&text).expect("the same"), event);
    }
}
