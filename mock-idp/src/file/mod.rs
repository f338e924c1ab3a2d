//! The configuration file of the program: TOML, YAML or JSON, strict, with a guess at what was meant.

pub(crate) mod diagnostic;
mod navikt;
mod validity;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::{Client, ClientAuth, Clients, Config, GrantKind, Login, Protocol, Quirks, TokenConfig};
use crate::endpoint::Paths;
use crate::fault::{Fault, FaultRequest, FaultRequestError};
use crate::profile;

pub use diagnostic::Format;
pub(crate) use diagnostic::with_guess;

/// A member that a document shall not have, because TOML has no `null`.
const ABSENT: &str = "<absent>";

/// Why a configuration is none.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not as it should be; the text has line and column.
    #[error("{name}: {message}")]
    Content {
        /// Path of the file, or what else it came from.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// Settings of an issuer do not fit together.
    #[error("issuer `{issuer}`: {message}")]
    Issuer {
        /// Its path.
        issuer: String,
        /// What is wrong.
        message: String,
    },
    /// A value that cannot be used.
    #[error("`{member}`: {message}")]
    Value {
        /// Which.
        member: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The same, and where it stands.
    #[error("{name}, line {line}: {source}")]
    At {
        /// Path of the file, or what else it came from.
        name: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        source: Box<ConfigError>,
    },
    /// A signing key that is none.
    #[error("signing key {nth}: {message}")]
    Key {
        /// Which, from 1.
        nth: usize,
        /// What is wrong.
        message: String,
    },
    /// A profile that does not exist.
    #[error(transparent)]
    Profile(#[from] profile::ProfileError),
    /// A fault that does not exist.
    #[error("fault: {0}")]
    Fault(#[from] FaultRequestError),
}

impl ConfigError {
    /// What is wrong, as it is written in the file: the first word in backticks.
    fn word(&self) -> Option<String> {
        let text = match self {
            Self::Issuer { message, issuer } if !message.starts_with('`') => return Some(issuer.clone()),
            Self::Issuer { message, .. } | Self::Value { message, .. } => message.clone(),
            Self::Profile(profile::ProfileError::Quirk { name, .. }) => return Some(name.clone()),
            Self::Profile(_) | Self::Fault(_) => self.to_string(),
            Self::Read { .. } | Self::Content { .. } | Self::Key { .. } | Self::At { .. } => return None,
        };
        text.split('`').nth(1).map(str::to_owned)
    }
}

/// A file as it was written, to show where something stands.
#[derive(Debug, Clone, Default)]
struct Source {
    name: String,
    text: String,
}

impl Source {
    /// The error with the line of what is wrong, if it stands there; it may have come from a flag.
    fn located(&self, error: ConfigError) -> ConfigError {
        let Some(word) = error.word() else { return error };
        let mut lines = self.text.lines().enumerate().filter(|(_, line)| diagnostic::has_word(line, &word));
        let twice = error.to_string().contains("is there twice");
        match if twice { lines.last() } else { lines.next() } {
            Some((nth, _)) => {
                ConfigError::At { name: self.name.clone(), line: nth + 1, source: Box::new(error) }
            }
            None => error,
        }
    }
}

/// The file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// The address to listen on, and the host in URLs unless `base_url` or the request says otherwise.
    pub host: Option<String>,
    /// The port; 0 lets the system choose.
    pub port: Option<u16>,
    /// A port on loopback for `/_mock` alone.
    pub admin_port: Option<u16>,
    /// Who may use `/_mock` if the mock listens for others.
    pub admin_token: Option<String>,
    /// TLS: `true` makes a throw-away CA, a table names files.
    pub tls: Option<TlsFile>,
    /// Base URL in everything that is published.
    pub base_url: Option<String>,
    /// Base URL in what programs call, if it is another.
    pub back_channel_base_url: Option<String>,
    /// Any path is an issuer on first use; on unless `false`.
    pub any_path: Option<bool>,
    /// One port, or one for each endpoint.
    pub listeners: Option<crate::config::Listeners>,
    /// All issuers, unless they have settings of their own.
    pub issuer: IssuerFile,
    /// Issuers with settings of their own, by path.
    pub issuers: BTreeMap<String, IssuerFile>,
    /// Private JWKs to sign with, one for an algorithm, instead of new keys.
    pub signing_keys: Vec<Value>,
    /// A folder whose files are served under `/static/`, for an own login page.
    pub static_files: Option<PathBuf>,
    /// Faults from the start; they stand until they are spent or removed.
    pub faults: Vec<FaultRequest>,
    /// Where the clocks stand still (seconds since 1970).
    #[serde(skip)]
    pub frozen_at: Option<f64>,
    /// What a foreign format had that we do not do.
    #[serde(skip)]
    pub ignored: Vec<String>,
    /// The text itself.
    #[serde(skip)]
    source: Source,
    /// The tables of issuers as they were written, to lay over profiles.
    #[serde(skip)]
    written: (Value, BTreeMap<String, Value>),
}

/// TLS of the listener.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsFile {
    /// Certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
    /// Further names in the certificate of the throw-away CA.
    pub names: Vec<String>,
}

/// An issuer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuerFile {
    /// The provider that it behaves like.
    pub profile: Option<String>,
    /// Quirks of the profile that it has not.
    pub without: Vec<String>,
    /// Only these clients, and those that register themselves.
    pub strict: bool,
    /// Clients that have to be right.
    pub clients: Vec<ClientFile>,
    /// How clients authenticate.
    pub client_auth: ClientAuth,
    /// Grants.
    pub grants: Option<Vec<GrantKind>>,
    /// Tokens.
    pub token: TokenConfig,
    /// Users.
    pub login: Login,
    /// Options of the protocol.
    pub protocol: Protocol,
    /// Paths of the endpoints.
    pub paths: Paths,
    /// The published issuer ends in a slash.
    pub trailing_slash: bool,
    /// The published issuer as a template.
    pub issuer_template: Option<String>,
    /// Laid over the discovery document; `"<absent>"` removes a member.
    pub discovery: Map<String, Value>,
    /// Ways of real providers that are not data.
    pub quirks: Quirks,
}

/// A client of the file.
pub type ClientFile = Client;

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.secret == other.secret && self.redirect_uris == other.redirect_uris
    }
}

impl File {
    /// Reads a file; its name tells the format.
    ///
    /// # Errors
    /// If it cannot be read or is not as it should be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text, Format::of(path))
    }

    /// Parses a text.
    ///
    /// # Errors
    /// If it is not as it should be; the error has file, line and a guess.
    pub fn parse(name: &str, text: &str, format: Format) -> Result<Self, ConfigError> {
        let failed = |message| ConfigError::Content { name: name.to_owned(), message };
        let value: Value = diagnostic::parsed(text, format).map_err(failed)?;
        let source = Source { name: name.to_owned(), text: text.to_owned() };
        if navikt::is_one(&value) {
            let read = diagnostic::parsed(text, format).map_err(failed)?;
            return Ok(Self { source, ..navikt::file(name, read)? });
        }
        let file: Self = diagnostic::parsed(text, format).map_err(failed)?;
        Ok(Self { source, written: written(&value), ..file })
    }

    /// The same with a profile for all issuers that name none.
    #[must_use]
    pub fn with_profile(mut self, profile: Option<String>, without: Vec<String>) -> Self {
        if let Some(profile) = profile {
            let table = object(&mut self.written.0);
            table.insert("profile".to_owned(), profile.into());
        }
        if !without.is_empty() {
            object(&mut self.written.0).insert("without".to_owned(), without.into());
        }
        self
    }

    /// The same with only registered clients.
    #[must_use]
    pub fn strict(mut self) -> Self {
        object(&mut self.written.0).insert("strict".to_owned(), true.into());
        self
    }

    /// Turns settings into what a mock is started from: `base` is laid under them.
    ///
    /// # Errors
    /// A profile, a quirk or a fault that does not exist, or settings that cannot work; with file and line where
    /// what is wrong stands there.
    pub fn resolve(&self, base: &Config) -> Result<(Config, HashMap<String, Config>), ConfigError> {
        self.resolved(base).map_err(|e| self.source.located(e))
    }

    fn resolved(&self, base: &Config) -> Result<(Config, HashMap<String, Config>), ConfigError> {
        let urls = [("base_url", &self.base_url), ("back_channel_base_url", &self.back_channel_base_url)];
        for (member, url) in urls.into_iter().filter_map(|(m, url)| Some((m, url.as_deref()?))) {
            validity::base_url(url).map_err(|message| ConfigError::Value { member, message })?;
        }
        let mut home = base.clone();
        if let Some(host) = &self.host {
            home.host.clone_from(host);
        }
        if let Some(port) = self.port {
            home.port = port;
        }
        home.any_path = self.any_path.unwrap_or(home.any_path);
        home.listeners = self.listeners.unwrap_or(home.listeners);
        home.front_base_url = self.base_url.clone().or(home.front_base_url);
        home.back_base_url = self.back_channel_base_url.clone().or(home.back_base_url);
        home.static_files = self.static_files.clone().or(home.static_files);
        for (nth, jwk) in self.signing_keys.iter().enumerate() {
            home.keys.import(jwk).map_err(|message| ConfigError::Key { nth: nth + 1, message })?;
        }
        for fault in &self.faults {
            home.faults.push(standing(fault)?);
        }
        let mut issuers = HashMap::new();
        for (path, own) in &self.written.1 {
            validity::path(path).map_err(|message| ConfigError::Issuer { issuer: path.clone(), message })?;
            let mut config = home.clone();
            config.path = path.trim_end_matches('/').to_owned();
            config.name.clone_from(&config.path);
            let mut settings = self.written.0.clone();
            object(&mut settings);
            laid_over(&mut settings, own);
            applied(path, &settings, &mut config)?;
            issuers.insert(config.path.clone(), config);
        }
        applied("/", &self.written.0, &mut home)?;
        Ok((home, issuers))
    }
}

/// A fault of the file stands until it is spent, however long that takes.
fn standing(fault: &FaultRequest) -> Result<Fault, FaultRequestError> {
    let mut resolved = fault.resolve()?;
    if fault.lifetime.is_none() {
        resolved.scope.lifetime = None;
    }
    Ok(resolved)
}

fn written(value: &Value) -> (Value, BTreeMap<String, Value>) {
    let issuer = value.get("issuer").cloned().unwrap_or(Value::Object(Map::new()));
    let issuers = value.get("issuers").and_then(Value::as_object).cloned().unwrap_or_default();
    (issuer, issuers.into_iter().collect())
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was just made one")
}

/// Lays settings over others: tables are merged, everything else is replaced.
pub(crate) fn laid_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                laid_over(under.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// Applies the settings of an issuer, its profile first.
pub(crate) fn applied(issuer: &str, settings: &Value, config: &mut Config) -> Result<(), ConfigError> {
    let failed = |message: String| ConfigError::Issuer { issuer: issuer.to_owned(), message };
    let of = |name: &str| settings.get(name).cloned().unwrap_or_default();
    let mut all = Value::Object(Map::new());
    let without: Vec<String> = serde_json::from_value(of("without")).unwrap_or_default();
    match of("profile").as_str() {
        Some(name) => all = profile::settings(name, &without)?,
        None => validity::quirks_without_profile(&without).map_err(failed)?,
    }
    if settings.is_object() {
        laid_over(&mut all, settings);
    }
    let file: IssuerFile =
        serde_path_to_error::deserialize(&all).map_err(|e| failed(with_guess(&e.to_string())))?;
    file.apply(config);
    validity::issuer(config).map_err(failed)
}

impl IssuerFile {
    fn apply(self, config: &mut Config) {
        config.trailing_slash = self.trailing_slash;
        config.issuer_template = self.issuer_template;
        config.paths = self.paths;
        config.clients = match (self.strict, self.clients) {
            (true, clients) => Clients::Registered(clients),
            (false, clients) if clients.is_empty() => Clients::Any,
            (false, clients) => Clients::Known(clients),
        };
        config.client_auth = self.client_auth;
        config.grants = self.grants.unwrap_or_else(|| GrantKind::DEFAULT.to_vec());
        config.token = self.token;
        for claims in
            [&mut config.token.claims, &mut config.token.id_claims, &mut config.token.userinfo_claims]
        {
            *claims = without_absent(std::mem::take(claims));
        }
        config.token.header = without_absent(std::mem::take(&mut config.token.header));
        config.token.answer = without_absent(std::mem::take(&mut config.token.answer));
        config.login = self.login;
        config.protocol = self.protocol;
        config.discovery = Value::Object(without_absent(self.discovery));
        config.quirks = self.quirks;
    }
}

/// `"<absent>"` as the `null` of a merge patch.
fn without_absent(members: Map<String, Value>) -> Map<String, Value> {
    let patched = |value: Value| if value == ABSENT { Value::Null } else { value };
    members.into_iter().map(|(name, value)| (name, patched(value))).collect()
}

/// Makes an issuer like a provider, but for some of its quirks: everything that a profile may say is replaced.
///
/// # Errors
/// A profile or a quirk that does not exist.
pub fn like_provider(config: &mut Config, profile: &str, without: &[String]) -> Result<(), ConfigError> {
    let settings = serde_json::json!({ "profile": profile, "without": without });
    applied(&config.path.clone(), &settings, config)
}

/// A base for programs: any path, any client, an in-memory record.
pub fn base() -> Config {
    let mut config = Config::new(Arc::new(crate::KeyPool::new()), Arc::new(drop));
    config.any_path = true;
    config.follow_host = true;
    config
}
