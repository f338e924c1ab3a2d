//! What all sessions of one client share: its behaviour, its log, and the token caches.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::attribution::User;
use crate::behaviour::{Behaviour, Defect};
use crate::config::{OAuth, Source};
use crate::failure::Failure;
use crate::flight::Slot;
use crate::http;
use crate::log::Log;
use crate::oauth::{Documents, TokenProvider};
use crate::redact::Redactor;
use crate::secret::Secret;

/// One client: in its own process, or inside the runner's.
pub(crate) struct Client {
    pub(crate) behaviour: Behaviour,
    pub(crate) log: Log,
    /// Held by the defects `stall-holds-lock` and `global-lock` only.
    pub(crate) whole: tokio::sync::Mutex<()>,
    /// Taken by the defect `eight-at-a-time` only.
    pub(crate) eight: tokio::sync::Semaphore,
    /// Operations so far, for the defects `first-fails` and `works-once` only.
    pub(crate) operations: AtomicU64,
    /// For the defect `knows-issuer-already` only.
    documents: Documents,
    providers: Mutex<HashMap<CacheKey, Weak<TokenProvider>>>,
    /// Written by the defect `user-of-the-process` only.
    pub(crate) last_user: Mutex<Option<User>>,
    /// The switch of the session opened last, for the defect `switch-of-the-process` only.
    pub(crate) attribution: AtomicBool,
    /// Connections by host, for the defect `pools-by-host` only.
    pub(crate) by_host: Mutex<HashMap<String, Slot>>,
    /// Filled by the defect `keyed-by-client-id` only.
    kept: Mutex<Vec<Arc<TokenProvider>>>,
}

/// Everything that makes two token caches different.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct CacheKey {
    source: String,
    client_id: String,
    client_secret: Option<Secret>,
    scope: Option<String>,
    audience: Option<String>,
    ca: Option<Vec<u8>>,
}

impl Client {
    pub(crate) fn new(behaviour: Behaviour, log: Log) -> Self {
        Self {
            behaviour,
            log,
            whole: tokio::sync::Mutex::new(()),
            eight: tokio::sync::Semaphore::new(8),
            operations: AtomicU64::new(0),
            documents: Documents::default(),
            providers: Mutex::default(),
            last_user: Mutex::default(),
            attribution: AtomicBool::new(true),
            by_host: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// The token cache of this configuration; it lives as long as a session uses it.
    pub(crate) fn provider(&self, oauth: &OAuth, ca: Option<&[u8]>) -> Result<Arc<TokenProvider>, Failure> {
        let key = match self.behaviour.defect {
            Some(Defect::SharedTooBroadly) => CacheKey::default(),
            Some(Defect::KeyedByClientId) => {
                CacheKey { client_id: oauth.client_id.clone(), ..CacheKey::default() }
            }
            _ => key(oauth, ca),
        };
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(provider) = providers.get(&key).and_then(Weak::upgrade) {
            return Ok(provider);
        }
        let redactor = Arc::new(Redactor::default());
        redactor.learn_pair(&oauth.client_id, oauth.client_secret.expose());
        let provider = TokenProvider::new(
            oauth.clone(),
            http::client(ca, self.behaviour)?,
            redactor,
            self.log.clone(),
            self.behaviour,
            Arc::clone(&self.documents),
        );
        let provider = Arc::new(provider);
        providers.insert(key, Arc::downgrade(&provider));
        if self.behaviour.has(Defect::KeyedByClientId) {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&provider));
        }
        Ok(provider)
    }
}

fn key(oauth: &OAuth, ca: Option<&[u8]>) -> CacheKey {
    CacheKey {
        source: match &oauth.source {
            Source::Issuer(issuer) => format!("issuer {issuer}"),
            Source::TokenUrl(url) => format!("token_url {url}"),
        },
        client_id: oauth.client_id.clone(),
        client_secret: Some(oauth.client_secret.clone()),
        scope: oauth.scope.clone(),
        audience: oauth.audience.clone(),
        ca: ca.map(<[u8]>::to_vec),
    }
}
