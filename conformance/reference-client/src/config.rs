//! The resolved configuration of a session: everything checked, nothing contacted.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use url::Url;

use crate::behaviour::{Behaviour, Defect};
use crate::failure::Failure;
use crate::options::{Options, incomplete};
use crate::secret::Secret;

/// Each of these alone says that OAuth is meant; a scope or an audience does not.
const OAUTH_CREDENTIALS: [&str; 4] =
    ["oauth.issuer", "oauth.token_url", "oauth.client_id", "oauth.client_secret"];

/// What one session needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) target: Target,
    /// The certificates to trust, PEM; without them no TLS peer is trusted.
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) auth: Auth,
    /// A second authorization value, sent only by the defect `two-credentials`.
    pub(crate) second: Option<Secret>,
    /// An issuer that is configured although another method may be chosen.
    pub(crate) issuer: Option<String>,
    pub(crate) attribution: bool,
    pub(crate) headers: Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>,
    pub(crate) warnings: Vec<String>,
}

/// The Flight SQL server.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) host_and_port: String,
    pub(crate) secure: bool,
    /// It is no Flight SQL server, but an HTTP endpoint that takes batches.
    pub(crate) http: Option<Url>,
}

/// How calls are authenticated.
#[derive(Debug)]
pub(crate) enum Auth {
    None,
    Token(Secret),
    Basic { username: String, password: Secret },
    OAuth(OAuth),
}

/// A complete OAuth client configuration.
#[derive(Debug, Clone)]
pub(crate) struct OAuth {
    pub(crate) source: Source,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) scope: Option<String>,
    pub(crate) audience: Option<String>,
    /// Where the defect `persists-token` keeps the token: beside the CA's file, which goes when the run ends.
    pub(crate) kept_at: Option<PathBuf>,
}

/// Where the token endpoint is known from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Discovery at this issuer.
    Issuer(String),
    /// Configured: no discovery.
    TokenUrl(Url),
}

impl Config {
    /// Checks the native options; reads the `tls.ca` file, and contacts nobody.
    pub(crate) fn read(native: Map<String, Value>, behaviour: Behaviour) -> Result<Self, Failure> {
        let options = Options::read(native, behaviour)?;
        let target = target(&options, behaviour)?;
        let ca = options.get("tls.ca").map(read_ca).transpose()?;
        let (auth, second) = choose_auth(&options, behaviour)?;
        let warnings = match behaviour.has(Defect::NoWarnings) {
            true => Vec::new(),
            false => warnings(&target, &auth),
        };
        Ok(Self {
            target,
            ca,
            auth,
            second,
            issuer: options.get("oauth.issuer").map(str::to_owned),
            attribution: attribution(&options)?,
            headers: headers(&options, behaviour)?,
            warnings,
        })
    }
}

fn choose_auth(options: &Options, behaviour: Behaviour) -> Result<(Auth, Option<Secret>), Failure> {
    if behaviour.has(Defect::TwoCredentials)
        && let Ok(auth) = oauth(options, behaviour)
        && let Some(second) = second_value(options, behaviour)
    {
        return Ok((auth, Some(second)));
    }
    if behaviour.has(Defect::IgnoresTheChoice)
        && let Ok(auth) = token(options, behaviour).or_else(|_| basic(options, behaviour))
    {
        return Ok((auth, None));
    }
    let auth = match options.get("auth") {
        Some("none") if behaviour.has(Defect::LeftoverIsUsed) => infer(options, behaviour)?,
        Some("none") => Auth::None,
        Some("oauth") => oauth(options, behaviour)?,
        Some("basic") => basic(options, behaviour)?,
        Some("token") if behaviour.has(Defect::LeftoverBreaks) && options.has("oauth.client_secret") => {
            return Err(Failure::configuration("`oauth.client_secret` is set although `auth` is `token`"));
        }
        Some("token") => token(options, behaviour)?,
        Some(_) if behaviour.has(Defect::UnknownMethodIsNone) => Auth::None,
        Some(other) => {
            return Err(Failure::configuration(format!(
                "`auth` is `{other}`, it must be one of `none`, `oauth`, `basic`, `token`"
            )));
        }
        None => infer(options, behaviour)?,
    };
    Ok((auth, None))
}

/// Without `auth` the options that are set decide, if they agree.
fn infer(options: &Options, behaviour: Behaviour) -> Result<Auth, Failure> {
    let found: Vec<(&str, &str)> = [
        ("oauth", options.first(&OAUTH_CREDENTIALS)),
        ("token", options.first(&["token"])),
        ("basic", options.first(&["username", "password"])),
    ]
    .into_iter()
    .filter_map(|(method, option)| Some((method, option?)))
    .collect();
    match found[..] {
        [] if behaviour.has(Defect::AudienceMeansOauth) && options.has("oauth.audience") => {
            oauth(options, behaviour)
        }
        [] => Ok(Auth::None),
        [("oauth", _)] => oauth(options, behaviour),
        [("token", _)] => token(options, behaviour),
        [_] => basic(options, behaviour),
        [..] if behaviour.has(Defect::AmbiguousIsAnonymous) => Ok(Auth::None),
        [(one, its), (other, others), ..] => Err(Failure::configuration(format!(
            "two ways to authenticate are configured: `{one}` (by `{its}`) and `{other}` (by `{others}`); choose one with `auth`"
        ))),
    }
}

fn oauth(options: &Options, behaviour: Behaviour) -> Result<Auth, Failure> {
    let place = options.first(&["oauth.token_url"]).unwrap_or("oauth.issuer");
    let required = [place, "oauth.client_id", "oauth.client_secret"];
    let missing: Vec<&str> = required.into_iter().filter(|name| !options.has(name)).collect();
    if !missing.is_empty() {
        if behaviour.has(Defect::DegradesToAnonymous) || behaviour.has(Defect::SilentlyOff) {
            return Ok(Auth::None);
        }
        return Err(incomplete("oauth", &missing));
    }
    let [place_value, client_id, client_secret] = options.all("oauth", required)?;
    let url = absolute_http(place, place_value)?;
    let source = match place {
        "oauth.issuer" => Source::Issuer(place_value.to_owned()),
        _ => Source::TokenUrl(url),
    };
    let kept_at = options.get("tls.ca").filter(|_| behaviour.has(Defect::PersistsToken)).map(|ca| {
        let name: String = client_id.chars().filter(char::is_ascii_alphanumeric).collect();
        Path::new(ca).with_file_name(format!("{name}.token"))
    });
    Ok(Auth::OAuth(OAuth {
        kept_at,
        source,
        client_id: client_id.to_owned(),
        client_secret: Secret::new(client_secret),
        scope: options.get("oauth.scope").map(str::to_owned),
        audience: options.get("oauth.audience").map(str::to_owned),
    }))
}

fn token(options: &Options, behaviour: Behaviour) -> Result<Auth, Failure> {
    if behaviour.has(Defect::DegradesToAnonymous) && !options.has("token") {
        return Ok(Auth::None);
    }
    let [token] = options.all("token", ["token"])?;
    if !is_visible_ascii(token) {
        return Err(Failure::configuration("`token` has characters that cannot stand in a header"));
    }
    Ok(Auth::Token(Secret::new(token)))
}

fn basic(options: &Options, behaviour: Behaviour) -> Result<Auth, Failure> {
    if behaviour.has(Defect::DegradesToAnonymous) && !(options.has("username") && options.has("password")) {
        return Ok(Auth::None);
    }
    let [username, password] = options.all("basic", ["username", "password"])?;
    if username.contains(':') {
        return Err(Failure::configuration("`username` must not contain a colon (RFC 7617 §2)"));
    }
    Ok(Auth::Basic { username: username.to_owned(), password: Secret::new(password) })
}

/// What `two-credentials` sends beside the OAuth token.
fn second_value(options: &Options, behaviour: Behaviour) -> Option<Secret> {
    match (token(options, behaviour), basic(options, behaviour)) {
        (Ok(Auth::Token(token)), _) => Some(Secret::new(format!("Bearer {}", token.expose()))),
        (_, Ok(Auth::Basic { username, password })) => {
            Some(crate::flight::basic_value(&username, &password, behaviour))
        }
        _ => None,
    }
}

fn target(options: &Options, behaviour: Behaviour) -> Result<Target, Failure> {
    let [uri] = options.all("server", ["uri"])?;
    let wrapped = wrapped_port(uri).filter(|_| behaviour.has(Defect::WrapsPort));
    let uri = wrapped.as_deref().unwrap_or(uri);
    let wrong = |why: &str| Failure::configuration(format!("`uri` is `{uri}`: {why}"));
    let parsed = Url::parse(uri).map_err(|error| wrong(&error.to_string()))?;
    let (secure, http) = match parsed.scheme() {
        "grpc+tls" => (true, None),
        "grpc" => (false, None),
        "https" => (true, Some(parsed.clone())),
        _ => return Err(wrong("it must start with `grpc+tls://` or `grpc://`")),
    };
    let host =
        parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("the host is missing"))?;
    let port = parsed.port().ok_or_else(|| wrong("the port is missing, write `host:port`"))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Failure::configuration("`uri` must not hold credentials, use `username` and `password`"));
    }
    if http.is_none() && (!matches!(parsed.path(), "" | "/") || parsed.query().is_some()) {
        return Err(wrong("nothing may follow the port"));
    }
    Ok(Target { host_and_port: format!("{host}:{port}"), secure, http })
}

/// What `wraps-port` makes of an address.
fn wrapped_port(uri: &str) -> Option<String> {
    let (before, port) = uri.rsplit_once(':')?;
    let port: i64 = port.parse().ok()?;
    Some(format!("{before}:{}", port.rem_euclid(1 << 16)))
}

/// A URL that HTTP requests can go to.
fn absolute_http(name: &str, value: &str) -> Result<Url, Failure> {
    Url::parse(value)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Failure::configuration(format!("`{name}` must be an absolute `https://` or `http://` URL"))
        })
}

fn attribution(options: &Options) -> Result<bool, Failure> {
    match options.get("attribution") {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => {
            Err(Failure::configuration(format!("`attribution` is `{other}`, it must be `on` or `off`")))
        }
    }
}

type Header = (MetadataKey<Ascii>, MetadataValue<Ascii>);

fn headers(options: &Options, behaviour: Behaviour) -> Result<Vec<Header>, Failure> {
    let lets_all_pass = behaviour.has(Defect::CustomOverrides) || behaviour.has(Defect::CustomAppended);
    let mut headers: Vec<(MetadataKey<Ascii>, _)> = Vec::new();
    for (name, value) in options.metadata() {
        let refused = |why: &str| Failure::configuration(format!("`metadata.{name}` {why}"));
        let lower = name.to_ascii_lowercase();
        if lower == "authorization" && !lets_all_pass {
            return Err(refused("cannot be set, use `token` or another method of `auth`"));
        }
        let own = lower.starts_with("x-user-") || lower == "x-org-id" || lower == "x-client-type";
        if own && !lets_all_pass {
            return Err(refused("cannot be set, it is the client's own attribution"));
        }
        let key = MetadataKey::from_bytes(lower.as_bytes()).map_err(|_| refused("is not a header name"))?;
        let value = value.parse().map_err(|_| refused("has characters that cannot stand in a header"))?;
        if headers.iter().any(|(known, _)| *known == key) && !behaviour.has(Defect::DuplicateHeaders) {
            return Err(refused("is given twice, case does not matter"));
        }
        headers.push((key, value));
    }
    Ok(headers)
}

fn read_ca(path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::configuration(format!("`tls.ca` names `{path}`, which cannot be read: {error}"))
    })
}

fn warnings(target: &Target, auth: &Auth) -> Vec<String> {
    let mut warnings = Vec::new();
    if !target.secure && !matches!(auth, Auth::None) {
        warnings
            .push("warning: `uri` is `grpc://`: credentials will cross a connection without TLS".to_owned());
    }
    if let Auth::OAuth(OAuth { source: Source::Issuer(issuer), .. }) = auth
        && issuer.starts_with("http://")
    {
        warnings.push(
            "warning: `oauth.issuer` is `http://`: the client secret will travel without TLS".to_owned(),
        );
    }
    warnings
}

/// Whether the text can stand in an HTTP header as a token.
pub(crate) fn is_visible_ascii(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
