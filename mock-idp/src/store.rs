//! What an issuer remembers. Everything is keyed by code, token or session, and nothing grows without bound.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value};

use crate::config::Client;
use crate::record::IssuedToken;

/// So many of each are remembered.
const MOST: usize = 20_000;

/// A map that forgets its oldest entries.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    map: HashMap<String, V>,
    order: VecDeque<String>,
}

impl<V> Default for Bounded<V> {
    fn default() -> Self {
        Self { map: HashMap::new(), order: VecDeque::new() }
    }
}

impl<V> Bounded<V> {
    pub(crate) fn insert(&mut self, key: String, value: V) {
        if self.map.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.map.remove(&oldest);
            }
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.map.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        // Its place in the order stays until its turn comes; a new entry of the same key would be rare and short-lived.
        self.map.remove(key)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.map.values_mut()
    }
}

/// For whom, for what and how a token is issued.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Grantee {
    pub(crate) client_id: String,
    /// The user; the client itself if there is none.
    pub(crate) sub: Option<String>,
    pub(crate) user_claims: Map<String, Value>,
    pub(crate) scope: Option<String>,
    /// `audience` and `resource` of the request.
    pub(crate) audience: Vec<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: Option<u64>,
    pub(crate) acr: Option<String>,
    pub(crate) session: Option<String>,
    /// `cnf` (RFC 7800): `jkt` or `x5t#S256`.
    pub(crate) confirmation: Option<(&'static str, String)>,
    /// `act` (RFC 8693 §4.1).
    pub(crate) actor: Option<Value>,
    /// Whose tokens fall together when one is replayed.
    pub(crate) family: Option<u64>,
}

impl Grantee {
    /// A scope was granted.
    pub(crate) fn has_scope(&self, name: &str) -> bool {
        self.scope.as_deref().is_some_and(|s| s.split(' ').any(|s| s == name))
    }
}

/// An access token that was issued.
#[derive(Debug, Clone)]
pub(crate) struct StoredToken {
    pub(crate) issued: IssuedToken,
    pub(crate) grantee: Grantee,
    /// Its claims, if they are not in it.
    pub(crate) claims: Option<Value>,
}

impl StoredToken {
    /// Its claims, as introspection tells them.
    pub(crate) fn claims(&self) -> Value {
        let in_it = || crate::jwt::unverified_claims(self.issued.token.expose()).unwrap_or_default();
        self.claims.clone().unwrap_or_else(|| Value::Object(in_it()))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Refresh {
    pub(crate) grantee: Grantee,
    pub(crate) expires: f64,
    /// It was used, and another was issued in its place.
    pub(crate) spent: bool,
    pub(crate) revoked: bool,
}

/// A code challenge (RFC 7636 §4.3).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Challenge {
    pub(crate) value: String,
    pub(crate) hashed: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) grantee: Grantee,
    pub(crate) redirect_uri: String,
    /// The request named the address, so the token request has to (RFC 6749 §4.1.3).
    pub(crate) redirect_uri_was_sent: bool,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) expires: f64,
    pub(crate) spent: bool,
    /// `dpop_jkt` (RFC 9449 §10).
    pub(crate) dpop_jkt: Option<String>,
}

/// What a user made of a device's request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    Pending,
    Approved(Box<Grantee>),
    Denied,
}

#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) client_id: String,
    pub(crate) user_code: String,
    pub(crate) scope: Option<String>,
    pub(crate) audience: Vec<String>,
    pub(crate) expires: f64,
    pub(crate) interval: f64,
    pub(crate) last_poll: Option<f64>,
    pub(crate) decision: Decision,
}

#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    pub(crate) client_id: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) expires: f64,
}

/// A browser in which somebody is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) sub: String,
    pub(crate) claims: Map<String, Value>,
    pub(crate) auth_time: u64,
}

/// A client that registered itself (RFC 7591).
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    pub(crate) client: Client,
    pub(crate) metadata: Map<String, Value>,
    /// `registration_access_token` (RFC 7592).
    pub(crate) management: String,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) tokens: Bounded<StoredToken>,
    pub(crate) refresh: Bounded<Refresh>,
    pub(crate) codes: Bounded<Code>,
    pub(crate) devices: Bounded<Device>,
    pub(crate) pushed: Bounded<Pushed>,
    pub(crate) sessions: Bounded<Session>,
    pub(crate) clients: Bounded<Registered>,
    /// Ids of assertions and proofs, each good once.
    pub(crate) seen: Bounded<f64>,
    families: u64,
    /// The first ID token was issued.
    pub(crate) has_issued_id_token: bool,
}

impl Store {
    /// A new family of tokens.
    pub(crate) fn new_family(&mut self) -> u64 {
        self.families += 1;
        self.families
    }

    /// Revokes all tokens of a family (RFC 9700 §4.14.2, RFC 6749 §4.1.2).
    pub(crate) fn revoke_family(&mut self, family: u64) {
        self.refresh.values_mut().filter(|r| r.grantee.family == Some(family)).for_each(|r| r.revoked = true);
        let of_family = self.tokens.values_mut().filter(|t| t.grantee.family == Some(family));
        of_family.for_each(|t| t.issued.revoked = true);
    }

    /// Takes an id that may be used once; `false` if it was used before.
    pub(crate) fn use_once(&mut self, id: String, expires: f64, now: f64) -> bool {
        if self.seen.get(&id).is_some_and(|until| *until > now) {
            return false;
        }
        self.seen.insert(id, expires);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut bounded = Bounded::default();
        for n in 0..MOST + 10 {
            bounded.insert(n.to_string(), n);
        }
        assert_eq!(bounded.values_mut().count(), MOST);
        assert!(bounded.get("0").is_none() && bounded.get("10").is_some());
    }

    #[test]
    fn an_id_is_good_once_until_it_expires() {
        let mut store = Store::default();
        assert!(store.use_once("a".to_owned(), 10.0, 0.0));
        assert!(!store.use_once("a".to_owned(), 10.0, 5.0));
        assert!(store.use_once("a".to_owned(), 20.0, 11.0));
    }
}
