//! One issuer: its settings, clock, keys and memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Clock;
use crate::config::{Alg, Client, Clients, Config};
use crate::key_ring::KeyRing;
use crate::store::Store;

pub(crate) struct Issuer {
    /// Its path: empty, or `/tenant`.
    pub(crate) root: String,
    config: RwLock<Arc<Config>>,
    pub(crate) clock: Clock,
    pub(crate) keys: KeyRing,
    store: Mutex<Store>,
    /// A throw-away issuer is gone then.
    pub(crate) ends: Option<Instant>,
}

impl Issuer {
    pub(crate) fn new(root: &str, config: Arc<Config>, ends: Option<Instant>) -> Self {
        Self {
            root: root.to_owned(),
            config: RwLock::new(config),
            clock: Clock::default(),
            keys: KeyRing::default(),
            store: Mutex::default(),
            ends,
        }
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other settings, the same sessions and tokens.
    pub(crate) fn reconfigure(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// What it remembers. Never held across an await.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything, but keeps its settings.
    pub(crate) fn reset(&self) {
        *self.store() = Store::default();
        self.clock.reset();
        self.keys.reset();
    }

    /// A client that is registered, by the operator or by itself.
    pub(crate) fn client(&self, config: &Config, id: &str) -> Option<Client> {
        let configured = match &config.clients {
            Clients::Any => None,
            Clients::Known(clients) | Clients::Registered(clients) => {
                clients.iter().find(|c| c.id == id).cloned()
            }
        };
        configured.or_else(|| self.store().clients.get(id).map(|r| r.client.clone()))
    }

    /// Algorithms that it has keys for, the usual one first.
    pub(crate) fn algs(config: &Config) -> Vec<Alg> {
        let mut algs = vec![config.token.alg];
        for alg in &config.token.more_algs {
            if !algs.contains(alg) {
                algs.push(*alg);
            }
        }
        algs
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ends.is_some_and(|end| end <= Instant::now())
    }
}

/// 128 random bits, base64url.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}
