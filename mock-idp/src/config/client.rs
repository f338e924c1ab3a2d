//! Clients, and the grants by which they ask for tokens.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::secret::Secret;

/// Who may ask for tokens.
#[derive(Debug, Clone, Default)]
pub enum Clients {
    /// Any client id with any secret.
    #[default]
    Any,
    /// Any, but these have to be right.
    Known(Vec<Client>),
    /// Only these, and those that register themselves.
    Registered(Vec<Client>),
}

/// A registered client.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret; none for a public client.
    #[serde(deserialize_with = "crate::secret::from_text")]
    pub secret: Secret,
    /// Where its users may be sent back to; anywhere if empty.
    pub redirect_uris: Vec<String>,
    /// Where its users may be sent after logout; anywhere if empty.
    pub post_logout_redirect_uris: Vec<String>,
    /// Grants that it may use; all of the issuer's if empty.
    pub grants: Vec<GrantKind>,
    /// Scopes that it may ask for; all of the issuer's if empty.
    pub scopes: Vec<String>,
    /// Its public keys (RFC 7517 §5), for `private_key_jwt`.
    pub jwks: Option<Value>,
    /// SHA-256 of its certificate, base64url (RFC 8705 §3.1), for mTLS.
    pub certificate_thumbprint: Option<String>,
    /// Subject of its certificate (RFC 8705 §2.1.2, `tls_client_auth_subject_dn`).
    pub tls_client_auth_subject_dn: Option<String>,
    /// Its only method of authentication; any that its credentials allow if absent.
    pub token_endpoint_auth_method: Option<String>,
}

/// How a client asks for a token, named by its wire value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GrantKind {
    /// RFC 6749 §4.4.
    #[serde(rename = "client_credentials")]
    ClientCredentials,
    /// RFC 6749 §4.1, with PKCE (RFC 7636).
    #[serde(rename = "authorization_code")]
    AuthorizationCode,
    /// RFC 6749 §6.
    #[serde(rename = "refresh_token")]
    RefreshToken,
    /// RFC 8628.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code", alias = "device_code")]
    DeviceCode,
    /// RFC 8693.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange", alias = "token-exchange")]
    TokenExchange,
    /// RFC 7523 §2.1.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer", alias = "jwt-bearer")]
    JwtBearer,
    /// RFC 6749 §4.3; RFC 9700 §2.4 forbids it, so it is off unless asked for.
    #[serde(rename = "password")]
    Password,
}

impl GrantKind {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::ClientCredentials,
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::DeviceCode,
        Self::TokenExchange,
        Self::JwtBearer,
        Self::Password,
    ];

    /// Those of an issuer that nobody configured.
    pub const DEFAULT: [Self; 6] = [
        Self::ClientCredentials,
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::DeviceCode,
        Self::TokenExchange,
        Self::JwtBearer,
    ];

    /// The value of `grant_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::Password => "password",
        }
    }

    /// The grant of a `grant_type`.
    pub fn from_wire(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.as_str() == value)
    }
}
