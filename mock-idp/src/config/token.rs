//! What tokens are like.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::span;

/// What tokens are like.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// JWT or opaque.
    pub format: TokenFormat,
    /// Opaque whatever the format, if the request names no audience.
    pub opaque_without_audience: bool,
    /// Signature algorithm of a JWT.
    pub alg: Alg,
    /// Further algorithms that have a key in the key set; clients ask for them when they register.
    pub more_algs: Vec<Alg>,
    /// How long an access token lives.
    #[serde(with = "span")]
    pub lifetime: Duration,
    /// How long an ID token lives.
    #[serde(with = "span")]
    pub id_lifetime: Duration,
    /// `aud` of a token if the request names no audience.
    pub audience: String,
    /// Scopes that may be asked for; any if absent.
    pub scopes: Option<Vec<String>>,
    /// A request without `audience` is refused.
    pub require_audience: bool,
    /// A request without `scope` is refused.
    pub require_scope: bool,
    /// `sub` of a token that has no user, a template.
    pub client_sub: String,
    /// How scopes stand in a token.
    pub scope_claim: ScopeClaim,
    /// How `expires_in` is written.
    pub expires_in: ExpiresIn,
    /// Merge patch of the header; templates in strings.
    pub header: Map<String, Value>,
    /// Merge patch of an access token's claims; templates in strings.
    pub claims: Map<String, Value>,
    /// Merge patch of an ID token's claims; templates in strings.
    pub id_claims: Map<String, Value>,
    /// Merge patch of the userinfo answer; templates in strings.
    pub userinfo_claims: Map<String, Value>,
    /// Merge patch of the token endpoint's answer; templates in strings.
    pub answer: Map<String, Value>,
    /// Claims for requests that match; the first that matches counts.
    pub rules: Vec<ClaimsRule>,
    /// How errors are written.
    pub errors: ErrorStyle,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            format: TokenFormat::Jwt,
            opaque_without_audience: false,
            alg: Alg::Rs256,
            more_algs: Vec::new(),
            lifetime: Duration::from_secs(3600),
            id_lifetime: Duration::from_secs(3600),
            audience: "https://api.example.test".to_owned(),
            scopes: None,
            require_audience: false,
            require_scope: false,
            client_sub: "{client_id}".to_owned(),
            scope_claim: ScopeClaim::Scope,
            expires_in: ExpiresIn::Number,
            header: Map::new(),
            claims: Map::new(),
            id_claims: Map::new(),
            userinfo_claims: Map::new(),
            answer: Map::new(),
            rules: Vec::new(),
            errors: ErrorStyle::Standard,
        }
    }
}

/// Claims of tokens for requests with a certain parameter.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimsRule {
    /// Name of a parameter of the token request.
    pub param: String,
    /// Its value: exactly, as a regular expression of the whole, or `*` for any.
    pub matches: String,
    /// Claims of access and ID token; templates in strings.
    pub claims: Map<String, Value>,
    /// Members of the header.
    pub header: Map<String, Value>,
    /// How long the tokens live, if it is not the issuer's lifetime (seconds).
    pub lifetime: Option<u64>,
}

/// Form of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenFormat {
    /// RFC 9068.
    #[default]
    Jwt,
    /// A random string, looked up by introspection (RFC 7662).
    Opaque,
}

/// How scopes stand in an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeClaim {
    /// `scope`, a string (RFC 9068 §2.2.3).
    #[default]
    Scope,
    /// `scp`, an array.
    ScpArray,
    /// `scp`, a string.
    ScpString,
}

/// How `expires_in` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpiresIn {
    /// A number (RFC 6749 §5.1).
    #[default]
    Number,
    /// A number in quotes.
    String,
    /// Not at all.
    Absent,
}

/// How errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorStyle {
    /// RFC 6749 §5.2.
    #[default]
    Standard,
    /// `access_denied` for a wrong secret.
    Auth0,
    /// `AADSTS…`, `error_codes`, `trace_id`, `correlation_id`.
    Entra,
    /// `errorCode` and `errorSummary` for what the API refuses.
    Okta,
    /// Short descriptions, `error_uri` absent.
    Google,
    /// `invalid_client` with `Invalid client or Invalid client credentials`.
    Keycloak,
    /// Nothing but `error`.
    Cognito,
    /// `correlation_id` beside the RFC's members.
    Ping,
    /// Status 200 with an error body and `error_uri`.
    Github,
}

/// Signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
pub enum Alg {
    /// RSA, 2048 bit, with SHA-256.
    #[default]
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSA-PSS with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSA-PSS with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Alg {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in a header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == name)
    }
}
