//! A small issuer whose tokens can be wrong in every way.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flightsql_server::{Algorithm, TrustedIssuer};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub const AUDIENCE: &str = "flight";

/// What the issuer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    Broken,
    Silent,
}

struct State {
    keys: Mutex<Vec<Value>>,
    mood: Mutex<Mood>,
    fetches: AtomicUsize,
}

/// The issuer. Dropping it stops it.
pub struct Issuer {
    pub url: String,
    pub key: KeyPair,
    state: Arc<State>,
    _task: JoinSet<()>,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = KeyPair::generate().unwrap();
        let state = Arc::new(State {
            keys: Mutex::new(vec![jwk("one", &key)]),
            mood: Mutex::new(Mood::Well),
            fetches: AtomicUsize::new(0),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, url.clone(), state.clone()));
        Self { url, key, state, _task: task }
    }

    pub fn trusted(&self) -> TrustedIssuer {
        TrustedIssuer {
            issuer: self.url.clone(),
            discovery_url: format!("{}/.well-known/openid-configuration", self.url),
            audience: AUDIENCE.to_owned(),
            algorithms: vec![Algorithm::ES256, Algorithm::RS256],
            leeway: Duration::ZERO,
        }
    }

    pub fn set_mood(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    pub fn publish(&self, keys: Vec<Value>) {
        *self.state.keys.lock().unwrap() = keys;
    }

    /// How often the key set was fetched.
    pub fn fetches(&self) -> usize {
        self.state.fetches.load(Ordering::SeqCst)
    }

    pub fn claims(&self) -> Value {
        json!({ "iss": self.url, "aud": AUDIENCE, "sub": "ann", "exp": now() + 600, "iat": now() })
    }

    /// A token that is right.
    pub fn token(&self) -> String {
        signed(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": "one" }), &self.claims(), &self.key)
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens are dated by the time of day")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn jwk(kid: &str, key: &KeyPair) -> Value {
    let point = key.der_bytes();
    let coordinate = |at: usize| URL_SAFE_NO_PAD.encode(&point[at..at + 32]);
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": coordinate(1), "y": coordinate(33) })
}

/// Header and claims as they are, with a signature of this key.
pub fn signed(header: &Value, claims: &Value, key: &KeyPair) -> String {
    signed_text(&header.to_string(), &claims.to_string(), key)
}

pub fn signed_text(header: &str, claims: &str, key: &KeyPair) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signer = EncodingKey::from_ec_der(key.serialized_der());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signer, Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

/// HS256 with any bytes as the secret.
pub fn hmac(claims: &Value, kid: &str, secret: &[u8]) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

async fn serve(listener: TcpListener, url: String, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (url, state) = (url.clone(), state.clone());
        connections.spawn(async move {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let (url, state) = (url.clone(), state.clone());
                async move { answer(request.uri().path(), &url, &state).await }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(path: &str, url: &str, state: &State) -> Result<Response<Full<Bytes>>, Infallible> {
    let mood = *state.mood.lock().unwrap();
    if mood == Mood::Silent {
        std::future::pending::<()>().await;
    }
    let body = if path == "/keys" {
        state.fetches.fetch_add(1, Ordering::SeqCst);
        json!({ "keys": *state.keys.lock().unwrap() })
    } else {
        json!({ "issuer": url, "jwks_uri": format!("{url}/keys") })
    };
    let status = if mood == Mood::Broken { 503 } else { 200 };
    Ok(Response::builder().status(status).body(Full::new(body.to_string().into())).unwrap())
}
