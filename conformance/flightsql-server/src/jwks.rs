//! The key set of an issuer: fetched when it is needed, kept, fetched again for a key that is not in it.

use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::config::TrustedIssuer;

/// How long an issuer may take to answer.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// A key that is not in the set makes us ask again at most this often.
const AGAIN: Duration = Duration::from_secs(1);
/// A set is not trusted for longer: a withdrawn key ends with it.
const KEPT: Duration = Duration::from_secs(300);
/// Documents longer than this are not read.
const BODY_LIMIT: usize = 1 << 20;

/// Why there is no key.
#[derive(Debug)]
pub(crate) enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// The issuer cannot be asked.
    Unreachable(String),
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
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
}

/// What an issuer says of an opaque token.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) principal: String,
    pub(crate) expires: Option<i64>,
}

#[derive(Debug, Default)]
struct Known {
    metadata: Option<Metadata>,
    keys: Vec<Jwk>,
    fetched: Option<Instant>,
}

/// Keys of one issuer.
#[derive(Debug)]
pub(crate) struct KeySet {
    trusted: TrustedIssuer,
    http: reqwest::Client,
    known: Mutex<Known>,
}

impl KeySet {
    pub(crate) fn new(trusted: TrustedIssuer, http: reqwest::Client) -> Self {
        Self { trusted, http, known: Mutex::default() }
    }

    pub(crate) fn trusted(&self) -> &TrustedIssuer {
        &self.trusted
    }

    /// The key with this id.
    pub(crate) async fn key(&self, kid: Option<&str>) -> Result<Jwk, KeyError> {
        let mut known = self.known.lock().await;
        let fresh = known.fetched.is_some_and(|at| at.elapsed() < KEPT);
        if let Some(key) = find(&known.keys, kid).filter(|_| fresh) {
            return Ok(key);
        }
        if known.fetched.is_some_and(|at| at.elapsed() < AGAIN) {
            return Err(KeyError::Unknown);
        }
        let metadata = self.metadata(&mut known).await?;
        let set: JwkSet = self.get(&metadata.jwks_uri).await?;
        known.keys = set.keys;
        known.fetched = Some(Instant::now());
        find(&known.keys, kid).ok_or(KeyError::Unknown)
    }

    /// Asks the issuer about a token that is no JWT (RFC 7662); `None` if it is not active here.
    pub(crate) async fn introspect(&self, token: &str) -> Result<Option<Active>, KeyError> {
        let metadata = {
            let mut known = self.known.lock().await;
            self.metadata(&mut known).await?
        };
        let Some(endpoint) = metadata.introspection_endpoint else { return Ok(None) };
        let request = self.http.post(endpoint).form(&[("token", token)]);
        let answer: Introspection = self.send(request).await?;
        let ours = answer.active && answer.iss.as_ref().is_none_or(|iss| *iss == self.trusted.issuer);
        let principal = answer.sub.or(answer.client_id).unwrap_or_default();
        Ok(ours.then_some(Active { principal, expires: answer.exp }))
    }

    async fn metadata(&self, known: &mut Known) -> Result<Metadata, KeyError> {
        if let Some(metadata) = &known.metadata {
            return Ok(metadata.clone());
        }
        let metadata: Metadata = self.get(&self.trusted.discovery_url).await?;
        known.metadata = Some(metadata.clone());
        Ok(metadata)
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, url: &str) -> Result<T, KeyError> {
        self.send(self.http.get(url)).await
    }

    async fn send<T: for<'de> Deserialize<'de>>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, KeyError> {
        let unreachable = |e: &dyn std::fmt::Display| KeyError::Unreachable(e.to_string());
        let mut response = request
            .timeout(FETCH_LIMIT)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|e| unreachable(&e))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(&e))? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_LIMIT {
                return Err(unreachable(&"the document is too long"));
            }
        }
        serde_json::from_slice(&body).map_err(|e| unreachable(&e))
    }
}

fn find(keys: &[Jwk], kid: Option<&str>) -> Option<Jwk> {
    match kid {
        Some(kid) => keys.iter().find(|k| k.common.key_id.as_deref() == Some(kid)).cloned(),
        // Without an id only a lone key can be meant.
        None => keys.first().filter(|_| keys.len() == 1).cloned(),
    }
}
