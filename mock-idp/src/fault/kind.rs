//! The kinds of fault. What each is for, and what a correct client does, is in the catalogue.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::ErrorStyle;

/// How to misbehave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    // Documents.
    /// A merge patch (RFC 7396) of the right JSON answer.
    Patch(Value),
    /// The right answer without these members.
    Without {
        /// Names of members.
        members: Vec<String>,
    },
    /// This body, with the right status.
    RawBody {
        /// The body.
        body: String,
    },
    /// The right answer under another media type.
    ContentType {
        /// `Content-Type`; none if empty.
        content_type: String,
    },
    /// JSON that ends too early, in an answer of the right length.
    CutDocument {
        /// How much of it is there, from 0 to 1.
        #[serde(default = "half")]
        fraction: f64,
    },
    /// Each member is there twice, first with a wrong value.
    DuplicateMembers,
    /// U+FEFF before the JSON.
    ByteOrderMark,
    /// A page, as a captive portal or a proxy sends it.
    Html,
    /// A document that never ends.
    Endless,
    /// Compressed, though nobody asked for it.
    Gzip,
    /// No body at all.
    EmptyBody,
    /// Arrays in arrays.
    DeepNesting {
        /// How deep.
        #[serde(default = "ten_thousand")]
        depth: u32,
    },
    /// Metadata of another issuer.
    WrongIssuer,

    // HTTP.
    /// This answer instead of the right one.
    Respond {
        /// The status.
        status: u16,
        /// Headers, `Retry-After` for instance.
        #[serde(default, with = "pairs")]
        #[schemars(with = "Map<String, Value>")]
        headers: Vec<(String, String)>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// The right answer with another status.
    Status {
        /// The status.
        status: u16,
    },
    /// The right answer with other headers.
    Headers {
        /// These are added, or replaced.
        #[serde(default, with = "pairs")]
        #[schemars(with = "Map<String, Value>")]
        set: Vec<(String, String)>,
        /// These are taken away.
        #[serde(default)]
        remove: Vec<String>,
    },
    /// Not now; try again later.
    RetryAfter {
        /// 429 or 503.
        #[serde(default = "unavailable")]
        status: u16,
        /// When to come back.
        seconds: u64,
        /// Written as a date.
        #[serde(default)]
        as_date: bool,
    },
    /// A redirect.
    Redirect {
        /// The status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// A redirect to itself, for ever.
    RedirectLoop {
        /// The status.
        #[serde(default = "found")]
        status: u16,
    },
    /// A redirect to the same place by another name of this host, which is another origin; it records what arrives.
    RedirectElsewhere {
        /// The status.
        #[serde(default = "found")]
        status: u16,
    },
    /// A redirect within the origin.
    RedirectSameOrigin {
        /// The status.
        #[serde(default = "found")]
        status: u16,
    },
    /// A redirect from `https` to `http`.
    RedirectDowngrade {
        /// The status.
        #[serde(default = "found")]
        status: u16,
    },
    /// An error whose description repeats the request, credentials and all.
    Echo {
        /// The status.
        status: u16,
    },
    /// The right answer, later.
    Delay {
        /// How much later, in milliseconds.
        ms: u64,
        /// Up to so much more, in milliseconds, by the seed.
        #[serde(default)]
        jitter_ms: u64,
    },
    /// Never get done.
    Stall(Stall),
    /// Status line and headers come slowly, and so does the rest.
    SlowHeaders {
        /// How fast.
        bytes_per_second: u64,
    },
    /// The body comes slowly.
    SlowBody {
        /// How fast.
        bytes_per_second: u64,
    },
    /// The connection ends after the request, without a byte of an answer.
    CloseWithoutAnswer,
    /// The connection is reset in the middle of the body.
    ResetMidBody {
        /// How much of the body is sent, from 0 to 1.
        #[serde(default = "half")]
        fraction: f64,
    },
    /// The connection is closed in the middle of the body.
    Truncate {
        /// How much of the body is sent, from 0 to 1.
        #[serde(default = "half")]
        fraction: f64,
    },
    /// The answer waits until so many wait, or until it is released.
    Barrier {
        /// So many let each other go; only a release does if absent.
        #[serde(default)]
        parties: Option<u32>,
    },

    // Connection and TLS.
    /// Nothing listens, but the port stays ours.
    Refused,
    /// The connection is accepted and reset.
    Reset,
    /// The connection is accepted and nobody reads from it.
    Silent,
    /// Something is wrong with TLS.
    Tls(TlsFault),

    // Protocol.
    /// An error of the protocol.
    OauthError {
        /// `error`.
        error: String,
        /// `error_description`.
        #[serde(default)]
        description: Option<String>,
        /// The status, if it is not the error's own.
        #[serde(default)]
        status: Option<u16>,
    },
    /// An error as a provider writes it.
    ProviderError {
        /// Which provider.
        style: ErrorStyle,
    },
    /// Only `client_secret_basic` is taken.
    BasicOnly,
    /// Only `client_secret_post` is taken.
    PostOnly,
    /// A code is taken more than once.
    CodeReplayAccepted,
    /// A refresh token that was rotated away is taken.
    RefreshReplayAccepted,
    /// Any `code_verifier` is taken, and none.
    PkceIgnored,
    /// No refresh token comes.
    NoRefreshToken,
    /// Fewer scopes than were asked for, and it is said.
    ReducedScope,
    /// `state` comes back changed.
    WrongState,
    /// `state` does not come back.
    NoState,
    /// `iss` of the authorization response is another issuer's.
    WrongIssParameter,
    /// The authorization response has no `iss` although the metadata promise it.
    NoIssParameter,
    /// The ID token has another `nonce`.
    WrongNonce,
    /// The ID token has no `nonce`.
    NoNonce,
    /// The ID token's `at_hash` is another token's.
    WrongAtHash,
    /// No ID token comes.
    NoIdToken,
    /// Userinfo is about somebody else.
    WrongUserinfoSub,

    // Tokens.
    /// The token has expired.
    ExpiredToken {
        /// Which.
        #[serde(default)]
        token: Which,
        /// Since so many seconds.
        #[serde(default = "minute")]
        by: u64,
    },
    /// The token is not valid yet.
    FutureToken {
        /// Which.
        #[serde(default)]
        token: Which,
        /// For so many seconds.
        #[serde(default = "hour")]
        by: u64,
    },
    /// Signed by a key that is not ours, under the `kid` of one that is.
    WrongKey {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// The `kid` is not in the key set.
    UnknownKid {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// There is no `kid`.
    NoKid {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// `alg: none`, and no signature.
    AlgNone {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// An HMAC whose secret is the public key.
    HmacWithPublicKey {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// `jku` leads to a key set of somebody else, whose key signed.
    Jku {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// `x5u` leads to a certificate of somebody else, whose key signed.
    X5u {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// The header brings the key that signed.
    EmbeddedJwk {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// `crit` names an extension that nobody knows.
    CriticalHeader {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// The signature is empty.
    StrippedSignature {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// A bit of the signature is wrong.
    BrokenSignature {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// `iss` is another issuer's.
    WrongIss {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// `aud` is another's.
    WrongAud {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// A merge patch of the claims.
    Claims {
        /// Which.
        #[serde(default)]
        token: Which,
        /// The patch.
        patch: Value,
    },
    /// A merge patch of the header; the signature is right.
    JwtHeader {
        /// Which.
        #[serde(default)]
        token: Which,
        /// The patch.
        patch: Value,
    },
    /// Something that is no JWT.
    NotAJwt {
        /// Which.
        #[serde(default)]
        token: Which,
    },
    /// `expires_in` is this: text, 0, less, a fraction, too much, `null`; absent if not given.
    ExpiresIn {
        /// The value.
        #[serde(default)]
        value: Option<Value>,
    },
    /// `token_type` is this; absent if not given.
    TokenType {
        /// The value.
        #[serde(default)]
        value: Option<String>,
    },
    /// The access token has characters that no header may carry.
    UnprintableToken,
    /// The access token is as long as this.
    LongToken {
        /// At least so many bytes.
        #[serde(default = "sixteen_kib")]
        bytes: u32,
    },
    /// Success without an access token.
    NoAccessToken,
    /// The ID token stands where the access token should.
    IdTokenAsAccessToken,

    // Keys.
    /// The key is changed just before it signs: who has the old key set does not know it.
    RotateBeforeSigning,
    /// A new key under the old `kid`.
    SameKidNewKey,
    /// Signed with a key that is no longer published.
    WithdrawnKey,
    /// The key set lacks the newest key.
    StaleKeySet,
    /// The key set is empty.
    EmptyKeySet,
    /// No key of the key set has a `kid`.
    KeySetWithoutKids,
    /// The key set has keys of kinds that nobody knows, before the right ones.
    UnknownKeyTypes,
    /// Two keys have the same `kid`, the wrong one first.
    DuplicateKids,
}

/// How an endpoint never gets done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stall {
    /// The request is read and never answered.
    AcceptThenSilence,
    /// Status and headers come, the body does not.
    HeadersThenSilence,
    /// Of the true body a byte comes each second.
    OneBytePerSecond,
    /// The TCP handshake is not answered.
    SynBlackhole,
}

/// What is wrong with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsFault {
    /// A certificate signed by itself.
    SelfSigned,
    /// A certificate whose time is over.
    Expired,
    /// A certificate for another name.
    WrongName,
    /// A certificate of a CA that nobody knows.
    UnknownCa,
    /// The handshake is never answered.
    StalledHandshake,
    /// The server speaks TLS 1.0 only.
    OldVersion,
    /// A certificate whose time has not come.
    NotYetValid,
    /// Plain HTTP where `https` is published.
    Missing,
}

/// Which token of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The access token.
    Access,
    /// The ID token.
    Id,
    /// Both.
    #[default]
    Both,
}

impl Which {
    pub(crate) fn is(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

impl FaultKind {
    /// The right answer, so much later.
    pub fn delay(time: Duration) -> Self {
        Self::Delay { ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX), jitter_ms: 0 }
    }

    /// It is about the connection, and no request gets as far as to be hit.
    pub(crate) fn is_about_connection(&self) -> bool {
        matches!(
            self,
            Self::Refused | Self::Reset | Self::Silent | Self::Tls(_) | Self::Stall(Stall::SynBlackhole)
        )
    }
}

fn half() -> f64 {
    0.5
}
fn ten_thousand() -> u32 {
    10_000
}
fn unavailable() -> u16 {
    503
}
fn found() -> u16 {
    307
}
fn minute() -> u64 {
    60
}
fn hour() -> u64 {
    3600
}
fn sixteen_kib() -> u32 {
    16 * 1024
}

/// Headers as an object.
mod pairs {
    use serde::de::{Deserializer, MapAccess, Visitor};
    use serde::ser::{SerializeMap as _, Serializer};

    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of header names and values")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(String, String)>, D::Error> {
        d.deserialize_map(Pairs)
    }

    pub(super) fn serialize<S: Serializer>(pairs: &[(String, String)], s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(pairs.len()))?;
        for (name, value) in pairs {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
