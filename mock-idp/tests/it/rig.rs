//! A mock and a client that says what it sees.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mock_idp::tls::ThrowAwayCa;
use mock_idp::{Config, FaultRequest, MockIdp, Scheme, Surroundings};
use serde_json::{Map, Value};

/// Nothing on loopback takes longer, unless it never ends.
pub const LIMIT: Duration = Duration::from_secs(10);

pub struct Rig {
    pub idp: MockIdp,
    pub http: reqwest::Client,
}

/// An answer as it was seen.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap_or("?"))
    }

    /// Parameters of the address that a redirect leads to.
    pub fn location(&self) -> HashMap<String, String> {
        let url = url::Url::parse(self.header("location")).unwrap();
        url.query_pairs().into_owned().collect()
    }
}

/// Installs the one crypto provider.
pub fn provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

pub fn client() -> reqwest::Client {
    provider();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(LIMIT)
        .build()
        .unwrap()
}

/// Users are logged in without a page.
pub fn automatic() -> Config {
    let mut config = Config::default();
    config.login.interactive = false;
    config
}

impl Rig {
    pub async fn start(config: Config) -> Self {
        Self { idp: MockIdp::start(config).await.unwrap(), http: client() }
    }

    pub async fn plain() -> Self {
        Self::start(automatic()).await
    }

    /// Over TLS; the client trusts the throw-away CA, and makes a connection for each request.
    pub async fn secure() -> Self {
        Self::secure_with(automatic()).await
    }

    pub async fn secure_with(mut config: Config) -> Self {
        provider();
        let ca = Arc::new(ThrowAwayCa::new());
        config.scheme = Scheme::Https(ca.server_config_for_mtls(&[b"http/1.1"]));
        let surroundings = Surroundings { ca: Some(ca.clone()), ..Surroundings::default() };
        let http = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(ca.ca_pem().as_bytes()).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(LIMIT)
            .build()
            .unwrap();
        Self { idp: MockIdp::start_with(config, surroundings).await.unwrap(), http }
    }

    /// Sets a fault as the control API would.
    pub fn fault(&self, name: &str, with: Option<Value>) -> String {
        let request = FaultRequest { fault: name.to_owned(), with, ..FaultRequest::default() };
        self.idp.add_fault(request.resolve().unwrap())
    }

    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> Result<Seen, reqwest::Error> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Seen { status, headers, bytes: answer.bytes().await?.to_vec() })
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Seen {
        self.try_send(request).await.unwrap()
    }

    pub async fn get(&self, url: &str) -> Seen {
        self.send(self.http.get(url)).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.idp.origin())
    }

    pub fn token_request(&self) -> reqwest::RequestBuilder {
        self.http
            .post(self.idp.token_url())
            .basic_auth("app", Some("secret"))
            .form(&[("grant_type", "client_credentials")])
    }

    /// A client credentials token.
    pub async fn token(&self) -> Seen {
        self.send(self.token_request()).await
    }

    /// A form to the token endpoint, from the client `app`.
    pub async fn grant(&self, params: &[(&str, &str)]) -> Seen {
        let request = self.http.post(self.idp.token_url()).basic_auth("app", Some("secret")).form(params);
        self.send(request).await
    }

    pub async fn authorize(&self, more: &[(&str, &str)]) -> Seen {
        let mut url = url::Url::parse(&self.url("/authorize")).unwrap();
        let usual = [
            ("client_id", "app"),
            ("redirect_uri", "http://localhost/cb"),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
        ];
        for (name, value) in usual.iter().filter(|(n, _)| !more.iter().any(|(m, _)| m == n)).chain(more) {
            url.query_pairs_mut().append_pair(name, value);
        }
        self.get(url.as_str()).await
    }

    /// A login up to the code.
    pub async fn code(&self, more: &[(&str, &str)]) -> String {
        let seen = self.authorize(more).await;
        seen.location().remove("code").unwrap_or_else(|| panic!("no code: {seen:?}"))
    }

    pub async fn redeem(&self, code: &str) -> Seen {
        self.grant(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", "http://localhost/cb"),
        ])
        .await
    }

    /// The answer to a whole login.
    pub async fn login(&self) -> Value {
        let code = self.code(&[]).await;
        self.redeem(&code).await.json()
    }

    /// Claims of a JWT with a right signature by a published key, or why not.
    pub async fn verified(&self, token: &str) -> Result<Map<String, Value>, String> {
        let keys: jsonwebtoken::jwk::JwkSet =
            serde_json::from_value(self.get(&self.idp.jwks_url()).await.json()).map_err(|e| e.to_string())?;
        let header = jsonwebtoken::decode_header(token).map_err(|e| e.to_string())?;
        let kid = header.kid.ok_or("no kid")?;
        let jwk = keys.find(&kid).ok_or("the kid is not in the key set")?;
        let key = jsonwebtoken::DecodingKey::from_jwk(jwk).map_err(|e| e.to_string())?;
        let mut validation = jsonwebtoken::Validation::new(header.alg);
        validation.validate_aud = false;
        validation.validate_nbf = true;
        validation.leeway = 0;
        jsonwebtoken::decode(token, &key, &validation).map(|d| d.claims).map_err(|e| e.to_string())
    }
}

/// Header or payload of a JWT.
pub fn part(token: &str, nth: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(nth).unwrap()).unwrap()).unwrap()
}

/// A member that is text.
pub fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}
