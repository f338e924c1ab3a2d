//! What an issuer is like.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::fault::Fault;
use crate::keys::KeyPool;
use crate::record::Recorder;
use crate::secret::Secret;

/// One issuer.
#[derive(Clone)]
pub struct Config {
    /// Its label in records.
    pub name: String,
    /// With or without TLS.
    pub scheme: Scheme,
    /// The host in published URLs, and the address to listen on if it is one.
    pub host: String,
    /// The port of the first listener; 0 lets the system choose.
    pub port: u16,
    /// Path of the issuer: empty, or `/tenant/v2.0`.
    pub path: String,
    /// The published issuer ends in a slash.
    pub trailing_slash: bool,
    /// One listener, or one for each endpoint.
    pub listeners: Listeners,
    /// Who may ask for tokens.
    pub clients: Clients,
    /// How clients authenticate; published, too.
    pub client_auth: ClientAuth,
    /// What tokens are like.
    pub token: TokenConfig,
    /// Signing keys, shared by the issuers of a process.
    pub keys: Arc<KeyPool>,
    /// Ways to misbehave from the start.
    pub faults: Vec<Fault>,
    /// Told of everything, at the moment when it happens.
    pub recorder: Recorder,
}

impl Config {
    /// An issuer over plain HTTP on 127.0.0.1 that takes any client.
    pub fn new(keys: Arc<KeyPool>, recorder: Recorder) -> Self {
        Self {
            name: "main".to_owned(),
            scheme: Scheme::Http,
            host: "127.0.0.1".to_owned(),
            port: 0,
            path: String::new(),
            trailing_slash: false,
            listeners: Listeners::Shared,
            clients: Clients::Any,
            client_auth: ClientAuth::Any,
            token: TokenConfig::default(),
            keys,
            faults: Vec::new(),
            recorder,
        }
    }
}

/// With or without TLS.
#[derive(Clone)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// TLS with the caller's certificate.
    Https(Arc<rustls::ServerConfig>),
}

impl Scheme {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https(_) => "https",
        }
    }
}

/// One listener, or one for each endpoint, so that one can be dead and the others well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listeners {
    /// Everything on one port.
    #[default]
    Shared,
    /// Discovery, token endpoint and key set on ports of their own.
    PerEndpoint,
}

/// Who may ask for tokens.
#[derive(Debug, Clone, Default)]
pub enum Clients {
    /// Any client id with any secret.
    #[default]
    Any,
    /// Only these.
    Registered(Vec<Client>),
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// How clients authenticate (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// `client_secret_basic` and `client_secret_post`.
    #[default]
    Any,
    /// `client_secret_basic`.
    BasicOnly,
    /// `client_secret_post`.
    PostOnly,
}

/// What tokens are like.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// JWT or opaque.
    pub format: TokenFormat,
    /// Signature algorithm of a JWT.
    pub alg: Alg,
    /// How long a token lives.
    pub lifetime: Duration,
    /// `aud` of a token if the request names no audience.
    pub audience: String,
    /// Scopes that may be asked for; any if `None`.
    pub scopes: Option<Vec<String>>,
    /// A request without `audience` is refused.
    pub require_audience: bool,
    /// A request without `scope` is refused.
    pub require_scope: bool,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            format: TokenFormat::Jwt,
            alg: Alg::Rs256,
            lifetime: Duration::from_secs(3600),
            audience: "https://flight.example.test".to_owned(),
            scopes: None,
            require_audience: false,
            require_scope: false,
        }
    }
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

/// Signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Alg {
    /// RSA, 2048 bit, with SHA-256.
    #[default]
    Rs256,
    /// ECDSA on P-256.
    Es256,
}

/// Why an issuer did not start.
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
    /// A path that is none.
    #[error("the issuer's path `{path}` must be empty or start with a slash and not end in one")]
    Path {
        /// The path.
        path: String,
    },
}
