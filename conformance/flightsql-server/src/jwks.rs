//! The key set of an issuer: fetched when it is needed, kept, fetched again for a key that is not in it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::StatusCode;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::config::TrustedIssuer;
use crate::defect::Defect;

/// How long an issuer may take to answer.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// A key that is not in the set makes us ask again at most this often.
const AGAIN: Duration = Duration::from_secs(1);
/// A set is asked for again when it is older: a withdrawn key ends with it.
const FRESH: Duration = Duration::from_secs(30);
/// While the issuer cannot be asked, its last set is good for so long.
const KEPT: Duration = Duration::from_secs(300);
/// Documents longer than this are not read.
const BODY_LIMIT: usize = 1 << 20;

/// Why there is no key.
#[derive(Debug, Clone)]
pub(crate) enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// The issuer cannot be asked.
    Unreachable(String),
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: Option<String>,
    jwks_uri: String,
    introspection_endpoint: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Introspection {
    active: bool,
    sub: Option<String>,
    client_id: Option<String>,
    iss: Option<String>,
    exp: Option<i64>,
    aud: Option<Value>,
}

/// A key set (RFC 7517 §5).
#[derive(Debug, Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// What an issuer says of an opaque token.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) principal: String,
    pub(crate) expires: Option<i64>,
}

/// A key that signatures are checked with.
#[derive(Clone)]
pub(crate) struct Key {
    kid: Option<String>,
    algorithm: Option<KeyAlgorithm>,
    /// As the signature check takes it.
    pub(crate) decoding: Arc<DecodingKey>,
}

impl Key {
    /// The key that a token brings: what only a defect asks for.
    pub(crate) fn embedded(jwk: &Value) -> Option<Self> {
        usable(serde_json::from_value(jwk.clone()).ok()?)
    }
}

/// What an issuer published at one moment.
struct Published {
    metadata: Metadata,
    keys: Vec<Key>,
    at: Instant,
}

type Fetch = Shared<BoxFuture<'static, Result<Arc<Published>, KeyError>>>;

#[derive(Default)]
struct Known {
    published: Option<Arc<Published>>,
    failed: Option<(Instant, KeyError)>,
    /// One fetch for all who wait.
    fetch: Option<Fetch>,
}

/// Keys of one issuer.
pub(crate) struct KeySet {
    trusted: TrustedIssuer,
    http: reqwest::Client,
    defect: Option<Defect>,
    known: Arc<Mutex<Known>>,
}

impl KeySet {
    pub(crate) fn new(trusted: TrustedIssuer, http: reqwest::Client, defect: Option<Defect>) -> Self {
        Self { trusted, http, defect, known: Arc::default() }
    }

    pub(crate) fn defect(&self) -> Option<Defect> {
        self.defect
    }

    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Any key of the issuer, and one that a token leads to: what only defects ask for.
    pub(crate) async fn any_key(&self) -> Option<Key> {
        let published = self.published().await.ok()?;
        published.keys.first().cloned()
    }

    pub(crate) async fn key_from(&self, url: &str) -> Option<Key> {
        let set: Document = send(self.http.get(url), Some(FETCH_LIMIT)).await.ok()?;
        set.keys.into_iter().find_map(|key| usable(serde_json::from_value(key).ok()?))
    }

    pub(crate) fn trusted(&self) -> &TrustedIssuer {
        &self.trusted
    }

    /// The key with this id, for this algorithm.
    pub(crate) async fn key(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Key, KeyError> {
        let old = self.known().published.clone();
        if let Some(old) = &old {
            let age = match self.defect {
                Some(Defect::ForgetsKeysInAnOutage) => FRESH,
                Some(Defect::RefetchesForEveryToken) => old.at.elapsed().max(AGAIN),
                Some(Defect::NeverRefetchesKeys) => Duration::ZERO,
                _ => old.at.elapsed(),
            };
            match find(&old.keys, kid, algorithm) {
                Some(key) if age < FRESH => return Ok(key),
                None if age < AGAIN => return Err(KeyError::Unknown),
                Some(_) | None => {}
            }
        }
        match self.published().await {
            Ok(new) => find(&new.keys, kid, algorithm).ok_or(KeyError::Unknown),
            // An outage is bridged for a while with what is known.
            Err(error) => {
                let keeps = !self.has(Defect::ForgetsKeysInAnOutage);
                let bridge = old.filter(|old| keeps && old.at.elapsed() < KEPT);
                bridge.and_then(|old| find(&old.keys, kid, algorithm)).ok_or(error)
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the issuer publishes now. Callers share one request; after a failure the issuer has a second's rest.
    async fn published(&self) -> Result<Arc<Published>, KeyError> {
        let fetch = {
            let mut known = self.known();
            let rests = |at: &Instant| match self.defect {
                Some(Defect::RefetchesForEveryToken) => false,
                Some(Defect::OutageIsForEver) => true,
                _ => at.elapsed() < AGAIN,
            };
            if let Some((_, error)) = known.failed.as_ref().filter(|(at, _)| rests(at)) {
                return Err(error.clone());
            }
            if self.has(Defect::RefetchesForEveryToken) {
                known.fetch = None;
            }
            let (limit, keeps) = (
                (!self.has(Defect::NoFetchTimeout)).then_some(FETCH_LIMIT),
                self.has(Defect::KeepsWithdrawnKeys),
            );
            let (http, discovery) = (self.http.clone(), self.trusted.discovery_url.clone());
            let (issuer, told) = (self.trusted.issuer.clone(), self.known.clone());
            let fetch = known.fetch.get_or_insert_with(|| {
                let fetching = async move {
                    let mut result = fetch(&http, &discovery, &issuer, limit).await;
                    if let (Ok(new), true) = (&mut result, keeps) {
                        let known = told.lock().unwrap_or_else(PoisonError::into_inner);
                        new.keys.extend(known.published.iter().flat_map(|old| old.keys.clone()));
                    }
                    let result = result.map(Arc::new);
                    let mut known = told.lock().unwrap_or_else(PoisonError::into_inner);
                    known.fetch = None;
                    match &result {
                        Ok(published) => {
                            known.published = Some(published.clone());
                            known.failed = None;
                        }
                        Err(error) => known.failed = Some((Instant::now(), error.clone())),
                    }
                    result
                };
                fetching.boxed().shared()
            });
            fetch.clone()
        };
        fetch.await
    }

    /// Asks the issuer about a token that is no JWT (RFC 7662); `None` if it is not active here.
    pub(crate) async fn introspect(&self, token: &str) -> Result<Option<Active>, KeyError> {
        let kept = self.known().published.clone().filter(|published| published.at.elapsed() < FRESH);
        let published = match kept {
            Some(published) => published,
            None => self.published().await?,
        };
        let Some(endpoint) = &published.metadata.introspection_endpoint else { return Ok(None) };
        let request = self.http.post(endpoint).form(&[("token", token)]);
        let response = request.timeout(FETCH_LIMIT).send().await.map_err(|e| unreachable(&e))?;
        // RFC 7662 §2.3: we are nobody to this issuer, so opaque tokens are no way in here.
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status()) {
            return Ok(None);
        }
        let answer: Introspection = read(response).await?;
        let for_us = |aud: &Value| match aud {
            Value::Array(all) => all.iter().any(|aud| aud.as_str() == Some(&self.trusted.audience)),
            one => one.as_str() == Some(&self.trusted.audience),
        };
        let ours = answer.active
            && answer.iss.as_ref().is_none_or(|iss| *iss == self.trusted.issuer)
            && answer.aud.as_ref().is_none_or(for_us);
        let principal = answer.sub.or(answer.client_id).unwrap_or_default();
        Ok(ours.then_some(Active { principal, expires: answer.exp }))
    }
}

async fn fetch(
    http: &reqwest::Client,
    discovery: &str,
    issuer: &str,
    limit: Option<Duration>,
) -> Result<Published, KeyError> {
    let metadata: Metadata = send(http.get(discovery), limit).await?;
    // OIDC Discovery §4.3: the document must be about the issuer that was asked for.
    if metadata.issuer.as_deref() != Some(issuer) {
        return Err(KeyError::Unreachable(format!("the document at {discovery} is about another issuer")));
    }
    let set: Document = send(http.get(&metadata.jwks_uri), limit).await?;
    // Keys of kinds that are not known here do not spoil the others (RFC 7517 §5).
    let keys = set.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?)).collect();
    Ok(Published { metadata, keys, at: Instant::now() })
}

/// A key that is meant for signatures.
fn usable(jwk: Jwk) -> Option<Key> {
    let common = &jwk.common;
    let for_signatures = common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    // A shared secret is no key that an issuer may publish.
    if !for_signatures || matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
        return None;
    }
    let decoding = Arc::new(DecodingKey::from_jwk(&jwk).ok()?);
    Some(Key { kid: jwk.common.key_id, algorithm: jwk.common.key_algorithm, decoding })
}

/// Fetches JSON within bounds of time and length.
async fn send<T: for<'de> Deserialize<'de>>(
    request: reqwest::RequestBuilder,
    limit: Option<Duration>,
) -> Result<T, KeyError> {
    let request = match limit {
        Some(limit) => request.timeout(limit),
        None => request,
    };
    read(request.send().await.map_err(|e| unreachable(&e))?).await
}

fn unreachable(error: &dyn std::fmt::Display) -> KeyError {
    KeyError::Unreachable(error.to_string())
}

async fn read<T: for<'de> Deserialize<'de>>(response: reqwest::Response) -> Result<T, KeyError> {
    let mut response = response.error_for_status().map_err(|e| unreachable(&e))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(&e))? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_LIMIT {
            return Err(unreachable(&"the document is too long"));
        }
    }
    serde_json::from_slice(&body).map_err(|e| unreachable(&e))
}

fn find(keys: &[Key], kid: Option<&str>, algorithm: Algorithm) -> Option<Key> {
    // RFC 8725 §3.1: a key that names its algorithm is used with no other.
    let named = |key: &&Key| key.algorithm.is_none_or(|a| a.to_string() == format!("{algorithm:?}"));
    match kid {
        Some(kid) => keys.iter().filter(named).find(|key| key.kid.as_deref() == Some(kid)).cloned(),
        // Without an id only a lone key can be meant.
        None => keys.first().filter(|_| keys.len() == 1).filter(named).cloned(),
    }
}

#[cfg(test)]
#[path = "jwks_wycheproof.rs"]
mod wycheproof_vectors;
