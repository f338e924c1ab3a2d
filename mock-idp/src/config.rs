//! What an issuer is like.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::endpoint::Paths;
use crate::fault::Fault;
use crate::key_pool::KeyPool;
use crate::record::Recorder;
use crate::secret::Secret;

mod client;
mod login;
mod token;

pub use client::{Client, Clients, GrantKind};
pub use login::{Login, User};
pub use token::{Alg, ClaimsRule, ErrorStyle, ExpiresIn, ScopeClaim, TokenConfig, TokenFormat};

/// One issuer; also the pattern for those that are made on first use.
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
    /// Any path is an issuer, made on first use in the image of this one.
    pub any_path: bool,
    /// Published URLs name the host that the request named, as behind several names of one container.
    pub follow_host: bool,
    /// Base URL in what a browser follows, if it is another than where we listen.
    pub front_base_url: Option<String>,
    /// Base URL in what programs call, if it is another.
    pub back_base_url: Option<String>,
    /// The published issuer ends in a slash.
    pub trailing_slash: bool,
    /// The published issuer as a template of `{origin}`, `{root}` and `{tenant}`, if it is not where discovery is.
    pub issuer_template: Option<String>,
    /// Where the endpoints are.
    pub paths: Paths,
    /// One listener, or one for each endpoint.
    pub listeners: Listeners,
    /// Who may ask for tokens.
    pub clients: Clients,
    /// How clients authenticate; published, too.
    pub client_auth: ClientAuth,
    /// Grants that are answered.
    pub grants: Vec<GrantKind>,
    /// What tokens are like.
    pub token: TokenConfig,
    /// Who logs in, and how.
    pub login: Login,
    /// The protocol's options.
    pub protocol: Protocol,
    /// Merge patch (RFC 7396) of the discovery document.
    pub discovery: Value,
    /// Named ways of a real provider that are not data.
    pub quirks: Quirks,
    /// Signing keys, shared by the issuers of a process.
    pub keys: Arc<KeyPool>,
    /// Ways to misbehave from the start.
    pub faults: Vec<Fault>,
    /// Told of everything, at the moment when it happens.
    pub recorder: Recorder,
    /// Who may use `/_mock`.
    pub admin: Admin,
    /// A folder whose files are served under `/static/`, for an own login page.
    pub static_files: Option<PathBuf>,
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
            any_path: false,
            follow_host: false,
            front_base_url: None,
            back_base_url: None,
            trailing_slash: false,
            issuer_template: None,
            paths: Paths::default(),
            listeners: Listeners::Shared,
            clients: Clients::Any,
            client_auth: ClientAuth::Any,
            grants: GrantKind::DEFAULT.to_vec(),
            token: TokenConfig::default(),
            login: Login::default(),
            protocol: Protocol::default(),
            discovery: Value::Object(Map::new()),
            quirks: Quirks::default(),
            keys,
            faults: Vec::new(),
            recorder,
            admin: Admin::Off,
            static_files: None,
        }
    }
}

/// Any path is an issuer, any client is taken, `/_mock` is open: for a test that wants no more than an issuer.
impl Default for Config {
    fn default() -> Self {
        let mut config = Self::new(Arc::new(KeyPool::new()), Arc::new(drop));
        config.any_path = true;
        config.admin = Admin::Open;
        config
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

/// How clients authenticate (RFC 6749 §2.3.1, RFC 7523, RFC 8705).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// Every method.
    #[default]
    Any,
    /// `client_secret_basic`.
    BasicOnly,
    /// `client_secret_post`.
    PostOnly,
    /// `client_secret_jwt`.
    SecretJwtOnly,
    /// `private_key_jwt`.
    PrivateKeyJwtOnly,
    /// `tls_client_auth` and `self_signed_tls_client_auth`.
    MtlsOnly,
}

/// Who may use `/_mock` on the issuer's own port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Admin {
    /// Nobody: the path is an issuer's like any other.
    #[default]
    Off,
    /// Everybody who reaches the port from this machine.
    Open,
    /// Who has the token.
    Token(Secret),
}

impl Admin {
    /// Everybody who reaches the port is let in, or would be by an empty token.
    pub(crate) fn is_unguarded(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Open => true,
            Self::Token(token) => token.expose().trim().is_empty(),
        }
    }
}

/// Options of the protocol.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocol {
    /// A public client has to use PKCE (RFC 9700 §2.1.1).
    pub require_pkce: bool,
    /// Authorization requests have to be pushed (RFC 9126).
    pub require_par: bool,
    /// DPoP proofs need our nonce (RFC 9449 §8).
    pub require_dpop_nonce: bool,
    /// A refresh token is good once (RFC 9700 §4.14.2).
    pub rotate_refresh_tokens: bool,
    /// `offline_access` has to be asked for before a refresh token comes with a login.
    pub refresh_needs_offline_access: bool,
    /// How long a code is good.
    #[serde(with = "span")]
    pub code_lifetime: Duration,
    /// How long a refresh token is good.
    #[serde(with = "span")]
    pub refresh_lifetime: Duration,
    /// How long a device code is good.
    #[serde(with = "span")]
    pub device_lifetime: Duration,
    /// How long a device has to wait between polls.
    #[serde(with = "span")]
    pub device_interval: Duration,
    /// `Cache-Control: max-age` of the key set.
    #[serde(with = "span")]
    pub jwks_max_age: Duration,
    /// How far clocks of clients may be off in what they sign.
    #[serde(with = "span")]
    pub leeway: Duration,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            require_pkce: false,
            require_par: false,
            require_dpop_nonce: false,
            rotate_refresh_tokens: true,
            refresh_needs_offline_access: false,
            code_lifetime: Duration::from_secs(60),
            refresh_lifetime: Duration::from_secs(30 * 24 * 3600),
            device_lifetime: Duration::from_secs(600),
            device_interval: Duration::from_secs(5),
            jwks_max_age: Duration::from_secs(300),
            leeway: Duration::from_secs(30),
        }
    }
}

/// Ways of real providers that need code; profiles switch them on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// The issuer of `…/common` is published with `{tenantid}` in it, literally.
    pub literal_tenantid_for_common: bool,
    /// The token endpoint is on another host name than discovery.
    pub token_on_another_host: bool,
    /// The `iss` of the first ID token has no scheme.
    pub first_iss_without_scheme: bool,
    /// Access tokens are signed with a key that is not in the key set.
    pub access_tokens_not_in_jwks: bool,
    /// Tokens are answered as a form unless the request accepts JSON.
    pub form_answer_unless_json_accepted: bool,
    /// `scope` of client credentials has to end so.
    pub client_scope_suffix: Option<String>,
}

/// A duration in a file: seconds, or text like `5m`.
pub(crate) mod span {
    use std::fmt;
    use std::time::Duration;

    use serde::de::{Deserializer, Error, Visitor};

    struct Span;

    impl Visitor<'_> for Span {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration: seconds, or text like `90s` or `5m`")
        }

        fn visit_u64<E: Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: Error>(self, seconds: i64) -> Result<Duration, E> {
            u64::try_from(seconds)
                .map(Duration::from_secs)
                .map_err(|_| E::custom("a duration is not negative"))
        }

        fn visit_f64<E: Error>(self, seconds: f64) -> Result<Duration, E> {
            Duration::try_from_secs_f64(seconds).map_err(E::custom)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            humantime::parse_duration(text).map_err(|e| E::custom(format!("`{text}` is no duration: {e}")))
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        d.deserialize_any(Span)
    }
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
    /// Control of a mock that others can reach has to be guarded.
    #[error(
        "`/_mock` on {address} could be used by anybody who reaches it: give an admin token, or listen on 127.0.0.1"
    )]
    Unguarded {
        /// Host and port.
        address: String,
    },
}
