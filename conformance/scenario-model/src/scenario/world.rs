//! What a scenario says of its issuer and of the protected HTTP endpoint.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Server;
use crate::moment::{Lifetime, Seconds};
use crate::provider::{Provider, Quirk};

/// The servers of one permutation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// The issuer `main`. A session may choose the issuer `healthy`, which has no faults.
    pub issuer: Issuer,
    /// The Flight SQL server.
    pub server: Server,
    /// The protected endpoint that HTTP clients send to.
    pub resource: Resource,
}

/// A protected HTTP endpoint: it takes what comes with a token of the issuer, and answers 401 to everything else (RFC 6750 §3).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resource {
    /// Ways to misbehave towards a request that has a good token.
    pub fault: Vec<ResourceFault>,
}

/// An answer of the protected endpoint that is not what the request deserves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceFault {
    /// Answer with this status, 400 to 599.
    pub status: u16,
    /// And these headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// So many requests are answered well first.
    #[serde(default)]
    pub after: u32,
    /// So many requests are hit; all unless said.
    pub times: Option<u32>,
}

/// An issuer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Issuer {
    /// `https` unless said otherwise.
    pub scheme: Scheme,
    /// Path of the issuer: `/tenant/v2.0`.
    pub path: String,
    /// The published issuer ends in a slash.
    pub trailing_slash: bool,
    /// A listener for each endpoint, on ports of their own; always so with `stall`.
    pub own_ports: bool,
    /// How a client may authenticate.
    pub client_auth: ClientAuth,
    /// Form of the access tokens.
    pub token: TokenForm,
    /// Signature algorithm of the access tokens.
    pub alg: Alg,
    /// Lifetime of the access tokens; one hour unless said otherwise.
    pub expires_in: Option<Lifetime>,
    /// A request without this parameter is refused.
    pub require: Vec<Required>,
    /// An endpoint that never gets done.
    pub stall: Option<Stall>,
    /// Other ways to misbehave.
    pub fault: Vec<IssuerFault>,
    /// The token endpoint is on another host name than discovery.
    pub token_on_another_host: bool,
    /// The provider that it is like; `path` is then the tenant's.
    pub profile: Option<Provider>,
    /// In what it is not like the provider.
    pub without: Vec<Quirk>,
    /// Seconds that its clock is ahead of ours; less than zero: behind.
    pub clock_ahead: i32,
    /// The only version of TLS that it speaks.
    pub tls_version: Option<TlsVersion>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

/// What is wrong with the TLS of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsTrouble {
    /// A certificate of a CA that nobody knows.
    UnknownCa,
    /// A certificate signed by itself.
    SelfSigned,
    /// A certificate for another name.
    WrongName,
    /// A certificate whose time is over.
    Expired,
    /// A certificate whose time has not come.
    NotYetValid,
    /// TLS 1.0 and nothing newer.
    OldVersion,
    /// There is none, although clients are told that there is.
    Missing,
    /// There is one, although clients are told that there is none: of a server with `plaintext`.
    Unexpected,
}

/// Scheme of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// TLS with a leaf of the suite's throw-away CA.
    #[default]
    Https,
    /// Plain HTTP.
    Http,
}

/// Client authentication that an issuer takes and publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// `client_secret_basic` and `client_secret_post`.
    #[default]
    Any,
    /// `client_secret_basic` only.
    Basic,
    /// `client_secret_post` only.
    Post,
}

/// Form of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenForm {
    /// A JWT by RFC 9068.
    #[default]
    Jwt,
    /// A random string, looked up by introspection.
    Opaque,
}

/// Signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Alg {
    /// RSA with SHA-256.
    #[default]
    RS256,
    /// ECDSA on P-256.
    ES256,
}

/// A parameter that the token endpoint insists on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Required {
    /// `audience`.
    Audience,
    /// `scope`.
    Scope,
}

/// An endpoint that never gets done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// Which.
    pub endpoint: Endpoint,
    /// In which way.
    pub how: StallHow,
}

/// An endpoint of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// The discovery document.
    Discovery,
    /// The token endpoint.
    Token,
    /// The key set.
    Jwks,
}

impl Endpoint {
    /// Its name in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Token => "token",
            Self::Jwks => "jwks",
        }
    }
}

/// The way of a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StallHow {
    /// The request is read and never answered.
    AcceptThenSilence,
    /// Status and headers come, the body does not.
    HeadersThenSilence,
    /// The body comes at one byte a second.
    OneBytePerSecond,
    /// The TCP handshake is not answered.
    SynBlackhole,
}

/// A way in which an issuer misbehaves: exactly one of `status`, `patch`, `redirect`, `echo`, `refused`, `reset`, `answer`,
/// `content_type`, `but_status`, `long_token`, `delay`, `redirect_within`, `connection`, `stall`, `tls`. In `body` and `patch` the text
/// `<secret>` stands for the secret of the issuer's first session; in `patch` also `<issuer>`, `<elsewhere>` and
/// `<plain-elsewhere>` for addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerFault {
    /// Where.
    pub endpoint: Endpoint,
    /// So many requests are answered well first.
    #[serde(default)]
    pub after: u32,
    /// So many requests are hit; all unless said.
    pub times: Option<u32>,
    /// Answer with this status, `headers` and `body`.
    pub status: Option<u16>,
    /// Headers for `status`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body for `status`.
    pub body: Option<String>,
    /// A JSON merge patch (RFC 7396) of the right answer, `null` written as `"<absent>"`; in strings `<issuer>` is the
    /// published issuer, `<elsewhere>` another origin that records what reaches it, `<plain-elsewhere>` one without TLS.
    pub patch: Option<BTreeMap<String, Value>>,
    /// Redirect with this status to another origin, which records what reaches it.
    pub redirect: Option<u16>,
    /// Refuse with this status, and repeat the request in the error's description.
    pub echo: Option<u16>,
    /// Nothing listens.
    #[serde(default)]
    pub refused: bool,
    /// The connection is reset.
    #[serde(default)]
    pub reset: bool,
    /// Something else than the right answer, or less, or more.
    pub answer: Option<AnswerFault>,
    /// The right answer under this media type; under none if empty.
    pub content_type: Option<String>,
    /// The right answer with this status.
    pub but_status: Option<u16>,
    /// The right answer with an access token of at least so many bytes, which is valid.
    pub long_token: Option<u32>,
    /// The right answer, so much later.
    pub delay: Option<Seconds>,
    /// Redirect with this status to the same endpoint, which then answers well.
    pub redirect_within: Option<u16>,
    /// The connection does not hold.
    pub connection: Option<BrokenConnection>,
    /// It never gets done.
    pub stall: Option<StallHow>,
    /// Something is wrong with TLS; the endpoint has a port of its own then.
    pub tls: Option<TlsTrouble>,
}

/// What an issuer makes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerFault {
    /// A page, as a captive portal sends it, with status 200.
    Html,
    /// No body.
    Empty,
    /// JSON that ends too early, in an answer of the right length.
    CutShort,
    /// Ten thousand arrays in each other.
    DeeplyNested,
    /// A body that never ends.
    Endless,
    /// The right answer, compressed although nobody asked for that.
    Gzip,
    /// The right answer behind a byte order mark.
    ByteOrderMark,
    /// Each member twice, first with a wrong value.
    DuplicateMembers,
    /// The connection is closed in the middle of the body.
    Truncated,
    /// The connection is reset in the middle of the body.
    ResetMidBody,
    /// The connection is closed instead of an answer.
    ClosedUnanswered,
}

/// How a connection to an issuer does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenConnection {
    /// Nothing listens.
    Refused,
    /// It is accepted and reset.
    Reset,
    /// The TLS handshake fails: the issuer speaks an old version only.
    TlsAborted,
    /// It is closed after the request, without a byte of an answer.
    Unanswered,
    /// It is closed in the middle of the answer's body.
    CutShort,
}
